"""Intervals over prompts: hand-computed values, and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.evaluation import resampling
from rubricate.evaluation.resampling import difference, mean, ratio

COUNTS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=30)


def test_the_ratio_is_of_sums():
    """(1 + 3) / (2 + 8), not the mean of 1/2 and 3/8; a prompt without a denominator takes no part."""
    found = ratio([1, 3, 0], [2, 8, 0])
    assert found is not None
    assert (found.value, found.n) == (0.4, 2)


def test_nothing_gives_nothing_and_one_prompt_no_interval():
    """No prompt, no estimate; one prompt, no interval."""
    assert ratio([], []) is None
    assert ratio([0], [0]) is None
    one = ratio([1], [2])
    assert one is not None
    assert (one.value, one.low, one.high) == (0.5, None, None)


@given(COUNTS)
def test_the_interval_holds_the_value(counts):
    """low <= value <= high within the range of the ratios, and equal input gives equal output."""
    top, bottom = zip(*[(min(a, b), b) for a, b in counts], strict=True)
    found = ratio(top, bottom)
    assert found == ratio(top, bottom)
    if found is not None and found.low is not None and found.high is not None:
        assert -1e-12 <= found.low <= found.value + 1e-12
        assert found.value - 1e-12 <= found.high <= 1 + 1e-12


@given(COUNTS)
def test_a_thing_does_not_differ_from_itself(counts):
    """The paired difference of one and the same is 0 with no width."""
    top, bottom = zip(*counts, strict=True)
    found = difference(top, bottom, top, bottom)
    assert found is None or (found.value == 0 and found.low in (0, None) and found.high in (0, None))


def test_pairing_narrows_the_interval():
    """A constant gain over noisy prompts is seen as constant."""
    noise = np.random.default_rng(1).normal(size=200)
    found = difference(noise + 0.5, np.ones(200), noise, np.ones(200))
    assert found is not None and found.low is not None and found.high is not None
    assert found.low == pytest.approx(0.5)
    assert found.high == pytest.approx(0.5)


def test_many_prompts_get_the_normal_interval_that_the_bootstrap_agrees_with(monkeypatch):
    """On 1,500 prompts both ways give one interval, but for a twentieth of its width."""
    rng = np.random.default_rng(2)
    bottom = rng.integers(1, 20, 1500)
    top = rng.binomial(bottom, 0.3)
    drawn = ratio(top, bottom)
    monkeypatch.setattr(resampling, "BOOTSTRAP_UP_TO", 100)
    normal = ratio(top, bottom)
    assert drawn is not None and normal is not None
    assert drawn.low is not None and drawn.high is not None and normal.low is not None
    assert normal.low == pytest.approx(drawn.low, abs=(drawn.high - drawn.low) / 20)


def test_coverage_of_the_interval():
    """Of 200 samples of 60 clustered prompts, the truth is inside about 95% of the intervals."""
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(200):
        share = rng.beta(2, 2, 60)
        found = ratio(rng.binomial(10, share), np.full(60, 10))
        assert found is not None and found.low is not None and found.high is not None
        inside += found.low <= 0.5 <= found.high
    assert 180 <= inside <= 199


def test_the_mean_leaves_out_what_is_missing():
    """NaN takes no part."""
    found = mean([1.0, float("nan"), 3.0])
    assert found is not None
    assert (found.value, found.n) == (2.0, 2)


@given(st.lists(COUNTS, min_size=1, max_size=4))
def test_many_ratios_are_each_by_itself(many):
    """Drawn together or alone, with or without the same prompts: one and the same."""
    pairs = [tuple(zip(*counts, strict=True)) for counts in many]
    assert resampling.ratios(pairs) == [pytest_close(ratio(top, bottom)) for top, bottom in pairs]


def pytest_close(estimate):
    """Equal but for the rounding of a product of matrices."""
    if estimate is None:
        return None
    fields = {name: getattr(estimate, name) for name in ("value", "n", "low", "high")}
    return Close(**{name: None if v is None else pytest.approx(v, abs=1e-12) for name, v in fields.items()})


class Close:
    """An estimate to compare with."""

    def __init__(self, **fields):
        self.fields = fields

    def __eq__(self, other):
        return all(getattr(other, name) == value for name, value in self.fields.items())
