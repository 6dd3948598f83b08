"""`rubricate winrate`: the responses of a policy against those of a reference, by a judge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rubricate.commands.bench import gated, put
from rubricate.commands.compare import (
    FLAG,
    Asking,
    conditions_of,
    encoded,
    must_be_writable,
    preferences_by,
    print_judge,
    stopped_quietly,
)
from rubricate.commands.session import Interrupted, in_loop
from rubricate.domain.intervals import Estimate
from rubricate.errors import RunStopped, SettingsError
from rubricate.evaluation.judging.preferences import write_preferences
from rubricate.evaluation.judging.winrate import By, WinRate, matched, win_rate
from rubricate.report import words

METRICS = {
    "win_rate": "wins and half the ties, of the judged pairs",
    "length_controlled": "the same at equal length",
    "wins": "share won",
    "ties": "share tied",
    "losses": "share lost",
    "invalid": "share of all pairs that is invalid",
    "consistent": "share of pairs with one winner in both orders",
}
MOST_NAMED = 5


@dataclass(frozen=True)
class WinRateOrder:
    """What was asked for on the command line."""

    policy: str
    reference: str
    asking: Asking
    by: By = "prompt"
    output: Path | None = None
    json: Path | None = None
    fail_under: tuple[str, ...] = ()


def winrate(order: WinRateOrder, console: Console, *, as_json: bool = False) -> int:
    """Asks, prints and writes; the exit code: 1 if a condition does not hold."""
    conditions = conditions_of(order.fail_under, METRICS, "win_rate")
    if order.by not in ("prompt", "id"):
        raise SettingsError(f"--by {order.by!r}: prompt or id")
    by, seed = order.asking.by, order.asking.settings.settings().random_seed
    must_be_writable("--output", order.output)
    must_be_writable("--json-file", order.json)
    matches = matched(order.policy, order.reference, order.by)
    asked = preferences_by(by, order.asking.order, matches.pairs, seed, console, quiet=as_json)
    try:
        lines = in_loop(asked)
    except (RunStopped, Interrupted) as stop:
        return stopped_quietly(stop, console, quiet=as_json)
    report = win_rate(order.policy, order.reference, matches, lines, seed)
    if order.output is not None:
        write_preferences({line.key: line for line in lines}.values(), order.output)
    if as_json:
        console.print_json(encoded(report).decode())
    else:
        print_win_rate(report, console)
    if order.json is not None:
        put(order.json, encoded(report))
    return gated(conditions, _metrics(report), FLAG, console, quiet=as_json)


def _metrics(report: WinRate) -> dict[str, dict[str, Estimate | float | None]]:
    controlled = report.length_controlled
    found = {name: getattr(report, name, None) for name in METRICS}
    found["length_controlled"] = controlled.win_rate if controlled else None
    found["consistent"] = report.judge.consistent
    return {name: {"all": estimate} for name, estimate in found.items()}


def print_win_rate(report: WinRate, console: Console) -> None:
    """The tables on the terminal."""
    names = " against ".join(words.one_line(name, 80) for name in (report.policy, report.reference))
    console.print(
        f"{names}: {report.pairs:,} pairs, {report.prompts:,} prompts", markup=False, soft_wrap=True
    )
    for why, ids in report.without.items():
        more = f", and {len(ids) - MOST_NAMED:,} more" if len(ids) > MOST_NAMED else ""
        named = ", ".join(words.one_line(id, 40) for id in ids[:MOST_NAMED])
        console.print(f"{why}: {len(ids):,} prompts ({named}{more})", markup=False, soft_wrap=True)
    if report.surplus:
        console.print(f"responses without a match on the other side: {report.surplus:,}")
    table = Table(box=None, pad_edge=False)
    table.add_column("policy against reference")
    for name in ("share", "prompts", "pairs"):
        table.add_column(name, justify="right")
    controlled = report.length_controlled
    counts = report.counts
    rows: list[tuple[str, Estimate | None, str]] = [
        ("win rate, ties half", report.win_rate, ""),
        ("  at equal length", controlled.win_rate if controlled else None, ""),
        ("wins", report.wins, words.count(counts["wins"])),
        ("ties", report.ties, words.count(counts["ties"])),
        ("losses", report.losses, words.count(counts["losses"])),
        ("invalid, of all pairs", report.invalid, words.count(counts["invalid"])),
        ("policy is the longer one, of all pairs", report.longer, ""),
    ]
    for name, estimate, n in rows:
        share = words.share_interval(estimate) if estimate else "not measured"
        table.add_row(name, share, words.count(estimate.n) if estimate else "0", n)
    console.print(table)
    print_judge(report.judge, console)
