"""A run folder -> `report.html`: one page that loads nothing, opens from disk, and trusts no text.

Everything that is printed into the page passes two doors that no template can forget: `finalize` writes out
what hides or reorders text, and autoescaping makes markup of it harmless. The page's own style and script
are allowed by their hashes, so that nothing else could run even if both doors failed.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from rubricate.domain.conversation import Pool
from rubricate.domain.intervals import rate
from rubricate.domain.record import NOT_ASKED, PromptRecord, State
from rubricate.domain.rubric import Criterion
from rubricate.domain.scoring import TOP
from rubricate.errors import DataError
from rubricate.report import words
from rubricate.report.charts import Move, Part, moves, shares
from rubricate.report.prompt_view import Cell, PromptView, view_of
from rubricate.runs.folder import CONFIG, REPORT, RunFolder
from rubricate.runs.summary import Summary, summarize

SHOWN_PROMPTS = 200
LARGEST_PAGE = 15_000_000
"""In bytes."""

SHORTEST_CUT = 500
CUT_NOTE = 130
"""Characters that are left of any cut text, and bytes that the note on a cut takes."""

_ORDER: tuple[State, ...] = ("failed", "kept", "refined")
_FACTS = {
    "Proposer": "models.rubric_generator",
    "Grader": "models.verifier",
    "Judge": "gate.judge",
    "Responses": "files.responses_file",
    "Responses a prompt": "workflow.initial_responses_per_prompt",
    "Rounds at most": "workflow.max_iterations",
    "Pairs": "workflow.pair_policy",
    "Gate": "gate.enabled",
    "Seed": "random_seed",
}
_ELSEWHERE = re.compile(r"^(?:engine|ledger|ray):.*\n(?:[ ].*\n)*", re.MULTILINE)
"""Settings that say where a run was made, and nothing of what it found."""


def write_report(run_folder: Path, shown_prompts: int = SHOWN_PROMPTS) -> Path:
    """Writes the page of a finished run into its folder; the path of it.

    Goes through the journal twice and through the pools once, line by line: memory holds the prompts that
    are shown, and a few numbers of the others. The same files give the same bytes. Of a run that is not
    finished it shows what is.

    Raises:
        RunError, DataError: a file of the folder is missing, or is not what it should be.
    """
    with RunFolder(run_folder) as folder:
        summary = summarize(folder.journal)
        records = shortlist(folder.journal, shown_prompts)
        views = joined(records, (folder.pool(place) for place in range(len(folder.intake))))
    settings = _ELSEWHERE.sub("", (run_folder / CONFIG).read_text(encoding="utf-8"))
    page = render_page(run_folder.resolve().name, summary, views, settings)
    target = run_folder / REPORT
    draft = target.with_suffix(".tmp")
    draft.write_bytes(page)
    draft.replace(target)
    return target


def shortlist(records: Iterable[PromptRecord], limit: int) -> list[PromptRecord]:
    """The prompts that the page shows: failed first, then kept, then refined, each in input order."""
    by_state: dict[State, list[PromptRecord]] = {state: [] for state in _ORDER}
    for record in records:
        if len(by_state[record.state]) < limit:
            by_state[record.state].append(record)
    return [record for state in _ORDER for record in by_state[state]][:limit]


def joined(records: Sequence[PromptRecord], pools: Iterable[Pool]) -> list[PromptView]:
    """The records with their pools, in the order of the records.

    Raises:
        DataError: a pool, or one of its responses, is missing.
    """
    wanted = {record.id for record in records}
    pool_by_id = {pool.prompt.id: pool for pool in pools if pool.prompt.id in wanted}
    missing = next((record.id for record in records if record.id not in pool_by_id), None)
    if missing is not None:
        raise DataError("pool.jsonl", f"has no prompt {missing!r}, which the journal speaks of")
    return [view_of(record, pool_by_id[record.id]) for record in records]


def render_page(
    name: str,
    summary: Summary,
    views: Sequence[PromptView],
    settings: str = "",
    largest: int = LARGEST_PAGE,
) -> bytes:
    """The page as UTF-8. `settings` is the run's config.yaml.

    Where the page would be larger than `largest` bytes, the longest texts are cut, all to one length; if
    that is not enough, fewer prompts are shown. The page says both.
    """
    shown = list(views)
    while True:
        sizes = _sizes(shown)
        page = _render(name, summary, shown, settings, max((length for length, _ in sizes), default=0))
        if len(page) > largest:
            frame = len(page) - sum(size for _, size in sizes)
            limit = text_limit(sizes, largest - frame - CUT_NOTE * len(sizes))
            page = _render(name, summary, shown, settings, limit)
        if len(page) <= largest or not shown:
            return page
        shown = shown[: len(shown) // 2]


def text_limit(sizes: Sequence[tuple[int, int]], budget: int) -> int:
    """The number of characters to which texts are cut so that all together fit into `budget` bytes.

    `sizes` holds characters and bytes of each text. The largest number that fits (as far as a text's bytes
    are spread evenly), so that only the longest are cut; at least 500.
    """
    low, high = SHORTEST_CUT, max((SHORTEST_CUT, *(length for length, _ in sizes)))
    while low < high:
        middle = (low + high + 1) // 2
        if sum(size * min(1.0, middle / max(1, length)) for length, size in sizes) <= budget:
            low = middle
        else:
            high = middle - 1
    return low


def _render(
    name: str, summary: Summary, views: Sequence[PromptView], settings: str, text_limit: int
) -> bytes:
    environment = _environment(text_limit)
    style, script = _asset("page.css"), _asset("page.js")
    page = environment.get_template("page.html").render(
        name=name,
        summary=summary,
        views=views,
        left_out=summary.prompts - len(views),
        facts=_facts(settings),
        config=settings,
        charts=_charts(summary),
        state_share=lambda n: rate(n, summary.prompts),
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        policy=policy_of(style, script),
        top=TOP,
    )
    return page.encode("utf-8")


def _environment(text_limit: int) -> Environment:
    environment = Environment(
        loader=PackageLoader("rubricate", "report"),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    said = (
        words.short, words.count, words.percent, words.score, words.number, words.usd, words.calls,
        words.share_interval, words.share_estimate, words.mean_interval, words.mean_estimate,
        words.change_estimate,
    )  # fmt: skip
    environment.filters.update({function.__name__: function for function in said})
    environment.filters.update(head=lambda text: text[:text_limit], mark=_verdict)
    environment.globals.update({function.__name__: function for function in said}, text_limit=text_limit)
    return environment


def shown(value: object) -> object:
    """What is printed of a value: our own markup as it is, all other text with nothing hidden in it."""
    return words.visible(value) if type(value) is str else value


_OUTCOME = {"+": ("y", "✓"), "-": ("n", "–"), "?": ("q", "?"), NOT_ASKED: ("o", "·")}


def _verdict(cell: Cell, criterion: Criterion) -> Markup:
    """A cell of the table of verdicts; there may be a hundred thousand, so they are terse."""
    outcome, sign = _OUTCOME[cell.mark]
    is_bad = cell.mark == "+" and criterion.kind == "pitfall"
    classes = " ".join(name for name, applies in (("b", is_bad), ("p", cell.by_program)) if applies)
    of_class = Markup(' class="{}"').format(classes) if classes else ""
    told = Markup(' title="{}"').format(words.one_line(cell.reason, 300)) if cell.reason else ""
    return Markup('<td data-v="{}"{}{}>{}</td>').format(outcome, of_class, told, sign)


def _charts(summary: Summary) -> dict[str, Markup]:
    colour_by_state: dict[State, str] = {"refined": "a", "kept": "c", "failed": "d"}
    states = [
        Part(
            f"{state}: {words.count(summary.by_state[state])}",
            summary.by_state[state],
            colour_by_state[state],
        )
        for state in get_args(State)
    ]
    total = summary.total
    verdicts = [
        Part(f"{label}: {words.count(n)}", n, colour)
        for label, n, colour in (
            ("asked", total.verdicts_asked, "a"),
            ("reused", total.verdicts_reused, "b"),
            ("by program", total.verdicts_by_program, "c"),
        )
    ]
    ties, criteria = [], []
    if summary.tie_share:
        ties.append(Move("run", summary.tie_share.before, summary.tie_share.after))
    if summary.criteria:
        criteria.append(Move("run", summary.criteria.before, summary.criteria.after))
    for round in summary.rounds:
        if round.tie_share:
            ties.append(Move(f"round {round.number}", round.tie_share.before, round.tie_share.after))
        criteria.append(Move(f"round {round.number}", round.criteria.before, round.criteria.after))
    return {
        "states": shares("Prompts by state", states),
        "verdicts": shares("Where verdicts came from", verdicts),
        "ties": moves("Tie share of the top before and after, by round", ties, "{:.0%}".format, 1.0),
        "criteria": moves("Criteria per rubric before and after, by round", criteria, "{:g}".format),
    }


def _facts(settings: str) -> list[tuple[str, str]]:
    """The settings that a reader wants to know first; those that are not set are left out."""
    from omegaconf import OmegaConf

    config = OmegaConf.create(settings) if settings.strip() else OmegaConf.create()
    found = ((label, OmegaConf.select(config, key)) for label, key in _FACTS.items())
    return [(label, _plain(value)) for label, value in found if value is not None]


def _plain(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def policy_of(style: str, script: str) -> str:
    """The page's security policy: its own style and script by hash, and nothing else from anywhere."""
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _asset(name: str) -> str:
    return (files("rubricate.report") / name).read_text(encoding="utf-8")


def _sizes(views: Sequence[PromptView]) -> list[tuple[int, int]]:
    """Characters and bytes of the long texts of the page, each as often as it is printed."""
    return [(len(text), len(escape(words.visible(text)).encode())) for text in _texts(views)]


def _texts(views: Sequence[PromptView]) -> Iterator[str]:
    """The long texts of the page, each as often as it is printed."""
    for view in views:
        yield view.prompt
        yield from (row.response.text for row in view.rows)
        yield from (side.response.text for step in view.steps for side in step.sides)
