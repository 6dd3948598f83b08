"""RubricReward: in order, once each, from anywhere, and None where there is nothing to say."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rubricate.domain.rubric import Rubric
from rubricate.errors import AccountError, BadRequest, DataError, RunStopped, SettingsError, Unavailable
from rubricate.rewards.batch.texts import MAX_CHARS, completion_of, prompt_of
from rubricate.rewards.panel import panel_of
from rubricate.rewards.reward import RubricReward
from tests.builders import a_prompt, a_rubric
from tests.rewards.players import PROMPT, Player, Writer, a_reward, graded

RUBRIC = a_rubric("3:names the daily maximum", "1:names a risk")


class TestOrder:
    def test_rewards_come_in_input_order_and_equal_texts_are_asked_once(self):
        """3 of 4, 1 of 4, 3 of 4 again; one question each, also in the next batch."""
        player = Player({"most": "+-", "least": "-+"})
        with a_reward(player) as reward:
            column = [RUBRIC] * 3
            assert reward.score([PROMPT] * 3, ["most", "least", "most"], column) == [0.75, 0.25, 0.75]
            assert reward.score([PROMPT] * 2, ["least", "most"], column[:2]) == [0.25, 0.75]
        assert sorted(player.asked) == ["least", "most"]

    def test_unjudged_is_asked_again_by_the_next_batch(self):
        """Only complete gradings are remembered."""
        player = Player({"a": "?+"})
        with a_reward(player) as reward:
            assert reward.score([PROMPT], ["a"], [RUBRIC]) == [None]
            player.said["a"] = "++"
            assert reward.score([PROMPT], ["a"], [RUBRIC]) == [1.0]

    def test_program_decidable_criteria_are_never_asked(self):
        """A rubric of a word limit needs no grader."""
        player = Player({})
        with a_reward(player) as reward:
            rubric = a_rubric("rule 1:The response contains at most 3 words.")
            assert reward.score([PROMPT] * 2, ["two words", "these are four words"], [rubric] * 2) == [
                1.0,
                0.0,
            ]
        assert player.asked == []

    def test_the_detail_of_each_criterion_is_kept(self):
        """Verdicts, vector, score and text; a pitfall that did not happen is worth 1."""
        (one,) = graded({"a": "+-"}, "3:a", "-1:b").graded
        assert one.vector == {"a": 1.0, "b": 1.0} and one.score == one.reward == 1.0 and one.text == "a"

    def test_the_rule_is_chosen(self):
        """Rules first: a broken rule is 0 where the mean is 0.75."""
        criteria = ("3:a", "rule 1:b")
        assert graded({"x": "+-"}, *criteria).rewards == [0.75]
        assert graded({"x": "+-"}, *criteria, rule="rules_first").rewards == [0.0]


class TestTexts:
    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ("plain", "plain"),
            ("<think>so</think>\nanswer", "answer"),
            ([{"role": "assistant", "content": "said"}], "said"),
            ({"role": "assistant", "content": "said"}, "said"),
            ([{"role": "assistant", "content": [{"text": "in "}, {"text": "parts"}]}], "in parts"),
            ([{"role": "assistant", "content": "first"}, {"role": "tool", "content": "42"},
              {"role": "assistant", "content": "last"}], "last"),
        ],
    )  # fmt: skip
    def test_completions_that_can_be_read(self, given, text):
        """Plain and conversational, reasoning taken off, tools passed over."""
        assert completion_of(given) == text

    @pytest.mark.parametrize(
        "given",
        ["", " \n", "<think>never ends", None, 7, b"bytes", [], [7], [{"role": "assistant", "content": 3}],
         [{"role": "assistant", "content": None}], "\ud800", "x" * (MAX_CHARS + 1),
         [{"role": "assistant", "content": [{"type": "image_url", "image_url": {}}]}]],
    )  # fmt: skip
    def test_what_cannot_be_graded_is_none_and_costs_nothing(self, given):
        """Empty, endless, enormous or not text: None with a reason; nobody is asked but of its neighbour."""
        player = Player({"good": "++"})
        with a_reward(player) as reward:
            batch = reward.grade([PROMPT] * 2, [given, "good"], [RUBRIC] * 2)
        assert batch.rewards == [None, 1.0] and batch.graded[0].why
        assert player.asked == ["good"]

    def test_an_unreadable_prompt_is_none(self):
        """An image cannot be shown to a grader of texts."""
        with a_reward(Player({})) as reward:
            batch = reward.grade([[{"role": "user", "content": [{"type": "image"}]}]], ["a"], [RUBRIC])
        assert batch.rewards == [None] and "prompt" in batch.graded[0].why

    def test_a_conversation_is_one_prompt(self):
        """A single user turn is the prompt of its text."""
        assert prompt_of([{"role": "user", "content": PROMPT}]).key == prompt_of(PROMPT).key


class TestBadInput:
    def test_lengths_that_differ(self):
        """An error that names both numbers; never a shorter answer."""
        with a_reward(Player({})) as reward:
            with pytest.raises(DataError, match="2 prompts and 1 completions"):
                reward.score([PROMPT] * 2, ["a"])
            with pytest.raises(DataError, match="1 rubrics for 2 completions"):
                reward.score([PROMPT] * 2, ["a", "b"], [RUBRIC])
            with pytest.raises(DataError, match="a single text"):
                reward.score(PROMPT, "a")

    def test_an_empty_batch_is_empty(self):
        """Nothing in, nothing out."""
        with a_reward(Player({})) as reward:
            assert reward.score([], []) == []

    def test_settings_that_cannot_be(self):
        """An unknown rule, policy, floor or share is refused at once, and names what there is."""
        for how in ({"rule": "best"}, {"floor": 1.2}, {"unseen": "guess"}):
            with pytest.raises(SettingsError):
                a_reward(Player({}), **how)

    def test_a_column_that_holds_no_rubric(self):
        """The row is named."""
        with a_reward(Player({})) as reward, pytest.raises(DataError, match="row 1"):
            reward.score([PROMPT] * 2, ["a", "b"], [RUBRIC, 7])


class TestUnseen:
    def test_fail_is_an_error_before_anybody_is_asked(self):
        """The prompt is named, and what can be done."""
        player = Player({"a": "++"})
        with a_reward(player) as reward, pytest.raises(DataError, match=r"How much.*unseen='make'"):
            reward.score([PROMPT, "Another?"], ["a", "a"], [None, RUBRIC])
        assert player.asked == []

    def test_skip_is_none(self):
        """Others are graded as ever."""
        with a_reward(Player({"a": "++"}), unseen="skip") as reward:
            assert reward.score([PROMPT] * 2, ["a", "a"], [None, RUBRIC]) == [None, 1.0]

    def test_make_writes_once_for_a_prompt(self):
        """However many completions and batches ask at a time."""
        writer = Writer(RUBRIC)
        with a_reward(Player({"a": "++", "b": "-+"}), writer=writer, unseen="make") as reward:
            assert reward.score([PROMPT] * 2, ["a", "b"]) == [1.0, 0.25]
            assert reward.score([PROMPT], ["b"]) == [0.25]
        assert writer.asked == [PROMPT]

    def test_a_proposer_that_fails_is_none_and_is_asked_again(self):
        """No rubric is made up."""
        writer = Writer(Unavailable("gone"))
        with a_reward(Player({"a": "++"}), writer=writer, unseen="make") as reward:
            batch = reward.grade([PROMPT], ["a"])
            assert batch.rewards == [None] and "no rubric could be made" in batch.graded[0].why
            writer.rubric = RUBRIC
            assert reward.score([PROMPT], ["a"]) == [1.0]

    def test_make_needs_a_proposer(self):
        """Said at the first batch."""
        with a_reward(Player({}), unseen="make") as reward, pytest.raises(SettingsError, match="proposer"):
            reward.score([PROMPT], ["a"])


class TestFailures:
    def test_a_call_that_fails_is_none(self):
        """Of its completion alone."""
        player = Player({"a": BadRequest("too long"), "b": "++"})
        with a_reward(player) as reward:
            batch = reward.grade([PROMPT] * 2, ["a", "b"], [RUBRIC] * 2)
        assert batch.rewards == [None, 1.0] and "too long" in batch.graded[0].why

    @pytest.mark.parametrize("failure", [AccountError("no such key"), RunStopped("the budget is spent")])
    def test_what_ends_a_run_ends_the_training(self, failure):
        """Nothing more can be asked: training on Nones would go nowhere."""
        with a_reward(Player({"a": failure})) as reward, pytest.raises(type(failure)):
            reward.score([PROMPT], ["a"], [RUBRIC])


class TestDoor:
    def test_from_a_running_loop_and_from_threads(self):
        """Plain and async doors, from two loops and a thread: one loop does all the work."""
        player = Player(dict.fromkeys("abcd", "++"))
        with a_reward(player) as reward:

            async def inside():
                plain = reward.score([PROMPT], ["a"], [RUBRIC])
                return plain + await reward.ascore([PROMPT], ["b"], [RUBRIC])

            assert asyncio.run(inside()) == asyncio.run(inside()) == [1.0, 1.0]
            thread = threading.Thread(target=lambda: reward.score([PROMPT], ["c"], [RUBRIC]))
            thread.start()
            thread.join(20)
            reward.score([PROMPT], ["d"], [RUBRIC])
        assert sorted(player.asked) == list("abcd") and len(player.loops) == 1

    def test_it_opens_on_its_own_loop_and_closes_there(self):
        """By one task, on the loop that uses it; closed once, opened again by the next batch."""
        seen = []

        class Opening:
            async def __aenter__(self):
                seen.append(("open", asyncio.get_running_loop(), asyncio.current_task()))
                async with panel_of(Player({"a": "++"}))() as panel:
                    return panel

            async def __aexit__(self, *_):
                seen.append(("close", asyncio.get_running_loop(), asyncio.current_task()))

        reward = RubricReward(Opening)
        reward.score([PROMPT], ["a"], [RUBRIC])
        reward.close()
        assert [what for what, *_ in seen] == ["open", "close"] and seen[0][1:] == seen[1][1:]
        reward.score([PROMPT], ["a"], [RUBRIC])
        reward.close()
        assert [what for what, *_ in seen] == ["open", "close"] * 2

    def test_an_opening_that_fails_says_so_and_may_be_tried_again(self):
        """Each asker gets the error itself."""
        tries = []

        class Opening:
            async def __aenter__(self):
                tries.append(1)
                raise SettingsError("no key")

            async def __aexit__(self, *_):
                raise AssertionError("never entered")

        with RubricReward(Opening) as reward:
            for _ in range(2):
                with pytest.raises(SettingsError, match="no key"):
                    reward.score([PROMPT], ["a"], [RUBRIC])
        assert len(tries) == 2

    def test_a_cancelled_caller_cancels_its_batch(self):
        """And the door stays in use."""
        hanging = threading.Event()

        class Slow(Player):
            async def grade(self, prompt, response, criteria):
                if response.text == "slow":
                    try:
                        await asyncio.sleep(600)
                    except asyncio.CancelledError:
                        hanging.set()
                        raise
                return await super().grade(prompt, response, criteria)

        with a_reward(Slow({"a": "++"})) as reward:

            async def impatient():
                async with asyncio.timeout(0.2):
                    await reward.ascore([PROMPT], ["slow"], [RUBRIC])

            with pytest.raises(TimeoutError):
                asyncio.run(impatient())
            assert hanging.wait(10)
            assert reward.score([PROMPT], ["a"], [RUBRIC]) == [1.0]

    def test_it_pickles_while_open(self):
        """Spawned rollout workers need that; the copy opens for itself."""
        with a_reward(Player({"a": "++"})) as reward:
            reward.score([PROMPT], ["a"], [RUBRIC])
            with pickle.loads(pickle.dumps(reward)) as copy:
                assert copy.score([PROMPT], ["a"], [RUBRIC]) == [1.0]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    def test_a_forked_process_opens_for_itself(self):
        """The thread of the door does not live on in a fork. In a process of its own: this one may have
        loaded libraries that do not survive a fork."""
        code = """
import os
from tests.builders import a_rubric
from tests.rewards.players import PROMPT, Player, a_reward
with a_reward(Player({"a": "++"})) as reward:
    ask = lambda: reward.score([PROMPT], ["a"], [a_rubric("3:x", "1:y")])
    assert ask() == [1.0]
    child = os.fork()
    if child == 0:
        os._exit(0 if ask() == [1.0] else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ask() == [1.0]
"""
        root = Path(__file__).resolve().parents[2]
        subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=60)


def test_a_judge_of_pairs():
    """The better of two, -1 where they tie or one is unjudged."""
    player = Player({"a": "++", "b": "-+", "c": "??"})
    with a_reward(player, given=Everywhere(RUBRIC)) as reward:
        assert reward.prefer([PROMPT] * 4, [("a", "b"), ("b", "a"), ("a", "a"), ("a", "c")]) == [0, 1, -1, -1]
        with pytest.raises(DataError):
            reward.prefer([PROMPT], [("a",)])


class Everywhere:
    """One rubric for all prompts."""

    def __init__(self, rubric: Rubric):
        self.rubric = rubric

    def of(self, prompt):
        return self.rubric


def test_given_rubrics_hold_where_a_row_has_none():
    """The row's own comes first."""
    player = Player({"a": "+-"})
    with a_reward(player, given=Everywhere(RUBRIC)) as reward:
        assert reward.score([a_prompt().text], ["a"]) == [0.75]
        assert reward.score([PROMPT], ["a"], [a_rubric("1:x", "1:y")]) == [0.5]
