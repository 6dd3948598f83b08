"""The laws of trying again, with a clock and dice of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Message
from rubricate.errors import (
    AccountError,
    BadAnswer,
    BadRequest,
    ChatError,
    ChatTimeout,
    RateLimited,
    RunStopped,
    ServerFault,
    Unavailable,
)
from rubricate.llm.chat import Reply, Request
from rubricate.llm.retry import RetryChat
from rubricate.llm.scripted import ScriptedChat
from rubricate.llm.throttle import ThrottledChat

ASKED = Request("m", (Message("user", "Is it so?"),))


class Sleeps:
    """A clock that only counts; `waits` are the sleeps in order."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


def failing(*failures: Exception) -> ScriptedChat:
    """A chat that fails so, one after the other, and then answers."""
    left = list(failures)

    def answer(request: Request) -> str:
        if left:
            raise left.pop(0)
        return "yes"

    return ScriptedChat(answer)


def always(failure: Callable[[], Exception]) -> ScriptedChat:
    def answer(request: Request) -> str:
        raise failure()

    return ScriptedChat(answer)


@pytest.mark.parametrize("kind", [ChatTimeout, RateLimited, Unavailable, ServerFault, BadAnswer])
async def test_what_may_go_through_later_is_asked_again(kind: type[ChatError]) -> None:
    """Every retryable class is, and the counts say so by class."""
    sleeps = Sleeps()
    inner = failing(kind("x"), kind("x"))
    chat = RetryChat(inner, sleep=sleeps)
    assert await chat.ask(ASKED) == Reply("yes")
    assert inner.requests == [ASKED] * 3
    assert chat.counts.retries == {kind.__name__: 2} and chat.counts.gave_up == {}
    assert chat.counts.slept_s == pytest.approx(sum(sleeps.waits))


@pytest.mark.parametrize(
    "failure", [BadRequest("x"), AccountError("x"), RunStopped("x"), ZeroDivisionError()]
)
async def test_what_will_fail_again_is_not(failure: Exception) -> None:
    """Refusals, wrong keys, a stopped run and bugs pass at once."""
    inner = failing(failure)
    with pytest.raises(type(failure)):
        await RetryChat(inner, sleep=Sleeps()).ask(ASKED)
    assert len(inner.requests) == 1


@pytest.mark.parametrize("kind", [ServerFault, BadAnswer, ChatTimeout])
async def test_what_the_question_may_have_caused_gets_few_tries(kind: type[ChatError]) -> None:
    """Three by default; then the last failure is raised as it came."""
    inner = always(lambda: kind("x"))
    chat = RetryChat(inner, sleep=Sleeps())
    with pytest.raises(kind):
        await chat.ask(ASKED)
    assert len(inner.requests) == 3
    assert chat.counts.retries == {kind.__name__: 2} and chat.counts.gave_up == {kind.__name__: 1}


async def test_tries_are_counted_by_their_kind() -> None:
    """Outages and limits on the way use up no tries; silence has a number of its own."""
    failures = [Unavailable("x"), RateLimited("x"), ChatTimeout("x"), ServerFault("x"), BadAnswer("x")] * 2
    chat = RetryChat(failing(*failures), tries=5, silent_tries=3, sleep=Sleeps())
    assert (await chat.ask(ASKED)).text == "yes"
    for kind, n_tries in ((ServerFault, 5), (ChatTimeout, 3)):
        inner = always(lambda kind=kind: kind("x"))  # type: ignore[misc]
        with pytest.raises(kind):
            await RetryChat(inner, tries=5, silent_tries=3, sleep=Sleeps()).ask(ASKED)
        assert len(inner.requests) == n_tries


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 40))
def test_back_off_is_jittered_within_its_bounds(chance: float, n_failures: int) -> None:
    """The n-th wait is above 0 and at most min(cap, base * 2**n)."""
    sleeps = Sleeps()
    failures = [Unavailable("x") for _ in range(n_failures)]
    chat = RetryChat(
        failing(*failures), patience_s=1e9, first_patience_s=1e9, sleep=sleeps, chance=lambda: chance
    )
    asyncio.run(chat.ask(ASKED))
    for n, wait in enumerate(sleeps.waits):
        assert 0 < wait <= min(30.0, 0.5 * 2**n)
        assert wait == pytest.approx((1 - chance) * min(30.0, 0.5 * 2**n))


@given(st.floats(0, 1e6), st.floats(0, 1, exclude_max=True))
def test_the_server_is_not_asked_earlier_than_it_asked_for(retry_after_s: float, chance: float) -> None:
    """Retry-After is kept, never shortened, lengthened by a tenth at most (or the back-off), bounded by
    two minutes."""
    sleeps = Sleeps()
    chat = RetryChat(
        failing(RateLimited("x", retry_after_s)), patience_s=1e9, sleep=sleeps, chance=lambda: chance
    )
    asyncio.run(chat.ask(ASKED))
    asked_s = min(retry_after_s, 120.0)
    assert asked_s <= sleeps.waits[0] <= max(asked_s * 1.1, 0.5)


@pytest.mark.parametrize("retry_after_s", [None, 0.0, 7.0])
async def test_patience_bounds_the_waits_of_a_call(retry_after_s: float | None) -> None:
    """An outage is waited out for `patience_s` in all, never longer, and the end is an error, not a loop."""
    sleeps = Sleeps()
    inner = failing(*[RateLimited("x", retry_after_s) for _ in range(100_000)])
    with pytest.raises(RateLimited):
        await RetryChat(inner, patience_s=100.0, sleep=sleeps).ask(ASKED)
    assert 100.0 - 30.0 < sum(sleeps.waits) <= 100.0


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.999])
async def test_patience_is_used_to_its_end(chance: float) -> None:
    """However the waits are drawn, the last try is made when patience ends and not when the next wait would
    pass it: an outage that is shorter than it is survived by every call."""
    sleeps = Sleeps()
    chat = RetryChat(
        always(lambda: Unavailable("x")), first_patience_s=30.0, sleep=sleeps, chance=lambda: chance
    )
    with pytest.raises(Unavailable):
        await chat.ask(ASKED)
    assert sum(sleeps.waits) == pytest.approx(30.0)


async def test_an_endpoint_that_never_answered_gets_less_patience() -> None:
    """A wrong address is told soon; once an answer came through, an outage is waited out."""
    sleeps = Sleeps()
    chat = RetryChat(always(lambda: Unavailable("x")), patience_s=900.0, first_patience_s=60.0, sleep=sleeps)
    with pytest.raises(Unavailable):
        await chat.ask(ASKED)
    assert sum(sleeps.waits) <= 60.0

    left = iter([None] + [Unavailable("x")] * 100_000)

    def answer(request: Request) -> str:
        if (failure := next(left)) is not None:
            raise failure
        return "yes"

    sleeps = Sleeps()
    chat = RetryChat(ScriptedChat(answer), patience_s=900.0, first_patience_s=60.0, sleep=sleeps)
    await chat.ask(ASKED)
    with pytest.raises(Unavailable):
        await chat.ask(ASKED)
    assert 800.0 < sum(sleeps.waits) <= 900.0


async def test_who_sleeps_holds_no_slot() -> None:
    """While one call waits for its next try, another goes through the only slot."""
    asleep, wake = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        asleep.set()
        await wake.wait()

    throttled = ThrottledChat(failing(Unavailable("x")), 1)
    chat = RetryChat(throttled, sleep=sleep)
    first = asyncio.create_task(chat.ask(ASKED))
    await asleep.wait()
    assert throttled.counts.in_flight == 0
    assert (await chat.ask(ASKED)).text == "yes"
    assert not first.done()
    wake.set()
    assert (await first).text == "yes"


async def test_a_sleeping_call_can_be_cancelled() -> None:
    """Cancelling ends the wait at once and asks nothing more."""
    asleep = asyncio.Event()

    async def sleep(seconds: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    inner = failing(Unavailable("x"))
    call = asyncio.create_task(RetryChat(inner, sleep=sleep).ask(ASKED))
    await asleep.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(inner.requests) == 1
