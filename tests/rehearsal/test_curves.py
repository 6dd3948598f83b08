"""Curves over seeds: where they turn, what is lost, and what an interval allows to say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rubricate.domain.intervals import Estimate
from rubricate.rehearsal.account.curves import compared, rows_of, smoothed, standings_of, turn_of, verdict
from tests.rehearsal.points import training


def flat(*wins: float) -> list[list[float]]:
    """Four prompts of equal win rates at each point."""
    return [[win] * 4 for win in wins]


def test_each_point_is_averaged_with_its_neighbours():
    assert smoothed(np.array([0.0, 3.0, 6.0, 0.0])).tolist() == pytest.approx([1.5, 3.0, 3.0, 3.0])


def test_a_curve_turns_at_its_smoothed_peak():
    """0.1 0.3 0.6 0.6 0.3 0.2 smoothes to 0.2 1/3 0.5 0.5 0.3667 0.25: the peak is its first highest point,
    at step 20 and KL 2, and 0.25 is lost from there to the end."""
    found = turn_of(training(flat(0.1, 0.3, 0.6, 0.6, 0.3, 0.2)))
    assert (found.step, found.kl) == (20.0, 2.0)
    assert found.lost == pytest.approx(0.25)


def test_what_only_rises_loses_nothing():
    found = turn_of(training(flat(0.1, 0.2, 0.3, 0.4)))
    assert (found.step, found.kl, found.lost) == (30.0, 3.0, 0.0)


def test_a_peak_of_luck_alone_loses_nothing_on_average():
    """Win rates that are noise around 0.5: the fall from the highest point is always above zero, the loss by
    halves is zero within four standard errors of 300 trainings."""
    dice = np.random.default_rng(0)
    naive, fair = [], []
    for _ in range(300):
        wins = np.clip(0.5 + 0.2 * dice.standard_normal((10, 8)), 0, 1)
        means = smoothed(wins.mean(axis=1))
        naive.append(float(means.max() - means[-1]))
        fair.append(turn_of(training(wins.tolist())).lost)
    assert min(naive) >= 0
    assert np.mean(naive) > 0.04
    assert abs(np.mean(fair)) < 4 * np.std(fair) / math.sqrt(300)


def test_rows_are_over_seeds():
    """Two seeds with win rates 0.4 and 0.6: mean 0.5, and Student's interval of one degree of freedom,
    12.706 times the standard error 0.1."""
    runs = {("initial", seed): training(flat(0.2, win), seed=seed) for seed, win in enumerate((0.4, 0.6))}
    first, last = rows_of(runs)
    assert (first.step, last.step) == (0, 10)
    assert last.great_wins == Estimate(
        pytest.approx(0.5), 2, pytest.approx(0.5 - 1.2706, abs=1e-3), pytest.approx(0.5 + 1.2706, abs=1e-3)
    )
    assert last.gold.value == pytest.approx(0.25)
    assert last.kl.value == pytest.approx(1.0)


def test_a_step_that_not_all_seeds_have_is_no_row():
    runs = {("bt", 0): training(flat(0.2, 0.3), seed=0), ("bt", 1): training(flat(0.2), seed=1)}
    assert [row.step for row in rows_of(runs)] == [0]


def test_differences_are_paired_by_seed():
    """Refined turns ten steps later in both seeds and ends 0.1 higher, however far the seeds lie apart."""
    runs = {}
    for seed, base in enumerate((0.1, 0.5)):
        early = flat(base, base + 0.3, base + 0.4, base + 0.1, base + 0.1, base)
        late = flat(base, base + 0.2, base + 0.3, base + 0.4, base + 0.4, base + 0.1)
        runs["initial", seed] = training(early, seed=seed)
        runs["refined", seed] = training(late, reward="refined", seed=seed)
    runs["refined", 2] = training(flat(0.1, 0.2), reward="refined", seed=2)  # has no partner
    found = compared(runs, "refined", "initial")
    assert found is not None
    assert found.step.n == 2
    assert found.step == Estimate(10.0, 2, 10.0, 10.0)
    assert found.last.value == pytest.approx(0.2)
    assert verdict(found.last) == "yes"
    assert compared(runs, "refined", "gold") is None
    assert [standing.reward for standing in standings_of(runs)] == ["initial", "refined"]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 0.3, "yes"), (-0.3, -0.1, "no"), (-0.1, 0.3, "unclear"), (None, None, "unclear")],
)
def test_an_interval_says_yes_no_or_unclear(low, high, said):
    assert verdict(Estimate(0.2, 3, low, high)) == said
