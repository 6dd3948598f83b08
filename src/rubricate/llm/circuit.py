"""A chat that stops the run when no further call can fare better. Stands around `retry`."""

from __future__ import annotations

from rubricate.errors import (
    AccountError,
    BadAnswer,
    ChatError,
    ChatTimeout,
    RateLimited,
    RunStopped,
    ServerFault,
    Unavailable,
)
from rubricate.llm.chat import Chat, Reply, Request


class CircuitChat:
    """Lets calls through until one says that the key, the account or the model is wrong, or until
    `outage_calls` calls in a row failed for good with no answer at all (one, if the endpoint never answered
    and cannot be reached: a small run against a wrong address has few calls), or `odd_calls` in a row with
    nothing but 500s and bodies that are no answer; then every call is stopped.

    `name` is what the user calls the endpoint or the role. What the endpoint says of one question alone
    (too long, withheld, a 500) is no sign of life, and only many such in a row are a sign of sickness.
    """

    def __init__(self, inner: Chat, name: str, *, outage_calls: int = 5, odd_calls: int = 25):
        self._inner, self._name = inner, name
        self._outage_calls, self._odd_calls = outage_calls, odd_calls
        self._lost_in_a_row = self._odd_in_a_row = 0
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
            raise self._stopped(self._outage(failure, self._lost_in_a_row)) from failure
        except (BadAnswer, ServerFault) as failure:
            self._odd_in_a_row += 1
            if self._why is None and self._odd_in_a_row < self._odd_calls:
                raise
            raise self._stopped(self._outage(failure, self._odd_in_a_row)) from failure
        self._lost_in_a_row, self._odd_in_a_row, self._has_answered = 0, 0, True
        return reply

    def _stopped(self, why: str) -> RunStopped:
        self._why = self._why or why
        return RunStopped(self._why)

    def _outage(self, failure: ChatError, n_calls: int) -> str:
        state = {RateLimited: "lets no call through", BadAnswer: "gives no usable answer"}.get(
            type(failure), "looks down"
        )
        calls = "a call" if n_calls == 1 else f"{n_calls} calls in a row"
        return (
            f"{self._name}: the endpoint {state}: {calls} failed for good. "
            f"The last: {failure}. When it is back, the same command resumes the run"
        )
