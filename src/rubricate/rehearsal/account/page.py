"""An account -> one page that loads nothing: what it says, the pictures, every number."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rubricate.rehearsal.account.summary import Account, readings
from rubricate.rehearsal.account.tables import tables_of
from rubricate.report.lines import STYLE, Chart, lines
from rubricate.report.page import policy_of, shown


def account_page(account: Account, charts: Iterable[Chart]) -> str:
    """The page as text; equal accounts give equal pages."""
    environment = Environment(
        loader=PackageLoader("rubricate.rehearsal", "account"),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (files("rubricate.report") / "page.css").read_text(encoding="utf-8") + STYLE
    return environment.get_template("page.html").render(
        account=account,
        readings=list(readings(account)),
        charts=[lines(chart) for chart in charts],
        tables=tables_of(account),
        style=Markup(style),  # noqa: S704 - a file of this package and our own style
        policy=policy_of(style, ""),
    )
