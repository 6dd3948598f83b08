"""`rubricate align`: whether rubrics prefer what a judge prefers, as the paper and its script count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rubricate.commands.bench import gated, put
from rubricate.commands.compare import (
    FLAG,
    conditions_of,
    encoded,
    must_be_writable,
    print_judge,
    stopped_quietly,
)
from rubricate.commands.scoring import ScorerOrder, Ticker
from rubricate.commands.session import Interrupted, in_loop
from rubricate.domain.intervals import Estimate
from rubricate.errors import DataError, RunStopped, SettingsError
from rubricate.evaluation.alignment.aligning import Alignment, align, labels_as_preferences
from rubricate.evaluation.alignment.drawing import drawn_gradings
from rubricate.evaluation.alignment.gradings import Gradings, holds_scores, read_gradings
from rubricate.evaluation.judging.pairs import Pair, read_pairs
from rubricate.evaluation.judging.preferences import Judged, read_preferences
from rubricate.llm.draws import LaterDraw
from rubricate.report import words
from rubricate.runs.rows import rows_of
from rubricate.runs.rubric_files import RubricFile, read_rubrics
from rubricate.settings.casting import manner_of
from rubricate.settings.roles import Roles, opened_roles
from rubricate.settings.schema import OFFLINE, Settings
from rubricate.settings.secrets import environment
from rubricate.steps.crew import CheckedGrader, ModelGrader
from rubricate.steps.roles import Grader

METRICS = {
    "paper_accuracy": "share of the judge's preferences that the majority of gradings has, ties wrong",
    "alignment": "the same by majority score, half for ties and for no majority",
    "tied": "share tied",
    "untied_accuracy": "share right of untied pairs",
}


@dataclass(frozen=True)
class AlignOrder:
    """What was asked for on the command line."""

    source: str
    preferences: str
    settings: ScorerOrder
    responses: str | None = None
    draws: int = 5
    json: Path | None = None
    fail_under: tuple[str, ...] = ()


def align_rubrics(order: AlignOrder, console: Console, *, as_json: bool = False) -> int:
    """Reads or draws the gradings, prints and writes; the exit code: 1 if a condition does not hold."""
    conditions = conditions_of(order.fail_under, METRICS, "paper_accuracy")
    settings = order.settings.settings()
    must_be_writable("--json-file", order.json)
    lines, pairs = _preferences(order)
    if holds_scores(order.source):
        gradings = read_gradings(order.source)
    else:
        rubrics = read_rubrics(order.source)
        texts = _texts(order, lines, pairs)
        asked = _drawn(order, settings, rubrics, texts, Console(quiet=True) if as_json else console)
        try:
            gradings = in_loop(asked)
        except (RunStopped, Interrupted) as stop:
            return stopped_quietly(stop, console, quiet=as_json)
    gradings.name = order.source
    report = align(lines, gradings, settings.random_seed)
    if as_json:
        console.print_json(encoded(report).decode())
    else:
        _print(report, gradings, console)
    if order.json is not None:
        put(order.json, encoded(report))
    figures: dict[str, dict[str, Estimate | float | None]]
    figures = {name: {"all": getattr(report, name)} for name in METRICS}
    return gated(conditions, figures, FLAG, console, quiet=as_json)


def _preferences(order: AlignOrder) -> tuple[list[Judged], Sequence[Pair]]:
    """The preferences, and their pairs where the file has the texts: a file of labelled pairs."""
    first = None if Path(order.preferences).is_dir() else next(rows_of(order.preferences), None)
    if first is not None and isinstance(first.value, dict) and {"winner", "key"} <= set(first.value):
        return read_preferences(order.preferences), ()
    pairs = read_pairs(order.preferences).pairs
    return labels_as_preferences(pairs, order.preferences), pairs


def _texts(order: AlignOrder, lines: Sequence[Judged], pairs: Sequence[Pair]) -> Sequence[Pair]:
    """The pairs with their texts.

    Raises:
        SettingsError: nothing given has the texts.
        DataError: the texts of no pair are there.
    """
    if order.responses is None and not pairs:
        raise SettingsError(
            f"{order.source} holds rubrics: --responses must name the file that was compared, for its texts"
        )
    if order.responses is not None:
        pairs = read_pairs(order.responses).pairs
    wanted = {line.key for line in lines if line.winner in ("first", "second")}
    found = [pair for pair in pairs if pair.key in wanted]
    if not found:
        raise DataError(order.responses or order.preferences, "it has the texts of none of the decided pairs")
    return found


async def _drawn(
    order: AlignOrder, settings: Settings, rubrics: RubricFile, pairs: Sequence[Pair], console: Console
) -> Gradings:
    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False)

    async with opened_roles(settings, environment(), say=say, roles=("verifier",)) as roles:
        graders = await _graders(roles, settings, order.draws)
        ticker = Ticker(console, "gradings", roles)
        try:
            found = await drawn_gradings(
                pairs,
                rubrics,
                graders,
                floor=settings.grade.coverage_floor,
                in_flight=settings.workflow.prompts_in_flight or settings.api.workers,
                done=ticker,
            )
        finally:
            ticker.close()
        if roles.n_paid or roles.n_reused:
            say(f"calls: {roles.n_paid:,} paid, {roles.n_reused:,} from the ledger")
        return found


async def _graders(roles: Roles, settings: Settings, draws: int) -> list[Grader]:
    """The grader of the settings once for each draw. A program draws the same each time: it is asked once."""
    model = settings.models.verifier
    if model == OFFLINE:
        return [await roles.grader()]
    chat, manner = await roles.chat("verifier", model), manner_of(roles.settings, model)
    graders: list[Grader] = []
    for draw in range(draws):
        later = LaterDraw(chat, draw * (manner.retries + 1))
        grader = ModelGrader(later, manner, settings.grade.criteria_per_call)
        graders.append(CheckedGrader(grader) if settings.grade.checks else grader)
    return graders


def _print(report: Alignment, gradings: Gradings, console: Console) -> None:
    low, high = report.draws
    draws = f"{low}" if low == high else f"{low} to {high}"
    console.print(
        f"{words.one_line(report.gradings, 120)}: gradings a response: {draws}; "
        f"{report.counts['decided']:,} pairs that the judge decided, {report.prompts:,} prompts",
        markup=False,
        soft_wrap=True,
    )
    for name in ("judge tied", "judge invalid", "not graded", "no majority", "ungraded"):
        if report.counts[name]:
            console.print(f"{name}: {report.counts[name]:,} pairs")
    if gradings.failed:
        console.print(f"gradings that failed: {gradings.failed:,}")
    table = Table(box=None, pad_edge=False)
    table.add_column("rubrics against the judge")
    table.add_column("share", justify="right")
    table.add_column("prompts", justify="right")
    for name, estimate in (
        ("paper accuracy: majority right, all else wrong", report.paper_accuracy),
        ("alignment: half for ties", report.alignment),
        ("tied", report.tied),
        ("right, of untied pairs", report.untied_accuracy),
    ):
        share = words.share_interval(estimate) if estimate else "not measured"
        table.add_row(name, share, words.count(estimate.n) if estimate else "0")
    console.print(table)
    print_judge(report.judge, console)
