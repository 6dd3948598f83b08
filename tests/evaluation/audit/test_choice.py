"""Choosing with a proxy, and what it may be about: numbers counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from audit_cases import a_pool, four

from rubricate.evaluation.audit.auditing import audit
from rubricate.evaluation.audit.measures.counting import Layout
from rubricate.evaluation.audit.measures.gold_law import distance_from_uniform


def of(pool, metric, reward="r"):
    """The value of a metric."""
    found = audit(pool).reward(reward).estimates[metric]
    return None if found is None else found.value


def test_regret_with_a_tie():
    """The proxy's best are 2 and 3, worth 2.5 in the mean, as much as a draw by chance."""
    assert of(four(), "best_gold") == pytest.approx(2.5)
    assert of(four(), "regret") == pytest.approx(1.5)
    assert of(four(), "regret_share") == pytest.approx(1)


def test_a_tie_is_settled_by_base_weight():
    """2 has three times the weight of 3: 2.25."""
    assert of(four(weights=[1.0, 3.0, 1.0, 1.0]), "best_gold") == pytest.approx(2.25)


def test_best_of_two_over_all_six_choices():
    """{1,2}: 2, {1,3}: 3, {1,4}: 4, {2,3}: 2 or 3, {2,4}: 2, {3,4}: 3."""
    best = next(best for best in audit(four()).reward("r").best_of if best.n == 2)
    assert of(four(), "best_of_gold@2") == pytest.approx(16.5 / 6)
    square = (4 + 9 + 16 + (4 + 9) / 2 + 4 + 9) / 6
    assert best.spread == pytest.approx(np.sqrt(square - (16.5 / 6) ** 2))


def test_the_spread_is_what_the_order_of_candidates_makes():
    """Best of the first two candidates, in 20,000 random orders of them: the same mean and deviation."""
    rng = np.random.default_rng(0)
    gold, proxy = np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 3, 2])
    chosen = []
    for _ in range(20_000):
        first = rng.permutation(4)[:2]
        chosen.append(gold[first[np.argmax(proxy[first] + rng.random(2) / 10)]])
    best = next(best for best in audit(four()).reward("r").best_of if best.n == 2)
    assert np.mean(chosen) == pytest.approx(16.5 / 6, abs=0.02)
    assert np.std(chosen) == pytest.approx(best.spread, abs=0.02)


def test_who_wins():
    """The two tied best are by b and a: half a prompt each; the gold's best is b's."""
    pool = four(sources=[0, 1, 0, 1], source_names=["a", "b"])
    reward = audit(pool).reward("r")
    assert of(pool, "source_top_share") == pytest.approx(0.5)
    shares = {source.name: (source.pool, source.proxy.value, source.gold.value) for source in reward.sources}
    assert shares == {"a": (0.5, 0.5, 0.0), "b": (0.5, 0.5, 1.0)}


def test_correlation_with_length():
    """Ranks 1, 3.5, 3.5, 2 against 1, 2, 3, 4: 1.5 / sqrt(4.5 * 5)."""
    assert of(four(lengths=[10, 20, 30, 40]), "length_correlation") == pytest.approx(1.5 / np.sqrt(22.5))


def test_only_matched_lengths_count():
    """10 and 12 match, 12 and 15 do (a ratio of 1.25); 10 and 15 do not, nor any with 40."""
    pool = four(lengths=[10, 12, 15, 40])
    assert of(pool, "length_matched_accuracy") == pytest.approx(1 / 2)
    assert of(pool, "length_matched_accuracy_half") == pytest.approx(3 / 4)
    assert of(pool, "length_matched_accuracy_decided") == 1
    assert of(pool, "length_matched_ties") == pytest.approx(1 / 2)


def test_a_large_prompt_is_thinned_evenly():
    """1,000 responses of one length: 256 take part, and the share is that of all."""
    gold = np.arange(1000.0)
    pool = a_pool((gold.tolist(), (-gold).tolist()), lengths=np.full(1000, 50))
    measure = audit(pool).reward("r").measures["length_matched_accuracy"]
    assert measure.below.sum() == 256 * 255 / 2
    assert measure.above.sum() == 0


@pytest.mark.parametrize(
    ("gold", "distance"), [([0, 1, 2], 1 / 3), ([0, 0, 1], 2 / 3), ([5, 7, 9, 11], 1 / 4)]
)
def test_distance_from_uniform(gold, distance):
    """Stretched to [0, 1], the greatest gap between the steps and the diagonal."""
    found = distance_from_uniform(Layout(np.array([len(gold)])), np.array(gold, dtype=float))
    assert found.above / found.below == pytest.approx(distance)


def test_uniform_gold_is_as_far_as_uniform_gold_is():
    """Uniform draws are at the simulated distance, lumps far off."""
    rng = np.random.default_rng(5)
    draws = [rng.random(16).tolist() for _ in range(200)]
    even = audit(a_pool(*((gold, gold) for gold in draws))).gold
    lumps = audit(a_pool(*(([float(g > 0.5) + g / 100 for g in gold], gold) for gold in draws))).gold
    assert even.distance.value == pytest.approx(even.distance_if_uniform, abs=0.02)
    assert lumps.distance.low > 0.35 > even.distance.high
    at_one = {row.kl: row for row in lumps.at_kl}[1.0]
    assert at_one.as_given < at_one.in_quantiles - 0.01  # lumps cost win rate
    assert at_one.theorem == pytest.approx(0.865, abs=1e-3)
