"""What a response is sure of: no verdict that disappears makes a score rise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.aggregation import RULES, rules_first, weighted_mean
from rubricate.domain.guarantee import guaranteed, turned
from rubricate.domain.judgement import Verdict, unjudged
from tests.builders import a_rubric, marks

CRITERIA = st.lists(
    st.tuples(st.sampled_from(["rule ", "principle ", "pitfall "]), st.integers(1, 3)), min_size=1, max_size=7
).filter(lambda drawn: any(kind != "pitfall " for kind, _ in drawn))


@st.composite
def cases(draw):
    drawn = draw(CRITERIA)
    rubric = a_rubric(
        *(f"{kind}{-w if kind == 'pitfall ' else w}:criterion {n}" for n, (kind, w) in enumerate(drawn))
    )
    true = [Verdict(draw(st.sampled_from(["met", "unmet"]))) for _ in drawn]
    gone = [draw(st.booleans()) for _ in drawn]
    return rubric, true, [unjudged("upset") if g else v for v, g in zip(true, gone, strict=True)]


@pytest.mark.parametrize("name", RULES)
@given(case=cases(), floor=st.sampled_from([0.0, 0.5, 0.8, 1.0]))
def test_a_verdict_that_disappears_never_pays(name, case, floor):
    """Whatever verdicts a text makes disappear, under every rule and floor: less, the same, or no reward."""
    rubric, true, left = case
    honest, upset = guaranteed(RULES[name], rubric, true, floor), guaranteed(RULES[name], rubric, left, floor)
    assert honest == RULES[name](rubric, true, floor)
    assert upset is None or upset <= honest + 1e-9


def test_a_plain_score_would_pay():
    """4 of 5 points are 0.8; when the fifth is unjudged the plain score is 1.0; what is sure stays 0.8."""
    rubric = a_rubric("3:a", "1:b", "1:c")
    assert weighted_mean(rubric, marks("++-")) == 0.8
    assert weighted_mean(rubric, marks("++?")) == 1.0
    assert guaranteed(weighted_mean, rubric, marks("++?")) == 0.8
    assert guaranteed(weighted_mean, rubric, marks("+??")) is None  # 0.6 of the weight


def test_a_stutter_on_a_gate_is_no_zero():
    """An unjudged rule, 1 point of 5, could settle all: no reward rather than 0. With the rule met, 0.75."""
    rubric = a_rubric("rule 1:short", "3:a", "1:b")
    assert guaranteed(rules_first, rubric, marks("?+-")) is None
    assert guaranteed(rules_first, rubric, marks("++-")) == 0.75


def test_an_unjudged_pitfall_counts_as_happened():
    """3 points, a pitfall of 1 unjudged: 2 of 3 are sure, at a floor that allows it."""
    rubric = a_rubric("3:a", "-1:harms")
    assert guaranteed(weighted_mean, rubric, marks("+?"), 0.6) == pytest.approx(2 / 3)
    assert guaranteed(weighted_mean, rubric, marks("+?"), 0.8) is None


def test_a_verdict_turned_round():
    """Outcome, probability and votes; the rest stays."""
    met = Verdict("met", by="g", probability=0.9, votes=(3, 4))
    assert turned(met) == Verdict("unmet", by="g", probability=pytest.approx(0.1), votes=(1, 4))
