"""How long a batch may take to be gathered, looked at, found; and a call that is tried again meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from rubricate.errors import ChatError
from rubricate.llm.batches.rows import Crowded

Result = TypeVar("Result")


class Waits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All times in seconds.

    `linger_s`: how long nothing more must come before what is gathered is submitted. `poll_s`: the first
    pause between two looks at a batch; each is half as long again as the one before, up to `longest_poll_s`.
    `patience_s`: how long a failing call to the batch endpoints is tried again. `settle_s`: how long a batch
    whose submission got no answer is looked for before it is submitted again. `first_pause_s`: before the
    second try of a call; each further pause is twice as long, up to `longest_poll_s`.
    """

    linger_s: float = 5.0
    poll_s: float = 5.0
    longest_poll_s: float = 60.0
    patience_s: float = 600.0
    settle_s: float = 15.0
    first_pause_s: float = 0.5

    async def patiently(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """The result of a call that may be repeated without harm, tried again for as long as patience lasts.

        Raises:
            ChatError: the last failure; at once where another try is not worth it, or the queue is full.
        """
        waited_s, pause_s = 0.0, self.first_pause_s
        longest_s = max(self.longest_poll_s, self.first_pause_s)
        while True:
            try:
                return await call()
            except Crowded:
                raise
            except ChatError as failure:
                asked_s = getattr(failure, "retry_after_s", None) or 0.0
                pause_s = max(pause_s, min(asked_s, longest_s))
                if not failure.retryable or waited_s + pause_s > self.patience_s:
                    raise
            await asyncio.sleep(pause_s)
            waited_s, pause_s = waited_s + pause_s, min(pause_s * 2, longest_s)


def in_words(seconds: float) -> str:
    """A time that has passed, for people: seconds, minutes or hours."""
    seconds = max(0.0, seconds)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
