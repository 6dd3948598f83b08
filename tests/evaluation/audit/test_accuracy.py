"""Pair accuracy, tail, bands, ties, tau: numbers counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from audit_cases import a_pool, four

from rubricate.evaluation.audit.auditing import audit

NAN = float("nan")


def of(pool, metric, reward="r"):
    """The value of a metric."""
    found = audit(pool).reward(reward).estimates[metric]
    return None if found is None else found.value


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("pair_accuracy", 3 / 6),
        ("pair_accuracy_half", 3.5 / 6),
        ("pair_accuracy_decided", 3 / 5),
        ("pair_ties", 1 / 6),
        ("pair_unjudged", 0),
        ("tail_accuracy@100%", 3 / 6),
        ("tail_accuracy@80%", 3 / 6),  # 0.75 of the mass is above the fourth, which is below 0.8
        ("tail_accuracy@70%", 0),  # the pairs among 4, 3 and 2: tied, wrong, wrong
        ("tail_accuracy_half@70%", 1 / 6),
        ("tail_accuracy_decided@70%", 0),
        ("tail_ties@70%", 1 / 3),
        ("tail_accuracy@50%", 0),  # 4 against 3
        ("tie_share", 1 / 6),
        ("tie_share_top@2", 1),  # the two that have a 3
        ("tie_share_top@4", 1 / 6),
        ("tail_tie_share@50%", 0),
        ("kendall_tau", (3 - 2) / np.sqrt(6 * 5)),
    ],
)
def test_four_responses(metric, value):
    """Gold 1, 2, 3, 4 and proxy 1, 3, 3, 2."""
    assert of(four(), metric) == pytest.approx(value)


def test_a_tail_of_one_response_has_no_pair():
    """The top tenth of four is the best alone: nothing to measure, and no zero in its place."""
    assert of(four(), "tail_accuracy@10%") is None


def test_bands_are_apart():
    """Eight responses, a band is two: right in the lowest and the highest, tied and wrong between."""
    pool = a_pool(([1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 5, 5, 9, 8, 3, 4]))
    bands = ("0-25%", "25-50%", "50-75%", "75-100%")
    assert [of(pool, f"band_accuracy@{band}") for band in bands] == [1, 0, 0, 1]
    assert [of(pool, f"band_ties@{band}") for band in bands] == [0, 1, 0, 0]


def test_an_unjudged_response_is_no_half_and_no_agreement():
    """Of the six pairs three have the silent response: wrong twice over, and left out of the decided ones."""
    pool = a_pool(([1, 2, 3, 4], [1, 2, 3, NAN]))
    assert of(pool, "pair_accuracy") == pytest.approx(3 / 6)
    assert of(pool, "pair_accuracy_half") == pytest.approx(3 / 6)
    assert of(pool, "pair_accuracy_decided") == 1
    assert of(pool, "pair_unjudged") == pytest.approx(3 / 6)
    assert of(pool, "unjudged") == pytest.approx(1 / 4)
    assert of(pool, "kendall_tau") == pytest.approx(1)


def test_pairs_are_pooled_over_prompts():
    """One right of one, none of three: 1 of 4, not the mean of 1 and 0."""
    pool = a_pool(([1, 2], [1, 2]), ([1, 2, 3], [3, 2, 1]))
    assert of(pool, "pair_accuracy") == pytest.approx(1 / 4)
    assert of(pool, "kendall_tau") == pytest.approx(0)


def test_equal_gold_is_no_pair():
    """Whatever the proxy says of them."""
    pool = a_pool(([1, 1, 2], [5, 0, 9]))
    assert of(pool, "pair_accuracy") == 1
    assert audit(pool).n_pairs == 2


def test_the_tail_is_a_share_of_base_mass():
    """The best response has three quarters of the mass, so that it alone is the top half."""
    pool = a_pool(([1, 2, 3], [1, 2, 3]), weights=[1.0, 1.0, 6.0])
    assert of(pool, "tail_accuracy@50%") is None
    assert of(pool, "tail_accuracy@80%") == 1  # the second best has 0.75 above it


def test_a_proxy_that_ties_a_prompt_has_no_tau_there():
    """It counts as 0, and does not leave the mean: 1 and 0 give one half."""
    assert of(a_pool(([1, 2], [1, 2]), ([1, 2], [7, 7])), "kendall_tau") == pytest.approx(0.5)
