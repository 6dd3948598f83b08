"""A file to which whole transactions are added, and from which any line can be read again.

A transaction is some lines and a last one that closes it; it is written by one call. A kill in the middle of
that leaves lines that nothing closes: readers do not see them, and the next writer cuts them off. So what is
half written never counts, and nothing that counts is ever changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from rubricate.errors import DataError, RunError
from rubricate.runs.writing import append_line, writing

if sys.platform != "win32":  # there two processes are not kept apart
    import fcntl

Line = TypeVar("Line", bound=msgspec.Struct)


class Placed(NamedTuple, Generic[Line]):
    """A line with the place at which it begins in its file."""

    at: int
    line: Line


class Lines(Generic[Line]):
    """The lines of one file, which other processes may be writing. `kinds` is the union of its records,
    `closing` those that end a transaction."""

    def __init__(self, path: Path, kinds: Any, closing: tuple[type[Line], ...]):
        self.path, self._closing = path, closing
        self._decode = msgspec.json.Decoder(kinds).decode
        self._read_to = self._n_lines = 0

    def new(self) -> Iterator[list[Placed[Line]]]:
        """The transactions that are complete and were not read before, in order.

        Raises:
            DataError: a line is none of ours; with its number.
        """
        try:
            file = self.path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            return
        with file:
            file.seek(self._read_to)
            found, at, number = list[Placed[Line]](), self._read_to, self._n_lines
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                number += 1
                line = self._read(raw, number)
                found.append(Placed(at, line))
                at += len(raw)
                if isinstance(line, self._closing):
                    self._read_to, self._n_lines = at, number
                    yield found
                    found = []

    def at(self, place: int) -> Line:
        """The line that begins at a place."""
        with self.path.open("rb") as file:
            file.seek(place)
            return self._read(file.readline(), None)

    def add(self, lines: Sequence[Line]) -> None:
        """Adds a transaction; its last line closes it.

        Raises:
            RunError: it cannot be written; nothing of it is there then.
        """
        assert isinstance(lines[-1], self._closing), "a transaction is closed"
        append_line(self.path, b"\n".join(msgspec.json.encode(line) for line in lines))

    def cut(self) -> None:
        """Cuts off what a killed writer left behind. Only for who may write."""
        for _ in self.new():
            pass
        with writing(self.path):
            if self.path.exists() and self.path.stat().st_size > self._read_to:
                os.truncate(self.path, self._read_to)

    def _read(self, raw: bytes, number: int | None) -> Line:
        try:
            line: Line = self._decode(raw)
        except msgspec.MsgspecError as problem:
            raise DataError(self.path, f"not a line of online refinement ({problem})", line=number) from None
        return line


class Hold:
    """The right to write a file, for as long as this process lives or until it is let go. Kept by the kernel:
    a killed process holds nothing."""

    def __init__(self, path: Path):
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def is_taken(self, *, waiting: bool = False) -> bool:
        """Takes the right if nobody else has it; with `waiting` as soon as nobody has."""
        assert self._file is not None, "it was let go"
        if sys.platform == "win32":
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | (0 if waiting else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        except OSError as failure:
            raise RunError(f"locks do not work here ({failure}); use a folder on a local disk") from failure
        return True

    def let_go(self) -> None:
        """Gives the right back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
