"""Agreement on yes or no: published and hand-computed values, laws, and other people's implementations."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rubricate.evaluation.agreement import measures

TABLE = np.array([20.0, 5, 10, 15])
"""Both yes, first only, second only, both no."""

RATINGS = st.integers(2, 5).flatmap(
    lambda raters: st.lists(
        st.lists(st.sampled_from([1, 0, -1]), min_size=raters, max_size=raters), min_size=1, max_size=20
    )
)


def ratings(*raters: str) -> np.ndarray:
    """One text per rater, one letter per item."""
    return np.array([[{"1": 1, "0": 0, ".": -1}[mark] for mark in said] for said in raters], dtype=np.int8)


def test_a_table_by_hand():
    """20 true and met, 5 true and unmet, 10 false and met, 15 false and unmet."""
    assert measures.accuracy(TABLE) == pytest.approx(0.7)
    assert measures.sensitivity(TABLE) == pytest.approx(20 / 25)
    assert measures.specificity(TABLE) == pytest.approx(15 / 25)
    assert measures.balanced_accuracy(TABLE) == pytest.approx(0.7)


def test_cohens_kappa_by_hand():
    """Observed .7, by chance .5 * .6 + .5 * .4 = .5: (.7 - .5) / .5 = .4."""
    assert measures.cohen_kappa(TABLE) == pytest.approx(0.4)


def test_kappa_needs_a_chance_to_disagree():
    """Two who always say yes agree by chance alone: no kappa, rather than 0 or 1."""
    with np.errstate(invalid="ignore"):
        assert np.isnan(measures.cohen_kappa(np.array([7.0, 0, 0, 0])))
        assert np.isnan(measures.krippendorff_alpha(np.array([0.0, 14, 0])))


def test_confusion_counts_what_both_judged():
    """A missing label and an unjudged verdict fill no cell: neither is a no."""
    truth, said = ratings("11001.0", "10.0111")
    assert measures.confusion(truth, said).sum(axis=0).tolist() == [2, 1, 1, 1]


def test_fleiss_kappa_by_hand():
    """Three raters on four items with 3, 2, 1, 0 yes: agreement (1 + 1/3 + 1/3 + 1) / 4 = 2/3, chance .5."""
    found = measures.fleiss_sums(ratings("1110", "1100", "1000")).sum(axis=0)
    assert measures.mean_agreement(found) == pytest.approx(2 / 3)
    assert measures.fleiss_kappa(found) == pytest.approx(1 / 3)


def test_fleiss_wants_every_rater():
    """An item that one rater left open takes no part."""
    whole = measures.fleiss_sums(ratings("1110", "1100", "1000")).sum(axis=0)
    more = measures.fleiss_sums(ratings("11101", "11000", "1000.")).sum(axis=0)
    assert more.tolist() == whole.tolist()


def test_krippendorffs_own_example():
    """Krippendorff (2011), section A, two observers of ten units: o_01 = 4, n_0 = 14, n_1 = 6; .095."""
    found = measures.alpha_sums(ratings("0100000010", "1110010000")).sum(axis=0)
    assert found.tolist() == [4, 6, 14]
    assert measures.krippendorff_alpha(found) == pytest.approx(1 - 19 * 4 / (14 * 6))


def test_alpha_with_values_missing_by_hand():
    """Items 11., 101, .0., 00.: the lone 0 is not paired. In 101 two of the six ordered pairs are 1-0, at 1/2
    each: o_01 = 1; n_1 = 2 + 2, n_0 = 1 + 2; alpha = 1 - 6 * 1 / 12 = .5."""
    found = measures.alpha_sums(ratings("11.0", "1000", ".1..")).sum(axis=0)
    assert found.tolist() == [1, 4, 3]
    assert measures.krippendorff_alpha(found) == pytest.approx(0.5)


@given(RATINGS)
def test_alpha_is_what_its_definition_says(items):
    """1 - observed / expected disagreement, by going through all pairs of values one by one."""
    units = [[value for value in item if value >= 0] for item in items]
    units = [unit for unit in units if len(unit) > 1]
    values = [value for unit in units for value in unit]
    assume(len(set(values)) == 2)
    n = len(values)
    observed = sum((one != other) / (len(unit) - 1) for unit in units for one, other in permutations(unit, 2))
    expected = sum(one != other for one, other in permutations(values, 2)) / (n - 1)
    sums = measures.alpha_sums(np.array(items, dtype=np.int8).T).sum(axis=0)
    assert measures.krippendorff_alpha(sums) == pytest.approx(1 - observed / expected)


@given(RATINGS)
def test_fleiss_is_what_its_definition_says(items):
    """Agreeing pairs of raters by item, and chance from the shares of all ratings."""
    whole = [item for item in items if -1 not in item]
    flat = [value for item in whole for value in item]
    assume(len(set(flat)) == 2)
    agreed = np.mean([np.mean([a == b for a, b in combinations(item, 2)]) for item in whole])
    chance = np.mean(flat) ** 2 + (1 - np.mean(flat)) ** 2
    sums = measures.fleiss_sums(np.array(items, dtype=np.int8).T).sum(axis=0)
    assert measures.fleiss_kappa(sums) == pytest.approx((agreed - chance) / (1 - chance))


@given(RATINGS)
def test_no_measure_depends_on_names(items):
    """Yes and no may change places, and raters too."""
    marks = np.array(items, dtype=np.int8).T
    swapped = np.where(marks >= 0, 1 - marks, -1).astype(np.int8)[::-1]
    for sums, measure in (
        (measures.alpha_sums, measures.krippendorff_alpha),
        (measures.fleiss_sums, measures.fleiss_kappa),
    ):
        with np.errstate(divide="ignore", invalid="ignore"):
            one, other = measure(sums(marks).sum(axis=0)), measure(sums(swapped).sum(axis=0))
        assert one == pytest.approx(other, nan_ok=True)


def test_the_majority_of_draws():
    """Two of three settle it; even counts and silence settle nothing."""
    assert measures.majority(ratings("1100.", "1010.", "10.1.")).tolist() == [1, 0, -1, 0, -1]


def test_other_implementations_agree():
    """scikit-learn, krippendorff and statsmodels, where one is installed."""
    chance = np.random.default_rng(0)
    marks = chance.integers(0, 2, size=(3, 60)).astype(np.int8)
    marks[1] = np.where(chance.random(60) < 0.7, marks[0], marks[1])
    checked = 0
    try:
        from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score
    except ModuleNotFoundError:
        pass
    else:
        table = measures.confusion(marks[0], marks[1]).sum(axis=0)
        assert measures.cohen_kappa(table) == pytest.approx(cohen_kappa_score(marks[0], marks[1]))
        assert measures.balanced_accuracy(table) == pytest.approx(balanced_accuracy_score(marks[0], marks[1]))
        checked += 1
    try:
        import krippendorff
    except ModuleNotFoundError:
        pass
    else:
        holes = np.where(chance.random(marks.shape) < 0.2, -1, marks).astype(np.int8)
        theirs = krippendorff.alpha(np.where(holes < 0, np.nan, holes), level_of_measurement="nominal")
        assert measures.krippendorff_alpha(measures.alpha_sums(holes).sum(axis=0)) == pytest.approx(theirs)
        checked += 1
    try:
        from statsmodels.stats.inter_rater import fleiss_kappa
    except ModuleNotFoundError:
        pass
    else:
        met = marks.sum(axis=0)
        theirs = fleiss_kappa(np.stack([met, 3 - met], axis=1))
        assert measures.fleiss_kappa(measures.fleiss_sums(marks).sum(axis=0)) == pytest.approx(theirs)
        checked += 1
    if not checked:
        pytest.skip("none of scikit-learn, krippendorff, statsmodels is installed")
