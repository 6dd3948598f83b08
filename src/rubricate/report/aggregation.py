"""A comparison of aggregations as lines for a terminal, and as rows of one tidy CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rubricate.evaluation.aggregation.comparison import SHOWN, Comparison, RuleAccount
from rubricate.report.agreement import figure, table
from rubricate.report.words import count, one_line

CSV_HEADER = (
    "rule",
    "kind",
    "measure",
    "value",
    "n",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
)


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Rules with their figures, then their paired differences to the weighted mean, then what may be said."""
    yield (
        f"{count(comparison.responses)} responses with gold to {count(comparison.prompts)} prompts, "
        f"{count(comparison.scored)} with a score; 95% intervals are over prompts"
    )
    for note in comparison.notes:
        yield f"  {one_line(note, 240)}"
    shown = [
        name for name in (*SHOWN, comparison.metric) if any(name in rule.metrics for rule in comparison.rules)
    ]
    shown = list(dict.fromkeys(shown))
    yield ""
    rows = [
        (rule.rule, *(figure(rule.metrics.get(name)) for name in shown))
        for rule in comparison.rules
        if rule.metrics
    ]
    yield from table(("", *shown), rows)
    yield ""
    yield "Less the weighted mean, paired (* beyond its interval)"
    others = [rule for rule in comparison.rules if rule.differences]
    yield from table(("", *shown), [(rule.rule, *(_apart(rule, name) for name in shown)) for rule in others])
    noted = [rule for rule in comparison.rules if rule.note]
    if noted:
        yield ""
    for rule in noted:
        yield f"  {rule.rule}: {'' if rule.metrics else 'not measured: '}{one_line(rule.note, 200)}"
    yield ""
    if comparison.best is not None:
        best = next(rule for rule in comparison.rules if rule.rule == comparison.best)
        value = figure(best.metrics[comparison.metric])
        yield f"best in {comparison.metric}: {best.rule} {value}{_how_far(comparison)}"
    yield comparison.closing


def csv_rows(comparison: Comparison) -> Iterator[tuple[Any, ...]]:
    """One row for each rule and metric."""
    for rule in comparison.rules:
        for name, estimate in rule.metrics.items():
            if estimate is None:
                continue
            apart = rule.differences.get(name)
            numbers = [estimate.value, estimate.n, estimate.low, estimate.high]
            numbers += [None] * 3 if apart is None else [apart.value, apart.low, apart.high]
            kind = "baseline" if rule.is_baseline else "rule"
            yield (rule.rule, kind, name, *("" if number is None else f"{number:.10g}" for number in numbers))


def _how_far(comparison: Comparison) -> str:
    """Whether the best is more than the best of this sample."""
    best = next(rule for rule in comparison.rules if rule.rule == comparison.best)
    apart = best.differences.get(comparison.metric)
    if apart is None:
        return ""
    beyond = "beyond" if best.rule in comparison.beyond else "not beyond"
    return f"; {figure(apart, sign=True)} from the weighted mean, {beyond} its interval"


def _apart(rule: RuleAccount, name: str) -> str:
    estimate = rule.differences.get(name)
    if estimate is None or estimate.low is None or estimate.high is None:
        return figure(estimate, sign=True)
    star = " *" if estimate.low > 0 or estimate.high < 0 else "  "
    return figure(estimate, sign=True) + star
