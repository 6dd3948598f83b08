"""Intervals for functions of sums over prompts."""

from __future__ import annotations

import numpy as np
import pytest

from rubricate.evaluation import resampling
from rubricate.evaluation.agreement.measures import balanced_accuracy
from rubricate.evaluation.totals import estimated, per_prompt, share


def of(sums):
    return sums[..., 0] / sums[..., 1]


def test_a_ratio_is_the_ratio_of_resampling():
    """On a ratio both rooms give one and the same value and interval, on the same draws."""
    chance = np.random.default_rng(3)
    below = chance.integers(1, 9, 50)
    above = chance.integers(0, below + 1)
    ours = estimated(np.stack([above, below], axis=1), of, 50)
    assert ours == resampling.ratio(above, below)


def test_many_prompts_get_the_jackknife(monkeypatch):
    """Beyond the limit the interval is nearly the linearised one of a ratio: within 15% of its width."""
    chance = np.random.default_rng(4)
    below = chance.integers(1, 9, 3_000)
    above = chance.binomial(below, 0.3)
    ours = estimated(np.stack([above, below], axis=1), of, 3_000)
    theirs = resampling.ratio(above, below)
    assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.15)
    assert (ours.low + ours.high) / 2 == pytest.approx(ours.value)


def test_what_cannot_be_measured_is_none():
    """No count, and a single class; one prompt has a value without an interval."""
    assert estimated(np.zeros((3, 4)), balanced_accuracy, 0) is None
    assert estimated(np.array([[3.0, 1, 0, 0]]), balanced_accuracy, 4) is None
    one = estimated(np.array([[3.0, 1, 1, 3]]), balanced_accuracy, 8)
    assert (one.value, one.n, one.low, one.high) == (0.75, 8, None, None)


def test_a_resample_without_a_class_leaves_no_interval():
    """Where one of three prompts holds all the false labels, many resamples have none."""
    rows = np.array([[5.0, 1, 0, 0], [4, 2, 0, 0], [3, 1, 2, 2]])
    found = estimated(rows, balanced_accuracy, 20)
    assert found.value == pytest.approx((12 / 16 + 0.5) / 2)
    assert (found.low, found.high) == (None, None)


def test_prompts_without_a_count_take_no_part():
    """Rows of zeros do not water the resamples down."""
    rows = np.array([[3.0, 4], [1, 4], [2, 4]])
    assert estimated(np.concatenate([rows, np.zeros((9, 2))]), of, 12) == estimated(rows, of, 12)


def test_sums_by_prompt():
    """By hand, for one column and for two."""
    prompts = np.array([0, 2, 0])
    assert per_prompt(prompts, [1, 2, 3], 3).tolist() == [4, 0, 2]
    assert per_prompt(prompts, [[1, 0], [2, 1], [3, 1]], 3).tolist() == [[4, 1], [0, 0], [2, 1]]


def test_a_share_keeps_a_width_at_its_ends():
    """All of 40 in 4 prompts is no certainty."""
    found = share([10, 10, 10, 10], [10, 10, 10, 10])
    assert (found.value, found.n, found.high) == (1.0, 40, 1.0)
    assert found.low == pytest.approx(40 / (40 + 1.959963984540054**2))


def test_draws_are_made_once(monkeypatch):
    """A report asks for many statistics of one set of prompts."""
    resampling.draws.cache_clear()
    rows = np.arange(20.0).reshape(10, 2) + 1
    estimated(rows, of, 10)
    estimated(rows, of, 10)
    assert resampling.draws.cache_info().hits == 1
