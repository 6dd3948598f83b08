"""A learned model as a reward: numbers or None with a reason, each text once, the loop free meanwhile."""

from __future__ import annotations

import asyncio
import math
import pickle
import threading
import time

import pytest

from rubricate.errors import DataError, SettingsError
from rubricate.reward_model.scoring import Score
from rubricate.rewards.adapters.trl import TrlReward, reward_function
from rubricate.rewards.adapters.verl import compute_score_of
from rubricate.rewards.learned import LearnedReward
from rubricate.settings.reward import learned_reward, reward_of


class Counting:
    """Scores a text by its words less three; what it cannot take is "bad"."""

    def __init__(self, wait_s: float = 0.0):
        self.asked: list[list[str]] = []
        self.threads: set[str] = set()
        self.wait_s = wait_s
        self.at_work = threading.Event()

    def scores(self, asked):
        self.asked.append([text for _, text in asked])
        self.threads.add(threading.current_thread().name)
        self.at_work.set()
        time.sleep(self.wait_s)
        if any(text == "crash" for _, text in asked):
            raise RuntimeError("the model fell over")
        return [
            Score(None, "the model gave nan") if text == "bad" else Score(len(text.split()) - 3.0)
            for _, text in asked
        ]


@pytest.fixture
def model():
    return Counting()


@pytest.fixture
def reward(model):
    with LearnedReward(lambda: model) as made:
        yield made


class TestRewards:
    def test_logits_in_input_order(self, reward):
        """By hand: words less three."""
        batch = reward.grade(["p", "q", "p"], ["a b c d", "a", "a b c"])
        assert batch.rewards == batch.scores == [1.0, -2.0, 0.0]
        assert [one.text for one in batch.graded] == ["a b c d", "a", "a b c"]

    def test_squashed_into_bounds(self, model):
        """1 / (1 + exp(-x)), also for logits that overflow an exponential."""
        with LearnedReward(lambda: model, squash=True) as reward:
            assert reward.score(["p", "p"], ["a b c", "a"]) == [0.5, pytest.approx(1 / (1 + math.exp(2)))]
            assert reward.score(["p"], [" ".join("a" * 5_000)]) == [1.0]
        with LearnedReward(lambda: Constant(-5_000.0), squash=True) as reward:
            assert reward.score(["p"], ["a"]) == [0.0]

    @pytest.mark.parametrize(
        ("completion", "why"),
        [
            ("", "is empty"),
            ("  \n", "is empty"),
            ("<think>only thoughts</think>", "empty behind its reasoning"),
            ("<think>thoughts without an end", "empty behind its reasoning"),
            (17, "is no text"),
            (None, "is no text"),
            ("x" * 101, "more than 100 characters"),
            ("half \ud800", "half a character"),
            ("bad", "the model gave nan"),
        ],
    )
    def test_what_cannot_be_scored_is_none_and_says_why(self, model, completion, why):
        """Never a number; and the completion beside it keeps its own."""
        with LearnedReward(lambda: model, max_chars=100) as reward:
            batch = reward.grade(["p", "p"], [completion, "a b"])
        assert batch.rewards == [None, -1.0]
        assert why in batch.graded[0].why and batch.graded[1].why is None
        assert batch.metrics["unjudged_rate"] == 0.5

    def test_reasoning_is_not_scored(self, reward, model):
        assert reward.score(["p"], ["<think>a b c d e</think>x y"]) == [-1.0]
        assert model.asked == [["x y"]]

    def test_messages(self, reward):
        prompt = [{"role": "user", "content": "p"}]
        assert reward.score([prompt], [[{"role": "assistant", "content": "a b"}]]) == [-1.0]

    def test_equal_texts_are_scored_once(self, reward, model):
        assert reward.score(["p"] * 3 + ["q"], ["a", "a", "b c", "a"]) == [-2.0, -2.0, -1.0, -2.0]
        assert model.asked == [["a", "b c", "a"]]  # of two prompts: two questions

    def test_lengths_that_differ(self, reward):
        with pytest.raises(DataError, match="2 prompts and 1 completions"):
            reward.score(["p", "q"], ["a"])
        with pytest.raises(DataError, match="not a single text"):
            reward.score(["p"], "a")
        assert reward.score([], []) == []

    def test_groups_are_measured(self, reward):
        """Two prompts of two: one ties, one does not; by hand half of the pairs, half of the groups."""
        metrics = reward.grade(["p", "p", "q", "q"], ["a", "b", "a", "b c"]).metrics
        assert (metrics["tie_share"], metrics["zero_advantage_groups"], metrics["groups"]) == (0.5, 0.5, 2)
        assert metrics["reward"] == pytest.approx(-7 / 4)

    def test_an_evaluation_adds_nothing(self, reward):
        reward.grade(["p"], ["a"])
        reward.grade(["p"], ["a"], evaluation=True)
        assert reward.totals.n == 1
        assert reward.grade(["p"], ["a"]).step == 1

    def test_pairs(self, reward):
        assert reward.prefer(["p"] * 4, [("a b", "a"), ("a", "a b"), ("a", "b"), ("a", "")]) == [0, 1, -1, -1]


class Constant:
    def __init__(self, value):
        self.value = value

    def scores(self, asked):
        return [Score(self.value) for _ in asked]


class TestTheLoop:
    async def test_who_comes_meanwhile_goes_together(self):
        """While the model works, ten callers wait; it is asked once more, not ten times."""
        model = Counting(wait_s=0.2)
        with LearnedReward(lambda: model) as reward:
            first = asyncio.create_task(reward.ascore(["p"], ["a"]))
            await asyncio.to_thread(model.at_work.wait, 30)
            rest = await asyncio.gather(*(reward.ascore(["p"], [f"b{n} c"]) for n in range(10)))
            assert await first == [-2.0] and rest == [[-1.0]] * 10
        assert len(model.asked) <= 3 and sum(map(len, model.asked)) == 11
        assert "rubricate-reward" not in model.threads

    async def test_a_crash_is_told_and_forgotten(self, reward):
        """A bug crashes whoever asked for the text, and the next batch is scored."""
        with pytest.raises(RuntimeError, match="fell over"):
            await reward.ascore(["p"], ["crash"])
        assert await reward.ascore(["p"], ["a"]) == [-2.0]

    async def test_one_who_leaves_takes_nothing_along(self):
        model = Counting(wait_s=0.2)
        with LearnedReward(lambda: model) as reward:
            leaving = asyncio.create_task(reward.ascore(["p"], ["a"]))
            staying = asyncio.create_task(reward.ascore(["p"], ["a"]))
            await asyncio.to_thread(model.at_work.wait, 30)
            leaving.cancel()
            assert await staying == [-2.0]
            assert len(model.asked) == 1

    def test_close_loads_anew(self):
        loaded = []

        def load():
            loaded.append(Counting())
            return loaded[-1]

        reward = LearnedReward(load)
        reward.score(["p"], ["a"])
        reward.close()
        reward.close()
        assert reward.score(["p"], ["a"]) == [-2.0] and len(loaded) == 2
        reward.close()

    def test_pickles_without_its_model(self):
        with LearnedReward(Counting, squash=True) as reward:
            reward.score(["p"], ["a"])
            copy = pickle.loads(pickle.dumps(reward))
        with copy:
            assert copy.squash and copy.score(["p"], ["a b c"]) == [0.5]


class TestAdapters:
    async def test_trl(self, reward):
        """The function of GRPO takes it as any reward; the judge of pairs too."""
        logged = {}
        said = await reward_function(reward)(
            prompts=["p", "p"],
            completions=["a b", ""],
            completion_ids=[[1], [2]],
            log_metric=logged.__setitem__,
        )
        assert said == [-1.0, None] and logged["rubric/unjudged_rate"] == 0.5
        assert TrlReward(reward).judge(["p"], [("a", "a b")]) == [1]

    async def test_verl(self, reward):
        compute_score = compute_score_of(reward, unjudged=-9.0)
        told = await compute_score("data", "a b", None, {"prompt": "p"})
        assert told == {"score": -1.0, "judged": 1.0, "coverage": 1.0, "why": ""}
        told = await compute_score("data", "", None, {"prompt": "p"})
        assert (told["score"], told["judged"], told["coverage"]) == (-9.0, 0.0, 0.0)


class TestNamed:
    def test_a_folder_without_a_model_is_told_at_once(self, tmp_path):
        for spec in (
            f"checkpoint:{tmp_path}",
            f"checkpoint:{tmp_path}/none",
            "checkpoint:",
            "checkpoint:./x",
        ):
            with pytest.raises(SettingsError, match="no model in that folder"):
                reward_of(spec)
        with pytest.raises(SettingsError, match="no model in that folder"):
            learned_reward(tmp_path)

    def test_options_are_of_the_reward_that_is_named(self, tmp_path):
        (tmp_path / "config.json").write_text("{}")
        reward = reward_of(f"checkpoint:{tmp_path}", squash=True, max_chars=7)
        assert isinstance(reward, LearnedReward) and reward.squash and reward.max_chars == 7
        with pytest.raises(SettingsError, match="a learned reward has no option 'dropout'"):
            reward_of(f"checkpoint:{tmp_path}", dropout=0.1)
        rubric = reward_of(None, ["models.verifier=offline"], unseen="skip", dropout=0.25)
        assert rubric.options.dropout == 0.25

    def test_it_pickles_before_it_is_loaded(self, tmp_path):
        (tmp_path / "config.json").write_text("{}")
        assert isinstance(pickle.loads(pickle.dumps(learned_reward(tmp_path))), LearnedReward)
