"""`rubricate bench`: a reward, a grader or a judge on a benchmark, beside what costs nothing."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rubricate.commands.scoring import Opened, ScorerOrder, Ticker, opened_scorer, print_table
from rubricate.commands.session import Interrupted, in_loop
from rubricate.domain.intervals import Estimate
from rubricate.errors import RunStopped
from rubricate.evaluation.benchmarks.cases import Benchmark
from rubricate.evaluation.benchmarks.figures.gate import Condition, condition, failure_of
from rubricate.evaluation.benchmarks.measuring import Report, System, measure, only
from rubricate.evaluation.benchmarks.sources import read_benchmark
from rubricate.report import words
from rubricate.runs.writing import replacing

DONE, FAILED, STOPPED = 0, 1, 3
FLAG = "--fail-under"
METRICS = {
    "accuracy": "share won",
    "credited": "share won, ties by chance",
    "decided": "share won of those decided",
    "ahead": "credited, less that of the longer response",
    "tied": "share tied",
    "unjudged": "share unjudged",
    "headline": "a figure that the benchmark is quoted by",
    "points": "mean points, clipped",
}


@dataclass(frozen=True)
class BenchOrder:
    """What was asked for on the command line."""

    source: str
    scorer: ScorerOrder
    shape: str | None = None
    subset: str | None = None
    limit: int | None = None
    json: Path | None = None
    csv: Path | None = None
    fail_under: tuple[str, ...] = ()


def bench(order: BenchOrder, console: Console, *, as_json: bool = False) -> int:
    """Measures, prints and writes; the exit code: 1 if a condition of `--fail-under` does not hold."""
    conditions = [condition(said, FLAG, METRICS, "accuracy") for said in order.fail_under]
    seed = order.scorer.settings().random_seed
    benchmark = only(read_benchmark(order.source, order.shape), order.limit, order.subset, seed)
    try:
        report = in_loop(_measured(order, benchmark, seed, console, quiet=as_json))
    except (RunStopped, Interrupted) as stop:
        return stopped(stop, console)
    if as_json:
        console.print_json(_json(report).decode())
    else:
        print_report(report, console)
    if order.json is not None:
        put(order.json, _json(report))
    if order.csv is not None:
        put(order.csv, _csv(report).encode())
    return gated(conditions, _figures(report.systems[0]), FLAG, console, quiet=as_json)


async def _measured(
    order: BenchOrder, benchmark: Benchmark, seed: int, console: Console, *, quiet: bool
) -> Report:
    said = Console(quiet=True) if quiet else console
    async with opened_scorer(order.scorer, said) as opened:
        ticker = Ticker(said, "duels" if opened.judge else "responses", opened.roles)
        try:
            report = await measure(
                order.source,
                benchmark,
                scorer=opened.scorer,
                judge=opened.judge,
                seed=seed,
                done=ticker,
            )
        finally:
            ticker.close()
        told_calls(opened, said)
        return report


def told_calls(opened: Opened, console: Console) -> None:
    """Says what was paid, if anybody was asked."""
    roles = opened.roles
    if roles.n_paid or roles.n_reused:
        cost = f", {words.usd(roles.budget.spent_usd)}" if roles.budget.spent_usd else ""
        console.print(f"calls: {roles.n_paid:,} paid, {roles.n_reused:,} from the ledger{cost}")
    cut = getattr(opened.scorer, "n_cut", 0)
    if cut:
        console.print(f"{cut:,} texts were longer than the model reads, and cut from the left")


def stopped(stop: Exception, console: Console) -> int:
    """Says why it stopped, and that the same command goes on."""
    why = f" by {stop}" if isinstance(stop, Interrupted) else f": {stop}"
    console.print(Text.assemble(("Stopped", "bold"), why), soft_wrap=True)
    console.print("Every reply that was paid for is in the ledger: the same command goes on from there.")
    return 128 + stop.signal_number if isinstance(stop, Interrupted) else STOPPED


def gated(
    conditions: list[Condition],
    figures: dict[str, dict[str, Estimate | float | None]],
    flag: str,
    console: Console,
    *,
    quiet: bool,
) -> int:
    """Says which conditions do not hold; the exit code."""
    failures = [failure_of(each, figures, flag) for each in conditions]
    for failure in failures:
        if failure is not None and not quiet:
            console.print(Text(f"{flag} {failure}", style="bold red"), soft_wrap=True)
    return FAILED if any(failures) else DONE


def print_report(report: Report, console: Console) -> None:
    """The tables on the terminal."""
    measured, floors = report.systems[0], report.systems[1:]
    source = words.one_line(report.source, 120)
    console.print(
        f"{source}: {report.shape}, {report.cases:,} cases, {report.prompts:,} prompts, "
        f"{report.responses:,} responses",
        markup=False,
        soft_wrap=True,
    )
    for why, n in report.left_out.items():
        console.print(f"left out: {n:,} ({why})")
    if report.repeated:
        console.print(f"repeated: {report.repeated:,} cases say what an earlier one says; they count")
    console.print(Text(words.one_line(measured.name, 120), style="bold"))
    if measured.points:
        print_table(console, _points(measured))
    if measured.tallies:
        print_table(console, _subsets(measured, floors))
    if measured.headlines:
        print_table(console, _headlines(measured, floors))
    if measured.consistent is not None:
        console.print(f"same winner in both orders: {words.share_estimate(measured.consistent)}")
    for why, n in measured.reasons.items():
        console.print(f"unjudged {n:,}: {words.one_line(why, 160)}", markup=False, soft_wrap=True)


def _subsets(measured: System, floors: tuple[System, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("subset")
    heads = ("n", "prompts", "accuracy", "credited", "decided", "tied", "unjudged")
    for name in (*heads, *(floor.name for floor in floors), "ahead of longer"):
        table.add_column(name, justify="right")
    for place, row in enumerate(measured.tallies):
        table.add_row(
            words.one_line(row.group, 40),
            words.count(row.n),
            words.count(row.prompts),
            words.share_interval(row.accuracy),
            words.percent(row.credited.value),
            words.percent(row.decided.value) if row.decided else "–",
            words.percent(row.tied / row.n),
            words.percent(row.unjudged / row.n),
            *(words.percent(floor.tallies[place].credited.value) for floor in floors),
            _points_of(row.ahead),
        )
    return table


def _headlines(measured: System, floors: tuple[System, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("as published")
    for name in ("figure", *(floor.name for floor in floors)):
        table.add_column(name, justify="right")
    table.add_column("without")
    for place, row in enumerate(measured.headlines):
        figures = [row, *(floor.headlines[place] for floor in floors)]
        without = ", ".join(row.missing) + (f" ({row.why})" if row.why else "")
        table.add_row(
            row.name,
            *(words.share_interval(each.estimate) if each.estimate else "–" for each in figures),
            words.one_line(without, 60),
        )
    return table


def _points(measured: System) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("theme")
    for name in ("answers", "prompts", "mean points, clipped", "below zero", "unjudged"):
        table.add_column(name, justify="right")
    for row in measured.points:
        mean = words.share_interval(row.mean) if row.mean else "not measured"
        counts = (words.count(row.below_zero), words.percent(row.unjudged / row.n))
        table.add_row(words.one_line(row.group, 40), f"{row.n:,}", f"{row.prompts:,}", mean, *counts)
    return table


def _points_of(estimate: Estimate | None) -> str:
    return words.change_estimate(estimate).partition(", n =")[0] if estimate else "–"


def _figures(system: System) -> dict[str, dict[str, Estimate | float | None]]:
    rows = system.tallies
    unjudged: dict[str, Estimate | float | None] = {row.group: row.unjudged / row.n for row in rows}
    unjudged |= {row.group: row.unjudged / row.n for row in system.points}
    return {
        "accuracy": {row.group: row.accuracy for row in rows},
        "credited": {row.group: row.credited for row in rows},
        "decided": {row.group: row.decided for row in rows},
        "ahead": {row.group: row.ahead for row in rows},
        "tied": {row.group: row.tied / row.n for row in rows},
        "unjudged": unjudged,
        "headline": {row.name: row.estimate for row in system.headlines},
        "points": {row.group: row.mean for row in system.points},
    }


def _json(report: Report) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def _csv(report: Report) -> str:
    """One line for each figure: system, kind, subset, counts, and the figure with its interval."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    counts = ("n", "prompts", "won", "tied", "lost", "unjudged")
    out.writerow(("system", "metric", "subset", *counts, "value", "low", "high"))
    for system in report.systems:
        for row in system.tallies:
            numbers = [getattr(row, name) for name in counts]
            for metric in ("accuracy", "credited", "decided", "ahead"):
                out.writerow((system.name, metric, row.group, *numbers, *_ends(getattr(row, metric))))
        for head in system.headlines:
            n = head.estimate.n if head.estimate else ""
            out.writerow((system.name, "headline", head.name, "", n, "", "", "", "", *_ends(head.estimate)))
        for theme in system.points:
            numbers = [theme.n, theme.prompts, "", "", "", theme.unjudged]
            out.writerow((system.name, "points", theme.group, *numbers, *_ends(theme.mean)))
    return text.getvalue()


def _ends(estimate: Estimate | None) -> tuple[str, str, str]:
    if estimate is None:
        return "", "", ""
    low, high = ("" if end is None else f"{end:.6g}" for end in (estimate.low, estimate.high))
    return f"{estimate.value:.6g}", low, high


def put(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    with replacing(path) as draft:
        draft.write_bytes(content)
