"""Verdicts -> score -> order. The laws that a reward has to keep."""

from fractions import Fraction
from itertools import pairwise
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from rubricate.domain.aggregation import RULES
from rubricate.domain.rubric import Rubric
from rubricate.domain.scoring import (
    COVERAGE_FLOOR,
    coverage,
    ranked,
    score,
    tie_share,
    top_of,
    top_tie_share,
)
from tests.builders import a_rubric, marks

Case = tuple[Rubric, str]


def rubric_of(weights: list[float]) -> Rubric:
    """A rubric of these weights."""
    return a_rubric(*(f"{weight}:criterion {place}" for place, weight in enumerate(weights)))


@st.composite
def cases(draw: st.DrawFn, offered: str = "+-?", pitfalls: bool = True) -> Case:
    """A rubric of weights from 1 to 3 with marks to it."""
    sizes = st.integers(1, 3) | (st.integers(-3, -1) if pitfalls else st.nothing())
    weights = [draw(st.integers(1, 3)), *draw(st.lists(sizes, max_size=9))]
    order = draw(st.permutations(weights))
    return rubric_of(list(order)), draw(st.text(offered, min_size=len(order), max_size=len(order)))


def changed(said: str, place: int, mark: str) -> str:
    """The marks with one of them replaced."""
    return said[:place] + mark + said[place + 1 :]


@given(cases(), st.floats(0, 1))
def test_a_score_lies_in_0_to_1_or_is_none(case: Case, floor: float) -> None:
    """Whatever the weights, the pitfalls and the floor."""
    rubric, said = case
    value = score(rubric, marks(said), floor)
    assert value is None or 0 <= value <= 1
    assert 0 <= coverage(rubric, marks(said)) <= 1


@given(cases("+-", pitfalls=False))
def test_a_fully_judged_score_is_the_paper_s(case: Case) -> None:
    """The weights of the met over all weights: r = sum w V / sum w."""
    rubric, said = case
    weights = [int(criterion.weight) for criterion in rubric.criteria]
    met = sum(weight for weight, mark in zip(weights, said, strict=True) if mark == "+")
    assert score(rubric, marks(said)) == float(Fraction(met, sum(weights)))


@given(cases())
def test_unmet_unjudged_met_is_an_ascent(case: Case) -> None:
    """For every criterion but a pitfall: to be met is never worse than to be unjudged, and that never worse
    than to be unmet; for a pitfall to be met is never better than unjudged, and that the same as unmet.

    So more met never lowers a score, a pitfall that happened never raises one, and unjudged is never unmet.
    The coverage floor is put aside: it decides whether there is a score, not how high it is.
    """
    rubric, said = case
    for place, criterion in enumerate(rubric.criteria):
        values = [score(rubric, marks(changed(said, place, mark)), 0.0) for mark in "-?+"]
        known = [value for value in values if value is not None]
        if criterion.kind == "pitfall":
            assert known == sorted(known, reverse=True)
            assert values[0] == values[1]
        else:
            assert known == sorted(known)


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_criteria_does_not_matter(case: Case, random: Random) -> None:
    """Score and coverage are the same, to the last bit, however the criteria are ordered."""
    rubric, said = case
    places = list(range(len(said)))
    random.shuffle(places)
    shuffled = rubric_of([rubric.criteria[place].weight for place in places])
    moved = "".join(said[place] for place in places)
    assert score(shuffled, marks(moved), 0.3) == score(rubric, marks(said), 0.3)
    assert coverage(shuffled, marks(moved)) == coverage(rubric, marks(said))


@given(cases(), st.sampled_from([0.1, 0.3, 0.5, 1.7, 3.0, 10.0, 1e6]))
def test_the_scale_of_weights_does_not_matter(case: Case, factor: float) -> None:
    """All weights times a number leave the score, and whether there is one at all."""
    rubric, said = case
    scaled = rubric_of([criterion.weight * factor for criterion in rubric.criteria])
    before, after = score(rubric, marks(said)), score(scaled, marks(said))
    assert (before is None) == (after is None)
    assert before is None or after == pytest.approx(before, abs=1e-12)


def test_exactly_the_floor_is_enough_at_every_scale() -> None:
    """Four of five equal criteria are 80%, also where 4 x 0.3 over 5 x 0.3 rounds to less."""
    rounded = (0.3 * 4) / (0.3 * 5)
    assert rounded < COVERAGE_FLOOR
    for weight in (1, 0.3, 0.1, 7):
        assert score(rubric_of([weight] * 5), marks("++-+?")) == pytest.approx(0.75)
        assert score(rubric_of([weight] * 5), marks("++-??")) is None


@given(cases(), st.floats(0, 1))
def test_below_the_floor_there_is_no_score(case: Case, floor: float) -> None:
    """A score exists only if the judged weight reaches the floor, all of it and its positive part alone."""
    rubric, said = case
    weights = [int(criterion.weight) for criterion in rubric.criteria]
    judged = sum(abs(weight) for weight, mark in zip(weights, said, strict=True) if mark != "?")
    good = [(weight, mark) for weight, mark in zip(weights, said, strict=True) if weight > 0]
    good_share = Fraction(sum(w for w, mark in good if mark != "?"), sum(w for w, _ in good))
    share = min(good_share, Fraction(judged, sum(abs(weight) for weight in weights)))
    assume(abs(share - Fraction(floor)) > Fraction(1, 10**6))
    is_known = share > floor and any(w > 0 and m != "?" for w, m in zip(weights, said, strict=True))
    assert (score(rubric, marks(said), floor) is not None) == is_known


@given(cases("+-", pitfalls=False), st.data())
def test_silencing_the_grader_gains_little_and_below_the_floor_nothing(
    case: Case, data: st.DataObject
) -> None:
    """A response that keeps the grader from judging what it fails gains at most a factor of 1 / floor; if it
    silences more than the floor allows it has no score at all."""
    rubric, said = case
    failed = [place for place, mark in enumerate(said) if mark == "-"]
    silenced = data.draw(st.sets(st.sampled_from(failed)) if failed else st.just(set()))
    quiet = "".join("?" if place in silenced else mark for place, mark in enumerate(said))
    honest, gamed = score(rubric, marks(said)), score(rubric, marks(quiet))
    assert honest is not None
    if coverage(rubric, marks(quiet)) < COVERAGE_FLOOR:
        assert gamed is None
    else:
        assert gamed is not None
        assert honest <= gamed <= honest / COVERAGE_FLOOR + 1e-12


def test_the_worked_example_of_the_paper() -> None:
    """18/20 and 18/20 before the refinement; 25/27 and 22/27 after it. Source: appendix I."""
    first = rubric_of([3, 3, 3, 3, 2, 2, 2, 1, 1])
    assert first.total_weight == 20
    assert score(first, marks("++++++-++")) == 18 / 20

    refined = rubric_of([3, 3, 3, 3, 2, 2, 2, 2, 2, 1, 1, 3])
    assert refined.total_weight == 27
    assert score(refined, marks("++++++++-+++")) == 25 / 27
    assert score(refined, marks("++++++-+-+-+")) == 22 / 27


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("++++--", 10 / 10),
        ("++++-+", 9 / 10),
        ("++++++", 7 / 10),
        ("-+-+++", 2 / 10),
        ("----++", 0.0),  # clipped: -3 over 10
        ("++++??", None),  # 10 of 13 judged, below 0.8
        ("++++?-", 10 / 10),  # 11 of 13
        ("+++?-+", 7 / 8),  # the unjudged 2 leaves both sums; 11 of 13
    ],
)
def test_pitfalls_by_hand(said: str, expected: float | None) -> None:
    """Weights 3, 3, 2, 2 and pitfalls of 2 and 1: met pitfalls are taken off above, never added below."""
    assert score(rubric_of([3, 3, 2, 2, -2, -1]), marks(said)) == expected


def test_only_pitfalls_judged_is_no_score() -> None:
    """Without a positive criterion there is nothing to take a share of, however low the floor."""
    assert score(rubric_of([1, -3]), marks("?-"), 0.0) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [("++-", 1.0), ("-+-", 0.0), ("+++", 0.0), ("+--", 0.75), ("?+-", None), ("++?", 1.0), ("-+?", 0.0)],
)
def test_decisive_criteria_by_hand(said: str, expected: float | None) -> None:
    """A must-have of 3 beside a principle of 1, and a veto of -0.5: a failure makes 0, silence decides
    nothing but what the floor decides; and so under every other rule."""
    must, other, veto = a_rubric("3:a", "1:b", "-0.5:v").criteria
    rubric = Rubric(
        (replace(must, decisive=True), other, replace(veto, decisive=True)),
    )
    assert score(rubric, marks(said)) == expected
    for rule in RULES.values():
        value = rule(rubric, marks(said), 0.8)
        assert (value is None) == (expected is None)
        assert value == 0.0 if expected == 0.0 else value is None or value > 0


def test_a_verdict_too_few_is_a_bug() -> None:
    """Scores are never computed from a part of the criteria."""
    with pytest.raises(ValueError, match="shorter"):
        score(rubric_of([1, 1]), marks("+"))


score_maps = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4),
    st.none() | st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
    max_size=10,
)


@given(score_maps, st.randoms(use_true_random=False))
def test_ranking_is_by_score_then_by_key(score_by_key: dict[str, float | None], random: Random) -> None:
    """Best first, ties by key, no score last; the order of arrival leaves no trace."""
    order = ranked(score_by_key)
    assert sorted(order) == sorted(score_by_key)
    for better, worse in pairwise(order):
        high, low = score_by_key[better], score_by_key[worse]
        assert low is None or (high is not None and high >= low)
        assert high != low or better < worse
    items = list(score_by_key.items())
    random.shuffle(items)
    assert ranked(dict(items)) == order


@given(score_maps, st.integers(1, 5))
def test_the_top_takes_all_that_tie_with_its_last(score_by_key: dict[str, float | None], top: int) -> None:
    """A head of the ranking: at least `top` if there are so many scores, cut only where the score falls."""
    best = top_of(score_by_key, top)
    scored = [key for key in ranked(score_by_key) if score_by_key[key] is not None]
    assert list(best) == scored[: len(best)]
    assert len(best) >= min(top, len(scored))
    if len(best) > top:
        assert {score_by_key[key] for key in best[top - 1 :]} == {score_by_key[best[-1]]}
    if len(best) < len(scored):
        assert score_by_key[scored[len(best)]] != score_by_key[best[-1]]


def test_the_top_by_hand() -> None:
    """Three of five are asked for; the third ties with the fourth; the one without a score never counts."""
    scores = {"a": 0.5, "b": 0.9, "c": 0.7, "d": 0.5, "e": None, "f": 0.1}
    assert top_of(scores, 3) == ("b", "c", "a", "d")
    assert top_of({}, 3) == ()


@pytest.mark.parametrize(
    ("scores", "share"),
    [
        ([], None),
        ([0.5], None),
        ([0.5, None], None),
        ([0.5, 0.5], 1.0),
        ([0.5, 0.6], 0.0),
        ([0.9, 0.9, 0.9, 0.4], 3 / 6),
        ([0.9, 0.9, 0.4, 0.4, None], 2 / 6),
        ([0.0, 0.0, None, None, None], 1.0),
    ],
)
def test_the_share_of_tied_pairs_by_hand(scores: list[float | None], share: float | None) -> None:
    """Tied pairs over all pairs of those that have a score."""
    assert tie_share(scores) == share


@given(st.lists(st.none() | st.sampled_from([0.1, 0.2, 0.3]), max_size=12))
def test_the_share_of_ties_is_a_share(scores: list[float | None]) -> None:
    """In [0, 1], 0 exactly when all scores differ, 1 exactly when all are equal."""
    share, known = tie_share(scores), [value for value in scores if value is not None]
    if len(known) < 2:
        assert share is None
        return
    assert share is not None
    assert 0 <= share <= 1
    assert (share == 0) == (len(set(known)) == len(known))
    assert (share == 1) == (len(set(known)) == 1)


def test_the_tie_share_of_the_top_sees_only_the_top() -> None:
    """Ties further down do not saturate a reward."""
    scores: dict[str, float | None] = {"a": 1.0, "b": 0.9, "c": 0.8, "d": 0.7, "e": 0.1, "f": 0.1}
    assert top_tie_share(scores) == 0.0
    assert top_tie_share(scores | {"e": 0.7}) == 1 / 10
