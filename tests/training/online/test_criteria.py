"""Which criteria are one, which retire, which come back: laws, and cases by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rubricate.domain.rubric import Criterion, Rubric
from rubricate.training.online.turns.criteria import (
    Retired,
    are_one,
    courses_of,
    merged,
    plain,
    to_retire,
    varying,
    whole,
    without,
)
from tests.builders import a_rubric, marks

ALIKE = 0.8


def one(text: str, weight: float = 1) -> Criterion:
    return Criterion("c", text, weight, "pitfall" if weight < 0 else "principle")


class TestOne:
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("Names the daily maximum.", "names the  daily maximum"),
            ("Explains why ventilation matters in a sealed room.",
             "The response explains why ventilation matters in sealed rooms."),
            ("States the recommended dose for adults with kidney disease.",
             "Mentions the recommended doses for adults with kidney disease"),
        ],
    )  # fmt: skip
    def test_the_same_in_other_words_of_form(self, first, second):
        """Case, spaces, inflection and the words by which criteria begin make no difference."""
        assert are_one(one(first), one(second), ALIKE) and are_one(one(second), one(first), ALIKE)

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("Gives at least 3 examples of renewable energy sources.",
             "Gives at least 5 examples of renewable energy sources."),
            ("Recommends taking the tablets with food every morning.",
             "Does not recommend taking the tablets with food every morning."),
            ("Advises to rest before long training sessions outdoors.",
             "Advises to rest after long training sessions outdoors."),
            ("Has at least 100 words.", "Has at most 100 words."),
            ("Mentions the dose.", "Mentions the dose for children by body weight and age."),
            ("Warns of drinking alcohol with the medicine.", "Mentions drinking alcohol with the medicine."),
            ("Names the daily maximum.", "Names a warning sign of an overdose."),
        ],
    )  # fmt: skip
    def test_numbers_negations_directions_and_more_detail_make_another(self, first, second):
        """What refinement writes is not taken for what was there."""
        assert not are_one(one(first), one(second), ALIKE) and not are_one(one(second), one(first), ALIKE)

    def test_a_pitfall_is_never_one_with_a_good_statement(self):
        """Also of the very same text."""
        assert not are_one(one("Names a dose."), one("Names a dose.", -1), ALIKE)

    @given(
        st.text(min_size=1, max_size=40).filter(str.strip), st.text(min_size=1, max_size=40).filter(str.strip)
    )
    def test_it_is_symmetric_and_everything_is_one_with_itself(self, first, second):
        """Whatever the texts."""
        assert are_one(one(first), one(second), ALIKE) == are_one(one(second), one(first), ALIKE)
        assert are_one(one(first), one(first), ALIKE) and plain(plain(first)) == plain(first)


class TestMerging:
    def test_what_was_there_keeps_text_and_id_and_takes_the_new_weight(self):
        """A rewording is the old criterion; what is new gets an id of its own."""
        before = Rubric((Criterion("c1", "Names the daily maximum.", 2), Criterion("c7", "Names a risk.", 1)))
        proposed = a_rubric("3:names the daily maximum", "2:Tells when to see a doctor.")
        found = merged(before, (), proposed, ALIKE)
        assert [(c.id, c.text, c.weight) for c in found.rubric.criteria] == [
            ("c1", "Names the daily maximum.", 3.0),
            ("c3", "Tells when to see a doctor.", 2.0),
        ]
        assert found.same == (("names the daily maximum", "Names the daily maximum."),) and found.back == ()

    def test_two_proposals_that_are_one(self):
        """The first stays, with the larger weight."""
        found = merged(a_rubric("1:x y"), (), a_rubric("1:Names the risk.", "3:names the risks"), ALIKE)
        assert [(c.text, c.weight) for c in found.rubric.criteria] == [("Names the risk.", 3.0)]

    def test_a_retired_one_that_is_proposed_again_comes_back_as_it_was(self):
        """Under its old text, so that its verdicts hold."""
        retired = Retired(Criterion("c9", "Names a warning sign.", 2), "constant", 3, "met by all")
        found = merged(a_rubric("1:a b"), (retired,), a_rubric("1:a b", "1:names a warning sign"), ALIKE)
        assert found.back == ("Names a warning sign.",) and found.rubric.criteria[1].id == "c9"

    def test_a_proposal_that_says_nothing_new_is_the_old_rubric(self):
        """Another order or other words are no new version."""
        before = a_rubric("3:names the daily maximum", "1:names a risk")
        found = merged(before, (), a_rubric("1:Names a risk.", "3:Names the daily maximum."), ALIKE)
        assert found.rubric is before

    def test_a_pitfall_of_the_text_of_a_good_statement_is_new(self):
        """Nothing is lost: both stand there, or the proposal's alone."""
        found = merged(a_rubric("1:names x", "2:c d"), (), a_rubric("-1:names x", "2:c d"), ALIKE)
        assert [(c.text, c.weight) for c in found.rubric.criteria] == [("names x", -1.0), ("c d", 2.0)]

    NAMES = st.lists(
        st.sampled_from(["Names a risk.", "names a risk", "Names risks", "Says when.", "Gives 3 signs.",
                         "Gives 4 signs.", "Tells who pays.", "Never names a risk."]),
        min_size=1, max_size=6, unique=True,
    )  # fmt: skip

    @given(NAMES, NAMES, NAMES, st.lists(st.sampled_from([1, 2, 3, -1]), min_size=6, max_size=6))
    def test_whatever_is_proposed(self, before, retired, proposed, weights):
        """Ids and texts are unique, no two criteria of the result are one unless they were both there before,
        everything proposed is there itself or as what it was merged into, and merging again changes
        nothing."""
        was = Rubric(tuple(Criterion(f"c{n}", text, 1) for n, text in enumerate(before, 1)))
        resting = tuple(
            Retired(Criterion(f"r{n}", text, 1), "constant", 0, "") for n, text in enumerate(retired)
            if text not in before
        )  # fmt: skip
        criteria = [
            Criterion(f"c{n}", text, weight, "pitfall" if weight < 0 else "principle")
            for n, (text, weight) in enumerate(zip(proposed, weights, strict=False), 1)
        ]
        if not any(criterion.weight > 0 for criterion in criteria):
            criteria.append(Criterion("c99", "Is in English.", 1))
        found = merged(was, resting, Rubric(tuple(criteria)), ALIKE)
        texts = [criterion.text for criterion in found.rubric.criteria]
        known = {*before, *(each.criterion.text for each in resting)}
        assert len(set(texts)) == len(texts)
        whole(found.rubric, [each for each in resting if each.criterion.text not in texts])
        same = dict(found.same)
        if found.rubric is not was:
            assert all(criterion.text in texts or same.get(criterion.text) in texts for criterion in criteria)
        for place, criterion in enumerate(found.rubric.criteria):
            for other in found.rubric.criteria[:place]:
                assert not are_one(criterion, other, ALIKE) or {criterion.text, other.text} <= known
        again = merged(was, resting, found.rubric, ALIKE)
        assert again.rubric.key == found.rubric.key or again.rubric is was


def said_of(rubric: Rubric, *rows: str) -> list[dict]:
    """Verdicts by text, a completion a row, a mark a criterion."""
    texts = [criterion.text for criterion in rubric.criteria]
    return [dict(zip(texts, marks(row), strict=True)) for row in rows]


RULE = {"n_groups": 2, "min_verdicts": 4, "min_active": 1, "max_active": 10}


class TestRetiring:
    def test_by_hand(self):
        """Two groups of three. a: met by all; b: differs in one group; c: met by all of one group and none of
        the other, which no advantage ever saw; d: silent but for three verdicts."""
        rubric = a_rubric("1:a", "1:b", "1:c", "1:d")
        groups = [said_of(rubric, "+++?", "++++", "+-+?"), said_of(rubric, "++-+", "++-?", "++-+")]
        courses = courses_of(groups, "abcd")
        gone = to_retire(rubric, courses, **RULE)
        assert [(criterion.text, how) for criterion, how, _ in gone] == [("a", "constant"), ("c", "constant")]
        assert gone[0][2] == "met by 6 of 6 in 2 groups, without spread in any"
        assert gone[1][2].startswith("met by 3 of 6")
        assert to_retire(rubric, courses, **{**RULE, "n_groups": 3}) == []
        assert to_retire(rubric, courses, **{**RULE, "min_verdicts": 7}) == []

    def test_too_many(self):
        """Of those with a spread the smallest goes; what is too new to have one stays."""
        rubric = a_rubric("1:a", "1:b", "1:new")
        groups = [[{"a": v["a"], "b": v["b"]} for v in said_of(rubric, "++-", "--+", "+-+", "---")]]
        gone = to_retire(rubric, courses_of(groups, ["a", "b", "new"]), **{**RULE, "max_active": 2})
        assert [(criterion.text, how) for criterion, how, _ in gone] == [("b", "crowded")]

    SHAPE = st.lists(st.sampled_from(["m", "v", "+", "-"]), min_size=1, max_size=6)

    @settings(max_examples=150)
    @given(
        SHAPE.filter(lambda kinds: "+" in kinds or "m" in kinds),
        st.lists(st.lists(st.text("+-?", min_size=6, max_size=6), min_size=1, max_size=4), max_size=4),
        st.integers(1, 4),
        st.integers(1, 6),
    )
    def test_whatever_was_said(self, kinds, said, min_active, extra):
        """Must-haves and vetoes stay, one of a positive weight stays, `min_active` stay, nothing that varied
        is called constant, nothing without two verdicts a group goes, and the order of groups is nothing."""
        shape = {"m": (1, "principle"), "+": (1, "principle"), "v": (-1, "pitfall"), "-": (-1, "pitfall")}
        rubric = Rubric(
            tuple(
                Criterion(f"c{n}", f"t{n}", *shape[kind], decisive=kind in "mv")
                for n, kind in enumerate(kinds)
            )
        )
        texts = [criterion.text for criterion in rubric.criteria]
        groups = [said_of(rubric, *(row[: len(kinds)] for row in group)) for group in said]
        courses = courses_of(groups, texts)
        rule = {
            "n_groups": 1,
            "min_verdicts": 2,
            "min_active": min_active,
            "max_active": min_active + extra - 1,
        }
        gone = to_retire(rubric, courses, **rule)
        left = without(rubric, [criterion.text for criterion, _, _ in gone])
        assert all(not criterion.is_decisive for criterion, _, _ in gone)
        assert len(left.criteria) >= min(min_active, len(rubric.criteria))
        assert any(criterion.weight > 0 for criterion in left.criteria)
        for criterion, how, _ in gone:
            assert courses[criterion.text].groups >= 1
            assert (how == "constant") <= (courses[criterion.text].varied == 0)
        assert to_retire(rubric, courses_of(groups[::-1], texts), **rule) == gone
        resting = [Retired(criterion, how, 0, why) for criterion, how, why in gone]
        assert {c.text for c in whole(left, resting).criteria} == set(texts), "an evaluation sees all"

    def test_what_varies(self):
        """Some meet it and others do not; silence is neither."""
        rubric = a_rubric("1:a", "1:b", "1:c")
        assert varying(said_of(rubric, "+?+", "-++"), "abc") == ["a"]
