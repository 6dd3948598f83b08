"""The two verbs that write rubrics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.conversation import Response
from rubricate.errors import BadRequest, ReplyError, Unavailable
from rubricate.llm.chat import Request
from rubricate.llm.scripted import ScriptedChat
from rubricate.steps.asking import framed
from rubricate.steps.propose import propose, rubric_schema
from rubricate.steps.refine import as_listed, in_fair_order, refine
from tests.builders import a_manner, a_prompt, a_response, a_rubric, responses, rubric_reply

GOOD = rubric_reply("rule 3:names the dose", "1:names a risk")
PAIR = (a_response("better", "a"), a_response("worse", "b"))


def saying(*replies: str | Exception) -> ScriptedChat:
    """A chat that gives these answers, one after the other."""
    left = list(replies)

    def answer(request: Request) -> str:
        now = left.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    return ScriptedChat(answer)


async def test_a_rubric_takes_one_call() -> None:
    """Ids in order, version 0, without lineage: who asked adds it."""
    for chat in (saying(GOOD), saying(GOOD)):
        rubric = await propose(chat, a_manner(), a_prompt())
        assert rubric == a_rubric("rule 3:names the dose", "1:names a risk")
        assert len(chat.requests) == 1


@pytest.mark.parametrize("verb", ["propose", "refine"])
async def test_a_rubric_that_cannot_be_read_is_asked_for_again(verb: str) -> None:
    """Once, at the retry temperature; then the error says what was wrong. No rubric is made up."""

    async def run(chat: ScriptedChat) -> object:
        if verb == "propose":
            return await propose(chat, a_manner(), a_prompt())
        return await refine(chat, a_manner(), a_prompt(), a_rubric(), PAIR)

    chat = saying("no idea", GOOD)
    assert await run(chat) == a_rubric("rule 3:names the dose", "1:names a risk")
    assert [(request.temperature, request.draw) for request in chat.requests] == [(0.0, 0), (0.7, 1)]
    with pytest.raises(ReplyError, match="empty or no list"):
        await run(saying("no idea", '{"criteria": []}'))
    for failure in (Unavailable("down"), BadRequest("too long")):
        with pytest.raises(type(failure)):
            await run(saying(failure))


async def test_a_repair_is_told() -> None:
    """A rubric that took a repair is counted, one that did not is not."""
    repairs: list[int] = []
    mended = "{'criteria': [{'criterion': 'a', 'weight': 1}]}"
    await propose(saying(mended), a_manner(), a_prompt(), repaired=lambda: repairs.append(1))
    await refine(saying(mended), a_manner(), a_prompt(), a_rubric(), PAIR, repaired=lambda: repairs.append(2))
    await propose(saying(GOOD), a_manner(), a_prompt(), repaired=lambda: repairs.append(3))
    assert repairs == [1, 2]


@given(st.integers(0, 2**32), st.text(max_size=5), st.text(max_size=5))
def test_the_order_of_a_pair_says_nothing(seed: int, one: str, two: str) -> None:
    """Seed and content settle who is shown first: the better of the two cannot be told from its place."""
    pair = (Response(one, "a"), Response(two, "b"))
    try:
        shown = in_fair_order(seed, a_prompt(), pair)
    except UnicodeEncodeError:
        return
    assert shown == in_fair_order(seed, a_prompt(), (pair[1], pair[0]))
    assert sorted(response.key for response in shown) == sorted(response.key for response in pair)


def test_the_better_one_is_first_in_half_of_the_cases() -> None:
    """Over 400 pairs, and over 400 seeds: within four standard errors of a half."""
    pool = responses(800)
    pairs = [(pool[place], pool[place + 1]) for place in range(0, 800, 2)]
    by_pair = sum(in_fair_order(0, a_prompt(), pair)[0] is pair[0] for pair in pairs)
    by_seed = sum(in_fair_order(seed, a_prompt(), pairs[0])[0] is pairs[0][0] for seed in range(400))
    assert 160 <= by_pair <= 240
    assert 160 <= by_seed <= 240


async def test_the_proposer_sees_both_responses_and_the_rubric_in_frames() -> None:
    """Weights and kinds are shown; scores, generators and who is better are not."""
    rubric = a_rubric("rule 3:names the dose", "-2:tells to stop", "0.5:is kind")
    chats = [saying(GOOD), saying(GOOD)]
    await refine(chats[0], a_manner(), a_prompt(), rubric, PAIR, seed=3)
    await refine(chats[1], a_manner(), a_prompt(), rubric, (PAIR[1], PAIR[0]), seed=3)
    assert chats[0].requests == chats[1].requests
    text = chats[0].requests[0].messages[0].content
    for frame in (
        framed("response", "better"),
        framed("response", "worse"),
        framed("rubric", as_listed(rubric)),
    ):
        assert text.count(frame) == 1
    assert "model-a" not in text


def test_a_rubric_is_listed_line_by_line() -> None:
    """Weights by their size; the kind says which way they count."""
    assert as_listed(a_rubric("rule 3:a", "-2:b", "0.5:c")) == (
        "- [rule, weight 3] a\n- [pitfall, weight 2] b\n- [principle, weight 0.5] c"
    )


@pytest.mark.parametrize("pitfalls", [False, True])
def test_the_schema_admits_what_the_reader_reads(pitfalls: bool) -> None:
    """Strings are bounded, weights 1 to 3, and a pitfall is on offer only if it is wanted."""
    entry = rubric_schema(pitfalls).body["properties"]["criteria"]["items"]
    assert entry["properties"]["weight"]["enum"] == [1, 2, 3]
    assert entry["properties"]["criterion"]["maxLength"] < 1000
    assert ("pitfall" in entry["properties"]["kind"]["enum"]) == pitfalls
    assert set(entry["required"]) == set(entry["properties"])
