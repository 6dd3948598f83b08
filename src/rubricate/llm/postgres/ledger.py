"""A ledger in PostgreSQL: for any number of processes on any number of machines."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from rubricate.domain.judgement import Verdict
from rubricate.errors import DataError, RubricateError, RunError
from rubricate.llm.chat import Reply
from rubricate.llm.packing import Packer, decoded, encoded
from rubricate.llm.postgres.address import Address
from rubricate.llm.postgres.claims import Claims
from rubricate.llm.postgres.link import Link
from rubricate.llm.postgres.questions import (
    Claim,
    FactOf,
    Question,
    Release,
    ReplyOf,
    VerdictsOf,
    Watermark,
    answer,
    n_keys,
)
from rubricate.llm.postgres.rounds import Rounds
from rubricate.llm.postgres.schema import bring_up_to_date
from rubricate.llm.postgres.writes import Write, pack, write

Record = TypeVar("Record")
Earlier = Mapping[bytes, bytes]
"""Packed replies by key that had been kept before."""

_LINGER_S = 0.005
"""How long a write waits for others to share its commit: nothing beside the call that it keeps."""

_WRITTEN_BYTES = 4 * 2**20
_ROW_BYTES = 1024
"""Beside its own bytes a row counts this much, so that a group has at most 4,096 rows."""

_QUESTIONS = 1000


class PostgresLedger:
    """A `Ledger` in a schema of a database, made when it is not there.

        async with PostgresLedger(address) as ledger:
            chat = LedgerChat(inner, ledger)

    Two connections: one to write, in groups that share a commit, and one to read and to claim; what is asked
    while a round trip is under way goes together with the next. What is kept survives the death of the
    process, and of the server as its `synchronous_commit` promises (by default, all of it). A connection that
    breaks is opened again for `patience_s` seconds; what was not acknowledged is written again. Leaving the
    block writes what is pending, and raises the failure of any write.
    """

    def __init__(self, address: Address, patience_s: float = 60.0):
        self._address = address
        self._packer, self._unpacker = Packer(), Packer()
        self._claims = Claims(address.schema)
        self._asking = Link(address, patience_s, self._claims.prepare)
        self._writing = Link(address, patience_s)
        self._failure: RubricateError | None = None
        self._is_open = False

    async def __aenter__(self) -> Self:
        self._questions: Rounds[Question, object] = Rounds(self._answer, most=_QUESTIONS, weight=n_keys)
        self._writes: Rounds[Write, Earlier] = Rounds(
            self._commit, most=_WRITTEN_BYTES, weight=_weight, linger_s=_LINGER_S
        )
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        try:
            await self._writing.open()
            await self._writing.run(lambda connection: bring_up_to_date(connection, self._address))
            await self._asking.open()
        except BaseException:
            self._executor.shutdown(wait=False)
            await self._writing.close()
            raise
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        try:
            await self._writes.drain()
            await self._questions.drain()
        finally:
            self._executor.shutdown(wait=False)
            await self._writing.close()
            await self._asking.close(self._claims.give_back)
        if error is None and self._failure is not None:
            raise self._failure

    @property
    def failure(self) -> RubricateError | None:
        """Why nothing can be kept any more, or None."""
        return self._failure

    async def reply(self, key: str) -> Reply | None:
        """The reply to the request of this key, None when it was never paid for."""
        value = await self._ask(ReplyOf(bytes.fromhex(key)))
        return self._read(value, Reply) if isinstance(value, bytes) else None

    async def keep_reply(self, key: str, reply: Reply, model: str) -> Reply:
        """Remembers a reply, and gives the one that is kept: an earlier one if there is one."""
        name = bytes.fromhex(key)
        earlier = (await self._keep(Write(replies=[(name, model, encoded(reply))]))).get(name)
        return reply if earlier is None else self._read(earlier, Reply)

    async def claim(self, key: str) -> bool:
        """Whether the request of this key may be paid for here, and by no other process on any machine."""
        self._must_be_usable()
        name = bytes.fromhex(key)
        answer = self._questions.ask(Claim(name))
        try:
            return bool(await asyncio.shield(answer))
        except asyncio.CancelledError:
            # Nobody will give it back. Behind the claim in the queue, and alone in the world from here on.
            for orphan in (answer, self._questions.ask(Release(name))):
                orphan.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise

    async def reply_or_claim(self, key: str) -> Reply | bool:
        """The reply to the request of this key; else whether the claim to pay for it is now ours. Looks
        first, so that a warm rerun takes no claim, and once more when it has one."""
        reply = await self.reply(key)
        if reply is not None:
            return reply
        if not await self.claim(key):
            return False
        try:
            reply = await self.reply(key)
        except BaseException:
            orphan = self._questions.ask(Release(bytes.fromhex(key)))
            orphan.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise
        if reply is None:
            return True
        await self.release(key)
        return reply

    async def release(self, key: str) -> None:
        """Gives a claim back."""
        await self._ask(Release(bytes.fromhex(key)))

    async def verdicts(self, keys: Sequence[str], watermark: int) -> dict[str, Verdict]:
        """The verdicts known for these keys, of those that were kept up to the watermark."""
        if not keys:
            return {}
        names = {bytes.fromhex(key): key for key in keys}
        values = await self._ask(VerdictsOf(tuple(names), watermark))
        assert isinstance(values, dict)
        return {key: self._read(values[name], Verdict) for name, key in names.items() if name in values}

    async def keep_verdicts(self, verdicts: Mapping[str, Verdict]) -> None:
        """Remembers verdicts by key. Unjudged is no verdict and is refused with a ValueError."""
        unjudged = next((verdict for verdict in verdicts.values() if not verdict.is_judged), None)
        if unjudged is not None:
            raise ValueError(f"an unjudged criterion ({unjudged.reason}) has no verdict to keep")
        if verdicts:
            rows = [(bytes.fromhex(key), encoded(verdict)) for key, verdict in verdicts.items()]
            await self._keep(Write(verdicts=rows))

    async def watermark(self) -> int:
        """The number of the latest verdict, 0 when there is none."""
        number = await self._ask(Watermark())
        assert isinstance(number, int)
        return number

    async def fact(self, key: str) -> str | None:
        """The small JSON text remembered under this name, None when there is none."""
        text = await self._ask(FactOf(key))
        assert text is None or isinstance(text, str)
        return text

    async def keep_fact(self, key: str, text: str) -> None:
        """Remembers a small JSON text under a name, in place of an earlier one."""
        await self._keep(Write(facts=[(key, text)]))

    def _must_be_open(self) -> None:
        if not self._is_open:
            raise RunError(f"{self._address}: the ledger is not open")

    def _must_be_usable(self) -> None:
        self._must_be_open()
        if self._asking.loss is not None:
            raise self._asking.loss

    async def _ask(self, question: Question) -> object:
        self._must_be_usable()
        return await self._questions.ask(question)

    async def _answer(self, questions: Sequence[Question]) -> Sequence[object]:
        try:
            return await answer(self._asking, self._claims, questions)
        except RubricateError as error:
            if self._failure is None and self._asking.loss is not None:
                self._failure = error
            raise

    async def _keep(self, rows: Write) -> Earlier:
        self._must_be_open()
        if self._failure is not None:
            raise self._failure
        return await self._writes.ask(rows)

    async def _commit(self, writes: Sequence[Write]) -> Sequence[Earlier]:
        loop = asyncio.get_running_loop()
        try:
            batch = await loop.run_in_executor(self._executor, pack, self._packer, writes)
            earlier = await write(self._writing, self._claims.space, batch)
        except RubricateError as error:
            self._failure = self._failure or error
            raise
        return [earlier] * len(writes)

    def _read(self, value: bytes, type: type[Record]) -> Record:
        try:
            return decoded(self._unpacker.unpack(value), type)
        except ValueError as error:
            raise DataError(
                self._address.url, f"holds a {type.__name__.lower()} that cannot be read: {error}"
            ) from error


def _weight(rows: Write) -> int:
    return rows.n_bytes + _ROW_BYTES * rows.n_rows
