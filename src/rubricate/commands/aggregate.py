"""`rubricate aggregate`: other rules for making one score of verdicts, compared or applied."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console

from rubricate.errors import DataError, SettingsError
from rubricate.evaluation.aggregation.comparison import METRIC, compared
from rubricate.evaluation.aggregation.graded import GradedPool, graded_pool
from rubricate.evaluation.aggregation.scores import NAMES, RuleScores, scores_under
from rubricate.evaluation.entries import first_draws, read_entries
from rubricate.report.aggregation import CSV_HEADER, comparison_lines, csv_rows
from rubricate.runs.writing import replacing


@dataclass(frozen=True)
class AggregateOrder:
    """What was asked for on the command line."""

    source: str
    compare: bool = False
    rule: str | None = None
    output: Path | None = None
    metric: str = METRIC
    floor: float = 0.8
    as_json: bool = False
    csv: Path | None = None


def aggregate(order: AggregateOrder, console: Console) -> int:
    """Compares the rules, or writes the scores of one; the exit code."""
    if order.compare == (order.rule is not None):
        raise SettingsError("say either --compare, or --rule NAME to write the scores of one rule")
    if order.rule is not None and order.rule not in NAMES:
        raise SettingsError(f"--rule: no rule {order.rule!r}; there are {', '.join(NAMES)}")
    for flag, path in (("--output", order.output), ("--csv", order.csv)):
        if path is not None and not path.parent.is_dir():
            raise SettingsError(f"{flag}: there is no folder {path.parent}")
    pool = graded_pool(first_draws(read_entries(order.source), order.source), order.source, order.floor)
    if order.rule is not None:
        return _apply(order, pool, scores_under(order.rule, pool), console)
    comparison = compared(pool, order.source, order.metric)
    if order.csv is not None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(CSV_HEADER)
        writer.writerows(csv_rows(comparison))
        with replacing(order.csv) as draft:
            draft.write_text(text.getvalue(), encoding="utf-8")
    if order.as_json:
        console.print_json(json.dumps(msgspec.to_builtins(comparison)), ensure_ascii=False)
        return 0
    for line in comparison_lines(comparison):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0


def _apply(order: AggregateOrder, pool: GradedPool, found: RuleScores, console: Console) -> int:
    if order.output is None:
        raise SettingsError("--rule writes scores: say where with --output FILE")
    if found.scores is None:
        raise DataError(order.source, f"{found.rule} cannot be had here: {found.note}")
    with replacing(order.output) as draft:
        draft.write_text("".join(f"{line}\n" for line in _lines(pool, found)), encoding="utf-8")
    silent = sum(math.isnan(score) for score in found.scores.tolist())
    console.print(
        f"{order.output}: {len(pool):,} responses under {found.rule}, {silent:,} of them without a score"
        + (f" ({found.note})" if found.note else ""),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return 0


def _lines(pool: GradedPool, found: RuleScores) -> Iterator[str]:
    """One row per response in the order of the file: `score` is in [0, 1] or null below the floor."""
    assert found.scores is not None, "looked at before"
    for entry, score in zip(pool.entries, found.scores.tolist(), strict=True):
        row = {
            "prompt_id": entry.prompt_id,
            "prompt": entry.prompt.text,
            "generator": entry.generator,
            "response": entry.response,
            "score": None if math.isnan(score) else score,
            "rule": found.rule,
        }
        yield json.dumps(row if entry.gold is None else {**row, "gold": entry.gold}, ensure_ascii=False)
