"""The figures of a batch, by hand."""

from __future__ import annotations

import pytest

from tests.builders import a_rubric
from tests.rewards.players import Player, a_reward, graded


def test_the_figures_of_one_group():
    """Rewards 1, 0.75, 0.75, None: of 3 pairs one ties; a varies in 4 verdicts of 4 not at all."""
    batch = graded({"w": "++", "x": "+-", "y": "+-", "z": "+?"}, "3:a", "1:b")
    assert batch.rewards == [1.0, 0.75, 0.75, None]
    metrics = batch.metrics
    assert metrics["unjudged_rate"] == 0.25
    assert metrics["tie_share"] == pytest.approx(1 / 3)
    assert metrics["zero_advantage_groups"] == 0.0
    assert metrics["criteria"] == 2 and metrics["criteria_never_varying"] == 0.5
    assert metrics["criteria_spread"] == pytest.approx((0 + 4 * 1 * 2 / 9) / 2)
    assert metrics["criteria_unjudged_rate"] == 1 / 8
    assert metrics["reward"] == pytest.approx(2.5 / 3)
    assert [text for _, text in batch.tally.never_varying] == ["a"]


def test_a_group_without_spread_has_no_advantage():
    """Two groups; one of equal rewards. The totals go over batches."""
    rubric = a_rubric("1:a", "1:b")
    player = Player({"p": "+-", "q": "-+", "r": "++"})
    with a_reward(player) as reward:
        first = reward.grade(["one", "one", "two", "two"], ["p", "q", "p", "r"], [rubric] * 4)
        assert first.metrics["zero_advantage_groups"] == 0.5
        assert first.tally.without_spread.n == 2
        reward.grade(["one", "one"], ["p", "p"], [rubric] * 2)
        assert reward.totals.without_spread.value == pytest.approx(2 / 3)
        assert reward.totals.n == 6
        reward.grade(["one", "one"], ["p", "p"], [rubric] * 2, evaluation=True)
        assert reward.totals.n == 6


def test_a_criterion_that_a_gate_hides_is_suppressed():
    """The rule is broken in all: whatever b says, rewards are 0. A pitfall below 0 is clipped likewise."""
    hidden = graded({"x": "-+", "y": "--"}, "rule 1:short", "1:b", rule="rules_first")
    assert hidden.rewards == [0.0, 0.0]
    assert [text for _, text in hidden.tally.suppressed] == ["b"]
    seen = graded({"x": "++", "y": "+-"}, "rule 1:short", "1:b", rule="rules_first")
    assert seen.tally.suppressed == []
    clipped = graded({"x": "-++", "y": "-+-"}, "1:a", "-3:p", "-1:q")
    assert [text for _, text in clipped.tally.suppressed] == ["q"]


def test_one_completion_alone_has_no_group_figures():
    """Undefined figures are left out rather than 0."""
    metrics = graded({"x": "+-"}, "1:a", "1:b").metrics
    assert (
        "tie_share" not in metrics
        and "zero_advantage_groups" not in metrics
        and "criteria_spread" not in metrics
    )


def test_reasons_are_counted():
    """Why completions have no reward."""
    with a_reward(Player({"a": "+"})) as reward:
        batch = reward.grade(["p"] * 3, ["", "", "a"], [a_rubric("1:x")] * 3)
    assert batch.tally.why == {"the completion is empty": 2}
    assert batch.tally.unjudged.n == 3 and batch.tally.unjudged.low < 2 / 3 < batch.tally.unjudged.high
