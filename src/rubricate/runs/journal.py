"""One line per finished prompt. What is in the journal is finished; everything else is owed.

A line is written whole and flushed before the prompt counts as finished, so a kill loses at most the line
that was being written: a torn last line is cut off on opening. The newest line of a prompt counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from rubricate.domain.record import PromptRecord
from rubricate.errors import DataError, RunError

_RECORD = msgspec.json.Decoder(PromptRecord)


class _Head(msgspec.Struct):
    """What of a line stays in memory."""

    key: str
    id: str
    state: str


_HEAD = msgspec.json.Decoder(_Head)


class Journal:
    """The finished prompts of a run folder. Memory holds one small entry a prompt."""

    def __init__(self, path: Path):
        self._path = path
        self._starts: dict[str, int] = {}
        self._states: dict[str, str] = {}
        self._newest: dict[str, str] = {}
        path.touch()
        self._cut_torn_line()
        self._file = path.open("r+b")
        self._index()

    def __len__(self) -> int:
        return len(self._starts)

    def __contains__(self, key: str) -> bool:
        return key in self._starts

    def is_owed(self, key: str) -> bool:
        """Whether a prompt is to be worked on: it is not finished, or it failed (and replays for free)."""
        return self._states.get(key, "failed") == "failed"

    def add(self, record: PromptRecord) -> None:
        """Finishes a prompt.

        Raises:
            RunError: the line cannot be written (disk full, folder gone).
        """
        try:
            start = self._file.seek(0, os.SEEK_END)
            self._file.write(msgspec.json.encode(record) + b"\n")
            self._file.flush()
        except OSError as failure:
            raise RunError(
                f"{self._path}: cannot be written ({failure}); free some space and resume"
            ) from None
        self._note(record.key, record.id, record.state, start)

    def __getitem__(self, key: str) -> PromptRecord:
        self._file.seek(self._starts[key])
        return _RECORD.decode(self._file.readline())

    def newest(self, id: str) -> str | None:
        """The key of the newest record of a prompt by its id, None when it has none."""
        return self._newest.get(id)

    def records(self, keys: Sequence[str]) -> Iterator[PromptRecord]:
        """The records of the keys that are finished, in the order of the keys."""
        return (self[key] for key in keys if key in self._starts)

    def put_in_order(self, keys: Sequence[str]) -> None:
        """Rewrites the journal with one line per key, in the order of the keys: equal runs, equal bytes."""
        draft = self._path.with_suffix(".tmp")
        with draft.open("wb") as target:
            for record in self.records(keys):
                target.write(msgspec.json.encode(record) + b"\n")
        self._file.close()
        draft.replace(self._path)
        self._file = self._path.open("r+b")
        self._index()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _cut_torn_line(self) -> None:
        raw_end = self._path.stat().st_size
        with self._path.open("r+b") as file:
            at = raw_end
            while at > 0:
                step = min(65536, at)
                file.seek(at - step)
                newline = file.read(step).rfind(b"\n")
                if newline >= 0:
                    at = at - step + newline + 1
                    break
                at -= step
            if at < raw_end:
                file.truncate(at)

    def _index(self) -> None:
        self._starts.clear()
        self._states.clear()
        self._newest.clear()
        self._file.seek(0)
        at = 0
        for number, line in enumerate(self._file, 1):
            try:
                head = _HEAD.decode(line)
            except msgspec.MsgspecError as problem:
                raise DataError(
                    self._path,
                    f"not a journal line ({problem}); move the file away to start over",
                    line=number,
                ) from None
            self._note(head.key, head.id, head.state, at)
            at += len(line)

    def _note(self, key: str, id: str, state: str, start: int) -> None:
        self._starts[key], self._states[key], self._newest[id] = start, state, key
