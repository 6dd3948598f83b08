"""Laws of the tilt on pools: Proposition 1 by hand, by brute force, at both ends, whatever the layout."""

from fractions import Fraction
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.theory import maps, tilt, uniform
from rubricate.theory.pools import pools_of

scores = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(-5, 5))
responses = st.lists(st.tuples(scores, scores, st.floats(0.01, 10)), min_size=1, max_size=12)
prompts = st.lists(responses, min_size=1, max_size=5)
betas = st.floats(-3, 3).map(lambda decade: 10.0**decade)


def by_hand(prompt, beta):
    """Proposition 1 for one prompt of (gold, proxy, weight), response by response: gold, win rate, KL."""
    whole = sum(weight for _, _, weight in prompt)
    best = max(proxy for _, proxy, _ in prompt)
    rows = [(gold, exp((proxy - best) / beta), weight / whole) for gold, proxy, weight in prompt]
    z = sum(weight * tilted for _, tilted, weight in rows)
    expected = sum(weight * tilted / z * gold for gold, tilted, weight in rows)
    wins = kl = 0.0
    for gold, tilted, weight in rows:
        probability = weight * tilted / z
        wins += probability * sum(w * (0.5 * (other == gold) + (other < gold)) for other, _, w in rows)
        kl += probability * log(tilted / z) if probability else 0.0
    return expected, wins, kl


def flat(pool):
    """The prompts end to end: gold, proxy, base weights, sizes."""
    gold, proxy, base = (np.array([row[i] for prompt in pool for row in prompt]) for i in range(3))
    return gold, proxy, base, [len(prompt) for prompt in pool]


@given(prompts, st.lists(betas, min_size=1, max_size=3))
def test_proposition_1_prompt_by_prompt(pool, several):
    """Prompts of any sizes and any base weights, each at each beta."""
    gold, proxy, base, sizes = flat(pool)
    found = tilt.tilted(gold, proxy, several, sizes=sizes, base=base)
    for p, prompt in enumerate(pool):
        for s, beta in enumerate(several):
            expected = by_hand(prompt, beta)
            assert [quantity[p, s] for quantity in found] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_an_example_by_hand():
    """Gold 0, 1, 2 with proxy 0, log 2, log 2 at beta 1: weights 1, 2, 2, so 1/5, 2/5, 2/5."""
    found = tilt.tilted([0, 1, 2], [0, log(2), log(2)], 1.0)
    quantiles = [Fraction(1, 6), Fraction(1, 2), Fraction(5, 6)]
    assert found.gold[0, 0] == pytest.approx(6 / 5)
    assert found.win_rate[0, 0] == pytest.approx(
        float((quantiles[0] + 2 * quantiles[1] + 2 * quantiles[2]) / 5)
    )
    assert found.kl[0, 0] == pytest.approx(1 / 5 * log(3 / 5) + 4 / 5 * log(6 / 5))
    assert tilt.density([0, log(2), log(2)], [1.0, np.inf]) == pytest.approx(
        np.array([[0.2, 0.4, 0.4], [1 / 3, 1 / 3, 1 / 3]])
    )


def test_a_draw_that_ties_counts_one_half():
    """Two of four share the second place: they beat one, and tie two, themselves among them."""
    assert pools_of(4).quantiles(np.array([1.0, 5.0, 2.0, 2.0])) == pytest.approx(
        [1 / 8, 7 / 8, 1 / 2, 1 / 2]
    )


@given(prompts)
def test_the_base_policy_wins_one_half(pool):
    """At infinite beta, with any ties and any weights; and it is at no distance from itself."""
    gold, proxy, base, sizes = flat(pool)
    found = tilt.tilted(gold, proxy, np.inf, sizes=sizes, base=base)
    assert found.win_rate == pytest.approx(0.5, abs=1e-12)
    assert np.all(found.kl == 0)


@given(prompts)
def test_without_penalty_the_best_of_the_proxy_remain(pool):
    """At beta 0: the base policy on those that tie for the best, and KL -log of their base mass."""
    gold, proxy, base, sizes = flat(pool)
    found = tilt.tilted(gold, proxy, [0.0, 1e-308], sizes=sizes, base=base)
    for p, prompt in enumerate(pool):
        best = [row for row in prompt if row[1] == max(proxy for _, proxy, _ in prompt)]
        mass = sum(weight for _, _, weight in best)
        assert found.gold[p, 0] == pytest.approx(sum(g * w for g, _, w in best) / mass, abs=1e-12)
        share = mass / sum(weight for _, _, weight in prompt)
        assert found.kl[p, 0] == pytest.approx(-log(share), abs=1e-9)


@given(prompts, betas, st.randoms(use_true_random=False))
def test_the_order_of_responses_says_nothing(pool, beta, chance):
    """Shuffled within each prompt, the same numbers."""
    shuffled = [chance.sample(prompt, len(prompt)) for prompt in pool]
    found = [
        tilt.tilted(*flat(one)[:2], beta, sizes=flat(one)[3], base=flat(one)[2]) for one in (pool, shuffled)
    ]
    for ours, theirs in zip(*found, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@given(prompts, betas, st.floats(-100, 100))
def test_only_differences_of_the_proxy_count(pool, beta, shift):
    """A proxy that is higher everywhere in one prompt is the same proxy; twice it at twice the beta too."""
    gold, proxy, base, sizes = flat(pool)
    proxy = np.round(proxy * 256) / 256  # so that the shift is exact
    ours = tilt.tilted(gold, proxy, beta, sizes=sizes, base=base)
    theirs = tilt.tilted(gold, 2 * (proxy + round(shift)), 2 * beta, sizes=sizes, base=base)
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12)


@given(responses)
def test_kl_and_the_proxy_rise_as_the_penalty_falls(prompt):
    """The tilt gives the most proxy reward for its KL, so both rise together."""
    _, proxy, base, _ = flat([prompt])
    found = tilt.tilted(proxy, proxy, np.geomspace(1e3, 1e-3, 40), base=base)
    assert np.all(np.diff(found.kl) >= -1e-12) and np.all(np.diff(found.gold) >= -1e-9)
    assert np.all(found.kl >= 0)


@pytest.mark.parametrize("beta", [1e2, 1e5, 1e8, 1e12])
def test_a_small_kl_keeps_its_digits(beta):
    """KL tends to Var[proxy] / (2 beta^2), far below where a difference of two logarithms is noise."""
    proxy = np.linspace(0, 1, 101) ** 2
    found = tilt.tilted(proxy, proxy, beta).kl[0, 0]
    third = np.mean((proxy - proxy.mean()) ** 3) / (3 * beta**3)
    assert found == pytest.approx(proxy.var() / (2 * beta**2) + third, rel=1e-3 / beta + 1e-10)


def test_a_large_pool_is_the_continuous_theory():
    """100,000 even quantiles under the paper's maps: win rate and KL of the closed forms."""
    quantiles = (np.arange(100_000) + 0.5) / 100_000
    at = uniform.beta_at([0.5, 1.0, 3.0])
    for block_map in (maps.correct(), maps.top_wrong(0.25), maps.worst_wrong(0.9), maps.top_tied(0.25)):
        found = tilt.tilted(quantiles, block_map.proxy(quantiles), at)
        assert found.win_rate[0] == pytest.approx(block_map.win_rate(at), abs=1e-6)
        assert found.gold[0] == pytest.approx(block_map.win_rate(at), abs=1e-6)
        assert found.kl[0] == pytest.approx(block_map.kl(at), abs=1e-6)


@given(st.permutations(range(24)), betas)
def test_kl_does_not_know_the_gold(order, beta):
    """Any permutation of the proxy over the same gold: the same KL."""
    proxy = np.arange(24.0)
    found = tilt.tilted(np.arange(24.0), proxy[list(order)], beta).kl
    assert found == pytest.approx(tilt.tilted(proxy, proxy, beta).kl, rel=1e-9, abs=1e-13)


@given(st.integers(1, 19), st.permutations(range(20)), betas)
def test_the_envelope_is_below_every_order_of_the_rest(n_right, order, beta):
    """The finite form of Figure 2b: of all orders that keep the top, that reversal is worst."""
    gold = np.arange(20.0) / 20
    rest = 20 - n_right
    shuffled = [place for place in order if place < rest]
    some = np.concatenate([gold[shuffled], gold[rest:]])
    worst = np.concatenate([gold[:rest][::-1], gold[rest:]])
    lower, upper = (tilt.tilted(gold, proxy, beta).win_rate for proxy in (worst, some))
    assert lower <= upper + 1e-12


def test_parts_are_invisible(monkeypatch):
    """However few responses are taken at a time, the same numbers in the same places."""
    chance = np.random.default_rng(0)
    sizes = chance.integers(1, 9, 40)
    gold, proxy = chance.normal(size=(2, sizes.sum()))
    whole = tilt.tilted(gold, proxy, [0.1, 1.0, 10.0], sizes=sizes)
    assert whole.kl.shape == (40, 3)
    for limit in (1, 7, 50):
        monkeypatch.setattr(tilt, "_AT_ONCE", limit)
        for ours, theirs in zip(whole, tilt.tilted(gold, proxy, [0.1, 1.0, 10.0], sizes=sizes), strict=True):
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"gold": [0.0, np.nan, 1.0]}, "gold: row 1 is not finite"),
        ({"proxy": [0.0, 1.0, np.inf]}, "proxy: row 2 is not finite"),
        ({"proxy": [0.0, 1.0]}, "proxy: one number per response"),
        ({"beta": -1.0}, "beta"),
        ({"beta": []}, "beta"),
        ({"beta": np.nan}, "beta"),
        ({"sizes": [2, 2]}, "add up to the 3"),
        ({"sizes": [3, 0]}, "at least 1"),
        ({"base": [1.0, 0.0, 1.0]}, "positive"),
        ({"base": [1.0, 1.0]}, "base weights"),
        ({"gold": [], "proxy": []}, "add up to the 0"),
    ],
)
def test_a_wrong_column_is_named(change, says):
    """And the row, where there is one."""
    given = {"gold": [0.0, 0.5, 1.0], "proxy": [0.0, 1.0, 2.0], "beta": 1.0} | change
    with pytest.raises(ValueError, match=says):
        tilt.tilted(**given)
