"""Fitted weights: they find what is there, and no prompt's gold ever touches its own scores."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from pools import a_pool, a_world, an_entry

from rubricate.evaluation.aggregation.fitted import FEATURES, fitted_weights

METHODS = ("logistic", "ridge")


@pytest.mark.parametrize("method", METHODS)
def test_it_finds_the_criteria_that_tell(method):
    """Rules tell of quality and principles are coins: the coefficient of rules is the largest, and the order
    on held-out prompts is better than by counting."""
    pool = a_pool(*a_world(60))
    found = fitted_weights(pool, method)
    assert found.coefficients["rule"] > 0.05
    assert found.coefficients["rule"] == max(found.coefficients.values())
    counted = np.bincount(pool.observed.response, pool.observed.good, len(pool))
    assert _pairs_right(pool, found.scores) > _pairs_right(pool, counted) + 0.03


def _pairs_right(pool, scores):
    """Ties as one half."""
    right, n = 0.0, 0
    for prompt in range(len(pool.prompt_ids)):
        mine = np.flatnonzero(pool.prompt == prompt)
        for one in mine:
            for other in mine:
                if pool.gold[one] > pool.gold[other]:
                    right += 0.5 * (np.sign(scores[one] - scores[other]) + 1)
                    n += 1
    return right / n


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("prompt", [0, 7, 19])
def test_a_prompts_own_gold_changes_nothing_of_its_scores(method, prompt):
    """Turn the gold of one prompt around: its own scores stay bit for bit, others may move."""
    entries = a_world(20)
    turned = [
        msgspec.structs.replace(entry, gold=-10 * entry.gold) if entry.prompt_id == f"p{prompt}" else entry
        for entry in entries
    ]
    before, after = (fitted_weights(a_pool(*some), method).scores for some in (entries, turned))
    mine = np.array([entry.prompt_id == f"p{prompt}" for entry in entries])
    assert (before[mine] == after[mine]).all()
    assert (before[~mine] != after[~mine]).any()


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_the_file_decides_nothing(method):
    """Prompts the other way round: the same scores."""
    entries = a_world(15)
    forwards = fitted_weights(a_pool(*entries), method).scores
    backwards = fitted_weights(a_pool(*entries[::-1]), method).scores
    assert backwards[::-1] == pytest.approx(forwards, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_scores_are_scores(method):
    """In [0, 1], none below the floor, one for responses without gold."""
    entries = a_world(12)
    entries[0] = msgspec.structs.replace(entries[0], gold=None)
    silent = [msgspec.structs.replace(c, verdict=None) for c in entries[1].criteria]
    entries[1] = msgspec.structs.replace(entries[1], criteria=tuple(silent))
    scores = fitted_weights(a_pool(*entries), method).scores
    assert np.isnan(scores[1])
    assert not np.isnan(scores[0])
    rest = scores[~np.isnan(scores)]
    assert ((rest >= 0) & (rest <= 1)).all()


def test_too_little_to_learn_from_is_said():
    """Nine prompts, or gold that never differs within a prompt: no weights, and why."""
    assert "at least 10 prompts, and 9 have it" in fitted_weights(a_pool(*a_world(9)), "ridge")
    level = [msgspec.structs.replace(entry, gold=1.0) for entry in a_world(12)]
    assert "and 0 have it" in fitted_weights(a_pool(*level), "logistic")


def test_one_feature_by_hand():
    """Two criteria of one kind and weight, one of which everybody meets: the fitted score is the mean of what
    is met up to the weights of the two, so a response that meets both stands above one that meets one."""
    entries = []
    for prompt in range(12):
        entries += [an_entry(prompt, "a", "++", 1.0), an_entry(prompt, "b", "+-", 0.0)]
    for method in METHODS:
        found = fitted_weights(a_pool(*entries), method)
        assert (found.scores[0::2] > found.scores[1::2]).all()
        assert found.scores[0::2] == pytest.approx(1)
        assert tuple(found.coefficients) == FEATURES
    assert fitted_weights(a_pool(*entries), "logistic").n_pairs == 12
