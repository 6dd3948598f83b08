"""Laws of estimates: published values, bounds, and what an interval may never promise."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.intervals import BOOTSTRAP_UP_TO, Clusters, Estimate, mean, rate

counts = st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), Statistics in Medicine 17, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(hits, n, low, high):
    """The Wilson interval is the one that Newcombe prints, to four digits."""
    estimate = rate(hits, n)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (low, high)


@given(counts)
def test_a_rate_lies_inside_its_interval_and_the_interval_inside_0_and_1(hits_of):
    """And it has a width, also at 0 of n and n of n."""
    estimate = rate(*hits_of)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.low < estimate.high


@given(counts)
def test_hits_and_misses_mirror_each_other(hits_of):
    """The interval of the misses is the mirror of the interval of the hits."""
    hits, n = hits_of
    some, others = rate(hits, n), rate(n - hits, n)
    assert others.low == pytest.approx(1 - some.high) and others.high == pytest.approx(1 - some.low)


def test_nothing_has_no_rate_and_no_mean():
    """No units: no number at all, rather than a zero."""
    assert rate(0, 0) is None and mean([]) is None and Clusters().rate() is None


def test_more_hits_than_units_is_a_bug():
    """It is not rounded down."""
    with pytest.raises(ValueError, match="3 hits of 2"):
        rate(3, 2)
    with pytest.raises(ValueError, match="3 hits of 2"):
        Clusters().add(3, 2)


def test_clusters_that_hang_together_widen_the_interval():
    """All or nothing by cluster: the effective number of units is that of the clusters, nearly."""
    together, apart = Clusters(), Clusters()
    for number in range(40):
        together.add(25 if number % 4 == 0 else 0, 25)
        apart.add(6 if number % 4 else 7, 25)
    assert together.rate().value == 0.25 and together.rate().n == 1000
    independent = rate(250, 1000)
    # Cochran 6.3 by hand: sum (x - p m)^2 = 10 * 18.75^2 + 30 * 6.25^2 = 4687.5; times 40/39 / 1000^2.
    effective = 0.25 * 0.75 / (40 / 39 * 4687.5 / 1000**2)
    assert effective == pytest.approx(39)
    assert together.rate().low == pytest.approx(rate_of_share(0.25, 39)[0])
    assert together.rate().high - together.rate().low > 4 * (independent.high - independent.low)
    assert apart.rate().n == 1000 and apart.rate().low == pytest.approx(rate(250, 1000).low, abs=0.001)


def rate_of_share(share: float, n: float) -> tuple[float, float]:
    """Wilson's interval as the roots of (p - share)^2 = z^2 p (1 - p) / n: another way there."""
    z2 = 1.959963984540054**2
    a, b, c = 1 + z2 / n, -(2 * share + z2 / n), share**2
    root = math.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def test_one_cluster_or_no_spread_counts_units():
    """Without a spread between clusters there is nothing to widen by; an empty cluster changes nothing."""
    one = Clusters()
    one.add(3, 10)
    one.add(0, 0)
    assert one.rate() == rate(3, 10)
    none = Clusters()
    for _ in range(5):
        none.add(0, 20)
    assert none.rate() == rate(0, 100)


def test_clusters_never_narrow_the_interval():
    """Clusters more alike than chance would have them do not make up units."""
    alike = Clusters()
    for _ in range(50):
        alike.add(5, 10)
    assert alike.rate() == rate(250, 500)


def test_a_mean_of_one_value_has_no_interval():
    """Rather than one of no width."""
    assert mean([0.25]) == Estimate(0.25, 1, None, None)


values = st.lists(st.floats(-100, 100), min_size=2, max_size=40)


@given(values)
def test_a_mean_stays_within_its_values(sample):
    """So does its interval, and the mean lies between the smallest and the largest."""
    estimate = mean(sample)
    slack = 1e-9
    assert min(sample) - slack <= estimate.low <= estimate.high <= max(sample) + slack
    assert estimate.n == len(sample)


def test_a_mean_is_the_same_on_every_run_and_moves_with_the_seed():
    """One seed, one interval."""
    sample = [chance.random() for chance in [random.Random(5)] for _ in range(60)]
    assert mean(sample) == mean(sample)
    assert mean(sample, seed=1).low != mean(sample, seed=2).low
    assert mean(sample, seed=1).value == mean(sample, seed=2).value


def test_bootstrap_and_normal_agree_where_one_takes_over_from_the_other():
    """At the change of method the ends differ by less than a tenth of the width."""
    chance = random.Random(7)
    sample = [chance.choice((0.0, 1 / 6, 1 / 2, 1.0)) for _ in range(BOOTSTRAP_UP_TO)]
    resampled, normal = mean(sample), mean([*sample, sample[0]])
    width = normal.high - normal.low
    assert abs(resampled.low - normal.low) < 0.1 * width and abs(resampled.high - normal.high) < 0.1 * width


def test_the_bootstrap_covers():
    """Of 100 samples of 40 draws, about 95 intervals hold the true mean (from 87 to 99 do)."""
    chance = random.Random(11)
    covered = sum(
        estimate.low <= 0.3 <= estimate.high
        for estimate in (mean([float(chance.random() < 0.3) for _ in range(40)], seed=n) for n in range(100))
    )
    assert 87 <= covered <= 99


def test_equal_values_have_an_interval_of_no_width():
    """The sample says nothing about a spread, and the docstring says so."""
    assert mean([0.5] * 10) == Estimate(0.5, 10, 0.5, 0.5)
