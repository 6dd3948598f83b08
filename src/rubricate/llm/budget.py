"""A limit on calls and on money, and the chat that keeps to it."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from rubricate.errors import RunStopped, SettingsError
from rubricate.llm.chat import Chat, Reply, Request, Usage
from rubricate.llm.prices import Price, Prices

CHARS_PER_TOKEN = 3.5
"""Low for English prose (about 4), so that an estimate of prompt tokens is rather too high."""

EXPECTED_COMPLETION_TOKENS = 1024
"""Assumed for a model that may write as much as it likes, until it has been seen to write more."""


class Budget:
    """How many calls a run may make, and what they may cost; shared by all chats of the run.

    Every call first reserves what it may cost: a prompt token for every 3.5 bytes, and `max_tokens`, or
    else the longest completion of the model so far. The reply settles it with what the server counted. So
    the spent money passes the limit by no more than the error of the estimates of the calls in flight. A
    call that only fits once others have settled waits for them; the run stops when none is in flight.

    A failed call gives its money back but not its place among `max_calls`. A reply without counts is
    settled with its estimate, and counted in `n_estimated`; a reply of unknown price in `n_unpriced`.
    """

    def __init__(self, prices: Prices, *, max_calls: int | None = None, max_cost_usd: float | None = None):
        if max_calls is not None and max_calls < 0:
            raise SettingsError(f"budget.max_calls is {max_calls}, and must be 0 or more")
        if max_cost_usd is not None and not (math.isfinite(max_cost_usd) and max_cost_usd >= 0):
            raise SettingsError(
                f"budget.max_cost_usd is {max_cost_usd}, and must be an amount in USD, 0 or more"
            )
        self._prices = prices
        self._max_calls = max_calls
        self._max_cost = None if max_cost_usd is None else Decimal(str(max_cost_usd))
        self._spent = Decimal(0)
        self._reserved = Decimal(0)
        self._n_in_flight = 0
        self._longest: dict[str, int] = {}
        self._waiting: deque[tuple[Decimal, asyncio.Future[None]]] = deque()
        self.n_calls = 0
        self.n_estimated = 0
        self.n_unpriced = 0

    @property
    def spent_usd(self) -> float:
        """What the replies so far cost, as far as their prices are known."""
        return float(self._spent)

    def check(self, models: Iterable[str]) -> None:
        """Whether the limit on cost can be kept for these models; to be called before the first question.

        Raises:
            SettingsError: there is a limit on cost, and the price of a model is unknown.
        """
        unknown = sorted({model for model in models if self._prices.of(model) is None})
        if self._max_cost is not None and unknown:
            raise SettingsError(
                f"the price of {', '.join(unknown)} is unknown, so budget.max_cost_usd cannot be kept: "
                "give it in a file named by budget.prices (USD per million tokens), or lift the limit"
            )

    async def reserve(self, request: Request, *, by_batch: bool = False) -> Decimal:
        """The money now set aside for a call, in USD: give it back with `settle` or `release`.

        Raises:
            RunStopped: the call would go beyond a limit.
            SettingsError: there is a limit on cost, and the price of the model is unknown.
        """
        estimate = self._estimate(request, by_batch)
        if self._waiting or not self._fits(estimate):
            await self._turn(estimate)
        else:
            self._take(estimate)
        return estimate

    def settle(self, reserved: Decimal, model: str, usage: Usage, *, by_batch: bool = False) -> None:
        """Turns a reservation into what the call really cost."""
        cost = self._cost(reserved, model, usage, by_batch)
        self._spent += cost
        self.release(reserved)

    def release(self, reserved: Decimal) -> None:
        """Gives a reservation back, for a call that came to nothing."""
        self._reserved -= reserved
        self._n_in_flight -= 1
        self._admit()

    def _estimate(self, request: Request, by_batch: bool) -> Decimal:
        if self._max_cost is None:
            return Decimal(0)
        price = self._prices.of(request.model, by_batch=by_batch)
        if price is None:
            self.check([request.model])
        assert price is not None, "check raises when the price is unknown"
        return price.cost(Usage(_prompt_tokens(request), self._completion_tokens(request)))

    def _completion_tokens(self, request: Request) -> int:
        if request.max_tokens is not None:
            return request.max_tokens
        return max(EXPECTED_COMPLETION_TOKENS, self._longest.get(request.model, 0))

    def _cost(self, reserved: Decimal, model: str, usage: Usage, by_batch: bool) -> Decimal:
        price: Price | None = self._prices.of(model, by_batch=by_batch)
        if price is None:
            self.n_unpriced += 1
            return Decimal(0)
        if usage.prompt_tokens <= 0 and usage.completion_tokens <= 0:
            self.n_estimated += 1
            return reserved
        self._longest[model] = max(self._longest.get(model, 0), usage.completion_tokens)
        return price.cost(usage)

    def _fits(self, estimate: Decimal) -> bool:
        if self._max_calls is not None and self.n_calls >= self._max_calls:
            return False
        return self._max_cost is None or self._spent + self._reserved + estimate <= self._max_cost

    def _take(self, estimate: Decimal) -> None:
        self._reserved += estimate
        self._n_in_flight += 1
        self.n_calls += 1

    async def _turn(self, estimate: Decimal) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((estimate, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(estimate)
            raise

    def _admit(self) -> None:
        """First come, first served: admits who fits, and refuses who cannot fit any more."""
        while self._waiting:
            estimate, turn = self._waiting[0]
            if not turn.done():
                if self._fits(estimate):
                    self._take(estimate)
                    turn.set_result(None)
                elif self._is_hopeless():
                    turn.set_exception(self._stopped(estimate))
                else:
                    return
            self._waiting.popleft()

    def _is_hopeless(self) -> bool:
        """Whether no call in flight can make room: calls are never given back, money may be."""
        return self._n_in_flight == 0 or (self._max_calls is not None and self.n_calls >= self._max_calls)

    def _stopped(self, estimate: Decimal) -> RunStopped:
        then = "and run the same command with --resume; what was paid is kept"
        if self._max_calls is not None and self.n_calls >= self._max_calls:
            return RunStopped(
                f"all {self._max_calls} calls of budget.max_calls are made: raise budget.max_calls {then}"
            )
        return RunStopped(
            f"${self._spent:.4f} of budget.max_cost_usd ${self._max_cost} are spent after {self.n_calls} "
            f"calls, and the next may cost ${estimate:.4f}: raise budget.max_cost_usd {then}"
        )


class BudgetChat:
    """A chat around another that asks only what the budget allows; `by_batch` at the price of batches."""

    def __init__(self, inner: Chat, budget: Budget, *, by_batch: bool = False):
        self._inner, self._budget, self._by_batch = inner, budget, by_batch

    async def ask(self, request: Request) -> Reply:
        """The reply of the inner chat, paid from the budget.

        Raises:
            RunStopped: the call would go beyond a limit.
        """
        reserved = await self._budget.reserve(request, by_batch=self._by_batch)
        try:
            reply = await self._inner.ask(request)
        except BaseException:
            self._budget.release(reserved)
            raise
        self._budget.settle(reserved, request.model, reply.usage, by_batch=self._by_batch)
        return reply


def n_bytes(request: Request) -> int:
    """The size of a question, messages and schema."""
    size = sum(_n_bytes_of(message.role) + _n_bytes_of(message.content) for message in request.messages)
    return size if request.schema is None else size + len(msgspec.json.encode(request.schema.body))


def _prompt_tokens(request: Request) -> int:
    return math.ceil(n_bytes(request) / CHARS_PER_TOKEN)


def _n_bytes_of(text: str) -> int:
    """Bytes, not characters: a token of Chinese or Arabic holds about as many bytes as one of English."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
