"""A rubric that changes by a criterion costs that criterion, and pays what a fresh grading pays."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from rubricate.domain.rubric import Criterion, Rubric
from rubricate.rewards.batch.once import Recent, Turns
from rubricate.rewards.panel import panel_of
from rubricate.rewards.reward import RubricReward
from tests.builders import a_rubric, marks

PROMPT = "How much paracetamol may an adult take in a day?"


@dataclass
class Reader:
    """Meets a criterion when the text has its letter; silent on "?" in the text for the letters behind it.
    Notes what it was asked."""

    name: str = "reader"
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def grade(self, prompt, response, criteria):
        self.asked.append((response.text, "".join(criterion.text for criterion in criteria)))
        await asyncio.sleep(0)
        text, _, silent = response.text.partition("?")
        return marks("".join("?" if c.text in silent else "+" if c.text in text else "-" for c in criteria))


def rubric_of(letters: str) -> Rubric:
    return a_rubric(*(f"{1 + place % 3}:{letter}" for place, letter in enumerate(letters)))


def a_reward(reader: Reader, **how) -> RubricReward:
    return RubricReward(panel_of(reader), **how)


def test_only_what_is_new_is_asked():
    """Two of three criteria stay: the third is asked, of each text once; weights and order may change."""
    reader = Reader()
    with a_reward(reader) as reward:
        assert reward.score([PROMPT] * 2, ["ab", "c"], [rubric_of("abc")] * 2) == [0.5, 0.5]
        reader.asked.clear()
        changed = a_rubric("1:c", "2:d", "3:a")
        assert reward.score([PROMPT] * 2, ["ab", "c"], [changed] * 2) == [0.5, 1 / 6]
        assert reader.asked == [("ab", "d"), ("c", "d")]
        reader.asked.clear()
        assert reward.score([PROMPT], ["ab"], [rubric_of("bad")]) == [1 / 6 + 2 / 6]
        assert reader.asked == [], "nothing in it is new"


def test_another_prompt_or_grader_shares_nothing():
    """A verdict is of one prompt by one grader."""
    reader, other = Reader(), Reader("other")
    with RubricReward(panel_of(reader, None, other)) as reward:
        reward.score([PROMPT, "another"], ["a", "a"], [rubric_of("a")] * 2)
    assert reader.asked == [("a", "a")] * 2 and other.asked == []


def test_a_silent_verdict_is_asked_again_alone():
    """Together with whatever is new; what was judged stays."""
    reader = Reader()
    with a_reward(reader) as reward:
        assert reward.score([PROMPT], ["ab?c"], [rubric_of("abc")]) == [None]
        reward.score([PROMPT], ["ab?c"], [rubric_of("abcd")])
    assert reader.asked == [("ab?c", "abc"), ("ab?c", "cd")]


def test_two_rubrics_at_a_time_ask_each_criterion_once():
    """One batch with two rubrics for one text: the second waits, and asks what the first did not."""
    reader = Reader()
    with a_reward(reader) as reward:
        reward.score([PROMPT] * 3, ["ab"] * 3, [rubric_of("abc"), rubric_of("bcd"), rubric_of("abc")])
    assert sorted(reader.asked) == [("ab", "abc"), ("ab", "d")]


LETTERS = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=6, unique=True).map("".join)


@settings(max_examples=60, deadline=None)
@given(
    rubrics=st.lists(LETTERS, min_size=1, max_size=5),
    texts=st.lists(
        st.text("abcdefg", min_size=1, max_size=4) | st.just("ab?cd"), min_size=1, max_size=4, unique=True
    ),
)
def test_however_rubrics_change_rewards_are_those_of_fresh_gradings(rubrics, texts):
    """And no judged criterion of a text is asked twice, whatever came before."""
    reader = Reader()
    with a_reward(reader) as reward:
        for letters in rubrics:
            column = [rubric_of(letters)] * len(texts)
            with a_reward(Reader()) as fresh:
                expected = fresh.score([PROMPT] * len(texts), texts, column)
            assert reward.score([PROMPT] * len(texts), texts, column) == expected
    asked = [(text, letter) for text, letters in reader.asked for letter in letters]
    judged = [one for one in asked if one[1] not in one[0].partition("?")[2]]
    assert len(judged) == len(set(judged))


def test_memory_is_bounded_and_keeps_what_was_used_last():
    """Room for two: the one that was looked at stays."""
    memory: Recent[int] = Recent(2)
    memory.update({"a": 1, "b": 2})
    assert memory["a"] == 1
    memory["c"] = 3
    assert list(memory) == ["a", "c"] and "b" not in memory


async def test_turns_leave_nothing_behind():
    """Locks are there while somebody is inside; an error or a cancelled waiter frees them."""
    turns, order = Turns(), []

    async def enter(name):
        async with turns.of("k"):
            order.append(name)
            await asyncio.sleep(0)
            if name == "bad":
                raise ValueError(name)

    tasks = [asyncio.create_task(enter(name)) for name in ("one", "bad", "gone", "last")]
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["one", "bad", "last"] and not turns._locks and not turns._inside


def test_a_criterion_is_its_text():
    """Weight, kind and id may change: the verdict stays."""
    reader = Reader()
    with a_reward(reader) as reward:
        reward.score([PROMPT], ["a"], [Rubric((Criterion("c1", "a", 2), Criterion("c2", "b", 1)))])
        again = Rubric((Criterion("x", "a", 1, "rule"), Criterion("y", "b", -1, "pitfall")))
        assert reward.score([PROMPT], ["a"], [again]) == [1.0]
    assert len(reader.asked) == 1
