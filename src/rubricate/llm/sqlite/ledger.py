"""A ledger in one SQLite file: the default, for any number of processes on one machine."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from rubricate.domain.judgement import Verdict
from rubricate.errors import DataError, RubricateError, RunError
from rubricate.llm.chat import Reply
from rubricate.llm.packing import Packer, decoded, encoded
from rubricate.llm.sqlite.claims import FileClaims
from rubricate.llm.sqlite.file import Batch, Durability, SqliteFile, in_words

Record = TypeVar("Record")

_LINGER_S = 0.005
"""How long a write waits for others to share its commit: nothing beside the call that it keeps."""

_BATCH_ROWS = 500


class SqliteLedger:
    """A `Ledger` in a file that is made when it is not there, and so is its folder.

        async with SqliteLedger(path) as ledger:
            chat = LedgerChat(inner, ledger)

    One thread writes, in groups that share a commit; the event loop never waits for the disk to write.
    Reads are single look-ups by key, done on the spot. With durability "normal" what is kept survives the
    death of the process; with "full" also that of the machine. Leaving the block writes what is pending,
    and raises the failure of any write, so that none is silent.
    """

    def __init__(self, path: Path, durability: Durability = "normal"):
        self._path, self._durability = path, durability
        self._packer = Packer()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._file: SqliteFile | None = None
        self._claims: FileClaims | None = None
        self._gathering: Batch | None = None
        self._waiters: list[asyncio.Future[Batch]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._failure: RubricateError | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        try:
            self._file = await self._loop.run_in_executor(
                self._executor, SqliteFile, self._path, self._durability
            )
            self._claims = FileClaims(self._path.with_name(self._path.name + "-claims.d"))
        except RubricateError:
            self._executor.shutdown(wait=False)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        file, self._file = self._open(), None
        try:
            await self._loop.run_in_executor(self._executor, file.close)
        finally:
            self._executor.shutdown(wait=False)
            claims, self._claims = self._claimed(), None
            claims.close()
        if error is None and self._failure is not None:
            raise self._failure

    @property
    def failure(self) -> RubricateError | None:
        """Why nothing can be kept any more, or None."""
        return self._failure

    async def reply(self, key: str) -> Reply | None:
        """The reply to the request of this key, None when it was never paid for."""
        rows = self._rows("SELECT value FROM reply WHERE key = ?", bytes.fromhex(key))
        return self._read(rows[0][0], Reply) if rows else None

    async def keep_reply(self, key: str, reply: Reply, model: str) -> Reply:
        """Remembers a reply, and gives the one that is kept: an earlier one if there is one."""
        row = (bytes.fromhex(key), model, encoded(reply))
        self._batch().replies.append(row)
        earlier = (await self._committed()).earlier.get(row[0])
        return reply if earlier is None else self._read(earlier, Reply)

    async def claim(self, key: str) -> bool:
        """Whether the request of this key may be paid for here, and by no other process of this machine."""
        return self._claimed().claim(key)

    async def reply_or_claim(self, key: str) -> Reply | bool:
        """The reply to the request of this key; else whether the claim to pay for it is now ours. Claims
        first, which is quicker than looking twice."""
        claims = self._claimed()
        is_ours = claims.claim(key)
        try:
            reply = await self.reply(key)
        except BaseException:
            if is_ours:
                claims.release(key)
            raise
        if reply is None:
            return is_ours
        if is_ours:
            claims.release(key)
        return reply

    async def release(self, key: str) -> None:
        """Gives a claim back."""
        self._claimed().release(key)

    async def verdicts(self, keys: Sequence[str], watermark: int) -> dict[str, Verdict]:
        """The verdicts known for these keys, of those that were kept up to the watermark."""
        question = "SELECT value FROM verdict WHERE key = ? AND id <= ?"
        rows_by_key = {key: self._rows(question, bytes.fromhex(key), watermark) for key in keys}
        return {key: self._read(rows[0][0], Verdict) for key, rows in rows_by_key.items() if rows}

    async def keep_verdicts(self, verdicts: Mapping[str, Verdict]) -> None:
        """Remembers verdicts by key. Unjudged is no verdict and is refused with a ValueError."""
        unjudged = next((verdict for verdict in verdicts.values() if not verdict.is_judged), None)
        if unjudged is not None:
            raise ValueError(f"an unjudged criterion ({unjudged.reason}) has no verdict to keep")
        if verdicts:
            rows = [(bytes.fromhex(key), encoded(verdict)) for key, verdict in verdicts.items()]
            self._batch().verdicts.extend(rows)
            await self._committed()

    async def watermark(self) -> int:
        """The number of the latest verdict, 0 when there is none."""
        number: int = self._rows("SELECT coalesce(max(id), 0) FROM verdict")[0][0]
        return number

    async def fact(self, key: str) -> str | None:
        """The small JSON text remembered under this name, None when there is none."""
        rows = self._rows("SELECT value FROM fact WHERE key = ?", key)
        return rows[0][0] if rows else None

    async def keep_fact(self, key: str, text: str) -> None:
        """Remembers a small JSON text under a name, in place of an earlier one."""
        self._batch().facts.append((key, text))
        await self._committed()

    def _open(self) -> SqliteFile:
        if self._file is None:
            raise RunError(f"{self._path}: the ledger is not open")
        return self._file

    def _claimed(self) -> FileClaims:
        if self._claims is None:
            raise RunError(f"{self._path}: the ledger is not open")
        return self._claims

    def _rows(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        reader = self._open().reader
        try:
            return reader.execute(question, values).fetchall()
        except sqlite3.Error as error:
            raise in_words(self._path, error) from error

    def _read(self, value: bytes, type: type[Record]) -> Record:
        try:
            return decoded(self._packer.unpack(value), type)
        except ValueError as error:
            raise DataError(
                self._path, f"holds a {type.__name__.lower()} that cannot be read: {error}"
            ) from error

    def _batch(self) -> Batch:
        """The batch that takes the next rows; it is committed in a moment."""
        self._open()
        if self._failure is not None:
            raise self._failure
        if self._gathering is None:
            self._gathering = Batch()
            self._timer = self._loop.call_later(_LINGER_S, self._flush)
        return self._gathering

    async def _committed(self) -> Batch:
        """The batch of the rows just added, once it is committed."""
        waiter: asyncio.Future[Batch] = self._loop.create_future()
        self._waiters.append(waiter)
        if self._gathering is not None and self._gathering.n_rows >= _BATCH_ROWS:
            self._flush()
        return await waiter

    def _flush(self) -> None:
        """Hands the batch to the thread that writes. One thread, so batches are committed in order."""
        if self._gathering is None or self._timer is None:
            return
        self._timer.cancel()
        batch, self._gathering = self._gathering, None
        waiters, self._waiters = self._waiters, []
        commit = self._loop.run_in_executor(self._executor, self._open().commit, batch)
        commit.add_done_callback(lambda done: self._acknowledge(batch, waiters, done))

    def _acknowledge(
        self, batch: Batch, waiters: list[asyncio.Future[Batch]], commit: asyncio.Future[None]
    ) -> None:
        error = commit.exception()
        if isinstance(error, RubricateError) and self._failure is None:
            self._failure = error
        for waiter in waiters:
            if not waiter.done() and error is not None:
                waiter.set_exception(error)
            elif not waiter.done():
                waiter.set_result(batch)
