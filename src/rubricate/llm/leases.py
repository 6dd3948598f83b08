"""Permits for calls that are made elsewhere: workers ask, one lender grants, all keep to one account.

A worker's chain has a `LeasedChat` where a chain of its own would count calls, money or a minute. Whoever
lends plays these very links itself (`ThrottledChat`, `BudgetChat`), around a chat whose answer is the
worker's word on how the call went: the rules of the account exist once, whoever keeps to them. A permit is
for one call, so no share of the account lies idle with a worker that has nothing to ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from rubricate.domain.conversation import Message
from rubricate.errors import ChatError, RateLimited, RubricateError, Unavailable
from rubricate.llm.budget import n_bytes
from rubricate.llm.chat import Chat, Reply, Request, Usage


class Want(msgspec.Struct, frozen=True, array_like=True):
    """A call that waits for its permit on a line (a limit that it is subject to), and how large it is."""

    number: int
    line: str
    model: str
    n_bytes: int
    max_tokens: int | None


class Done(msgspec.Struct, frozen=True, array_like=True):
    """A permit that is given back, granted or not, and how the call went."""

    number: int
    end: Literal["replied", "limited", "failed"]
    usage: Usage = Usage()
    retry_after_s: float | None = None


class Desk:
    """Where the calls of one worker wait; `send` passes wants and permits given back on to the lender."""

    def __init__(self, send: Callable[[Want | Done], None]):
        self._send = send
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._number = 0

    async def permit(self, line: str, request: Request) -> int:
        """The number of a permit for one call, as soon as there is one. Given back by `give_back`."""
        self._number += 1
        number = self._number
        turn = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._send(Want(number, line, request.model, n_bytes(request), request.max_tokens))
        try:
            await turn
        except BaseException:
            self._waiting.pop(number, None)
            self._send(Done(number, "failed"))
            raise
        return number

    def grant(self, number: int) -> None:
        """The lender grants a permit. Nobody may wait for it any more: then it is on its way back."""
        turn = self._waiting.pop(number, None)
        if turn is not None and not turn.done():
            turn.set_result(None)

    def give_back(self, done: Done) -> None:
        """The call is over."""
        self._send(done)


class LeasedChat:
    """A chat around another that asks only with a permit of the lender."""

    def __init__(self, inner: Chat, desk: Desk, line: str):
        self._inner, self._desk, self._line = inner, desk, line

    async def ask(self, request: Request) -> Reply:
        """The reply of the inner chat; raises what that raises."""
        number = await self._desk.permit(self._line, request)
        try:
            reply = await self._inner.ask(request)
        except BaseException as failure:
            limited = isinstance(failure, RateLimited)
            after_s = failure.retry_after_s if isinstance(failure, RateLimited) else None
            self._desk.give_back(Done(number, "limited" if limited else "failed", retry_after_s=after_s))
            raise
        self._desk.give_back(Done(number, "replied", reply.usage))
        return reply


@dataclass(eq=False)
class _Lease:
    """A permit that was asked for, and the word of the borrower on how the call went."""

    borrower: Hashable
    number: int
    outcome: asyncio.Future[Reply]
    task: asyncio.Task[None] | None = None
    is_granted: bool = False


class _Bid(Request, frozen=True, kw_only=True):
    """A request of which only the size is known, as the links of a chain see it; `lease` is whose it is."""

    lease: _Lease | None = None


@dataclass
class _Elsewhere:
    """A chat whose calls are made by the borrowers."""

    grant: Callable[[Hashable, int], None]

    async def ask(self, request: Request) -> Reply:
        """What the borrower says became of the call."""
        assert isinstance(request, _Bid) and request.lease is not None
        lease = request.lease
        lease.is_granted = True
        self.grant(lease.borrower, lease.number)
        return await lease.outcome


@dataclass
class Lender:
    """Grants permits to borrowers, first come, first served on each line.

    `link` makes the link that keeps a line's limits, around a chat; it is called once a line. `grant` tells
    a borrower; `failed` hears of what no further call can mend (a budget that is spent).
    """

    link: Callable[[Chat, str], Chat]
    grant: Callable[[Hashable, int], None]
    failed: Callable[[RubricateError], None]
    _links: dict[str, Chat] = field(default_factory=dict)
    _leases: dict[tuple[Hashable, int], _Lease] = field(default_factory=dict)

    @property
    def n_leases(self) -> int:
        """Permits that are waited for or granted."""
        return len(self._leases)

    def want(self, borrower: Hashable, want: Want) -> None:
        """A borrower waits for a permit."""
        chat = self._links.get(want.line)
        if chat is None:
            chat = self._links[want.line] = self.link(_Elsewhere(self.grant), want.line)
        lease = _Lease(borrower, want.number, asyncio.get_running_loop().create_future())
        self._leases[borrower, want.number] = lease
        bid = _Bid(
            model=want.model,
            messages=(Message("", " " * want.n_bytes),),
            max_tokens=want.max_tokens,
            lease=lease,
        )
        lease.task = asyncio.create_task(self._lend(lease, chat, bid))

    def done(self, borrower: Hashable, done: Done) -> None:
        """A borrower gives a permit back."""
        lease = self._leases.pop((borrower, done.number), None)
        if lease is None:
            return
        if not lease.is_granted:
            assert lease.task is not None, "a lease has its task from its first moment"
            lease.task.cancel()
        elif done.end == "replied":
            lease.outcome.set_result(Reply("", usage=done.usage))
        elif done.end == "limited":
            lease.outcome.set_exception(RateLimited("a worker was told to wait", done.retry_after_s))
        else:
            lease.outcome.set_exception(Unavailable("a worker's call failed"))

    def drop(self, borrower: Hashable) -> None:
        """A borrower is gone, and all its permits come back."""
        for owner, number in [key for key in self._leases if key[0] == borrower]:
            self.done(owner, Done(number, "failed"))

    async def _lend(self, lease: _Lease, chat: Chat, bid: _Bid) -> None:
        try:
            await chat.ask(bid)
        except ChatError:
            pass  # the borrower has the failure itself; here it only had to pass the links
        except RubricateError as error:
            self.failed(error)
