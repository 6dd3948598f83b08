"""The item response model: against known truth, against plain integration, and what it cannot know."""

from __future__ import annotations

import numpy as np
import pytest
from pools import a_pool, a_world, an_entry

from rubricate.evaluation.aggregation.item_response import NODES, fit, item_response


def simulated(n_responses, discrimination, difficulty, seed=0):
    """A full table of verdicts under known parameters."""
    chance = np.random.default_rng(seed)
    quality = chance.normal(size=n_responses)
    logit = np.asarray(discrimination) * (quality[:, None] - np.asarray(difficulty))
    good = (chance.random(logit.shape) < 1 / (1 + np.exp(-logit))).astype(float)
    response, item = np.nonzero(np.ones_like(good))
    return quality, response, item, good[response, item]


def test_known_parameters_come_back():
    """5,000 responses to six recurring criteria: discrimination within 15%, difficulty within .15, and
    quality correlates as far as six verdicts allow."""
    a, b = np.array([0.8, 1.2, 1.6, 2.0, 1.0, 1.4]), np.array([-1.0, -0.5, 0.0, 0.5, 1.0, 0.2])
    quality, response, item, good = simulated(5_000, a, b)
    found = fit(response, item, good, 5_000, np.zeros(6, dtype=np.intp))
    assert found.converged
    assert found.discrimination == pytest.approx(a, rel=0.15)
    assert found.difficulty == pytest.approx(b, abs=0.15)
    assert np.corrcoef(found.quality, quality)[0, 1] > 0.75


def test_the_posterior_is_that_of_plain_integration():
    """Posterior means on a grid of 31 nodes, and by the trapezoid rule on 4,001, agree to three digits."""
    _, response, item, good = simulated(50, [1.5] * 8, np.linspace(-1.5, 1.5, 8))
    found = fit(response, item, good, 50, np.zeros(8, dtype=np.intp))
    theta = np.linspace(-6, 6, 4_001)
    for place in range(0, 50, 7):
        mine = response == place
        logit = found.discrimination[item[mine], None] * (theta - found.difficulty[item[mine], None])
        chance = 1 / (1 + np.exp(-logit))
        density = np.exp(-(theta**2) / 2) * np.where(good[mine, None] > 0, chance, 1 - chance).prod(axis=0)
        assert found.quality[place] == pytest.approx((theta * density).sum() / density.sum(), abs=2e-3)
    assert NODES == 31


def test_at_rest_no_parameter_wants_to_move():
    """The slope of the log posterior in each log a and b is 0 where EM rests, by finite differences."""
    _, response, item, good = simulated(120, [0.7, 1.0, 1.5, 2.2], [-1, 0, 0.5, 1], seed=3)
    found = fit(response, item, good, 120, np.zeros(4, dtype=np.intp), most_rounds=5_000)
    grid = np.linspace(-4.5, 4.5, NODES)
    prior = np.exp(-(grid**2) / 2)
    prior /= prior.sum()
    log_a, b = np.log(found.discrimination), found.difficulty
    mean = log_a.sum() * 4 / (4 * 4 + 4)  # of the class, given the items: both deviations are 0.5

    def log_posterior(log_a, b):
        chance = 1 / (1 + np.exp(-np.exp(log_a)[:, None] * (grid - b[:, None])))
        each = np.where(good[:, None] > 0, chance[item], 1 - chance[item])
        weights = np.ones((120, NODES))
        np.multiply.at(weights, response, each)
        likelihood = np.log(weights @ prior).sum()
        return likelihood - ((log_a - mean) ** 2).sum() / 2 / 0.25 - (b**2).sum() / 2 / 4

    step = 1e-4
    for place in range(4):
        nudge = np.eye(4)[place] * step
        for up, down in (
            (log_posterior(log_a + nudge, b), log_posterior(log_a - nudge, b)),
            (log_posterior(log_a, b + nudge), log_posterior(log_a, b - nudge)),
        ):
            assert (up - down) / (2 * step) == pytest.approx(0, abs=0.05)


def test_classes_share_what_prompts_cannot_tell_alone():
    """Criteria of one prompt only: the class that tells gets a higher discrimination than that of coins."""
    pool = a_pool(*a_world(60))
    _, found = item_response(pool)
    kind = np.array(pool.observed.kind)
    by_class = {
        name: np.median(found.discrimination[np.unique(pool.observed.item[kind == name])])
        for name in ("rule", "principle")
    }
    assert by_class["rule"] > 1.5 * by_class["principle"]


def test_it_beats_counting_where_criteria_differ():
    """In a world of three telling criteria and three coins, quality is ordered better than by the mean."""
    pool = a_pool(*a_world(60))
    scores, _ = item_response(pool)
    counted = np.bincount(pool.observed.response, pool.observed.good, len(pool))
    within = lambda values: values - np.repeat(values.reshape(60, 8).mean(axis=1), 8)  # noqa: E731
    gold = within(pool.gold)
    assert np.corrcoef(within(scores), gold)[0, 1] > np.corrcoef(within(counted), gold)[0, 1] + 0.03


def test_more_met_is_never_worse():
    """Of two responses to one prompt, the one that meets a further criterion has the higher score."""
    pool = a_pool(an_entry(1, "a", "++-"), an_entry(1, "b", "+--"), an_entry(1, "c", "---"))
    scores, _ = item_response(pool)
    assert scores[0] > scores[1] > scores[2]
    assert ((scores > 0) & (scores < 1)).all()


def test_pitfalls_are_turned_around():
    """A pitfall that did not happen speaks for a response."""
    kinds, weights = ["principle", "pitfall"], [1.0, -1.0]
    entries = [
        an_entry(1, name, marks, weights=weights, kinds=kinds) for name, marks in (("a", "+-"), ("b", "++"))
    ]
    scores, _ = item_response(a_pool(*entries))
    assert scores[0] > scores[1]


def test_below_the_floor_there_is_no_score():
    """Silence leaves the score open, and does not touch the others' existence."""
    scores, _ = item_response(a_pool(an_entry(1, "a", "+??"), an_entry(1, "b", "++-")))
    assert np.isnan(scores).tolist() == [True, False]


def test_equal_verdicts_tie():
    """Nothing tells them apart."""
    scores, _ = item_response(a_pool(an_entry(1, "a", "+-"), an_entry(1, "b", "+-"), an_entry(1, "c", "-+")))
    assert scores[0] == scores[1]
