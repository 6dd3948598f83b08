"""Laws of the audit as a whole: baselines, invariances, what is said of gaps."""

from __future__ import annotations

import numpy as np
import pytest
from audit_cases import a_noisy_pool, a_pool, four
from hypothesis import given, settings
from hypothesis import strategies as st

from rubricate.errors import DataError
from rubricate.evaluation.audit.auditing import audit
from rubricate.evaluation.scored import grouped

ON_VALUES = ("win_rate@", "gold_reward@", "peak_", "turn_", "fall")
"""Metrics of the path, which depend on the values of a proxy and not on its order alone."""


def test_gold_audits_as_perfect_and_random_at_one_half():
    """Gold: 1 in all pairs and no regret. Random: one half, no correlation, a flat path."""
    found = audit(a_noisy_pool())
    gold, chance = found.reward("gold").estimates, found.reward("random").estimates
    for metric, estimate in gold.items():
        if "accuracy" in metric and estimate is not None:
            assert (estimate.value, chance[metric].value) == (1, 0.5), metric
    assert (gold["kendall_tau"].value, gold["regret"].value) == (1, 0)
    assert (chance["kendall_tau"].value, chance["regret_share"].value) == (0, pytest.approx(1))
    assert chance["win_rate@1"].value == 0.5
    assert chance["best_of_win_rate@4"].value == pytest.approx(0.5)
    assert (chance["tie_share"].value, chance["unjudged"].value) == (0, 0)


def test_a_constant_proxy_ties_everything():
    """No pair is right or wrong, choosing is by chance, and the note says so."""
    pool = a_noisy_pool()
    found = audit(pool.with_proxies({"r": np.full(pool.n_responses, 3.0)}))
    numbers = found.reward("r").estimates
    assert (numbers["pair_accuracy"].value, numbers["pair_accuracy_half"].value) == (0, 0.5)
    assert numbers["pair_accuracy_decided"] is None
    assert (numbers["tie_share"].value, numbers["tie_share_top@4"].value) == (1, 1)
    assert numbers["regret_share"].value == pytest.approx(1)
    assert (numbers["plateau_kl"].value, numbers["kendall_tau"].value) == (0, 0)
    assert "r gives all responses of each prompt the same score: it ranks nothing" in found.notes


def test_a_silent_proxy_has_no_numbers():
    """All unjudged: wrong on every pair, and nothing else is made up."""
    pool = a_noisy_pool()
    numbers = audit(pool.with_proxies({"r": np.full(pool.n_responses, np.nan)})).reward("r").estimates
    assert (numbers["unjudged"].value, numbers["pair_accuracy"].value) == (1, 0)
    assert numbers["pair_accuracy_decided"] is None
    assert numbers["best_gold"] is None
    assert "win_rate@1" not in numbers


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 1000))
def test_a_rising_map_of_the_proxy_changes_nothing_but_its_path(seed):
    """Every metric of order stays, to the last digit of its interval."""
    pool = a_noisy_pool(seed)
    one = audit(pool).reward("r").estimates
    other = audit(pool.with_proxies({"r": np.exp(pool.proxies["r"]) * 5})).reward("r").estimates
    for metric in one:
        if not metric.startswith(ON_VALUES):
            assert other[metric] == one[metric], metric


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 1000))
def test_order_and_names_change_nothing(seed):
    """Rows shuffled within prompts, prompts, proxies and sources renamed: the same values."""
    pool = a_noisy_pool(seed)
    order = np.random.default_rng(seed).permutation(pool.n_responses)
    other = grouped(
        [f"other {name}" for name in pool.prompts],
        pool.prompt_of[order],
        gold=pool.gold[order],
        proxies={"s": pool.proxies["r"][order]},
        lengths=pool.lengths[order],
        sources=pool.sources[order],
        source_names=["x", "y", "z"],
    )
    one, two = audit(pool).reward("r").estimates, audit(other).reward("s").estimates
    assert list(one) == list(two)
    for metric, found in one.items():
        if found is None:
            assert two[metric] is None, metric
        else:
            for end in ("value", "low", "high"):
                expected, shuffled = getattr(found, end), getattr(two[metric], end)
                assert shuffled == (None if expected is None else pytest.approx(expected, abs=1e-9)), metric


def test_missing_gold_is_used_where_it_is_and_counted():
    """A prompt without, one with a single gold, one with two of three: only the last takes part."""
    pool = a_pool(
        ([np.nan, np.nan], [1, 2]), ([1, np.nan], [1, 2]), ([1, np.nan, 2], [1, 2, 3]), ([1, 2], [1, 2])
    )
    found = audit(pool)
    assert (found.n_prompts, found.n_responses, found.n_pairs) == (2, 4, 2)
    assert "gold is missing for 4 of 9 responses" in found.notes[0]
    assert "1 prompts have none, 2 have it for some" in found.notes[0]
    assert found.notes[1].startswith("1 prompts have one response with gold")


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        ([([1], [1]), ([2], [2])], "one response with gold"),
        ([([1, 1], [1, 2]), ([3, 3], [1, 2])], "the same gold"),
        ([([np.nan, np.nan], [1, 2])], "empty in every row"),
    ],
)
def test_what_cannot_be_audited_is_said(prompts, said):
    """One response a prompt, all gold alike, no gold."""
    with pytest.raises(DataError, match=said):
        audit(a_pool(*prompts), origin="scores.csv")


def test_one_prompt_has_values_and_no_interval():
    """An interval over prompts needs two."""
    found = audit(four()).reward("r").estimates["pair_accuracy"]
    assert (found.n, found.low, found.high) == (1, None, None)
