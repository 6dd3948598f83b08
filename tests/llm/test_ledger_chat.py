"""The chat that never pays twice: what is known is free, what is asked at once is asked once."""

import asyncio
import itertools
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rubricate.domain.conversation import Message
from rubricate.errors import BadRequest, ChatError, RunError, Unavailable
from rubricate.llm.chat import Reply, Request, Usage
from rubricate.llm.ledger import LedgerChat
from rubricate.llm.scripted import ScriptedChat
from rubricate.llm.sqlite.ledger import SqliteLedger
from rubricate.llm.store import Place, open_ledger

_examples = itertools.count()


def a_request(text: str = "hello", draw: int = 0) -> Request:
    return Request("m", (Message("user", text),), draw=draw)


class Slow:
    """A chat that answers when it is told to; counts what it was asked, and what came of it."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.n_asked = 0
        self.error: Exception | None = None

    async def ask(self, request: Request) -> Reply:
        self.n_asked += 1
        self.begun.set()
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return Reply(f"reply {self.n_asked}")


async def test_a_known_reply_is_free_in_this_run_and_in_the_next(place: Place):
    """The inner chat is asked once; the reply is the same to the last field."""
    inner = ScriptedChat(lambda request: Reply("é", "stop", Usage(3, 4, 2, 1), "m-2025"))
    async with open_ledger(place) as ledger:
        chat = LedgerChat(inner, ledger)
        first = await chat.ask(a_request())
        assert await chat.ask(a_request()) == first
        assert (chat.n_paid, chat.n_reused) == (1, 1)
    async with open_ledger(place) as ledger:
        chat = LedgerChat(inner, ledger)
        assert await chat.ask(a_request()) == first
        assert (chat.n_paid, chat.n_reused) == (0, 1)
    assert len(inner.requests) == 1


async def test_another_draw_is_another_question(place: Place):
    """Samples of one question are kept side by side."""
    inner = ScriptedChat(lambda request: f"sample {request.draw}")
    async with open_ledger(place) as ledger:
        chat = LedgerChat(inner, ledger)
        texts = [(await chat.ask(a_request(draw=draw))).text for draw in (0, 1, 0, 1)]
    assert texts == ["sample 0", "sample 1", "sample 0", "sample 1"]
    assert chat.n_paid == 2


@pytest.mark.parametrize("reply", [Reply('{"verd', "length"), Reply("", "content_filter"), Reply("prose")])
async def test_every_reply_that_came_back_is_kept(place: Place, reply):
    """Cut off, withheld or unreadable: it was paid for."""
    async with open_ledger(place) as ledger:
        chat = LedgerChat(ScriptedChat(lambda request: reply), ledger)
        assert await chat.ask(a_request()) == await chat.ask(a_request()) == reply
        assert chat.n_paid == 1


async def test_an_error_is_never_kept(place: Place):
    """The same question is asked again, and then the reply is kept."""
    outcomes: list[Reply | ChatError] = [Unavailable("down"), BadRequest("no"), Reply("at last")]

    def answer(request: Request) -> Reply:
        outcome = outcomes.pop(0)
        if isinstance(outcome, ChatError):
            raise outcome
        return outcome

    async with open_ledger(place) as ledger:
        chat = LedgerChat(ScriptedChat(answer), ledger)
        for error in (Unavailable, BadRequest):
            with pytest.raises(error):
                await chat.ask(a_request())
        assert [(await chat.ask(a_request())).text for _ in range(2)] == ["at last"] * 2
    assert chat.n_paid == 1


async def test_what_is_asked_at_once_is_asked_once(place: Place):
    """A hundred identical questions in flight: one is paid, all have its reply."""
    inner = Slow()
    async with open_ledger(place) as ledger:
        chat = LedgerChat(inner, ledger)
        asks = [asyncio.create_task(chat.ask(a_request())) for _ in range(100)]
        await inner.begun.wait()
        inner.go.set()
        assert {reply.text for reply in await asyncio.gather(*asks)} == {"reply 1"}
    assert (chat.n_paid, chat.n_reused) == (1, 99)


async def test_those_who_share_a_question_share_its_error(place: Place):
    """An outage is not asked about a hundred times; the next question afterwards is asked anew."""
    inner = Slow()
    inner.error = Unavailable("down")
    async with open_ledger(place) as ledger:
        chat = LedgerChat(inner, ledger)
        asks = [asyncio.create_task(chat.ask(a_request())) for _ in range(10)]
        await inner.begun.wait()
        inner.go.set()
        outcomes = await asyncio.gather(*asks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 10
        inner.error = None
        assert (await chat.ask(a_request())).text == "reply 2"


async def test_a_bug_in_one_asker_is_not_handed_to_the_others_as_a_reply(place: Place):
    """Each asks for itself and meets the bug itself; none waits for ever."""

    async def broken(request: Request) -> Reply:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async with open_ledger(place) as ledger:
        chat = LedgerChat(ScriptedChat(broken), ledger)
        outcomes = await asyncio.wait_for(
            asyncio.gather(*(chat.ask(a_request()) for _ in range(3)), return_exceptions=True), 5
        )
    assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 3


@pytest.mark.parametrize("cancelled", [[0], [0, 1], [1], [0, 2], [0, 1, 2]])
async def test_a_cancelled_leader_hands_over_to_one_who_waits(place: Place, cancelled):
    """Whoever is cancelled, the others get the reply, and no more than one question is open at a time."""
    inner = Slow()
    async with open_ledger(place) as ledger:
        chat = LedgerChat(inner, ledger)
        asks = [asyncio.create_task(chat.ask(a_request())) for _ in range(4)]
        await inner.begun.wait()
        inner.begun.clear()
        for place in cancelled:
            asks[place].cancel()
        if 0 in cancelled:
            await asyncio.wait_for(inner.begun.wait(), 5)
        inner.go.set()
        outcomes = await asyncio.wait_for(asyncio.gather(*asks, return_exceptions=True), 5)
    for place, outcome in enumerate(outcomes):
        assert isinstance(outcome, asyncio.CancelledError if place in cancelled else Reply)
    assert inner.n_asked == (2 if 0 in cancelled else 1)
    assert chat.n_paid == 1


async def test_a_paid_reply_outlives_its_asker(tmp_path: Path):
    """Cancelled while its reply was being written: whoever asks next, even at once, does not pay again."""
    inner = ScriptedChat(lambda request: "paid")
    async with SqliteLedger(tmp_path / "l") as ledger:
        chat = LedgerChat(inner, ledger)
        await ledger.keep_fact("the file", "1")
        holder = sqlite3.connect(tmp_path / "l", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        leader = asyncio.create_task(chat.ask(a_request()))
        follower = asyncio.create_task(chat.ask(a_request()))
        await asyncio.sleep(0)
        assert inner.requests and not leader.done()
        leader.cancel()
        late = asyncio.create_task(chat.ask(a_request()))
        for _ in range(20):
            await asyncio.sleep(0)
        assert leader.cancelled() and not follower.done() and not late.done(), (
            "not acknowledged before it is kept"
        )
        holder.close()
        for ask in (follower, late):
            assert (await asyncio.wait_for(ask, 10)).text == "paid"
    assert len(inner.requests) == 1
    async with SqliteLedger(tmp_path / "l") as ledger:
        assert (await ledger.reply(a_request().key)).text == "paid"


async def test_nothing_is_paid_once_nothing_can_be_kept(tmp_path: Path):
    """Calls under way still give their replies; after that every chat of the run stops before it pays,
    while what is known is still free; and leaving says why."""
    known, inner, other = ScriptedChat(lambda request: "known"), Slow(), ScriptedChat(lambda request: "x")
    with pytest.raises(RunError, match="deleted"):
        async with SqliteLedger(tmp_path / "l") as ledger:
            await LedgerChat(known, ledger).ask(a_request("known"))
            chat = LedgerChat(inner, ledger)
            asks = [asyncio.create_task(chat.ask(a_request(draw=draw))) for draw in range(3)]
            await inner.begun.wait()
            (tmp_path / "l").unlink()
            inner.go.set()
            assert [type(reply) for reply in await asyncio.gather(*asks)] == [Reply] * 3
            for stopped in (chat, LedgerChat(other, ledger)):
                with pytest.raises(RunError, match="deleted"):
                    await stopped.ask(a_request("new"))
            assert (await chat.ask(a_request("known"))).text == "known"
    assert other.requests == []


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.booleans(), st.integers(0, 6)),
        min_size=1,
        max_size=25,
    )
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_question_is_ever_paid_twice(place, asks):
    """Any mixture of questions, delays, failures and cancellations: one reply at most is paid for each
    question, everybody who is not cancelled and meets no failure has that one, and nobody waits for ever."""

    async def answer(request: Request) -> Reply:
        number = len(inner.requests)
        _, delay, fails, _ = asks[number % len(asks)]
        for _ in range(delay):
            await asyncio.sleep(0)
        if fails:
            raise Unavailable("down")
        paid[request.key] += 1
        return Reply(f"{request.messages[0].content} {number}")

    inner, paid, salt = ScriptedChat(answer), Counter[str](), next(_examples)

    async def everything() -> None:
        async with open_ledger(place) as ledger:
            chat = LedgerChat(inner, ledger)
            tasks = [asyncio.create_task(chat.ask(a_request(f"{salt} {question}"))) for question, *_ in asks]
            for task, (*_, patience) in zip(tasks, asks, strict=True):
                if patience < 3:
                    for _ in range(patience):
                        await asyncio.sleep(0)
                    task.cancel()
            outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
            for (question, *_), outcome in zip(asks, outcomes, strict=True):
                if isinstance(outcome, Reply):
                    assert outcome == await chat.ask(a_request(f"{salt} {question}"))
                else:
                    assert isinstance(outcome, Unavailable | asyncio.CancelledError)
        assert chat.n_paid == sum(paid.values())

    asyncio.run(everything())
    assert not paid or max(paid.values()) == 1


async def test_two_ledgers_of_one_place_pay_once_for_what_is_asked_of_both(place: Place):
    """Who comes second waits for the reply that the first one pays for, and gets the same."""
    slow = Slow()
    async with open_ledger(place) as one, open_ledger(place) as other:
        first, second = LedgerChat(slow, one), LedgerChat(slow, other)
        leading = asyncio.create_task(first.ask(a_request()))
        await slow.begun.wait()
        following = asyncio.create_task(second.ask(a_request()))
        await asyncio.sleep(0.05)
        assert slow.n_asked == 1
        slow.go.set()
        assert await leading == await following
    assert (first.n_paid, second.n_paid, second.n_reused) == (1, 0, 1)


async def test_a_claim_is_given_back_by_who_fails_and_by_who_is_cancelled(place: Place):
    """The second of two ledgers pays when the first one got nothing."""
    slow = Slow()
    async with open_ledger(place) as one, open_ledger(place) as other:
        first, second = LedgerChat(slow, one), LedgerChat(slow, other)
        leading = asyncio.create_task(first.ask(a_request()))
        await slow.begun.wait()
        following = asyncio.create_task(second.ask(a_request()))
        leading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leading
        slow.go.set()
        assert (await following).text == "reply 2"
        slow.error = Unavailable("gone")
        with pytest.raises(Unavailable):
            await first.ask(a_request("again"))
        slow.error = None
        assert (await second.ask(a_request("again"))).text == "reply 4"
    assert (first.n_paid, second.n_paid) == (0, 2)


async def test_a_closed_ledger_leaves_no_claim(place: Place):
    """Closing gives all claims back, as the death of a process does."""
    async with open_ledger(place) as other:
        async with open_ledger(place) as one:
            assert await one.claim("ab" * 16)
            assert not await other.claim("ab" * 16)
            assert await other.claim("cd" * 16)
        assert await other.claim("ab" * 16)


@pytest.mark.parametrize("n_ticks", [0, 1, 2, 3, 5, 8, 13, 30, 100])
async def test_who_is_cancelled_at_any_moment_leaves_no_claim(place: Place, n_ticks):
    """Before, while and after the claim is granted or given back: another ledger gets it, none of those who
    wait in the same process waits for ever, and no reply is paid for twice."""
    inner = ScriptedChat(lambda request: "reply")
    async with open_ledger(place) as one, open_ledger(place) as other:
        chat = LedgerChat(inner, one)
        leader, follower = (asyncio.create_task(chat.ask(a_request())) for _ in range(2))
        for _ in range(n_ticks):
            await asyncio.sleep(0)
        leader.cancel()
        assert (await asyncio.wait_for(follower, 10)).text == "reply"
        second = LedgerChat(inner, other)
        assert (await asyncio.wait_for(second.ask(a_request()), 10)).text == "reply"
        assert second.n_paid == 0 and len(inner.requests) == 1
        lone = asyncio.create_task(chat.ask(a_request("another")))
        for _ in range(n_ticks):
            await asyncio.sleep(0)
        lone.cancel()
        assert (await asyncio.wait_for(second.ask(a_request("another")), 10)).text == "reply"


async def test_who_knows_all_replies_leaves_no_claim(place: Place):
    """A warm rerun asks the ledger once for each reply, writes nothing, and claims nothing for good."""

    class Counting:
        def __init__(self, ledger):
            self.ledger, self.n = ledger, Counter()

        def __getattr__(self, name):
            self.n[name] += 1
            return getattr(self.ledger, name)

    async with open_ledger(place) as ledger, open_ledger(place) as other:
        await LedgerChat(ScriptedChat(lambda request: "reply"), ledger).ask(a_request())
        counting = Counting(ledger)
        await LedgerChat(ScriptedChat(lambda request: "x"), counting).ask(a_request())
        assert counting.n == {"reply_or_claim": 1}
        assert await other.claim(a_request().key)
