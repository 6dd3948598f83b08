"""A chat that asks again what may go through later. Stands outside `throttle`: who sleeps holds no slot."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from rubricate.errors import BadAnswer, ChatError, ChatTimeout, RateLimited, ServerFault, Unavailable
from rubricate.llm.chat import Chat, Reply, Request

_RETRY_AFTER_CAP_S = 120.0
_UPWARD = (
    0.1  # a wait that the server asked for is lengthened by up to a tenth, so that not all return at once
)


class RetryCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Further tries by the class of the failure that called for them; calls that failed for good in spite
    of them, likewise; and the seconds slept, added up over all calls."""

    retries: dict[str, int]
    gave_up: dict[str, int]
    slept_s: float


class RetryChat:
    """Asks the inner chat again after a retryable failure, with exponential back-off and full jitter.

    The n-th wait is uniform between 0 and min(cap_s, base_s * 2**n), and no shorter than the server asked
    for (up to two minutes). Source: "Exponential Backoff And Jitter", M. Brooker, AWS Architecture Blog
    2015, "full jitter".

    `patience_s` bounds the waits of one call in all. Neither the tries themselves nor the time in the
    throttle's queue count: a long queue is no sick server. Until a first answer came through, a server
    that cannot be reached gets only `first_patience_s`: then a wrong address is likelier than an outage.
    Failures that may come from this very question get a number of tries: `tries` of 500s and odd bodies,
    and `silent_tries` that were not answered in time, which take so much longer.

    `sleep` and `chance` (uniform in [0, 1)) are the clock and the dice of the tests.
    """

    def __init__(
        self,
        inner: Chat,
        *,
        patience_s: float = 600.0,
        first_patience_s: float = 60.0,
        tries: int = 3,
        silent_tries: int = 3,
        base_s: float = 0.5,
        cap_s: float = 30.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ):
        self._inner = inner
        self._patience_s, self._first_patience_s = patience_s, first_patience_s
        self._tries, self._silent_tries = tries, silent_tries
        self._base_s, self._cap_s = base_s, cap_s
        self._sleep, self._chance = sleep, chance
        self._has_answered = False
        self._retries: Counter[str] = Counter()
        self._gave_up: Counter[str] = Counter()
        self._slept_s = 0.0

    @property
    def counts(self) -> RetryCounts:
        """What was retried so far."""
        return RetryCounts(dict(self._retries), dict(self._gave_up), self._slept_s)

    async def ask(self, request: Request) -> Reply:
        """The reply of the inner chat, now or later.

        Raises:
            ChatError: the last failure, when it is not retryable or patience has run out.
        """
        n_failed, waited_s = Counter[type[ChatError]](), 0.0
        while True:
            try:
                reply = await self._inner.ask(request)
            except ChatError as failure:
                if not failure.retryable:
                    raise
                kind = type(failure).__name__
                left_s = self._patience_for(failure) - waited_s
                wait_s = self._wait_s(failure, n_failed.total(), left_s)
                n_failed[type(failure)] += 1
                if wait_s > left_s or left_s <= 0 or self._is_last(n_failed):
                    self._gave_up[kind] += 1
                    raise
            else:
                self._has_answered = True
                return reply
            self._retries[kind] += 1
            self._slept_s += wait_s
            waited_s += wait_s
            await self._sleep(wait_s)

    def _wait_s(self, failure: ChatError, n_failed: int, left_s: float) -> float:
        """The wait before the next try: no longer than patience lasts, unless the server asked for more."""
        longest_s = min(self._cap_s, self._base_s * 2.0 ** min(n_failed, 60))
        backoff_s = min(longest_s * (1.0 - self._chance()), max(left_s, 0.0))
        if not isinstance(failure, RateLimited | Unavailable) or failure.retry_after_s is None:
            return backoff_s
        asked_s = min(failure.retry_after_s, _RETRY_AFTER_CAP_S)
        return max(backoff_s, asked_s * (1.0 + _UPWARD * self._chance()))

    def _patience_for(self, failure: ChatError) -> float:
        if isinstance(failure, Unavailable) and not self._has_answered:
            return min(self._patience_s, self._first_patience_s)
        return self._patience_s

    def _is_last(self, n_failed: Mapping[type[ChatError], int]) -> bool:
        n_odd = n_failed[ServerFault] + n_failed[BadAnswer]
        return n_failed[ChatTimeout] >= self._silent_tries or n_odd >= self._tries
