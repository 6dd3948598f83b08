"""Options: off by default, drawn by content, never in an evaluation, and each with a figure of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.errors import SettingsError
from rubricate.rewards.options import Options, canaries_of, dropped_of, weighed
from tests.builders import a_rubric
from tests.rewards.players import PROMPT, Player, a_reward, graded

RUBRIC = a_rubric("3:a", "2:b", "1:c", "-1:d", "1:e")
SHARES = st.floats(0, 1)


@given(dropout=SHARES, canaries=SHARES, step=st.integers(0, 9), seed=st.integers(0, 99))
def test_something_always_counts(dropout, canaries, step, seed):
    """Whatever is left out, a criterion with a positive weight stays; what is held out never counts."""
    options = Options(dropout=dropout, canaries=canaries, seed=seed)
    held_out = canaries_of(RUBRIC, "p", options)
    dropped = dropped_of(RUBRIC, "p", step, options)
    counted = weighed(RUBRIC, held_out | dropped, {})
    assert counted is not None and not held_out & dropped
    assert not held_out & {criterion.id for criterion in counted.criteria}


def test_dropout_is_drawn_anew_for_each_step_and_alike_within_it():
    """Same step, same criteria; over 200 steps each is left out in about 0.3 of them."""
    options = Options(dropout=0.3, seed=1)
    drawn = [dropped_of(RUBRIC, "p", step, options) for step in range(200)]
    assert drawn == [dropped_of(RUBRIC, "p", step, options) for step in range(200)]
    assert len(set(drawn)) > 5
    for criterion in RUBRIC.criteria:
        assert 0.2 < sum(criterion.id in dropped for dropped in drawn) / 200 < 0.4


def test_canaries_are_drawn_once():
    """They do not depend on the step, so that the policy is never paid for them."""
    options = Options(dropout=0.5, canaries=0.5, seed=3)
    held_out = canaries_of(RUBRIC, "p", options)
    assert held_out
    for step in range(20):
        assert not held_out & dropped_of(RUBRIC, "p", step, options)


def test_dropout_changes_rewards_and_not_scores_and_asks_nothing_twice():
    """The question stays whole: one call for each completion over all steps."""
    player = Player({"x": "++---", "y": "--++-"})
    with a_reward(player, options=Options(dropout=0.5, seed=2)) as reward:
        batches = [reward.grade([PROMPT] * 2, ["x", "y"], [RUBRIC] * 2, step=step) for step in range(8)]
        plain = reward.grade([PROMPT] * 2, ["x", "y"], [RUBRIC] * 2, evaluation=True)
    assert len({tuple(batch.rewards) for batch in batches}) > 1
    assert all(batch.scores == plain.rewards == [5 / 7, 0.0] for batch in batches)
    assert sorted(player.asked) == ["x", "y"]


def test_the_canary_shows_what_is_not_paid_for():
    """Reward by what counts, canary by what does not; together they are the rubric."""
    options = Options(canaries=0.5, seed=3)
    with a_reward(Player({"x": "+++-+"}), options=options) as reward:
        key = reward.grade([PROMPT], ["x"], [RUBRIC]).graded[0].prompt.key
        held_out = canaries_of(RUBRIC, key, options)
        batch = reward.grade([PROMPT], ["x"], [RUBRIC])
    counted = {criterion.id for criterion in batch.graded[0].counted.criteria}
    assert held_out and counted == {criterion.id for criterion in RUBRIC.criteria} - held_out
    if any(c.weight > 0 for c in RUBRIC.criteria if c.id in held_out):
        assert batch.metrics["canary"] == 1.0 and batch.metrics["reward_over_canary"] == 0.0


def test_reweighting_follows_the_spread_of_the_batch():
    """a is met by both and counts nothing, b by one of two and counts in full: 1 and 0 instead of 1 and 0.75.
    Half way: a counts 1.5, b 1. An evaluation keeps the human weights."""
    said, criteria = {"x": "++", "y": "+-"}, ("3:a", "1:b")
    assert graded(said, *criteria).rewards == [1.0, 0.75]
    assert graded(said, *criteria, options=Options(reweight=1.0)).rewards == [1.0, 0.0]
    half = graded(said, *criteria, options=Options(reweight=0.5))
    assert half.rewards == [1.0, 0.6] and half.scores == [1.0, 0.75]
    nothing_varies = graded({"x": "+-", "y": "+-"}, *criteria, options=Options(reweight=1.0))
    assert nothing_varies.rewards == [0.75, 0.75]


def test_a_second_grader_looks_at_a_share_and_never_pays():
    """It sees about half; its scores and the distance are figures; rewards are the first one's."""
    texts = [f"text {n}" for n in range(60)]
    first = Player(dict.fromkeys(texts, "++"), name="first")
    second = Player(dict.fromkeys(texts, "+-"), name="second")
    options = Options(second_look=0.5)
    with a_reward(first, second=second, options=options) as reward:
        batch = reward.grade([PROMPT] * 60, texts, [a_rubric("3:a", "1:b")] * 60)
    assert batch.rewards == [1.0] * 60
    assert 18 < len(second.asked) < 42
    assert batch.metrics["second"] == 0.75 and batch.metrics["score_over_second"] == 0.25
    assert sum(one.second is not None for one in batch.graded) == len(second.asked)


def test_a_second_look_needs_a_second_grader():
    """Said at the first batch."""
    reward = a_reward(Player({}), options=Options(second_look=0.1))
    with reward, pytest.raises(SettingsError, match="second grader"):
        reward.score([PROMPT], ["a"], [RUBRIC])


def test_a_share_is_between_0_and_1():
    """Each option is checked."""
    for name in ("dropout", "canaries", "second_look", "reweight"):
        with pytest.raises(SettingsError, match=name):
            Options(**{name: 1.1})
