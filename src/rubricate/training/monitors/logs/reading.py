"""Logs of any trainer, and gold that was measured elsewhere -> points of a training."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rubricate.errors import DataError, SettingsError
from rubricate.training.monitors.live.journal import NAME, is_journal, read_journal
from rubricate.training.monitors.logs.entries import gold_points, points_of
from rubricate.training.monitors.logs.lines import Entry, Log, entry_of, logged_in
from rubricate.training.monitors.logs.walks import Walked, walked
from rubricate.training.monitors.series.points import GOLD, Point, merged

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
    a table with `step` and `gold`, perhaps with `n`, or `low` and `high`; or one with a row for each answer
    (`entries.gold_points`).

    Raises:
        DataError: a file cannot be read, no entry of it has a step and a figure that is known, or one of
            these is no number.
        SettingsError: no log has a chosen name; TensorBoard events, and tensorboard is not installed.
    """
    chosen = chosen or {}
    points, notes, has_ended, names = list[Point](), list[str](), False, set[str]()
    for path, is_gold in [*((path, False) for path in _all(sources)), *([(gold, True)] if gold else [])]:
        if _is_journal(path):
            read = read_journal(path)
            points += read.points
            notes += read.notes
            has_ended = has_ended or read.has_ended
            continue
        log = _events(path) if _EVENTS in path.name else logged_in(path)
        has_ended = has_ended or (log.has_ended and not is_gold)
        names |= {name for entry in log.entries for name in (*entry.numbers, *entry.odd)}
        if log.is_half:
            notes.append(f"{path.name}: the last line is only half there and was left out")
        found, said = (gold_points if is_gold else points_of)(path, log.entries, chosen)
        _must_be_some(path, log.entries, found, needs_gold=is_gold)
        walk = walked(found, is_timed=log.is_timed)
        points += walk.points
        notes += [*said, *_told(path, walk)]
    _must_be_there(chosen, names)
    course, repeated = merged(points)
    if repeated:
        notes.append(
            f"{len(repeated)} steps stand in two logs with other figures (the first is {repeated[0]}): "
            "the later log counts"
        )
    return Course(course, notes, has_ended)


def _told(path: Path, walk: Walked) -> Iterator[str]:
    if walk.repeated:
        yield (
            f"{path.name}: {len(walk.repeated)} steps stand there twice (the first is {walk.repeated[0]}): "
            f"the later ones count, as of a training that was resumed"
        )
    if walk.taken_back:
        yield (
            f"{path.name}: it goes back to before step {walk.taken_back[0]}, as of a training that was "
            f"resumed: what it said before of {len(walk.taken_back)} steps from there on counts no more"
        )


def _must_be_there(chosen: Mapping[str, str], names: Collection[str]) -> None:
    """A name that no log has is a mistake, unless nothing is logged yet."""
    for figure, name in chosen.items():
        if names and name not in names:
            close = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.5)
            near = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(names)[:12])}"
            raise SettingsError(f"--map {figure}={name}: no log has {name!r}; {near}")


def _all(sources: Sequence[Path]) -> Iterator[Path]:
    return (found for source in sources for found in _files(source))


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


def _must_be_some(path: Path, entries: Sequence[Entry], found: Sequence[Point], *, needs_gold: bool) -> None:
    if not entries or (found and not needs_gold) or any(GOLD in point.readings for point in found):
        return
    names = ", ".join(list(dict.fromkeys(name for entry in entries for name in entry.numbers))[:12])
    wanted = "a step and gold" if needs_gold else "a step and a figure that is known"
    raise DataError(path, f"no entry has {wanted}; its names are {names or 'none with a number'}; see --map")


def _events(path: Path) -> Log:
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
    by_step: dict[int, dict[str, float]] = {}
    for name in events.Tags()["scalars"]:
        for event in events.Scalars(name):
            by_step.setdefault(event.step, {"step": event.step})[name] = float(event.value)
    return Log([entry_of(by_step[step]) for step in sorted(by_step)])
