"""One line per finished prompt. What is in the journal is finished; everything else is owed.

A line is written whole and flushed before the prompt counts as finished, so a kill loses at most the line
that was being written: a torn last line is cut off on opening. The newest line of a prompt counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from rubricate.domain.record import PromptRecord
from rubricate.errors import DataError
from rubricate.runs.writing import append_line, cut_torn_line, replacing

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
        self._failed: set[str] = set()
        self._newest: dict[str, str] = {}
        path.touch()
        cut_torn_line(path)
        self._file = path.open("rb")
        self._index()

    def __len__(self) -> int:
        return len(self._newest)

    def __contains__(self, key: str) -> bool:
        return key in self._starts

    def is_owed(self, key: str) -> bool:
        """Whether a prompt is to be worked on: it is not finished, or it failed (and replays for free)."""
        return key not in self._starts or key in self._failed

    def add(self, record: PromptRecord) -> None:
        """Finishes a prompt.

        Raises:
            RunError: the line cannot be written (disk full, folder gone).
        """
        start = self._path.stat().st_size
        append_line(self._path, msgspec.json.encode(record))
        self._note(record.key, record.id, record.state, start)

    def __getitem__(self, key: str) -> PromptRecord:
        self._file.seek(self._starts[key])
        return _RECORD.decode(self._file.readline())

    def __iter__(self) -> Iterator[PromptRecord]:
        """The newest record of each prompt, in the order of the file: input order once the run is done."""
        return (self[key] for key in sorted(self._newest.values(), key=self._starts.__getitem__))

    def newest(self, id: str) -> str | None:
        """The key of the newest record of a prompt by its id, None when it has none."""
        return self._newest.get(id)

    def records(self, keys: Sequence[str]) -> Iterator[PromptRecord]:
        """The records of the keys that are finished, in the order of the keys."""
        return (self[key] for key in keys if key in self._starts)

    def put_in_order(self, keys: Sequence[str]) -> None:
        """Rewrites the journal with one line per key, in the order of the keys: equal runs, equal bytes.

        Raises:
            RunError: it cannot be written; it stays as it was.
        """
        with replacing(self._path) as draft, draft.open("wb") as target:
            for record in self.records(keys):
                target.write(msgspec.json.encode(record) + b"\n")
        self._file.close()
        self._file = self._path.open("rb")
        self._index()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _index(self) -> None:
        self._starts.clear()
        self._failed.clear()
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
        self._starts[key], self._newest[id] = start, key
        if state == "failed":
            self._failed.add(key)
        else:
            self._failed.discard(key)
