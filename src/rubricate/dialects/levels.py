"""Ordinal criteria and the binary ones that say the same.

A criterion on a scale of K levels, worst first, worth 0 = v1 < v2 < ... < vK = 1 of its weight, is K - 1
binary criteria: "reaches at least level k", with the weight times v(k) - v(k-1). Who reaches level k meets
those up to k, and their weights sum to the weight times v(k): the score is the same. (This is the
cumulative coding of ordinal variables: McCullagh 1980, Regression models for ordinal data, J. R. Stat. Soc.
B 42.) A grader that contradicts itself (level 3 but not 2) is not mended: it is two verdicts, as for any
two criteria.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from rubricate.domain.rubric import Criterion

_FORM = re.compile(
    r"(?P<text>.*)\n\nOn the scale (?P<scale>\[.*\]), worst first, "
    r"the response reaches at least (?P<label>\".*\")\.",
    re.DOTALL,
)
_DIGITS = 12


class Level(NamedTuple):
    """One answer on a scale, worth `value` of the weight, in [0, 1]."""

    label: str
    value: float


class Ordinal(NamedTuple):
    """A criterion with levels, worst first; of a pitfall the last one is the worst that can happen."""

    name: str
    text: str
    weight: float
    levels: tuple[Level, ...]


def boundaries(ordinal: Ordinal) -> list[tuple[str, str, float]]:
    """Id, text and weight of the binary criteria: one per level but the first. Values must rise from 0 to 1.

    Raises:
        ValueError: they do not, or two levels share a label.
    """
    labels, values = [level.label for level in ordinal.levels], [level.value for level in ordinal.levels]
    if len(set(labels)) != len(labels):
        raise ValueError("two levels have the same label")
    if len(values) < 2 or values[0] != 0 or values[-1] != 1 or sorted(set(values)) != values:
        raise ValueError("the values of levels rise from 0 to 1")
    scale = json.dumps(labels, ensure_ascii=False)
    return [
        (
            f"{ordinal.name}.{place}",
            f"{ordinal.text}\n\nOn the scale {scale}, worst first, the response reaches at least "
            f"{json.dumps(label, ensure_ascii=False)}.",
            ordinal.weight * (value - values[place - 1]),
        )
        for place, (label, value) in enumerate(ordinal.levels)
        if place
    ]


def joined(criteria: Sequence[Criterion], *, even: bool = False) -> list[Criterion | Ordinal]:
    """Criteria in order, with every whole run of boundaries as the ordinal criterion that it came from.

    A run is joined only where that loses nothing: all boundaries of one scale in order, no kind, tag or
    decision of their own, names of one stem; `even`: only if the levels are evenly spaced.
    """
    found: list[Criterion | Ordinal] = []
    place = 0
    while place < len(criteria):
        ordinal, n = _run_at(criteria, place)
        if ordinal is not None and not (even and not _is_even(ordinal)):
            found.append(ordinal)
            place += n
        else:
            found.append(criteria[place])
            place += 1
    return found


def even_levels(labels: Sequence[str]) -> tuple[Level, ...]:
    """Levels in equal steps from 0 to 1."""
    return tuple(Level(label, place / (len(labels) - 1)) for place, label in enumerate(labels))


def is_boundary(criterion: Criterion) -> bool:
    """Whether a criterion has the form of a level boundary."""
    return _FORM.fullmatch(criterion.text) is not None


def _run_at(criteria: Sequence[Criterion], place: int) -> tuple[Ordinal | None, int]:
    first = criteria[place]
    form = _FORM.fullmatch(first.text)
    if form is None or not first.id.endswith(".1"):
        return None, 1
    try:
        labels = json.loads(form["scale"])
    except (ValueError, RecursionError):
        return None, 1
    if not all(isinstance(label, str) for label in labels) or len(labels) < 2:
        return None, 1
    run = criteria[place : place + len(labels) - 1]
    weights = [criterion.weight for criterion in run]
    total = round(sum(weights), _DIGITS)
    if len(run) < len(labels) - 1 or total == 0 or len({weight > 0 for weight in weights}) > 1:
        return None, 1
    reached = [round(sum(weights[:n]) / total, _DIGITS) for n in range(len(labels))]
    levels = tuple(Level(label, value) for label, value in zip(labels, [*reached[:-1], 1.0], strict=True))
    ordinal = Ordinal(first.id[: -len(".1")], form["text"], total, levels)
    return (ordinal, len(run)) if _says_the_same(ordinal, run) else (None, 1)


def _says_the_same(ordinal: Ordinal, run: Sequence[Criterion]) -> bool:
    try:
        again = boundaries(ordinal)
    except ValueError:
        return False
    return bool(ordinal.name.strip()) and all(
        (criterion.id, criterion.text) == (id, text)
        and abs(criterion.weight - weight) <= 1e-9 * abs(ordinal.weight)
        and not (criterion.tags or criterion.is_decisive or criterion.kind == "rule")
        for criterion, (id, text, weight) in zip(run, again, strict=True)
    )


def _is_even(ordinal: Ordinal) -> bool:
    even = even_levels([level.label for level in ordinal.levels])
    return all(abs(one.value - other.value) < 1e-9 for one, other in zip(ordinal.levels, even, strict=True))
