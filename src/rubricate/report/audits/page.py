"""An audit -> one page that loads nothing and trusts no name: what it says, three pictures, every number."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rubricate.evaluation.audit.auditing import Audit
from rubricate.evaluation.audit.gates import Passed
from rubricate.report import words
from rubricate.report.audits.charts import charts_of
from rubricate.report.audits.files import Differences
from rubricate.report.audits.table import cell, readings
from rubricate.report.lines import STYLE, lines
from rubricate.report.page import policy_of, shown


def audit_page(audit: Audit, source: str, differences: Differences, gates: Sequence[Passed]) -> str:
    """The page as text; equal audits give equal pages."""
    environment = Environment(
        loader=PackageLoader("rubricate", "report"),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (files("rubricate.report") / "page.css").read_text(encoding="utf-8") + STYLE
    return environment.get_template("audits/page.html").render(
        audit=audit,
        source=source,
        differences=differences,
        gates=gates,
        readings=[line for reward in audit.proxies for line in readings(audit, reward)],
        charts=[lines(chart) for chart in charts_of(audit).values()],
        metrics=list(dict.fromkeys(metric for reward in audit.rewards for metric in reward.estimates)),
        cell=cell,
        count=words.count,
        percent=words.percent,
        one_line=words.one_line,
        style=Markup(style),  # noqa: S704 - a file of this package and our own style
        policy=policy_of(style, ""),
    )
