"""Calls that are made elsewhere keep to one account: permits in turn, one window, one budget, none lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable
from decimal import Decimal

import pytest

from rubricate.domain.conversation import Message
from rubricate.errors import RateLimited, RubricateError, RunStopped, Unavailable
from rubricate.llm.budget import Budget, BudgetChat
from rubricate.llm.chat import Chat, Reply, Request, Usage
from rubricate.llm.leases import Desk, Done, LeasedChat, Lender, Want
from rubricate.llm.prices import Price, Prices
from rubricate.llm.scripted import ScriptedChat
from rubricate.llm.throttle import ThrottledChat


def a_request(model: str = "m", draw: int = 0) -> Request:
    """A question."""
    return Request(model, (Message("user", "Who is it?"),), draw=draw)


class Office:
    """A lender and the desks of some workers, with no wire between them."""

    def __init__(self, link: Callable[[Chat, str], Chat]):
        self.granted: Counter[Hashable] = Counter()
        self.failures: list[RubricateError] = []
        self.lender = Lender(link, self._grant, self.failures.append)
        self.desks = {name: Desk(self._passed_on(name)) for name in "abc"}

    def chat(self, worker: str, inner: Chat, line: str = "line") -> LeasedChat:
        return LeasedChat(inner, self.desks[worker], line)

    def _grant(self, borrower: Hashable, number: int) -> None:
        self.granted[borrower] += 1
        self.desks[str(borrower)].grant(number)

    def _passed_on(self, name: str) -> Callable[[Want | Done], None]:
        def send(word: Want | Done) -> None:
            if isinstance(word, Want):
                self.lender.want(name, word)
            else:
                self.lender.done(name, word)

        return send


class Slow:
    """A chat that answers when it is told to, and counts who is inside."""

    def __init__(self) -> None:
        self.inside = self.peak = 0
        self.go = asyncio.Event()

    async def ask(self, request: Request) -> Reply:
        self.inside += 1
        self.peak = max(self.peak, self.inside)
        try:
            await self.go.wait()
        finally:
            self.inside -= 1
        return Reply("yes", usage=Usage(10, 2))


async def _settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_calls_in_flight_are_those_of_the_account():
    """Three workers with ten calls each have four in flight together, and all are answered."""
    office, slow = Office(lambda inner, line: ThrottledChat(inner, 4)), Slow()
    calls = [
        asyncio.create_task(office.chat(worker, slow).ask(a_request())) for _ in range(10) for worker in "abc"
    ]
    await _settled()
    assert slow.inside == 4
    slow.go.set()
    assert [reply.text for reply in await asyncio.gather(*calls)] == ["yes"] * 30
    await _settled()
    assert (slow.peak, office.lender.n_leases) == (4, 0)


async def test_what_one_is_told_slows_all():
    """A 429 to one worker halves the window of all, with the wait that it was asked for."""
    throttles: list[ThrottledChat] = []

    def link(inner: Chat, line: str) -> Chat:
        throttles.append(ThrottledChat(inner, 8))
        return throttles[-1]

    office, slow = Office(link), Slow()

    def limit(request: Request) -> Reply:
        raise RateLimited("slow down", 7.0)

    limited = ScriptedChat(limit)
    with pytest.raises(RateLimited) as told:
        await office.chat("a", limited).ask(a_request())
    assert told.value.retry_after_s == 7.0
    calls = [asyncio.create_task(office.chat("b", slow).ask(a_request())) for _ in range(8)]
    await _settled()
    assert (slow.inside, throttles[0].counts.window) == (4, 4)
    slow.go.set()
    await asyncio.gather(*calls)


async def test_the_permits_of_a_dead_worker_come_back():
    """Granted or waited for: the others get their turn, and nothing stays."""
    office, dead, alive = Office(lambda inner, line: ThrottledChat(inner, 2)), Slow(), Slow()
    lost = [asyncio.create_task(office.chat("a", dead).ask(a_request())) for _ in range(5)]
    await _settled()
    rest = [asyncio.create_task(office.chat("b", alive).ask(a_request())) for _ in range(3)]
    await _settled()
    assert (dead.inside, alive.inside) == (2, 0)
    office.lender.drop("a")
    await _settled()
    assert alive.inside == 2
    alive.go.set()
    await asyncio.gather(*rest)
    for task in lost:
        task.cancel()
    await asyncio.gather(*lost, return_exceptions=True)
    await _settled()
    assert office.lender.n_leases == 0


async def test_who_is_cancelled_gives_back():
    """A call that is given up while it waits, or while it is under way, leaves no permit behind."""
    office, slow = Office(lambda inner, line: ThrottledChat(inner, 1)), Slow()
    tasks = [asyncio.create_task(office.chat("a", slow).ask(a_request())) for _ in range(3)]
    await _settled()
    for task in (tasks[1], tasks[0]):
        task.cancel()
    await _settled()
    assert slow.inside == 1
    slow.go.set()
    assert (await tasks[2]).text == "yes"
    await _settled()
    assert office.lender.n_leases == 0


async def test_the_budget_is_kept_to_the_call():
    """Of ten calls of three workers under a limit of four, four are made; the lender hears that it is spent,
    and a failed call has its place among them all the same."""
    budget = Budget(Prices(), max_calls=4)
    office = Office(lambda inner, line: BudgetChat(inner, budget))
    asked: list[str] = []

    def answer(request: Request) -> Reply:
        asked.append(request.key)
        if len(asked) == 1:
            raise Unavailable("gone")
        return Reply("yes")

    chat = ScriptedChat(answer)
    tasks = [asyncio.create_task(office.chat("abc"[n % 3], chat).ask(a_request(draw=n))) for n in range(10)]
    await _settled()
    assert len(asked) == 4
    assert {type(failure) for failure in office.failures} == {RunStopped}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_money_is_counted_as_by_a_chain_of_ones_own():
    """The size of a question is all that the lender knows of it, and all that it needs."""
    prices = Prices(models={"m": Price(Decimal(2), Decimal(8))})
    sums = []
    for is_leased in (False, True):
        budget = Budget(prices, max_cost_usd=1.0)
        office = Office(lambda inner, line, budget=budget: BudgetChat(inner, budget))
        inner = ScriptedChat(lambda request: Reply("yes", usage=Usage(1000, 50)))
        chat = office.chat("a", inner) if is_leased else BudgetChat(inner, budget)
        reserved = await budget.reserve(a_request(model="m"))
        budget.release(reserved)
        await chat.ask(a_request(model="m"))
        await _settled()
        sums.append((budget.spent_usd, budget.n_calls))
    assert sums[0] == sums[1]
