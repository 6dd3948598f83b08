"""Logs of any trainer, and gold that was measured elsewhere -> points of a training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rubricate.errors import DataError, SettingsError
from rubricate.training.monitors.live.journal import NAME, is_journal, read_journal
from rubricate.training.monitors.logs.lines import Logged, logged_in
from rubricate.training.monitors.logs.names import BESIDE, STEPS, named
from rubricate.training.monitors.series.points import GOLD, Point, Reading, merged

_LOGS = (NAME, "log_history.jsonl", "trainer_state.json")
_EVENTS = "events.out.tfevents."


class Course(NamedTuple):
    """The points of a training by step, what is to be said of its logs, and whether it says that it ended."""

    points: list[Point]
    notes: list[str]
    has_ended: bool = False


def read_course(
    sources: Sequence[Path], chosen: Mapping[str, str] | None = None, gold: Path | None = None
) -> Course:
    """What is known of a training from its logs, the later ones going before the earlier ones.

    A source is a log (`logs.lines`), a `monitor.jsonl`, a file of TensorBoard events, or a folder with any of
    these: that of `rubricate train`, or the newest checkpoint in it. `chosen` are names of `--map`. `gold` is
    a table with `step` and `gold`, perhaps with `n`, or `low` and `high`.

    Raises:
        DataError: a file cannot be read, or no entry of it has a step and a figure that is known.
        SettingsError: TensorBoard events, and tensorboard is not installed.
    """
    points, notes, has_ended = list[Point](), list[str](), False
    for path in [found for source in sources for found in _files(source)]:
        if _is_journal(path):
            read = read_journal(path)
            points += read.points
            notes += read.notes
            has_ended = has_ended or read.has_ended
            continue
        entries, is_half = _events(path) if _EVENTS in path.name else logged_in(path)
        if is_half:
            notes.append(f"{path.name}: the last line is only half there and was left out")
        points += _points(path, entries, chosen or {})
    if gold is not None:
        points += _points(gold, logged_in(gold)[0], chosen or {}, needs_gold=True)
    found, repeated = merged(points)
    if repeated:
        notes.append(
            f"{len(repeated)} steps stand there twice with other figures (the first is {repeated[0]}): "
            "the later ones count, as of a training that was resumed"
        )
    return Course(found, notes, has_ended)


def _files(source: Path) -> Iterator[Path]:
    if not source.exists():
        raise DataError(source, "does not exist")
    if not source.is_dir():
        yield source
        return
    found = [source / name for name in _LOGS if (source / name).is_file()]
    found += sorted(path for path in source.iterdir() if path.name.startswith(_EVENTS))
    if not found:
        states = source.glob("**/checkpoint-*/trainer_state.json")
        found = sorted(states, key=lambda path: (len(path.parent.name), path.parent.name))[-1:]
    if not found:
        raise DataError(source, f"there is no log in this folder ({', '.join(_LOGS)}, TensorBoard events)")
    if len(found) > 1 and found[0].name == NAME:
        found = [*found[1:], found[0]]  # the monitor read the same log, and on held-out prompts besides
    yield from found


def _is_journal(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return is_journal(file.readline())
    except OSError as failure:
        raise DataError(path, f"cannot be read ({failure.strerror})") from failure


def _points(
    path: Path, entries: Sequence[Logged], chosen: Mapping[str, str], *, needs_gold: bool = False
) -> list[Point]:
    found = list[Point]()
    for entry in entries:
        step = _step(entry, chosen)
        figures = named(entry, chosen)
        if step is None or not figures:
            continue
        readings = {}
        if GOLD in figures:
            readings[GOLD] = _reading(figures.pop(GOLD), entry, chosen)
        found.append(Point(step, figures, readings))
    if entries and (not found or (needs_gold and not any(GOLD in point.readings for point in found))):
        names = ", ".join(list(dict.fromkeys(name for entry in entries for name in entry))[:12])
        wanted = "a step and gold" if needs_gold else "a step and a figure that is known"
        raise DataError(
            path, f"no entry has {wanted}; its names are {names or 'none with a number'}; see --map"
        )
    return found


def _step(entry: Logged, chosen: Mapping[str, str]) -> int | None:
    names = (chosen["step"],) if "step" in chosen else STEPS
    value = next((entry[name] for name in names if name in entry), None)
    return int(value) if value is not None and value >= 0 and value == int(value) else None


def _reading(value: float, entry: Logged, chosen: Mapping[str, str]) -> Reading:
    beside = {
        part: next((entry[name] for name in _names(part, names, chosen) if name in entry), None)
        for part, names in BESIDE.items()
    }
    n = beside["n"]
    has_interval = beside["low"] is not None and beside["high"] is not None
    return Reading(
        value,
        int(n) if n is not None and n >= 1 else None,
        beside["low"] if has_interval else None,
        beside["high"] if has_interval else None,
    )


def _names(part: str, names: Sequence[str], chosen: Mapping[str, str]) -> Sequence[str]:
    given = chosen.get(f"gold_{part}")
    return names if given is None else (given,)


def _events(path: Path) -> tuple[list[Logged], bool]:
    """Scalars of a file of TensorBoard events, an entry for each step."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
            EventAccumulator,
        )
    except ImportError:
        raise SettingsError(
            f"{path}: events of TensorBoard need its reader: pip install tensorboard"
        ) from None
    events = EventAccumulator(str(path), size_guidance={"scalars": 0})
    events.Reload()
    by_step: dict[int, Logged] = {}
    for name in events.Tags()["scalars"]:
        for event in events.Scalars(name):
            by_step.setdefault(event.step, {"step": float(event.step)})[name] = float(event.value)
    return [by_step[step] for step in sorted(by_step)], False
