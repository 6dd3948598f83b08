"""Entries of a log -> points; what is no number where one belongs is told with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rubricate.domain.identity import key_of
from rubricate.errors import DataError
from rubricate.training.monitors.logs.lines import Entry
from rubricate.training.monitors.logs.names import NAMES, PROMPTS, named, names_of
from rubricate.training.monitors.series.points import GOLD, GOLD_UNJUDGED, Point, Reading, reading_of

Chosen = Mapping[str, str]

_NO_NUMBER = ("nan", "inf", "infinity", "-inf", "-infinity", "+inf", "none", "null")
_ANSWER_WORTH = ("score", "value")


def points_of(path: Path, entries: Sequence[Entry], chosen: Chosen) -> tuple[list[Point], list[str]]:
    """A point for each entry with a step and a figure that is known, and what is to be said of the others.

    Raises:
        DataError: a step or a figure is no number.
    """
    points, notes, without_step = list[Point](), list[str](), 0
    lost: dict[str, list[int | None]] = {}
    for entry in entries:
        step, figures = _step(path, entry, chosen), named(entry.numbers, chosen)
        for name in _without_number(path, entry, chosen):
            lost.setdefault(name, []).append(step)
        if step is None:
            without_step += bool(figures)
            continue
        if not figures:
            continue
        gold = figures.pop(GOLD, None)
        readings = {} if gold is None else {GOLD: _reading(path, gold, entry, chosen)}
        points.append(Point(step, figures, readings))
    for name, steps in lost.items():
        notes.append(
            f"{path.name}: {name} is no finite number at {len(steps)} steps (the first is {steps[0]}), "
            "which were left out"
        )
    if without_step and points:
        notes.append(f"{path.name}: {without_step} entries have figures and no step, and were left out")
    return points, notes


def gold_points(path: Path, entries: Sequence[Entry], chosen: Chosen) -> tuple[list[Point], list[str]]:
    """Gold that was measured elsewhere: a row for each step, or one for each answer of each step.

    Of the latter each has a `step`, a `prompt` (or `prompt_id`, or `id`) and a `gold` (or `score`, or
    `value`), empty where it was not judged; several answers to a prompt at a step count by their mean. The
    prompts of all steps are one held-out set, so that steps are compared prompt by prompt.

    Raises:
        DataError: a row lacks one of these, or what it has is no number.
    """
    if not any(_prompt(entry) is not None for entry in entries):
        return points_of(path, entries, chosen)
    by_step: dict[int, dict[str, list[float | None]]] = {}
    for entry in entries:
        step, prompt = _step(path, entry, chosen), _prompt(entry)
        if step is None or prompt is None:
            lacks = "step" if step is None else "prompt"
            raise DataError(path, "is missing in this row", line=entry.line, field=lacks)
        by_step.setdefault(step, {}).setdefault(prompt, []).append(_worth(path, entry, chosen))
    prompts = sorted({prompt for answers in by_step.values() for prompt in answers})
    held_out, points = key_of("held-out", prompts), list[Point]()
    for step, answers in by_step.items():
        values = [_mean(answers.get(prompt, [])) for prompt in prompts]
        reading = reading_of(values, held_out)
        silent = sum(value is None for value in values) / len(values)
        readings = {} if reading is None else {GOLD: reading}
        points.append(Point(step, {GOLD_UNJUDGED: silent}, readings))
    return points, []


def _step(path: Path, entry: Entry, chosen: Chosen) -> int | None:
    names = names_of("step", chosen)
    name = next((name for name in names if name in entry.numbers or name in entry.odd), None)
    if name is None:
        return None
    value = entry.numbers.get(name)
    if value is None or value < 0 or value != int(value):
        said = entry.odd[name] if value is None else f"{value:g}"
        raise DataError(path, f"is {said[:40]!r}; a step is a whole number", line=entry.line, field=name)
    return int(value)


def _without_number(path: Path, entry: Entry, chosen: Chosen) -> Iterator[str]:
    """The names of known figures of the entry that are NaN or infinite."""
    for figure in NAMES if entry.odd else ():
        for name in names_of(figure, chosen):
            if name in entry.odd and name not in entry.numbers:
                _must_be_number(path, entry, name)
                yield name


def _must_be_number(path: Path, entry: Entry, name: str) -> None:
    said = entry.odd[name].strip()
    if said.lower() not in _NO_NUMBER:
        raise DataError(path, f"is {said[:40]!r}; a figure is a number", line=entry.line, field=name)


def _reading(path: Path, value: float, entry: Entry, chosen: Chosen) -> Reading:
    n, low, high = (
        next((entry.numbers[name] for name in names_of(part, chosen) if name in entry.numbers), None)
        for part in ("gold_n", "gold_low", "gold_high")
    )
    if n is not None and (n < 1 or n != int(n)):
        raise DataError(path, f"is {n:g}; it is how many prompts there are", line=entry.line, field="n")
    if low is None or high is None:
        return Reading(value, None if n is None else int(n))
    if not low <= value <= high:
        problem = f"the interval from {low:g} to {high:g} does not hold {value:g}"
        raise DataError(path, problem, line=entry.line, field=GOLD)
    return Reading(value, None if n is None else int(n), low, high)


def _prompt(entry: Entry) -> str | None:
    for name in PROMPTS:
        if name in entry.odd:
            return entry.odd[name]
        if name in entry.numbers:
            return f"{entry.numbers[name]:g}"
    return None


def _worth(path: Path, entry: Entry, chosen: Chosen) -> float | None:
    names = (chosen[GOLD],) if GOLD in chosen else (*NAMES[GOLD], *_ANSWER_WORTH)
    for name in names:
        if name in entry.numbers:
            return entry.numbers[name]
        if name in entry.odd:
            _must_be_number(path, entry, name)
    return None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
