"""A preference holds in both orders, or it is none."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Response
from rubricate.domain.judgement import Preference
from rubricate.errors import BadAnswer, BadRequest, ServerFault, Unavailable
from rubricate.llm.chat import Request
from rubricate.llm.scripted import ScriptedChat
from rubricate.steps.compare import compare
from tests.builders import a_manner, a_prompt, a_response

ONE, TWO = a_response("the first answer", "a"), a_response("the other answer", "b")
Said = str | Exception


def first_shown(request: Request) -> Response:
    """Which of the two stands first in the question."""
    text = request.messages[0].content
    return ONE if text.index(ONE.text) < text.index(TWO.text) else TWO


def judge(when_one_first: Said, when_two_first: Said) -> ScriptedChat:
    """A judge that says one thing or another by the order it sees, however often it is asked."""

    def answer(request: Request) -> str:
        said = when_one_first if first_shown(request) is ONE else when_two_first
        if isinstance(said, Exception):
            raise said
        return said

    return ScriptedChat(answer)


FIRST, SECOND = '{"better": 1}', '{"better": 2}'


@pytest.mark.parametrize(
    ("forward", "backward", "winner"),
    [
        (FIRST, SECOND, "first"),
        (SECOND, FIRST, "second"),
        (FIRST, FIRST, "tie"),  # follows the position
        (SECOND, SECOND, "tie"),
        (FIRST, "both are fine", "unjudged"),
        ("both are fine", SECOND, "unjudged"),
        (BadRequest("too long"), SECOND, "unjudged"),
        (FIRST, ServerFault("500"), "unjudged"),
        (BadAnswer("empty"), BadAnswer("empty"), "unjudged"),
    ],
)
async def test_a_preference_is_what_both_orders_say(forward: Said, backward: Said, winner: str) -> None:
    """Agreement wins, disagreement is a tie, silence is no judgement; no winner, then a reason."""
    chat = judge(forward, backward)
    preference = await compare(chat, a_manner(), a_prompt(), ONE, TWO)
    assert preference.winner == winner
    assert bool(preference.reason) == (winner in ("tie", "unjudged"))
    assert {first_shown(request).text for request in chat.requests} == {ONE.text, TWO.text}


MIRROR = {"first": "second", "second": "first", "tie": "tie", "unjudged": "unjudged"}
said = st.sampled_from([FIRST, SECOND, "neither", '{"better": 3}'])


@given(said, said)
async def test_swapping_the_two_mirrors_the_preference(forward: str, backward: str) -> None:
    """Whatever the judge says: it is asked the same two questions whoever is called first."""
    there = await compare(judge(forward, backward), a_manner(), a_prompt(), ONE, TWO)
    back = await compare(judge(forward, backward), a_manner(), a_prompt(), TWO, ONE)
    assert back.winner == MIRROR[there.winner]


async def test_two_orders_take_two_calls() -> None:
    """And one more for an order that could not be read."""
    chat = judge(FIRST, SECOND)
    await compare(chat, a_manner(), a_prompt(), ONE, TWO)
    assert len(chat.requests) == 2
    chat = judge(FIRST, "?")
    await compare(chat, a_manner(retries=1), a_prompt(), ONE, TWO)
    assert sorted(request.draw for request in chat.requests) == [0, 0, 1]


async def test_equal_texts_tie() -> None:
    """The two questions are one and the same, so the orders cannot agree."""
    chat = ScriptedChat(lambda request: FIRST)
    assert await compare(chat, a_manner(), a_prompt(), ONE, a_response(ONE.text, "c")) == Preference(
        "tie", "the two orders disagree"
    )


async def test_a_call_that_failed_waits_for_the_other() -> None:
    """The other order is on its way and paid for: its answer is taken before the error goes up."""
    failed, answered = asyncio.Event(), asyncio.Event()

    async def answer(request: Request) -> str:
        if first_shown(request) is ONE:
            failed.set()
            raise Unavailable("down")
        await failed.wait()
        answered.set()
        return FIRST

    with pytest.raises(Unavailable, match="down"):
        await asyncio.wait_for(compare(ScriptedChat(answer), a_manner(), a_prompt(), ONE, TWO), 5)
    assert answered.is_set()
