"""The laws of the second call: when it is sent, how many there are, whose answer counts, and what is left."""

from __future__ import annotations

import asyncio
import random

import pytest

from rubricate.domain.conversation import Message
from rubricate.errors import AccountError, ChatError, RateLimited, RubricateError, Unavailable
from rubricate.llm.chat import Reply, Request, Schema
from rubricate.llm.hedge import HedgedChat, first_answer


def asked(number: int = 0, model: str = "m", kind: str | None = None) -> Request:
    schema = Schema(kind, {}) if kind else None
    return Request(model, (Message("user", "Is it so?"),), schema=schema, draw=number)


class Time:
    """A clock that stands until the test lets it pass, and wakes who sleeps as it does."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, woken))
        await woken

    async def passes(self, seconds: float) -> None:
        """In steps as short as the shortest sleep, with room for everybody to act in between."""
        end = self.now + seconds
        await settled()
        while due := [at for at, woken in self._sleepers if at <= end and not woken.done()]:
            self.now = max(self.now, min(due))
            for at, woken in self._sleepers:
                if at <= self.now and not woken.done():
                    woken.set_result(None)
            await settled()
        self.now = end

    def jumps(self, seconds: float) -> None:
        """Time in which nobody of this process was awake."""
        self.now += seconds


async def settled() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


class Server:
    """Calls wait until the test answers them; `sent` has the number of each sending, in order."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.open: list[tuple[int, asyncio.Future[Reply]]] = []
        self.n_cancelled = 0

    async def ask(self, request: Request) -> Reply:
        self.sent.append(request.draw)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.open.append((request.draw, answer))
        try:
            return await answer
        except asyncio.CancelledError:
            self.n_cancelled += 1
            raise

    def answer(self, number: int, said: str | ChatError = "yes", sending: int = 0) -> None:
        answer = [answer for draw, answer in self.open if draw == number][sending]
        if isinstance(said, str):
            answer.set_result(Reply(said))
        else:
            answer.set_exception(said)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def server() -> Server:
    return Server()


async def known(chat: HedgedChat, server: Server, time: Time, seconds: float = 1.0, n: int = 10) -> None:
    """A model that has answered n calls, each after so many seconds, one after the other."""
    for number in range(1000, 1000 + n):
        call = asyncio.create_task(chat.ask(asked(number)))
        await time.passes(seconds)
        server.answer(number)
        await call
    server.sent.clear()


def hedged(server: Server, time: Time, **more: float) -> HedgedChat:
    return HedgedChat(server, clock=time, sleep=time.sleep, **more)  # type: ignore[arg-type]


async def test_a_call_that_waits_far_longer_than_its_like_is_sent_again(time: Time, server: Server) -> None:
    """At four times what its like takes, while others are answered, and not before; the first answer is the
    reply, and the other call is cancelled."""
    chat = hedged(server, time)
    await known(chat, server, time)
    lost = asyncio.create_task(chat.ask(asked(1)))
    for number in (2, 3, 4, 5):
        other = asyncio.create_task(chat.ask(asked(number)))
        await time.passes(0.9)
        server.answer(number)
        await other
    assert server.sent.count(1) == 1
    other = asyncio.create_task(chat.ask(asked(6)))
    await time.passes(0.6)
    assert server.sent.count(1) == 2
    server.answer(1, "the second", sending=1)
    assert (await lost).text == "the second"
    assert server.n_cancelled == 1
    server.answer(6)
    await other
    assert (chat.counts.hedges, chat.counts.won) == (1, 1)


async def test_the_first_call_may_still_win(time: Time, server: Server) -> None:
    """Then the second one is cancelled, and nothing of it is left."""
    chat = hedged(server, time)
    await known(chat, server, time)
    call = asyncio.create_task(chat.ask(asked(1)))
    await time.passes(20)
    assert server.sent == [1, 1]
    server.answer(1, "the first")
    assert (await call).text == "the first"
    await settled()
    assert server.n_cancelled == 1 and (chat.counts.hedges, chat.counts.won) == (1, 0)
    await time.passes(1)
    assert len(asyncio.all_tasks()) == 1


async def test_a_slow_model_is_not_hurried(time: Time, server: Server) -> None:
    """A model that takes 60 s for everything is asked once a question, from the first call on, also where a
    few answers come early."""
    chat = hedged(server, time, unknown_s=100.0, floor_s=2.0)
    calls = [asyncio.create_task(chat.ask(asked(number))) for number in range(64)]
    await time.passes(2)
    for number in range(3):
        server.answer(number)
    await time.passes(58)
    for number in range(3, 64):
        server.answer(number)
    await asyncio.gather(*calls)
    for number in range(64, 80):
        call = asyncio.create_task(chat.ask(asked(number)))
        await time.passes(60)
        server.answer(number)
        await call
    assert chat.counts.hedges == 0


async def test_the_first_calls_of_all_may_be_lost(time: Time, server: Server) -> None:
    """Two of the first sixteen are never answered: they are sent again once the others have shown what is
    usual; and one lost call of which nothing is known, after `unknown_s`."""
    chat = hedged(server, time)
    calls = [asyncio.create_task(chat.ask(asked(number))) for number in range(16)]
    await time.passes(1)
    for number in range(14):
        server.answer(number)
    await time.passes(20)
    assert server.sent[16:] == [14, 15]
    for number in (14, 15):
        server.answer(number, sending=1)
    await asyncio.gather(*calls)

    alone = asyncio.create_task(chat.ask(asked(99, "another model")))
    await time.passes(59)
    assert server.sent.count(99) == 1
    await time.passes(2)
    assert server.sent.count(99) == 2
    server.answer(99, sending=1)
    await alone


async def test_each_kind_has_its_own_time(time: Time, server: Server) -> None:
    """Quick gradings do not hurry a rubric, of the same model or another."""
    chat = hedged(server, time)
    await known(chat, server, time, 0.5, 50)
    slow = [asyncio.create_task(chat.ask(asked(1, kind="rubric")))]
    slow += [asyncio.create_task(chat.ask(asked(2, model="other")))]
    await time.passes(30)
    assert server.sent == [1, 2]
    for number in (1, 2):
        server.answer(number)
    await asyncio.gather(*slow)


async def test_extra_calls_are_bounded(time: Time, server: Server) -> None:
    """Of calls that are all overdue, only the few and the share are sent again; none with a share of 0; and
    no call more than three times."""
    chat = hedged(server, time, share=0.1, few=2, floor_s=4.0)
    await known(chat, server, time, n=70)
    calls = [asyncio.create_task(chat.ask(asked(number))) for number in range(10)]
    await time.passes(1000)
    assert chat.counts.hedges == 2 + int(0.1 * 80)
    assert max(server.sent.count(number) for number in range(10)) <= 4
    for number in range(10):
        server.answer(number)
    await asyncio.gather(*calls)

    server.open.clear()
    off = hedged(server, time, share=0.0, floor_s=4.0)
    await known(off, server, time)
    call = asyncio.create_task(off.ask(asked(1)))
    await time.passes(1000)
    assert server.sent == [1]
    server.answer(1)
    await call


async def test_a_second_call_may_be_lost_too(time: Time, server: Server) -> None:
    """Then there is a third one."""
    chat = hedged(server, time)
    await known(chat, server, time, n=30)
    call = asyncio.create_task(chat.ask(asked(1)))
    await time.passes(40)
    assert server.sent.count(1) >= 3
    server.answer(1, "the third", sending=2)
    assert (await call).text == "the third"


async def test_a_server_that_answers_nobody_gets_more_time(time: Time, server: Server) -> None:
    """While no call at all is answered it is busy rather than one call lost: four times the patience."""
    chat = hedged(server, time)
    await known(chat, server, time)
    call = asyncio.create_task(chat.ask(asked(1)))
    await time.passes(15.5)
    assert server.sent == [1]
    await time.passes(1)
    assert server.sent == [1, 1]
    server.answer(1)
    await call


async def test_a_pause_of_ours_is_not_held_against_the_server(time: Time, server: Server) -> None:
    """Where this process itself was not awake, answers may be waiting to be read."""
    chat = hedged(server, time)
    await known(chat, server, time)
    call = asyncio.create_task(chat.ask(asked(1)))
    await settled()
    time.jumps(3600)
    await time.passes(0.0)
    assert server.sent == [1]
    server.answer(1)
    assert (await call).text == "yes"
    assert chat.counts.hedges == 0


@pytest.mark.parametrize("share", [0.0, 0.05])
async def test_a_failure_passes_as_it_is(time: Time, server: Server, share: float) -> None:
    """A hedge is no retry: what fails, fails."""
    chat = hedged(server, time, share=share)
    call = asyncio.create_task(chat.ask(asked(1)))
    await settled()
    failure = RateLimited("429")
    server.answer(1, failure)
    with pytest.raises(RateLimited) as raised:
        await call
    assert raised.value is failure and server.sent == [1]


async def test_of_two_calls_one_may_fail(time: Time, server: Server) -> None:
    """A passing failure of the second leaves the first one waiting; one of the first waits for the second;
    one that no other call escapes ends both."""
    chat = hedged(server, time, share=1.0)
    await known(chat, server, time)
    for failing, answering in ((1, 0), (0, 1)):
        server.open.clear()
        call = asyncio.create_task(chat.ask(asked(1)))
        await time.passes(17)
        server.answer(1, Unavailable("503"), sending=failing)
        await settled()
        server.answer(1, "in the end", sending=answering)
        assert (await call).text == "in the end"
    server.open.clear()
    call = asyncio.create_task(chat.ask(asked(1)))
    await time.passes(17)
    server.answer(1, AccountError("401"), sending=1)
    with pytest.raises(AccountError):
        await call


async def test_cancelling_the_caller_cancels_all_its_calls(time: Time, server: Server) -> None:
    """Also when the second one is answered at that very moment: whoever is cancelled is cancelled."""
    chat = hedged(server, time)
    await known(chat, server, time)
    for answered_too in (False, True):
        server.open.clear()
        call = asyncio.create_task(chat.ask(asked(1)))
        await time.passes(17)
        if answered_too:
            server.answer(1, sending=1)
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    await settled()
    await time.passes(1)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_every_call_has_one_end(seed: int) -> None:
    """Under random times, losses, failures and cancellations on the real clock: each call ends in its own
    answer, its own failure or its cancellation; no task of the chat is left; the bound holds."""
    chance = random.Random(seed)

    async def answer(request: Request) -> Reply:
        await asyncio.sleep(10 if chance.random() < 0.1 else 0.001 * chance.random())
        if chance.random() < 0.1:
            raise Unavailable("503")
        return Reply(str(request.draw))

    class Inner:
        async def ask(self, request: Request) -> Reply:
            return await answer(request)

    chat = HedgedChat(Inner(), share=0.3, unknown_s=0.02, floor_s=0.004)

    async def one(number: int) -> str:
        try:
            async with asyncio.timeout(0.5 if number % 7 else 0.003):
                return (await chat.ask(asked(number))).text
        except (RubricateError, TimeoutError) as failure:
            return type(failure).__name__

    ends = await asyncio.gather(*(one(number) for number in range(150)))
    for number, end in enumerate(ends):
        assert end in (str(number), "Unavailable", "TimeoutError")
    assert sum(end.isdigit() for end in ends) > 100
    assert 0 < chat.counts.hedges <= 4 + 0.3 * 150
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) == 1


async def test_the_first_of_several_answers() -> None:
    """What is not answered is sent again after each wait; the first outcome counts, an error too, and nothing
    is left behind."""
    n_sent = 0

    async def ask() -> Reply:
        nonlocal n_sent
        n_sent += 1
        if n_sent < 3:
            await asyncio.Event().wait()
        return Reply(str(n_sent))

    assert (await first_answer(ask, (0.01, 0.01, 30.0))).text == "3"
    await settled()
    assert len(asyncio.all_tasks()) == 1

    async def fail() -> Reply:
        raise Unavailable("503")

    with pytest.raises(Unavailable):
        await first_answer(fail, (30.0,))
