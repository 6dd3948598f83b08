"""A chat that stops the run when no further call can fare better. Stands around `retry`."""

from __future__ import annotations

from rubricate.errors import AccountError, ChatTimeout, RateLimited, RunStopped, Unavailable
from rubricate.llm.chat import Chat, Reply, Request


class CircuitChat:
    """Lets calls through until one says that the key, the account or the model is wrong, or until
    `outage_calls` calls in a row failed for good with no answer at all (one, if the endpoint never answered
    and cannot be reached: a small run against a wrong address has few calls); then every call is stopped.

    `name` is what the user calls the endpoint or the role. What the endpoint says of one question alone
    (too long, withheld, a 500) neither opens the circuit nor counts as a sign of life.
    """

    def __init__(self, inner: Chat, name: str, *, outage_calls: int = 5):
        self._inner, self._name, self._outage_calls = inner, name, outage_calls
        self._lost_in_a_row = 0
        self._has_answered = False
        self._why: str | None = None

    @property
    def why_open(self) -> str | None:
        """The line that says why everything is stopped; None as long as it is not."""
        return self._why

    async def ask(self, request: Request) -> Reply:
        """The reply of the inner chat.

        Raises:
            RunStopped: the circuit is open, by this call or an earlier one; the same line every time.
            ChatError: this call failed and the run goes on.
        """
        if self._why is not None:
            raise RunStopped(self._why)
        try:
            reply = await self._inner.ask(request)
        except AccountError as failure:
            raise self._stopped(f"{self._name}: {failure}") from failure
        except (Unavailable, ChatTimeout, RateLimited) as failure:
            self._lost_in_a_row += 1
            never_there = isinstance(failure, Unavailable) and not self._has_answered
            if self._why is None and not never_there and self._lost_in_a_row < self._outage_calls:
                raise
            raise self._stopped(self._outage(failure)) from failure
        self._lost_in_a_row, self._has_answered = 0, True
        return reply

    def _stopped(self, why: str) -> RunStopped:
        self._why = self._why or why
        return RunStopped(self._why)

    def _outage(self, failure: Unavailable | ChatTimeout | RateLimited) -> str:
        state = "lets no call through" if isinstance(failure, RateLimited) else "looks down"
        calls = "a call" if self._lost_in_a_row == 1 else f"{self._lost_in_a_row} calls in a row"
        return (
            f"{self._name}: the endpoint {state}: {calls} failed for good. "
            f"The last: {failure}. When it is back, the same command resumes the run"
        )
