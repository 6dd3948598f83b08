"""The laws of the throttle: never more in flight than the window, in order, and no slot ever lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rubricate.domain.conversation import Message
from rubricate.errors import ChatError, RateLimited, SettingsError, Unavailable
from rubricate.llm.chat import Reply, Request, Usage
from rubricate.llm.pace import Pace
from rubricate.llm.scripted import ScriptedChat
from rubricate.llm.throttle import ThrottledChat


def asked(number: int = 0, text: str = "Is it so?") -> Request:
    return Request("m", (Message("user", text),), draw=number)


class Gate:
    """A chat whose calls wait until the test lets them go, each with its own end."""

    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[Reply]] = {}
        self.order: list[int] = []

    async def ask(self, request: Request) -> Reply:
        self.order.append(request.draw)
        self.waiting[request.draw] = asyncio.get_running_loop().create_future()
        try:
            return await self.waiting[request.draw]
        finally:
            del self.waiting[request.draw]

    def let_go(self, number: int, failure: ChatError | None = None) -> None:
        if self.waiting[number].done():
            return
        if failure is None:
            self.waiting[number].set_result(Reply("yes"))
        else:
            self.waiting[number].set_exception(failure)


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


async def settle() -> None:
    """Lets everything that can run do so; nothing here waits for time."""
    for _ in range(25):
        await asyncio.sleep(0)


async def test_calls_enter_in_the_order_of_asking() -> None:
    """First come, first served, and never more than `workers` at once."""
    gate = Gate()
    chat = ThrottledChat(gate, 3)
    calls = [asyncio.create_task(chat.ask(asked(number))) for number in range(10)]
    await settle()
    assert sorted(gate.waiting) == [0, 1, 2]
    for number in range(10):
        gate.let_go(number)
        await settle()
    await asyncio.gather(*calls)
    assert gate.order == list(range(10))
    assert chat.counts.peak == 3 and chat.counts.in_flight == 0


async def test_a_burst_of_429_halves_the_window_once() -> None:
    """Calls that were on their way when it was halved bring no news; a later one halves it again."""
    gate = Gate()
    chat = ThrottledChat(gate, 8)
    calls = [asyncio.create_task(chat.ask(asked(number))) for number in range(20)]
    await settle()
    for number in range(8):
        gate.let_go(number, RateLimited("x"))
    await settle()
    assert (chat.counts.window, chat.counts.halvings) == (4, 1)
    assert sorted(gate.waiting) == [8, 9, 10, 11]
    gate.let_go(9, RateLimited("x"))
    await settle()
    assert (chat.counts.window, chat.counts.halvings, chat.counts.in_flight) == (2, 2, 3)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_the_window_recovers_and_no_further() -> None:
    """One more for each windowful of replies, up to `workers`; never below one."""
    left = [RateLimited("x")] * 5

    def answer(request: Request) -> str:
        if left:
            raise left.pop()
        return "yes"

    chat = ThrottledChat(ScriptedChat(answer), 4)
    for _ in range(5):
        with pytest.raises(RateLimited):
            await chat.ask(asked())
    assert chat.counts.window == 1
    windows = []
    for _ in range(30):
        await chat.ask(asked())
        windows.append(chat.counts.window)
    assert windows == sorted(windows) and windows[0] == 2 and windows[-1] == 4


async def test_other_failures_leave_the_window_alone() -> None:
    """Only a 429 says that it is too much."""
    gate = Gate()
    chat = ThrottledChat(gate, 4)
    call = asyncio.create_task(chat.ask(asked(0)))
    await settle()
    gate.let_go(0, Unavailable("x"))
    with pytest.raises(Unavailable):
        await call
    assert (chat.counts.window, chat.counts.in_flight) == (4, 0)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 5),
    st.lists(st.sampled_from(["ask", "reply", "429", "503", "cancel"]), max_size=60),
    st.integers(0, 1_000_000),
)
def test_no_slot_is_lost_and_none_is_made(workers: int, steps: list[str], seed: int) -> None:
    """Whatever is asked, answered, refused or cancelled (waiting or in flight), in flight is never more
    than `workers`, no call enters above the window, and in the end everything is free and usable."""

    async def play() -> None:
        chance = random.Random(seed)
        gate = Gate()
        chat = ThrottledChat(gate, workers)
        calls: list[asyncio.Task[Reply]] = []
        for step in steps:
            if step == "ask":
                calls.append(asyncio.create_task(chat.ask(asked(len(calls)))))
            elif step == "cancel" and calls:
                chance.choice(calls).cancel()
            elif gate.waiting and step != "cancel":
                failure = {"429": RateLimited("x"), "503": Unavailable("x")}.get(step)
                gate.let_go(chance.choice(sorted(gate.waiting)), failure)
            if chance.random() < 0.7:
                before = len(gate.order)
                await settle()
                assert len(gate.waiting) == chat.counts.in_flight <= workers
                assert len(gate.order) == before or len(gate.waiting) <= chat.counts.window
        while not all(call.done() for call in calls):
            for number in list(gate.waiting):
                gate.let_go(number)
            await settle()
        await asyncio.gather(*calls, return_exceptions=True)
        assert chat.counts.in_flight == 0 and chat.counts.peak <= workers
        assert not gate.waiting
        last = asyncio.create_task(chat.ask(asked(-1)))
        await settle()
        gate.let_go(-1)
        assert (await last).text == "yes"

    asyncio.run(play())


def paced(
    clock: Clock, answer: Callable[[Request], Reply | Awaitable[Reply]], **limits: float
) -> ThrottledChat:
    return ThrottledChat(ScriptedChat(answer), 100, clock=clock, sleep=clock.sleep, **limits)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 300), st.integers(1, 60))
def test_no_minute_holds_more_requests_than_allowed(rpm: int, n_calls: int) -> None:
    """In any 60 seconds at most `rpm` calls start, and no slower than that."""
    clock, starts = Clock(), []

    def answer(request: Request) -> Reply:
        starts.append(clock.now)
        return Reply("yes")

    async def play() -> None:
        chat = paced(clock, answer, rpm=rpm)
        await asyncio.gather(*(chat.ask(asked(number)) for number in range(n_calls)))

    asyncio.run(play())
    for start in starts:
        assert sum(start <= other < start + 60.0 - 1e-6 for other in starts) <= rpm
    assert starts[-1] - starts[0] == pytest.approx((n_calls - 1) * 60.0 / rpm)


async def test_tokens_per_minute_follow_the_servers_count() -> None:
    """However wrong the guess from the text is, the rate comes out as the server counts."""
    clock = Clock()
    chat = paced(clock, lambda request: Reply("yes", usage=Usage(900, 100)), tpm=60_000)
    for number in range(61):
        await chat.ask(asked(number))
    assert clock.now - 1000.0 == pytest.approx(60.0, rel=0.05)


def test_an_idle_pace_saves_nothing_up() -> None:
    """After a pause the calls are paced as before, without a burst."""
    pace = Pace(60)
    pace.start(1, 0.0)
    assert pace.wait_s(0.0) == 1.0
    assert pace.wait_s(100.0) == 0.0
    pace.start(1, 100.0)
    assert pace.wait_s(100.0) == 1.0


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"workers": 1, "rpm": 0}, {"workers": 1, "tpm": -1}])
def test_limits_that_let_nothing_through_are_refused(wrong: dict[str, int]) -> None:
    """A throttle that would never let a call through is a mistake of the settings."""
    with pytest.raises(SettingsError):
        ThrottledChat(Gate(), **wrong)  # type: ignore[arg-type]


class Limiter:
    """A server that takes so many calls a second, on the clock of the test, and says when to come again."""

    def __init__(self, per_s: float, clock: Clock, takes_s: float):
        self._gap_s, self._clock, self._takes_s = 1 / per_s, clock, takes_s
        self._free_at, self.n_refused, self.accepted = 0.0, 0, list[float]()

    async def ask(self, request: Request) -> Reply:
        if self._clock.now < self._free_at - 1e-9:
            self.n_refused += 1
            raise RateLimited("too fast", self._free_at - self._clock.now)
        self._free_at = self._clock.now + self._gap_s
        self.accepted.append(self._clock.now)
        await self._clock.sleep(self._takes_s)
        return Reply("yes")


@pytest.mark.parametrize("per_s", [2.0, 10.0, 50.0])
async def test_it_settles_near_a_limit_below_one_call_at_a_time(per_s: float) -> None:
    """A quick server with a low limit: the gap between starts takes the window's place, so that most of the
    limit is used, and few calls are sent in vain."""
    clock = Clock()
    server = Limiter(per_s, clock, takes_s=0.001)
    throttle = ThrottledChat(server, 8, clock=clock, sleep=clock.sleep)
    for number in range(400):
        while True:
            try:
                await throttle.ask(asked(number))
                break
            except RateLimited as limited:
                await clock.sleep(limited.retry_after_s or 0.0)
    later = server.accepted[100:]
    assert (len(later) - 1) / (later[-1] - later[0]) > 0.75 * per_s
    assert server.n_refused < 0.45 * 400
    assert throttle.counts.gap_s > 0 and throttle.counts.window == 1


async def test_a_gap_is_given_up_again() -> None:
    """Once the limit is gone, calls soon go as fast as before."""
    clock = Clock()
    server = Limiter(5.0, clock, takes_s=0.001)
    throttle = ThrottledChat(server, 8, clock=clock, sleep=clock.sleep)
    for number in range(60):
        with contextlib.suppress(RateLimited):
            await throttle.ask(asked(number))
    assert throttle.counts.gap_s > 0.05
    server._gap_s = server._free_at = 0.0
    for number in range(100):
        await throttle.ask(asked(number))
    assert throttle.counts.gap_s == 0 and throttle.counts.window > 4
