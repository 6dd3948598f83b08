"""`monitor.jsonl`: everything that was seen of a training, a line each, in the order in which it was seen.

Lines are only ever added, and are on the disk before training goes on. A training that goes on from a
checkpoint adds a line that says so: what was seen after that checkpoint stays in the file and counts no more.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from rubricate.errors import DataError
from rubricate.runs.writing import append_line, cut_torn_line, writing
from rubricate.training.monitors.series.points import Point, merged

NAME = "monitor.jsonl"


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One line of the journal.

    begin   a training begins at `step`, 0 or that of its checkpoint, on `prompts` held-out prompts
    logged  what the trainer logged at a step
    seen    what was read on the held-out prompts at a step
    best    the highest gold so far, and where its checkpoint lies if there is one
    note    something that went wrong without ending the training
    stop    the monitor asked for an end, and why
    end     the training ended
    """

    kind: Literal["begin", "logged", "seen", "best", "note", "stop", "end"]
    step: int
    point: Point | None = None
    held_out: str | None = None
    prompts: int | None = None
    text: str | None = None
    checkpoint: str | None = None


class Read(NamedTuple):
    """What a journal comes to: its points by step without those that count no more, what is to be said of it,
    whether the training has ended, and the last checkpoint that was marked best."""

    points: list[Point]
    notes: list[str]
    has_ended: bool
    best: Line | None


class Journal:
    """A journal that is being written. A line that a kill tore is cut off when it is opened again."""

    def __init__(self, path: Path):
        self.path = path
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                cut_torn_line(path)

    def add(self, line: Line) -> None:
        """Adds a line, and waits until it is on the disk.

        Raises:
            RunError: it cannot be written.
        """
        append_line(self.path, msgspec.json.encode(line))
        with writing(self.path), self.path.open("rb") as file:
            os.fsync(file.fileno())

    def read(self) -> Read:
        """What it comes to so far."""
        return read_journal(self.path)


def is_journal(first_line: bytes) -> bool:
    """Whether a file that begins so is a journal."""
    try:
        return msgspec.json.decode(first_line, type=Line).kind == "begin"
    except msgspec.MsgspecError:
        return False


def read_journal(path: Path) -> Read:
    """A journal, read; a torn last line is left out.

    Raises:
        DataError: it cannot be read, or a line is malformed.
    """
    points, notes, has_ended, best = list[Point](), list[str](), False, None
    try:
        text = path.read_bytes()
    except OSError as failure:
        raise DataError(path, f"cannot be read ({failure.strerror})") from failure
    for number, raw in enumerate(text.split(b"\n")[:-1], start=1):
        try:
            line = msgspec.json.decode(raw, type=Line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
            raise DataError(path, f"no line of a monitor ({problem})", line=number) from None
        has_ended = line.kind == "end"
        if line.kind == "begin":
            later = {point.step for point in points if point.step > line.step}
            if later:
                notes.append(
                    f"the training went on from step {line.step}: what was seen of {len(later)} later steps "
                    "counts no more"
                )
            points = [point for point in points if point.step <= line.step]
            best = best if best is not None and best.step <= line.step else None
        elif line.kind in ("note", "stop"):
            notes.append(f"step {line.step}: {line.text}")
        elif line.kind == "best":
            best = line
        if line.point is not None:
            points.append(line.point)
    return Read(merged(points)[0], notes, has_ended, best)
