"""`rubricate compare`: a judge on pairs, what it prefers, and how far it can be trusted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rubricate.commands.bench import gated, put, stopped, told_calls
from rubricate.commands.scoring import ScorerOrder, Ticker, opened_scorer
from rubricate.commands.session import Interrupted, in_loop
from rubricate.domain.intervals import Estimate
from rubricate.domain.scoring import TOP
from rubricate.errors import RunStopped, SettingsError
from rubricate.evaluation.benchmarks.figures.gate import Condition, condition
from rubricate.evaluation.judging.asking import judge_pairs, score_pairs
from rubricate.evaluation.judging.figures import JudgeFigures, judge_figures
from rubricate.evaluation.judging.pairs import Pair, Which, drawn, read_pairs
from rubricate.evaluation.judging.preferences import Judged, write_preferences
from rubricate.report import words
from rubricate.settings.schema import OFFLINE
from rubricate.steps.compare import Order

FLAG = "--fail-under"
METRICS = {
    "accuracy": "share of labelled pairs won by who ought to win, all else wrong",
    "credited": "the same with half for ties, without invalid pairs",
    "decided_accuracy": "the same of decided pairs",
    "consistent": "share of pairs with one winner in both orders",
    "first_position": "share of answers that name what stands first",
    "decided": "share decided",
    "tied": "share tied",
    "invalid": "share invalid",
}


@dataclass(frozen=True)
class Asking:
    """Who decides pairs, and how: a judge in an order, or the scores of any reward."""

    settings: ScorerOrder
    judge: str | None = None
    scorer: str | None = None
    order: Order = "both"

    @property
    def by(self) -> ScorerOrder:
        """The order for the scorer that it comes to: that of `--scorer`, or a judge.

        Raises:
            SettingsError: both are named, none is, or a judge that is no model.
        """
        if self.judge is not None and self.scorer is not None:
            raise SettingsError("--judge and --scorer: give one of them")
        if self.order not in ("both", "random"):
            raise SettingsError(f"--order {self.order!r}: both or random")
        if self.scorer is not None:
            if self.scorer.partition(":")[0] == "judge":
                raise SettingsError(f"--scorer {self.scorer!r}: name a judge with --judge MODEL")
            if self.order == "random":
                raise SettingsError("--order goes with --judge: scores know no order")
            return replace(self.settings, scorer=self.scorer)
        model = self.judge or self.settings.settings().gate.judge
        if not model:
            raise SettingsError(
                "who judges? give --judge MODEL, gate.judge=MODEL, or --scorer rubric, longer, ..."
            )
        if model == OFFLINE:
            raise SettingsError(
                "the offline engine does not compare; it grades: --scorer rubric models.verifier=offline "
                "models.rubric_generator=offline"
            )
        return replace(self.settings, scorer=f"judge:{model}")


@dataclass(frozen=True)
class CompareOrder:
    """What was asked for on the command line."""

    source: str
    asking: Asking
    shape: str | None = None
    which: Which = "all"
    top: int = TOP
    limit: int | None = None
    sample: int | None = None
    output: Path = Path("preferences.jsonl")
    json: Path | None = None
    fail_under: tuple[str, ...] = ()


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `--json` prints."""

    source: str
    shape: str
    order: str
    seed: int
    left_out: dict[str, int]
    figures: JudgeFigures


def compare(order: CompareOrder, console: Console, *, as_json: bool = False) -> int:
    """Asks, prints and writes preferences.jsonl; the exit code: 1 if a condition does not hold."""
    conditions = conditions_of(order.fail_under, METRICS, "accuracy")
    if order.which not in ("all", "top"):
        raise SettingsError(f"--pairs {order.which!r}: all or top")
    by, seed = order.asking.by, order.asking.settings.settings().random_seed
    must_be_writable("--output", order.output)
    must_be_writable("--json-file", order.json)
    found = read_pairs(order.source, shape=order.shape, which=order.which, top=order.top)
    if order.which == "top" and found.shape not in ("pool", "run"):
        raise SettingsError(
            f"--pairs top goes with a pool or a run; {order.source} is a file of pairs ({found.shape})"
        )
    pairs = drawn(found.pairs, seed, prompts=order.limit, sample=order.sample)
    try:
        lines = in_loop(preferences_by(by, order.asking.order, pairs, seed, console, quiet=as_json))
    except (RunStopped, Interrupted) as stop:
        return stopped_quietly(stop, console, quiet=as_json)
    figures = judge_figures(lines, seed)
    write_preferences(lines, order.output)
    said = "none: scores" if order.asking.scorer else order.asking.order
    report = Comparison(order.source, found.shape, said, seed, found.left_out, figures)
    if as_json:
        console.print_json(encoded(report).decode())
    else:
        _print(report, len(found.pairs), order.output, console)
    if order.json is not None:
        put(order.json, encoded(report))
    return gated(conditions, judge_metrics(figures), FLAG, console, quiet=as_json)


async def preferences_by(
    by: ScorerOrder, order: Order, pairs: Sequence[Pair], seed: int, console: Console, *, quiet: bool
) -> list[Judged]:
    """The preference for each pair, in order, with progress told; what it cost is said at the end."""
    said = Console(quiet=True) if quiet else console
    async with opened_scorer(by, said) as opened:
        ticker = Ticker(said, "pairs" if opened.judge else "responses", opened.roles)
        try:
            if opened.judge is not None:
                judge = await opened.roles.judge(by.scorer.removeprefix("judge:"))
                in_flight = opened.judge.in_flight
                lines = await judge_pairs(
                    pairs, judge, order=order, seed=seed, in_flight=in_flight, done=ticker
                )
            else:
                assert opened.scorer is not None, "a judge or a scorer"
                lines = await score_pairs(pairs, opened.scorer, ticker)
        finally:
            ticker.close()
        told_calls(opened, said)
        return lines


def conditions_of(given: Sequence[str], metrics: Mapping[str, str], default: str) -> list[Condition]:
    """The conditions of `--fail-under`, such as `win_rate>=0.5`; a group may be named and is `all`.

    Raises:
        SettingsError: one is none.
    """
    whole = [said if "@" in said else re.sub(r"^\s*([\w.-]+)", r"\1@all", said, count=1) for said in given]
    for said in whole:
        if "@all" not in said:
            raise SettingsError(f"{FLAG} {said!r}: write METRIC>=NUMBER, such as {default}>=0.6")
    return [condition(said, FLAG, metrics, default) for said in whole]


def judge_metrics(figures: JudgeFigures) -> dict[str, dict[str, Estimate | float | None]]:
    """The figures of a judge by the name of the metric."""
    return {name: {"all": getattr(figures, name)} for name in METRICS}


def must_be_writable(flag: str, path: Path | None) -> None:
    """Finds the mistake before anything is asked.

    Raises:
        SettingsError: there is no folder for the file, or the path is one.
    """
    if path is not None and path.is_dir():
        raise SettingsError(f"{flag}: {path} is a folder, and a file is needed")
    if path is not None and not path.parent.is_dir():
        raise SettingsError(f"{flag}: there is no folder {path.parent}")


def stopped_quietly(stop: Exception, console: Console, *, quiet: bool) -> int:
    """Says why it stopped, on the error output where JSON was asked for; the exit code."""
    return stopped(stop, Console(stderr=True) if quiet else console)


def encoded(report: msgspec.Struct) -> bytes:
    """As indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def print_left_out(left_out: Mapping[str, int], console: Console) -> None:
    """What took no part, by reason."""
    for why, n in left_out.items():
        console.print(f"left out: {n:,} ({words.one_line(why, 120)})", markup=False, soft_wrap=True)


def print_judge(figures: JudgeFigures, console: Console) -> None:
    """The table of a judge's figures."""
    table = Table(box=None, pad_edge=False)
    table.add_column(Text(words.one_line(figures.judge, 60)))
    table.add_column("share", justify="right")
    table.add_column("prompts", justify="right")
    rows = [
        ("decided", figures.decided),
        ("tied", figures.tied),
        ("invalid", figures.invalid),
        ("same winner in both orders", figures.consistent),
        ("answers for what stands first", figures.first_position),
    ]
    if figures.labelled:
        rows += [
            (f"agrees with {figures.labelled:,} labels, all else wrong", figures.accuracy),
            ("  ties half, invalid left out", figures.credited),
            ("  of decided pairs", figures.decided_accuracy),
        ]
    for name, estimate in rows:
        if estimate is not None:
            table.add_row(name, words.share_interval(estimate), words.count(estimate.n))
    console.print(table)
    for why, n in figures.reasons.items():
        console.print(f"invalid {n:,}: {words.one_line(why, 160)}", markup=False, soft_wrap=True)


def _print(report: Comparison, available: int, output: Path, console: Console) -> None:
    figures = report.figures
    source = words.one_line(report.source, 120)
    console.print(
        f"{source}: {report.shape}, {figures.pairs:,} of {available:,} pairs, {figures.prompts:,} prompts, "
        f"order: {report.order}",
        markup=False,
        soft_wrap=True,
    )
    print_left_out(report.left_out, console)
    print_judge(figures, console)
    console.print(f"{output}: {figures.pairs:,} preferences", markup=False, soft_wrap=True)
