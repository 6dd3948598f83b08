"""Word cues against hand-labelled cases: how often they agree, and that they read nothing but words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.intervals import rate
from rubricate.evaluation.kinds.cues import _GROUP_CUES, group_of, types_of
from rubricate.evaluation.kinds.refinements import Difference
from rubricate.evaluation.kinds.vocabulary import GROUPS, TYPES
from tests.evaluation.kinds.labelled_cases import CRITERIA, REFINEMENTS

RIGHT_TYPES, RIGHT_GROUPS = 24, 22


def test_the_names_of_the_paper():
    """Twenty-one types and twenty groups; the labelled cases have two of each but weights, which need no
    words."""
    assert len(TYPES) == 21 and len(GROUPS) == 20
    assert {name for _, _, name in REFINEMENTS} == set(TYPES) - {"weights and granularity"}
    assert {name for _, name in CRITERIA} == set(GROUPS) == {name for name, _ in _GROUP_CUES}


def test_how_often_types_agree():
    """Of 40 cases the cues name the labelled type, among others, in as many as the page says, and not more
    than two types a case."""
    found = [types_of(Difference(tuple(was), tuple(now))) for was, now, _ in REFINEMENTS]
    right = sum(label in types for types, (_, _, label) in zip(found, REFINEMENTS, strict=True))
    assert (right, len(found)) == (RIGHT_TYPES, 40), rate(right, len(found))
    assert sum(map(len, found)) <= 2 * len(found)


def test_how_often_groups_agree():
    """Of 40 cases the cues name the labelled group in as many as the page says."""
    right = sum(group_of(text) == label for text, label in CRITERIA)
    assert (right, len(CRITERIA)) == (RIGHT_GROUPS, 40), rate(right, len(CRITERIA))


def test_only_new_words_count():
    """A cue that the old wording had is no refinement."""
    assert types_of(Difference(("Warns of risk.",), ("Warns of the risk.",))) == ()
    assert types_of(Difference(("Warns of risk.",), ("Warns of risk, if asked.",))) == ("conditional rules",)


def test_weights_need_no_words():
    assert types_of(Difference(("A.",), ("A.",), (1.0, 3.0))) == ("weights and granularity",)


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_has_kinds_of_the_vocabulary(was, now):
    """Whatever a model wrote: no error, and no kind that is not on the list."""
    assert set(types_of(Difference((was,), (now,)))) <= set(TYPES)
    assert group_of(now) is None or group_of(now) in GROUPS
