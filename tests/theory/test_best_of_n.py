"""Laws of best-of-n on pools: exact against every possible draw, ties and all."""

from itertools import combinations, product
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.theory import maps
from rubricate.theory.best_of_n import best_of_n, best_of_n_estimate, chances_of_best, kl_bound

few = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 2.0, 3.0]), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=6
)


def chances(proxy, draws, weights):
    """Probability of each response to be kept, over all given draws of places; ties by chance."""
    kept = np.zeros(len(proxy))
    for draw, weight in zip(draws, weights, strict=True):
        best = [place for place in draw if proxy[place] == max(proxy[i] for i in draw)]
        for place in best:
            kept[place] += weight / len(best)
    return kept / kept.sum()


def quantiles(gold):
    return [np.mean([(other < one) + 0.5 * (other == one) for other in gold]) for one in gold]


def divergence(kept):
    return sum(p * log(p * len(kept)) for p in kept if p)


@given(few, st.integers(1, 4))
def test_independent_draws_are_all_the_draws_there_are(pool, n):
    """Every one of the N^n sequences, counted."""
    gold, proxy = zip(*pool, strict=True)
    draws = list(product(range(len(pool)), repeat=n))
    kept = chances(proxy, draws, [1.0] * len(draws))
    found = best_of_n(gold, proxy, n)
    expected = (kept @ gold, kept @ quantiles(gold), divergence(kept))
    assert [quantity[0, 0] for quantity in found] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(few, st.integers(1, 4))
def test_the_estimate_is_all_the_subsets_there_are(pool, n):
    """Every one of the C(N, n) choices, counted; none where there are too few responses."""
    gold, proxy = zip(*pool, strict=True)
    found = best_of_n_estimate(gold, proxy, n)
    if n > len(pool):
        assert all(np.isnan(quantity[0, 0]) for quantity in found)
        return
    draws = list(combinations(range(len(pool)), n))
    kept = chances(proxy, draws, [1.0] * len(draws))
    expected = (kept @ gold, kept @ quantiles(gold), divergence(kept))
    assert [quantity[0, 0] for quantity in found] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_base_weights_are_copies():
    """A response of twice the weight is drawn as often as two equal ones."""
    weighted = best_of_n([0, 1, 2], [1, 3, 2], [1, 2, 5], base=[1, 1, 2])
    copied = best_of_n([0, 1, 2, 2], [1, 3, 2, 2], [1, 2, 5])
    for ours, theirs in zip(weighted, copied, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12)


@given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 1.0]), min_size=1, max_size=30), st.floats(1, 1e6))
def test_the_bound_is_a_bound(proxy, n):
    """On a discrete law the KL never exceeds log n - (n-1)/n, and never what the best level allows."""
    kl = best_of_n(proxy, proxy, n).kl[0, 0]
    assert 0 <= kl <= kl_bound(n) + 1e-9
    assert kl <= -log(proxy.count(max(proxy)) / len(proxy)) + 1e-9


def test_the_bound_is_reached_without_ties_only():
    """100,000 different scores: equal to four digits. Top quarter tied: far below, 1.386 at most."""
    scores = np.arange(100_000.0)
    assert best_of_n(scores, scores, 16).kl[0, 0] == pytest.approx(kl_bound(16), abs=1e-4)
    tied = best_of_n(scores, np.minimum(scores, 75_000), [16, 256]).kl[0]
    assert np.all(tied < log(4)) and np.all(tied < kl_bound([16, 256]))


def test_a_large_pool_is_the_continuous_formula():
    """100,000 even quantiles under the maps, drawn independently or chosen."""
    gold = (np.arange(100_000) + 0.5) / 100_000
    for block_map in (maps.correct(), maps.top_wrong(0.1), maps.top_tied(0.25)):
        proxy = block_map.proxy(gold)
        for found in (best_of_n(gold, proxy, [2, 16]), best_of_n_estimate(gold, proxy, [2, 16])):
            assert found.win_rate[0] == pytest.approx(block_map.win_rate_of_best([2, 16]), abs=1e-3)
            assert found.kl[0] == pytest.approx(block_map.kl_of_best([2, 16]), abs=1e-3)


@given(few)
def test_one_draw_is_the_base_policy(pool):
    """Best of one: whatever the proxy, one half and no distance."""
    gold, proxy = zip(*pool, strict=True)
    for found in (best_of_n(gold, proxy, 1), best_of_n_estimate(gold, proxy, 1)):
        assert found.win_rate[0, 0] == pytest.approx(0.5)
        assert found.kl[0, 0] == pytest.approx(0, abs=1e-12)


def test_the_estimate_is_unbiased():
    """Over pools of six drawn from a law, the mean estimate of best-of-3 is best-of-3 of the law."""
    chance = np.random.default_rng(7)
    gold, proxy = np.array([0.0, 1.0, 2.0, 3.0, 4.0]), np.array([0.0, 1.0, 1.0, 3.0, 2.0])
    drawn = chance.integers(5, size=(20_000, 6)).ravel()
    estimates = best_of_n_estimate(gold[drawn], proxy[drawn], 3, sizes=np.full(20_000, 6)).gold[:, 0]
    error = estimates.std() / np.sqrt(20_000)
    assert abs(estimates.mean() - best_of_n(gold, proxy, 3).gold[0, 0]) < 4 * error


def test_prompts_of_different_sizes_keep_apart():
    """Each as if alone; the one that is too small has no estimate."""
    gold, proxy = [0, 1, 2, 5, 7], [2, 1, 0, 1, 2]
    found = best_of_n_estimate(gold, proxy, [1, 2, 3], sizes=[3, 2])
    assert found.gold == pytest.approx(np.array([[1, 1 / 3, 0], [6, 7, np.nan]]), nan_ok=True)


def test_many_draws_find_the_best_of_the_proxy():
    """A million draws from a pool: those that tie for the best."""
    found = best_of_n([0, 1, 2, 3], [1, 2, 2, 0], 1e6)
    assert (found.gold[0, 0], found.kl[0, 0]) == pytest.approx((1.5, log(2)))


@pytest.mark.parametrize("n", [0, 0.5, np.nan, np.inf])
def test_less_than_one_draw_is_a_mistake(n):
    """As is half a response out of a pool."""
    for function in (best_of_n, best_of_n_estimate):
        with pytest.raises(ValueError, match="at least 1"):
            function([0, 1], [0, 1], n)
    with pytest.raises(ValueError, match="whole"):
        best_of_n_estimate([0, 1], [0, 1], 1.5)
    with pytest.raises(ValueError, match="n is at least 1"):
        kl_bound(0.5)


@given(few, st.integers(1, 4))
def test_the_chances_are_those_of_the_subsets(pool, n):
    """Each response's own, whatever the gold; none where the prompt is too small."""
    _, proxy = zip(*pool, strict=True)
    (found,) = chances_of_best(proxy, n)
    if n > len(proxy):
        assert np.isnan(found).all()
        return
    subsets = list(combinations(range(len(proxy)), n))
    assert found == pytest.approx(chances(proxy, subsets, [1.0] * len(subsets)))
