"""The memory of everything that was paid for: the storage seam, and the chat that never pays twice.

A ledger holds replies by the key of their request, verdicts by the key of what they are about, and small
facts such as the dialects of endpoints. llm/sqlite keeps one in a file, llm/postgres in a database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec

from rubricate.domain.identity import key_of
from rubricate.domain.judgement import Verdict
from rubricate.errors import DataError, RubricateError, RunError
from rubricate.llm.chat import Chat, Reply, Request
from rubricate.llm.dialect import Dialect


class Ledger(Protocol):
    """What is remembered, by content key (32 hexadecimal digits). Belongs to the event loop it was opened on.

    Whatever a `keep_` method returned from is durable: it survives a killed process. What was kept first
    stays, for every process that shares the ledger. Every method raises a `RunError` that says what to do
    when the store cannot be used, and a `DataError` when what it holds cannot be read.
    """

    @property
    def failure(self) -> RubricateError | None:
        """Why nothing can be kept any more (disk full, ledger deleted, ...), or None. Final: a chat that
        sees one pays for nothing more."""
        ...

    async def reply(self, key: str) -> Reply | None:
        """The reply to the request of this key, None when it was never paid for."""
        ...

    async def keep_reply(self, key: str, reply: Reply, model: str) -> Reply:
        """Remembers a reply, and gives the one that is kept: an earlier one if there is one.

        `model` is the model that was asked, for people who look into the ledger. A write that was begun
        is finished even when its caller is cancelled.
        """
        ...

    async def claim(self, key: str) -> bool:
        """Whether the request of this key may be paid for here: no other opened ledger, in whatever process
        or on whatever machine, has a claim on it. Given back by `release`, by the death of the process, and
        when the caller is cancelled before it is told. Whoever gets one looks into the ledger again: the
        reply may just have been kept.
        """
        ...

    async def reply_or_claim(self, key: str) -> Reply | bool:
        """The reply to the request of this key; where there is none, whether the claim to pay for it is now
        ours (True), or another has it (False). When it is ours, nobody has kept a reply meanwhile."""
        ...

    async def release(self, key: str) -> None:
        """Gives a claim back, once the reply is kept or will not come."""
        ...

    async def verdicts(self, keys: Sequence[str], watermark: int) -> dict[str, Verdict]:
        """The verdicts known for these keys, of those that were kept up to the watermark.

        A run fixes its watermark when its folder is made. So a resumed run sees what the broken one saw,
        and replays it, whatever it or another run has kept since.
        """
        ...

    async def keep_verdicts(self, verdicts: Mapping[str, Verdict]) -> None:
        """Remembers verdicts by key. Unjudged is no verdict and is refused with a ValueError."""
        ...

    async def watermark(self) -> int:
        """The number of the latest verdict, 0 when there is none.

        Numbers grow in the order in which verdicts become visible, over all processes. (A store whose
        transactions overlap has to see to that: in PostgreSQL, by a lock around the insertion.)
        """
        ...

    async def fact(self, key: str) -> str | None:
        """The small JSON text remembered under this name, None when there is none."""
        ...

    async def keep_fact(self, key: str, text: str) -> None:
        """Remembers a small JSON text under a name, in place of an earlier one."""
        ...


_FIRST_GLANCE_S, _LONGEST_PAUSE_S = 0.01, 0.5
"""How often a reply is looked for that another process is paying for."""


class LedgerChat:
    """A chat around another that asks only what the ledger does not know.

    Every reply that comes back is kept, also one that was cut off or cannot be read: it was paid for, and
    whoever asks again asks for another draw. Errors are never kept. Requests of one key that are asked at
    the same time are asked once; they share the reply, and also the error. Where another process that shares
    the ledger has asked already, its reply is waited for.
    """

    def __init__(self, inner: Chat, ledger: Ledger):
        self._inner, self._ledger = inner, ledger
        self._followers: dict[str, list[asyncio.Future[Reply | RubricateError | None]]] = {}
        self._claimed: set[str] = set()
        self._late: set[asyncio.Task[None]] = set()
        self.n_paid = 0
        self.n_reused = 0

    async def ask(self, request: Request) -> Reply:
        """The reply of the ledger, free of charge, else that of the inner chat, kept before it is given.

        Raises:
            RunError: nothing can be kept any more, so nothing more is paid for. Calls already under way
                still give their replies.
            DataError: what the ledger holds cannot be read.
        """
        key = request.key
        while (followers := self._followers.get(key)) is not None:
            follower: asyncio.Future[Reply | RubricateError | None]
            follower = asyncio.get_running_loop().create_future()
            followers.append(follower)
            outcome = await follower
            if isinstance(outcome, RubricateError):
                raise outcome
            if outcome is not None:
                self.n_reused += 1
                return outcome
        return await self._lead(key, request)

    async def _lead(self, key: str, request: Request) -> Reply:
        self._followers[key] = []
        reply = None
        try:
            reply = await self._known(key)
            if reply is not None:
                self.n_reused += 1
            else:
                reply = await self._paid(request)
                reply = await self._kept(key, reply, request.model)
        except RubricateError as error:
            self._settle(key, error)
            await self._give_back(key)
            raise
        except BaseException:
            self._end_late(key, reply, request.model)
            raise
        self._settle(key, reply)
        await self._give_back(key)
        return reply

    async def _known(self, key: str) -> Reply | None:
        """The reply of the ledger; or None, and then the claim to pay for it is ours. While another process
        has it, its reply is waited for: who dies in between loses the claim, and the next one gets it."""
        pause_s = _FIRST_GLANCE_S
        while True:
            found = await self._ledger.reply_or_claim(key)
            if found is True:
                self._claimed.add(key)
                return None
            if found is not False:
                return found
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _give_back(self, key: str) -> None:
        """Gives the claim back, if there is one. A ledger that cannot be told any more has none either."""
        if key in self._claimed:
            self._claimed.remove(key)
            with suppress(RubricateError):
                await self._ledger.release(key)

    async def _paid(self, request: Request) -> Reply:
        if self._ledger.failure is not None:
            raise self._ledger.failure
        reply = await self._inner.ask(request)
        self.n_paid += 1
        return reply

    async def _kept(self, key: str, reply: Reply, model: str) -> Reply:
        """The reply that is kept. One that cannot be kept is given all the same, for it is paid; the
        ledger's `failure` then stops the run before the next payment."""
        try:
            return await self._ledger.keep_reply(key, reply, model)
        except (RunError, DataError):
            return reply

    def _end_late(self, key: str, reply: Reply | None, model: str) -> None:
        """Whoever asked is gone. A reply that is there is paid: it is kept before anyone else may ask for it,
        and then the claim is given back."""

        async def end() -> None:
            self._settle(key, None if reply is None else await self._kept(key, reply, model))
            await self._give_back(key)

        task = asyncio.create_task(end())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    def _settle(self, key: str, outcome: Reply | RubricateError | None) -> None:
        """Tells all who wait for this key. None tells them to ask for themselves: the first who wakes
        leads, and if that one is cancelled too, the next."""
        for follower in self._followers.pop(key):
            if not follower.done():
                follower.set_result(outcome)


class LedgerDialects:
    """The dialects that were learnt, as facts of a ledger: what took a probe once takes none again."""

    def __init__(self, ledger: Ledger):
        self._ledger = ledger

    async def get(self, base_url: str, model: str) -> Dialect | None:
        """What is known, or None; also when another version wrote it, for it is soon learnt again."""
        text = await self._ledger.fact(_dialect_key(base_url, model))
        try:
            return None if text is None else msgspec.json.decode(text, type=Dialect)
        except msgspec.DecodeError:
            return None

    async def put(self, base_url: str, model: str, dialect: Dialect) -> None:
        """Remembers, in place of what was known before. A ledger that cannot says so through `failure`,
        and not here, where a paid reply may be on its way."""
        text = msgspec.json.encode(dialect).decode()
        with suppress(RunError, DataError):
            await self._ledger.keep_fact(_dialect_key(base_url, model), text)


def _dialect_key(base_url: str, model: str) -> str:
    """The address as a digest: some carry a password."""
    return f"dialect {key_of('endpoint', base_url)} {model}"
