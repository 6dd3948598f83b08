"""The budget: never more calls than allowed, money to the cent, and no stop before there must be one."""

import asyncio
from collections.abc import Awaitable, Iterable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rubricate.domain.conversation import Message
from rubricate.errors import RunStopped, SettingsError, Unavailable
from rubricate.llm.budget import EXPECTED_COMPLETION_TOKENS, Budget, BudgetChat
from rubricate.llm.chat import Reply, Request, Schema, Usage
from rubricate.llm.prices import Price, Prices
from rubricate.llm.scripted import ScriptedChat

DOLLAR = Prices({"m": Price(Decimal(0), Decimal(1_000_000))})
"""A completion token costs a dollar, the prompt nothing."""


def a_request(text: str = "hello", max_tokens: int | None = 1, model: str = "m") -> Request:
    return Request(model, (Message("user", text),), max_tokens=max_tokens)


async def all_of(asks: Iterable[Awaitable[Reply]]) -> list[Reply | BaseException]:
    """What became of each, in order; within five seconds, for nobody may wait for ever."""
    return await asyncio.wait_for(asyncio.gather(*asks, return_exceptions=True), 5)


class Gate:
    """A chat whose replies are let out one by one; `usage` is what every reply reports."""

    def __init__(self, usage: Usage):
        self.usage = usage
        self.asked: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
        self.n_inside = 0

    async def ask(self, request: Request) -> Reply:
        leave = asyncio.get_running_loop().create_future()
        self.n_inside += 1
        self.asked.put_nowait(leave)
        try:
            await leave
        finally:
            self.n_inside -= 1
        return Reply("ok", usage=self.usage)

    async def let_one_out(self, error: Exception | None = None) -> None:
        leave = await asyncio.wait_for(self.asked.get(), 5)
        if error is None:
            leave.set_result(None)
        else:
            leave.set_exception(error)


@given(st.integers(0, 12), st.lists(st.booleans(), max_size=25))
def test_calls_never_exceed_the_limit(max_calls, fates):
    """Whatever fails: the inner chat is asked min(limit, wanted) times, the rest is refused."""

    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0)
        if not fates[request.draw]:
            raise Unavailable("down")
        return Reply("ok")

    async def everything() -> list[object]:
        inner = ScriptedChat(answer)
        chat = BudgetChat(inner, Budget(DOLLAR, max_calls=max_calls))
        asks = [chat.ask(Request("m", (), draw=draw)) for draw in range(len(fates))]
        outcomes = await all_of(asks)
        assert len(inner.requests) == min(max_calls, len(fates))
        return outcomes

    outcomes = asyncio.run(everything())
    assert sum(isinstance(outcome, RunStopped) for outcome in outcomes) == max(0, len(fates) - max_calls)


@given(st.integers(0, 30), st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=20))
@settings(max_examples=50)
def test_money_is_settled_exactly_and_never_beyond_the_limit_when_estimates_hold(limit, calls):
    """With completions of at most `max_tokens`, what is spent is the sum of the real costs, within the
    limit; a failed call costs nothing; and no call is refused that alone would still have fitted."""

    async def answer(request: Request) -> Reply:
        for _ in range(request.draw % 3):
            await asyncio.sleep(0)
        real, fails = calls[request.draw]
        if fails:
            raise Unavailable("down")
        return Reply("ok", usage=Usage(0, real))

    async def everything() -> None:
        budget = Budget(DOLLAR, max_cost_usd=limit)
        chat = BudgetChat(ScriptedChat(answer), budget)
        requests = [Request("m", (), max_tokens=9, draw=draw) for draw in range(len(calls))]
        outcomes = await all_of(chat.ask(request) for request in requests)
        paid = sum(calls[i][0] for i, outcome in enumerate(outcomes) if isinstance(outcome, Reply))
        assert budget.spent_usd == paid <= limit
        if any(isinstance(outcome, RunStopped) for outcome in outcomes):
            assert paid + 9 > limit

    asyncio.run(everything())


@given(st.lists(st.integers(1, 10**6), max_size=30))
def test_many_small_costs_add_up_without_drift(tokens):
    """A tenth of a cent stays a tenth of a cent, however often."""

    async def everything() -> float:
        prices = Prices({"m": Price(Decimal("0.1"), Decimal("0.3"))})
        budget = Budget(prices)
        chat = BudgetChat(
            ScriptedChat(lambda r: Reply("", usage=Usage(tokens[r.draw], tokens[r.draw]))), budget
        )
        for draw in range(len(tokens)):
            await chat.ask(Request("m", (), draw=draw))
        return budget.spent_usd

    assert asyncio.run(everything()) == float(sum(tokens) * Decimal("0.4") / 1_000_000)


async def test_a_call_waits_for_room_instead_of_stopping_the_run():
    """Reserved is not spent: when calls in flight turn out cheaper, the next ones are admitted in order."""
    gate, budget = Gate(Usage(1, 1)), Budget(DOLLAR, max_cost_usd=11)
    chat = BudgetChat(gate, budget)
    asks = [asyncio.create_task(chat.ask(a_request(max_tokens=5))) for _ in range(4)]
    async with asyncio.timeout(5):
        first, second = await gate.asked.get(), await gate.asked.get()
        assert gate.n_inside == 2, "two times 5 of 11"
        first.set_result(None)
        third = await gate.asked.get()
        assert gate.n_inside == 2, "1 spent, two times 5 reserved"
        second.set_result(None)
        await asks[1]
        assert gate.n_inside == 1, "2 spent and 5 reserved leave no room for 5 more"
        third.set_result(None)
        (await gate.asked.get()).set_result(None)
        assert len(await asyncio.gather(*asks)) == 4
    assert budget.spent_usd == 4


async def test_the_run_stops_when_nothing_in_flight_can_make_room():
    """The message is one line with what was spent, the limit, and what to do."""
    budget = Budget(DOLLAR, max_cost_usd=10)
    chat = BudgetChat(ScriptedChat(lambda request: Reply("ok", usage=Usage(1, 8))), budget)
    await chat.ask(a_request(max_tokens=8))
    with pytest.raises(RunStopped) as caught:
        await chat.ask(a_request(max_tokens=3))
    for part in ("$8.0000", "$10", "$3.0000", "raise budget.max_cost_usd", "--resume"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (await chat.ask(a_request(max_tokens=2))).text == "ok", "a cheaper call may still fit"


async def test_those_who_wait_are_stopped_together_when_the_money_is_gone():
    """None waits for ever: the last call to settle decides for all."""
    gate = Gate(Usage(1, 10))
    chat = BudgetChat(gate, Budget(DOLLAR, max_cost_usd=10))
    asks = [asyncio.create_task(chat.ask(a_request(max_tokens=10))) for _ in range(5)]
    await gate.let_one_out()
    outcomes = await all_of(asks)
    assert [type(outcome) for outcome in outcomes] == [Reply] + [RunStopped] * 4


async def test_a_failed_call_gives_its_money_back():
    """Also to those who wait for it."""
    gate, budget = Gate(Usage(1, 10)), Budget(DOLLAR, max_cost_usd=10)
    chat = BudgetChat(gate, budget)
    asks = [asyncio.create_task(chat.ask(a_request(max_tokens=10))) for _ in range(2)]
    await gate.let_one_out(Unavailable("down"))
    await gate.let_one_out()
    outcomes = await all_of(asks)
    assert [type(outcome) for outcome in outcomes] == [Unavailable, Reply]
    assert budget.spent_usd == 10


@pytest.mark.parametrize("victim", [0, 1])
async def test_a_cancelled_call_holds_no_money(victim):
    """Neither one under way, nor one that waits, nor one that was just admitted."""
    gate, budget = Gate(Usage(1, 10)), Budget(DOLLAR, max_cost_usd=10)
    chat = BudgetChat(gate, budget)
    asks = [asyncio.create_task(chat.ask(a_request(max_tokens=10))) for _ in range(3)]
    await asyncio.sleep(0)
    asks[victim].cancel()
    if victim == 0:
        gate.asked.get_nowait()
        await asyncio.sleep(0)
        asks[1].cancel()  # it was admitted in this very moment and has not run since
    await gate.let_one_out()
    outcomes = await all_of(asks)
    assert sum(isinstance(outcome, Reply) for outcome in outcomes) == 1
    assert budget.spent_usd == 10


async def test_overshoot_is_no_more_than_the_estimate_error_of_what_is_in_flight():
    """Replies dearer than estimated are paid in full, and nothing more is asked after them."""

    async def answer(request: Request) -> Reply:
        await asyncio.sleep(0)
        return Reply("ok", usage=Usage(1, 7))

    inner, budget = ScriptedChat(answer), Budget(DOLLAR, max_cost_usd=10)
    chat = BudgetChat(inner, budget)
    outcomes = await all_of(chat.ask(a_request(max_tokens=5)) for _ in range(6))
    assert budget.spent_usd == 14
    assert [type(o) for o in outcomes] == [Reply] * 2 + [RunStopped] * 4
    assert len(inner.requests) == 2


async def test_a_completion_without_limit_is_expected_as_long_as_the_longest_so_far():
    """At first a fixed guess, then what the model was seen to do."""
    budget = Budget(DOLLAR, max_cost_usd=1e9)
    assert await budget.reserve(a_request("", max_tokens=None)) == EXPECTED_COMPLETION_TOKENS
    budget.settle(Decimal(EXPECTED_COMPLETION_TOKENS), "m", Usage(1, 5000))
    assert await budget.reserve(a_request("", max_tokens=None)) == 5000


@pytest.mark.parametrize("text", ["a" * 7000, "é" * 3500, "漢" * 2400])
async def test_the_prompt_is_estimated_by_its_bytes_and_the_schema_counts(text):
    """About 2,000 tokens in any script: more than such a text has for common tokenizers."""
    budget = Budget(Prices({"m": Price(Decimal(1_000_000), Decimal(0))}), max_cost_usd=1e9)
    assert 2000 <= await budget.reserve(a_request(text)) <= 2100
    with_schema = Request("m", (Message("user", text),), schema=Schema("s", {"type": "x" * 3500}))
    assert await budget.reserve(with_schema) > 3000


async def test_a_reply_without_counts_is_settled_with_its_estimate_and_said():
    """A server that reports no usage does not make the run look free."""
    budget = Budget(DOLLAR, max_cost_usd=10)
    await BudgetChat(ScriptedChat(lambda request: Reply("ok")), budget).ask(a_request(max_tokens=4))
    assert (budget.spent_usd, budget.n_estimated) == (4, 1)


async def test_an_unknown_price_is_an_error_under_a_limit_and_counted_without_one():
    """Never a silent 0."""
    limited, free = Budget(DOLLAR, max_cost_usd=1), Budget(DOLLAR)
    with pytest.raises(SettingsError, match=r"a, b is unknown.*budget\.prices"):
        limited.check(["m", "b", "a", "b"])
    with pytest.raises(SettingsError, match="other"):
        await limited.reserve(a_request(model="other"))
    limited.check(["m", "acme/m"])
    free.check(["other"])
    await BudgetChat(ScriptedChat(lambda request: "ok"), free).ask(a_request(model="other"))
    assert (free.spent_usd, free.n_unpriced) == (0, 1)


@pytest.mark.parametrize(
    "limits", [{"max_calls": -1}, {"max_cost_usd": -0.1}, {"max_cost_usd": float("nan")}]
)
def test_a_limit_that_is_none_is_refused(limits):
    """Negative calls, negative money, not a number."""
    with pytest.raises(SettingsError, match=next(iter(limits))):
        Budget(DOLLAR, **limits)
