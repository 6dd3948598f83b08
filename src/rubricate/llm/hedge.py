"""A chat that asks a second time what has waited far longer than its like: some calls are never answered.

Source: J. Dean and L. A. Barroso, "The Tail at Scale", CACM 56(2), 2013, hedged requests. Ours is how long to
wait: it follows what the model takes for this kind of question, calls under way included.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import msgspec

from rubricate.errors import ChatError
from rubricate.llm.chat import Chat, Reply, Request

_QUANTILE = 0.8
_MULTIPLE = 4.0
_SILENT_MULTIPLE = 4.0
_REMEMBERED = 256
_MOST_FOR_ONE = 3
_LOOKS_PER_FLOOR = 4


class HedgeCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Calls that were asked for; further ones that were sent beside them; those of the latter that were
    answered first."""

    calls: int
    hedges: int
    won: int


class HedgedChat:
    """Sends a call again when it has waited four times as long as four of five calls of its kind take; the
    first answer wins, and the other is cancelled.

    A kind is a model and a schema. How long it takes is read off its latest 256 answers and off the calls
    under way, which take at least as long as they have waited: so a slow start is no reason to hedge. Where
    too little is known, `unknown_s` counts instead. `floor_s` is waited in any case, four times as long while
    nobody is answered: then the server is busy rather than the call lost.

    At most `few` and a `share` of all calls are sent so, 3 of them for one call. They go out in the place of
    the call that they stand beside: whoever bounds the calls in flight has to leave room for twice as many
    connections. A share of 0 sends none. Costs a few microseconds a call, and a look at all calls under way
    four times in `floor_s`.

    `clock` and `sleep` are those of the tests.
    """

    def __init__(
        self,
        inner: Chat,
        *,
        share: float = 0.05,
        few: int = 4,
        unknown_s: float = 60.0,
        floor_s: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self._inner, self._share, self._few = inner, share, few
        self._unknown_s, self._floor_s = unknown_s, floor_s
        self._clock, self._sleep = clock, sleep
        self._flights: dict[_Flight, None] = {}  # in the order of their sending
        self._took: defaultdict[tuple[str, str], deque[float]] = defaultdict(
            lambda: deque(maxlen=_REMEMBERED)
        )
        self._watch: asyncio.Task[None] | None = None
        self._answered_at = float("-inf")
        self._n_calls = self._n_hedges = self._n_won = 0

    @property
    def counts(self) -> HedgeCounts:
        """What was sent so far."""
        return HedgeCounts(self._n_calls, self._n_hedges, self._n_won)

    async def ask(self, request: Request) -> Reply:
        """The first reply to the request; raises what the inner chat raises."""
        self._n_calls += 1
        if not self._share:
            return await self._inner.ask(request)
        flight = _Flight(request, self._clock())
        self._flights[flight] = None
        if self._watch is None:
            self._watch = asyncio.create_task(self._watching())
        try:
            reply = await self._inner.ask(request)
        except (asyncio.CancelledError, ChatError) as end:
            return await self._instead(flight, end)
        else:
            self._learn(flight.kind, flight.first_sent_at)
            return reply
        finally:
            flight.is_over = True
            del self._flights[flight]
            for task in flight.beside:
                task.cancel()

    async def _instead(self, flight: _Flight, end: asyncio.CancelledError | ChatError) -> Reply:
        """What a call beside this one brought, when the first one has ended without a reply."""
        flight.has_failed = True
        beside = [task for task in flight.beside if not task.done()]
        if flight.outcome is None and beside and isinstance(end, ChatError) and end.retryable:
            patience_s = self._patience_s(flight.kind, self._clock())
            await asyncio.wait(beside, timeout=patience_s or 0, return_when=asyncio.FIRST_COMPLETED)
        if flight.outcome is None or (flight.was_stopped and flight.is_cancelled_by_others()):
            raise end
        if isinstance(flight.outcome, ChatError):
            raise flight.outcome
        self._n_won += 1
        return flight.outcome

    def _learn(self, kind: tuple[str, str], sent_at: float) -> None:
        self._answered_at = now = self._clock()
        self._took[kind].append(now - sent_at)

    async def _watching(self) -> None:
        """Looks at what is under way, as long as something is."""
        tick_s = self._floor_s / _LOOKS_PER_FLOOR
        while self._flights:
            before = self._clock()
            await self._sleep(tick_s)
            now = self._clock()
            if now - before < tick_s + self._floor_s:  # else it was we who slept, and answers wait to be read
                self._look(now)
        self._watch = None

    def _look(self, now: float) -> None:
        known: dict[tuple[str, str], float | None] = {}
        for flight in self._flights:
            if now - flight.first_sent_at < self._floor_s:
                break
            if flight.kind not in known:
                known[flight.kind] = self._patience_s(flight.kind, now)
            patience_s = self._patience_now(known[flight.kind], now)
            if now - flight.sent_at < patience_s or len(flight.beside) >= _MOST_FOR_ONE:
                continue
            if self._n_hedges + 1 > self._few + self._share * self._n_calls:
                break
            self._n_hedges += 1
            flight.sent_at = now
            flight.beside.append(asyncio.create_task(self._beside(flight)))

    def _patience_now(self, patience_s: float | None, now: float) -> float:
        if patience_s is None:
            return self._unknown_s
        if now - self._answered_at > patience_s / 2:
            return min(patience_s * _SILENT_MULTIPLE, self._unknown_s)
        return patience_s

    def _patience_s(self, kind: tuple[str, str], now: float) -> float | None:
        """How long a call of this kind may wait, None where too little is known.

        The quantile is the shortest time within which four of five were answered, of all that were, and of
        those under way that have waited longer than that, but for one: the call in question.
        """
        took = sorted(self._took[kind])
        waiting = sorted(now - flight.first_sent_at for flight in self._flights if flight.kind == kind)
        for n_answered, seconds in enumerate(took, 1):
            n_longer = max(0, len(waiting) - bisect_right(waiting, seconds) - 1)
            if n_answered >= _QUANTILE * (len(took) + n_longer):
                return max(self._floor_s, _MULTIPLE * seconds)
        return None

    async def _beside(self, flight: _Flight) -> None:
        """One more call; its answer ends the first one. A failure that may pass is none: the first one may
        still be answered."""
        sent_at = self._clock()
        outcome: Reply | ChatError
        try:
            outcome = await self._inner.ask(flight.request)
        except ChatError as failure:
            if failure.retryable:
                return
            outcome = failure
        else:
            self._learn(flight.kind, sent_at)
        flight.end(outcome)


class _Flight:
    """A call under way, and those that were sent beside it.

    It is ended by cancelling the task that waits for it, in the way of `asyncio.timeout`: whoever else
    cancels the task is told apart by the count of cancellations.
    """

    __slots__ = (
        "beside",
        "cancelled_before",
        "first_sent_at",
        "has_failed",
        "is_over",
        "kind",
        "outcome",
        "request",
        "sent_at",
        "task",
        "was_stopped",
    )

    def __init__(self, request: Request, now: float):
        task = asyncio.current_task()
        assert task is not None
        self.request, self.task = request, task
        self.kind = (request.model, request.schema.name if request.schema else "")
        self.first_sent_at = self.sent_at = now
        self.cancelled_before = task.cancelling()
        self.beside: list[asyncio.Task[None]] = []
        self.outcome: Reply | ChatError | None = None
        self.has_failed = self.was_stopped = self.is_over = False

    def end(self, outcome: Reply | ChatError) -> None:
        """Ends the call with the outcome of another one, unless it has ended."""
        if self.is_over or self.outcome is not None:
            return
        self.outcome = outcome
        if not self.has_failed:
            self.was_stopped = True
            self.task.cancel()

    def is_cancelled_by_others(self) -> bool:
        """Takes our own cancellation back; whether there are others."""
        return self.task.uncancel() > self.cancelled_before


async def first_answer(ask: Callable[[], Coroutine[Any, Any, Reply]], waits_s: Sequence[float]) -> Reply:
    """The first outcome of a call that is sent again after each of these waits, as long as none has come."""
    tasks: set[asyncio.Task[Reply]] = set()
    try:
        for wait_s in (*waits_s, None):
            tasks.add(asyncio.create_task(ask()))
            done, _ = await asyncio.wait(tasks, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            if done:
                break
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
