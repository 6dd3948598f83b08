"""A chat that lets only so many calls through at once, and fewer when the server says that it is too much."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

from rubricate.errors import RateLimited, SettingsError
from rubricate.llm.chat import Chat, Reply, Request
from rubricate.llm.pace import Pace

_CHARACTERS_PER_TOKEN = 4.0  # of English under today's tokenizers; corrected by the server's own count
_FIRST_GAP_S = 0.01
_WIDER, _NARROWER = 1.5, 0.85  # a gap is stable as long as more than five of seven calls go through
_MEMORY = 0.1  # weight of the newest reply in the running mean of reply lengths


class ThrottleCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The window now (calls allowed at once), calls in flight now and at most, times it was halved, and the
    seconds kept between two starts where even one call at a time was too much."""

    window: int
    in_flight: int
    peak: int
    halvings: int
    gap_s: float = 0.0


class ThrottledChat:
    """At most `workers` calls of the inner chat in flight, in the order of asking.

    The window is halved by a 429 and grows by one for each windowful of replies, up to `workers` again
    (additive increase, multiplicative decrease: Chiu and Jain 1989, as in TCP congestion control). Calls
    that were on their way when it was halved do not halve it again, as in TCP NewReno (RFC 6582): one
    burst of 429 is one piece of news. Where one call at a time is still too much for a server that says when
    to come again (a quick one with a low limit), a gap between two starts takes the place of the window:
    longer by half with a 429, shorter by 15% with a reply.

    `rpm` and `tpm` bound the requests and the tokens that start per minute, evenly paced. The tokens of a
    call are guessed from the length of its messages and of the replies so far, and put right by the
    server's count when the reply is there.
    """

    def __init__(
        self,
        inner: Chat,
        workers: int,
        *,
        rpm: float | None = None,
        tpm: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        if workers < 1 or (rpm is not None and rpm <= 0) or (tpm is not None and tpm <= 0):
            raise SettingsError("workers must be at least 1, and requests and tokens per minute above 0")
        self._inner, self._workers = inner, workers
        self._requests = Pace(rpm) if rpm is not None else None
        self._tokens = Pace(tpm) if tpm is not None else None
        self._clock, self._sleep = clock, sleep
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()
        self._timer: asyncio.Task[None] | None = None
        self._window, self._in_flight, self._peak, self._halvings = float(workers), 0, 0, 0
        self._reply_tokens = 0.0
        self._gap_s, self._accepted_at = 0.0, float("-inf")

    @property
    def counts(self) -> ThrottleCounts:
        """Where it stands."""
        return ThrottleCounts(int(self._window), self._in_flight, self._peak, self._halvings, self._gap_s)

    async def ask(self, request: Request) -> Reply:
        """The reply of the inner chat; raises what that raises."""
        guess = self._guess(request)
        if self._waiting or not self._may_start():
            await self._turn(guess)
        else:
            self._start(guess)
        halvings_seen, started_at = self._halvings, self._clock() if self._gap_s else float("-inf")
        try:
            reply = await self._inner.ask(request)
        except RateLimited as limited:
            if halvings_seen == self._halvings:
                self._shrink(limited.retry_after_s)
            raise
        else:
            self._accepted_at = started_at
            self._grow()
            self._learn(reply, guess)
            return reply
        finally:
            self._in_flight -= 1
            self._admit()

    def _shrink(self, retry_after_s: float | None) -> None:
        if retry_after_s is not None and self._window <= 2.0:
            now = self._clock()
            if not self._gap_s:
                self._accepted_at = now
            due_s = now + retry_after_s - self._accepted_at  # from the last one that was let in to the next
            self._gap_s = max(_FIRST_GAP_S, _WIDER * min(self._gap_s, due_s))
        self._window = max(1.0, self._window / 2)
        self._halvings += 1

    def _grow(self) -> None:
        if self._gap_s:
            self._gap_s = _NARROWER * self._gap_s if self._gap_s > _FIRST_GAP_S / 2 else 0.0
        else:
            self._window = min(float(self._workers), self._window + 1.0 / self._window)

    async def _turn(self, guess: float) -> None:
        """Waits for a slot, first come, first served; a cancelled waiter leaves nothing behind."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, guess))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._in_flight -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        """Lets in all who may start by now; whoever ends calls this. When only the clock is in the way, one
        timer looks again in time."""
        while self._waiting:
            turn, guess = self._waiting[0]
            if not turn.done():
                if not self._may_start():
                    break
                self._start(guess)
                turn.set_result(None)
            self._waiting.popleft()
        if self._waiting and self._timer is None and self._in_flight < int(self._window):
            self._timer = asyncio.create_task(self._look_again(self._wait_s()))

    async def _look_again(self, wait_s: float) -> None:
        await self._sleep(wait_s)
        self._timer = None
        self._admit()

    def _may_start(self) -> bool:
        return self._in_flight < int(self._window) and self._wait_s() <= 0

    def _start(self, guess: float) -> None:
        self._in_flight += 1
        self._peak = max(self._peak, self._in_flight)
        if self._requests is not None:
            self._requests.start(1, self._clock())
        if self._tokens is not None:
            self._tokens.start(guess, self._clock())

    def _wait_s(self) -> float:
        if self._requests is None and self._tokens is None and not self._gap_s:
            return 0.0
        paces = [pace for pace in (self._requests, self._tokens) if pace is not None]
        now = self._clock()
        return max(self._accepted_at + self._gap_s - now, *(pace.wait_s(now) for pace in paces), 0.0)

    def _guess(self, request: Request) -> float:
        if self._tokens is None:
            return 0.0
        characters = sum(len(message.content) for message in request.messages)
        reply_tokens = self._reply_tokens or float(request.max_tokens or 0)
        return characters / _CHARACTERS_PER_TOKEN + reply_tokens

    def _learn(self, reply: Reply, guess: float) -> None:
        used = reply.usage.prompt_tokens + reply.usage.completion_tokens
        if self._tokens is None or used == 0:
            return
        self._tokens.correct(used - guess)
        newest = float(reply.usage.completion_tokens)
        self._reply_tokens += (newest - self._reply_tokens) * (_MEMORY if self._reply_tokens else 1.0)
