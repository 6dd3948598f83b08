"""Kinds of refinements and criteria as tables and as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rubricate.domain.intervals import Estimate
from rubricate.evaluation.kinds.account import KindsReport, RunKinds
from rubricate.evaluation.kinds.shares import ContrastRow, GroupRow, TypeRow
from rubricate.report import words


def print_kinds(report: KindsReport, console: Console) -> None:
    """The tables on the terminal."""
    for run in report.runs:
        counts = ", ".join(f"{name}: {n:,}" for name, n in run.counts.items())
        console.print(f"{words.one_line(run.run, 120)}, by {report.by}", markup=False, soft_wrap=True)
        console.print(counts, markup=False, soft_wrap=True)
        for why, n in run.reasons.items():
            console.print(f"unclassified {n:,}: {words.one_line(why, 160)}", markup=False, soft_wrap=True)
        console.print(_types(run))
        console.print(_worth(run))
        console.print(_groups(run))
        if not run.types[0].measured:
            why = "the pool has no gold for two responses of different gold, or the run left some unscored"
            console.print(f"tail accuracy: not measured ({why}; --grade grades them)", soft_wrap=True)
    if report.contrast:
        console.print(_contrast(report))


def _types(run: RunKinds) -> Table:
    table = _table("initial -> final", "share of marks", "of refined prompts")
    for row in run.types:
        if row.marks:
            table.add_row(row.name, _share(row.share), _share(row.presence))
    return table


def _worth(run: RunKinds) -> Table:
    table = _table("proposals", "rounds", "accepted", "tail, points")
    for row in run.types:
        if row.rounds:
            moved = _points(row.tail_change)
            table.add_row(row.name, words.count(row.rounds), _share(row.survived), moved)
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(Text(name), justify="right")
    return table


def _groups(run: RunKinds) -> Table:
    table = _table("criteria", "initial", "final", "change, points")
    for row in run.groups:
        if any(each and each.value for each in (row.initial, row.final)):
            table.add_row(row.name, _share(row.initial), _share(row.final), _points(row.change))
    return table


def _contrast(report: KindsReport) -> Table:
    first, second = (words.one_line(Path(run.run).name, 30) for run in report.runs)
    table = _table("initial -> final", f"{first} less {second}, points", f"{first}'s share of both")
    for row in report.contrast:
        if row.split is not None:
            table.add_row(row.name, _points(row.presence_difference), _share(row.split))
    return table


def _share(estimate: Estimate | None) -> str:
    return words.share_interval(estimate) if estimate else "–"


def _points(estimate: Estimate | None) -> str:
    """Without the word: it stands above."""
    said = words.change_estimate(estimate).partition(", n =")[0] if estimate else "–"
    return said.replace(" points", "")


def kinds_csv(report: KindsReport) -> str:
    """One line for each figure: run, table, kind, figure, units, value and interval."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(("run", "table", "kind", "figure", "prompts", "value", "low", "high"))
    rows: list[tuple[str, str, TypeRow | GroupRow | ContrastRow]] = []
    for run in report.runs:
        rows += [(run.run, "types", row) for row in run.types]
        rows += [(run.run, "groups", row) for row in run.groups]
    rows += [(" against ".join(run.run for run in report.runs), "contrast", row) for row in report.contrast]
    for run_name, table, row in rows:
        for name in row.__struct_fields__:
            figure = getattr(row, name)
            if isinstance(figure, Estimate):
                ends = ("" if end is None else f"{end:.6g}" for end in (figure.low, figure.high))
                out.writerow((run_name, table, row.name, name, figure.n, f"{figure.value:.6g}", *ends))
            elif isinstance(figure, int):
                out.writerow((run_name, table, row.name, name, "", figure, "", ""))
    return text.getvalue()
