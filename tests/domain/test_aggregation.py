"""Rules for one score of verdicts: hand-computed, with the laws that tie them to the weighted mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.aggregation import (
    LEAST,
    RULES,
    critical_veto,
    geometric,
    probability_weighted,
    rules_first,
    unweighted,
    weighted_mean,
)
from rubricate.domain.judgement import Verdict, unjudged
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.domain.scoring import score

KINDS = {"r": "rule", "p": "principle", "x": "pitfall"}


def a_rubric(*criteria: tuple[str, float]) -> Rubric:
    """Letters of kinds with weights."""
    return Rubric(
        tuple(
            Criterion(f"c{place}", f"Criterion {place}.", weight, KINDS[kind])
            for place, (kind, weight) in enumerate(criteria, 1)
        )
    )


def said(marks: str) -> tuple[Verdict, ...]:
    """+ met, - unmet, ? unjudged."""
    words = {"+": Verdict("met"), "-": Verdict("unmet"), "?": unjudged("silence")}
    return tuple(words[mark] for mark in marks)


MIXED = a_rubric(("r", 2), ("p", 3), ("p", 1), ("x", -2))

RUBRICS = st.lists(st.tuples(st.sampled_from("rp"), st.integers(1, 3)), min_size=1, max_size=6).map(
    lambda criteria: a_rubric(*criteria)
)


@st.composite
def graded(draw, pitfalls=True):
    """A rubric with verdicts."""
    criteria = draw(st.lists(st.tuples(st.sampled_from("rp"), st.integers(1, 3)), min_size=1, max_size=5))
    bad = draw(st.lists(st.integers(-3, -1), max_size=2 if pitfalls else 0))
    rubric = a_rubric(*criteria, *(("x", weight) for weight in bad))
    n = len(rubric.criteria)
    return rubric, said(draw(st.text("+-?", min_size=n, max_size=n)))


def test_unweighted_by_hand():
    """Met 1 of 3 positive, less one pitfall of one: 0; without the pitfall 2 of 3."""
    assert unweighted(MIXED, said("+--+")) == 0
    assert unweighted(MIXED, said("+-+-")) == pytest.approx(2 / 3)
    assert weighted_mean(MIXED, said("+-+-")) == pytest.approx(3 / 6)


def test_rules_first_by_hand():
    """A broken rule is 0; a kept one leaves the principles: 3 of 4, less the pitfall of 2."""
    assert rules_first(MIXED, said("-++-")) == 0
    assert rules_first(MIXED, said("++--")) == pytest.approx(3 / 4)
    assert rules_first(MIXED, said("++-+")) == pytest.approx(1 / 4)


def test_rules_only():
    """Without a principle the kept rules are all there is."""
    rules = a_rubric(("r", 1), ("r", 2))
    assert rules_first(rules, said("++")) == 1
    assert rules_first(rules, said("+-")) == 0
    assert rules_first(a_rubric(("r", 2), ("x", -1)), said("++")) == 0.5


def test_a_silent_rule_neither_opens_nor_closes():
    """Unjudged leaves the gate as it leaves the sums; below the floor there is no score at all."""
    rubric = a_rubric(("r", 1), ("r", 1), ("p", 8))
    assert rules_first(rubric, said("+?+")) == 1
    assert rules_first(rubric, said("-?+")) == 0
    assert rules_first(a_rubric(("r", 4), ("p", 4)), said("?+")) is None


def test_geometric_by_hand():
    """Half of the weight unmet: LEAST to the power one half, stretched from [LEAST, 1] to [0, 1]."""
    rubric = a_rubric(("p", 2), ("p", 2))
    assert geometric(rubric, said("+-")) == pytest.approx((LEAST**0.5 - LEAST) / (1 - LEAST))
    assert geometric(rubric, said("++")) == 1
    assert geometric(rubric, said("--")) == 0
    unsure = (Verdict("met", probability=0.64), Verdict("met", probability=0.25))
    assert geometric(rubric, unsure) == pytest.approx((0.4 - LEAST) / (1 - LEAST))


def test_a_pitfall_in_the_geometric_mean():
    """A pitfall that happened costs its weight in powers of LEAST; one that did not costs nothing."""
    rubric = a_rubric(("p", 4), ("x", -2))
    assert geometric(rubric, said("+-")) == 1
    assert geometric(rubric, said("++")) == pytest.approx((LEAST**0.5 - LEAST) / (1 - LEAST))


def test_critical_veto_by_hand():
    """The highest weight is critical: c2 of 3. A flag takes its place. Equal weights: nothing is critical."""
    assert critical_veto(MIXED, said("+-+-")) == 0
    assert critical_veto(MIXED, said("-++-")) == weighted_mean(MIXED, said("-++-")) == pytest.approx(4 / 6)
    assert critical_veto(MIXED, said("+-+-"), flagged={"c3"}) == pytest.approx(3 / 6)
    assert critical_veto(MIXED, said("++--"), flagged={"c3"}) == 0
    assert critical_veto(MIXED, said("++++"), flagged={"c4"}) == 0
    level = a_rubric(("p", 2), ("p", 2))
    assert critical_veto(level, said("+-")) == 0.5
    heavy = a_rubric(("p", 1), ("x", -3))
    assert critical_veto(heavy, said("++")) == 0
    assert critical_veto(heavy, said("+-")) == 1


def test_probability_weighted_by_hand():
    """Probabilities first, then votes, then the verdict itself: (2 * .5 + 1 * .25 + 1 * 1) / 4."""
    rubric = a_rubric(("p", 2), ("p", 1), ("r", 1))
    verdicts = (Verdict("unmet", probability=0.5), Verdict("unmet", votes=(1, 4)), Verdict("met"))
    assert probability_weighted(rubric, verdicts) == pytest.approx(2.25 / 4)


@given(graded(), st.sampled_from(sorted(RULES)))
def test_every_rule_has_the_floor_of_the_score(pair, rule):
    """A score in [0, 1] exactly where the weighted mean has one, None where it has none."""
    rubric, verdicts = pair
    found = RULES[rule](rubric, verdicts, 0.8)
    assert (found is None) == (score(rubric, verdicts, 0.8) is None)
    assert found is None or 0 <= found <= 1


@given(graded(), st.sampled_from(sorted(RULES)), st.data())
def test_meeting_more_never_costs(pair, rule, data):
    """An unmet criterion that becomes met (a pitfall that no longer happens) lowers no rule's score."""
    rubric, verdicts = pair
    places = [
        place
        for place, (criterion, verdict) in enumerate(zip(rubric.criteria, verdicts, strict=True))
        if verdict.outcome == ("unmet" if criterion.weight > 0 else "met")
    ]
    if not places:
        return
    place = data.draw(st.sampled_from(places))
    better = list(verdicts)
    better[place] = Verdict("met" if rubric.criteria[place].weight > 0 else "unmet")
    before, after = RULES[rule](rubric, verdicts, 0.0), RULES[rule](rubric, better, 0.0)
    assert before is None or after >= before - 1e-12


@given(RUBRICS, st.data())
def test_geometric_orders_as_the_weighted_mean(rubric, data):
    """Of verdicts without probabilities, and without pitfalls: the same order and the same ties."""
    n = len(rubric.criteria)
    one, other = (said(data.draw(st.text("+-", min_size=n, max_size=n))) for _ in range(2))
    means = weighted_mean(rubric, one), weighted_mean(rubric, other)
    products = geometric(rubric, one), geometric(rubric, other)
    assert (means[0] > means[1]) == (products[0] > products[1])
    assert (means[0] == means[1]) == (products[0] == products[1])


@given(graded())
def test_certain_probabilities_change_nothing(pair):
    """With probabilities of 1 and 0 the probability-weighted mean is the weighted mean."""
    rubric, verdicts = pair
    sure = tuple(
        Verdict(verdict.outcome, probability=float(verdict.outcome == "met"))
        if verdict.is_judged
        else verdict
        for verdict in verdicts
    )
    assert probability_weighted(rubric, sure) == weighted_mean(rubric, verdicts)
    assert probability_weighted(rubric, verdicts) == weighted_mean(rubric, verdicts)
