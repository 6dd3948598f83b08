"""A ledger in a file, read and written as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from rubricate.llm.shelf import FactRow, Holdings, ModelShare, ReplyRow, VerdictRow, somebody_writes
from rubricate.llm.sqlite.file import SqliteFile, told, transaction

Row = TypeVar("Row")

_PAGE = 2000
_TIMES = """
    SELECT min(written_at), max(written_at)
    FROM (SELECT written_at FROM reply UNION ALL SELECT written_at FROM verdict)
"""


class SqliteShelf:
    """A `Shelf` over one file. It holds up the event loop: nothing else goes on in a command that copies."""

    def __init__(self, path: Path):
        self._path = path

    async def __aenter__(self) -> Self:
        self._file = SqliteFile(self._path)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    async def holdings(self) -> Holdings:
        """What it holds."""
        models = self._rows(
            "SELECT model, count(*), sum(length(value)) FROM reply GROUP BY model ORDER BY 2 DESC, 1"
        )
        ((oldest, newest),) = self._rows(_TIMES)
        ((verdicts, facts),) = self._rows(
            "SELECT (SELECT count(*) FROM verdict), (SELECT count(*) FROM fact)"
        )
        parts = [self._path, self._path.with_name(self._path.name + "-wal")]
        n_bytes = sum(part.stat().st_size for part in parts if part.exists())
        shares = [ModelShare(*row) for row in models]
        return Holdings(shares, verdicts, facts, n_bytes, self._watermark(), oldest, newest)

    async def watermark(self) -> int:
        """The highest number that was ever given."""
        return self._watermark()

    async def replies(self) -> AsyncIterator[Sequence[ReplyRow]]:
        """All replies, by key."""
        asked = "SELECT key, model, written_at, value FROM reply WHERE key > ? ORDER BY key LIMIT ?"
        for rows in self._pages(asked, b"", lambda row: row[0]):
            yield [ReplyRow(*row) for row in rows]

    async def verdicts(self, after: int = 0) -> AsyncIterator[Sequence[VerdictRow]]:
        """All verdicts with a higher number, by number."""
        asked = "SELECT id, key, written_at, value FROM verdict WHERE id > ? ORDER BY id LIMIT ?"
        for rows in self._pages(asked, after, lambda row: row[0]):
            yield [VerdictRow(*row) for row in rows]

    async def facts(self) -> AsyncIterator[Sequence[FactRow]]:
        """All facts, by name."""
        asked = "SELECT key, written_at, value FROM fact WHERE key > ? ORDER BY key LIMIT ?"
        for rows in self._pages(asked, "", lambda row: row[0]):
            yield [FactRow(*row) for row in rows]

    async def latest(self) -> VerdictRow | None:
        """The verdict with the highest number."""
        return self._verdict("SELECT id, key, written_at, value FROM verdict ORDER BY id DESC LIMIT 1")

    async def n_verdicts(self, up_to: int) -> int:
        """How many verdicts have this number or a lower one."""
        ((n,),) = self._rows("SELECT count(*) FROM verdict WHERE id <= ?", up_to)
        return int(n)

    async def verdict(self, number: int) -> VerdictRow | None:
        """The verdict of this number."""
        return self._verdict("SELECT id, key, written_at, value FROM verdict WHERE id = ?", number)

    async def put_replies(self, rows: Sequence[ReplyRow]) -> int:
        """Adds those whose key is not there."""
        return self._put("reply (key, model, written_at, value) VALUES (?, ?, ?, ?)", rows)

    async def put_verdicts(self, rows: Sequence[VerdictRow], *, numbered: bool) -> int:
        """Adds those whose key is not there, in this order."""
        if not numbered:
            return self._put("verdict (key, written_at, value) VALUES (?, ?, ?)", [row[1:] for row in rows])
        with self._writing() as before:
            if rows and self._watermark() >= rows[0].id:
                raise somebody_writes(str(self._path))
            self._insert("verdict (id, key, written_at, value) VALUES (?, ?, ?, ?)", rows)
            return self._file.writer.total_changes - before

    async def put_facts(self, rows: Sequence[FactRow]) -> int:
        """Adds those whose name is not there."""
        return self._put("fact (key, written_at, value) VALUES (?, ?, ?)", rows)

    async def raise_watermark(self, number: int) -> None:
        """Gives no number up to this one any more."""
        with self._writing():
            if self._file.writer.execute("SELECT seq FROM sqlite_sequence WHERE name = 'verdict'").fetchall():
                raised = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'verdict'"
            else:
                raised = "INSERT INTO sqlite_sequence (name, seq) VALUES ('verdict', ?)"
            self._file.writer.execute(raised, (number,))

    def _watermark(self) -> int:
        rows = self._rows("SELECT seq FROM sqlite_sequence WHERE name = 'verdict'")
        return int(rows[0][0]) if rows else 0

    def _verdict(self, question: str, *values: object) -> VerdictRow | None:
        rows = self._rows(question, *values)
        return VerdictRow(*rows[0]) if rows else None

    def _rows(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        with told(self._path):
            return self._file.reader.execute(question, values).fetchall()

    def _pages(
        self, question: str, first: object, key: Callable[[tuple[Any, ...]], object]
    ) -> Iterator[list[tuple[Any, ...]]]:
        while rows := self._rows(question, first, _PAGE):
            yield rows
            first = key(rows[-1])

    def _put(self, where: str, rows: Sequence[tuple[Any, ...]]) -> int:
        with self._writing() as before:
            self._insert(where, rows)
            return self._file.writer.total_changes - before

    def _insert(self, where: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._file.writer.executemany("INSERT OR IGNORE INTO " + where, rows)

    @contextmanager
    def _writing(self) -> Iterator[int]:
        with told(self._path), transaction(self._file.writer):
            yield self._file.writer.total_changes
