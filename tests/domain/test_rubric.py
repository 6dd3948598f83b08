"""Criteria and rubrics: one that exists is valid."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.rubric import Criterion, Kind, Lineage, Rubric, changes_between, with_decisive
from tests.builders import a_criterion, a_rubric

weights = st.floats(0.01, 100) | st.integers(1, 3)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id": " "}, "needs an id"),
        ({"text": ""}, "has no text"),
        ({"text": " \n\t"}, "has no text"),
        ({"weight": 0}, "not 0"),
        ({"weight": -0.0}, "not 0"),
        ({"weight": math.nan}, "finite"),
        ({"weight": math.inf}, "finite"),
        ({"weight": -math.inf, "kind": "pitfall"}, "finite"),
        ({"weight": -1}, "only a pitfall has a negative weight"),
        ({"weight": -1, "kind": "rule"}, "only a pitfall has a negative weight"),
        ({"weight": 2, "kind": "pitfall"}, "only a pitfall has a negative weight"),
    ],
)
def test_an_invalid_criterion_is_never_made(fields: dict[str, Any], said: str) -> None:
    """Neither in code nor from a file."""
    sound = {"id": "c1", "text": "is polite", "weight": 1, "kind": "principle"}
    with pytest.raises(ValueError, match=said):
        Criterion(**{**sound, **fields})
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**sound, **fields}, Criterion)


@pytest.mark.parametrize(
    ("criteria", "said"),
    [
        ((), "at least one criterion with a positive weight"),
        ((a_criterion("-1:lies"),), "at least one criterion with a positive weight"),
        ((a_criterion("1:a"), a_criterion("1:b")), "two criteria have the id 'c1'"),
        ((a_criterion("1:a", "c1"), a_criterion("2:a", "c2")), "two criteria have the text 'a'"),
        ((a_criterion("1:a"), Criterion("c2", "b", 1e301)), "add up to more than 1e\\+300"),
        (tuple(Criterion(f"c{n}", f"{n}", 1e308) for n in range(2)), "add up to more than"),
    ],
)
def test_an_invalid_rubric_is_never_made(criteria: tuple[Criterion, ...], said: str) -> None:
    """Neither in code nor from a file."""
    with pytest.raises(ValueError, match=said):
        Rubric(criteria)
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert({"criteria": [msgspec.to_builtins(c) for c in criteria]}, Rubric)


def test_an_unknown_field_is_refused() -> None:
    """A misspelt field of a file is not a default."""
    with pytest.raises(msgspec.ValidationError, match="wieght"):
        msgspec.json.decode(b'{"id": "c1", "text": "a", "wieght": 3}', type=Criterion)


@given(weights, st.sampled_from(["rule", "principle"]))
def test_a_verdict_outlives_weight_kind_and_id(weight: float, kind: Kind) -> None:
    """A criterion is its text: what is learned of it stays valid when only the rest changes."""
    assert Criterion("c9", "names a risk", weight, kind).key == a_criterion("1:names a risk").key
    assert a_criterion("1:names a risk").key != a_criterion("1:names a risk.").key


def test_a_rubric_is_texts_weights_and_kinds_in_order() -> None:
    """These make another rubric; ids, version and lineage do not."""
    rubric = a_rubric("3:a", "1:b")
    same = Rubric(
        (Criterion("x", "a", 3.0), Criterion("y", "b", 1.0)), version=4, lineage=Lineage("p", 1, rubric.key)
    )
    assert same.key == rubric.key
    others = [a_rubric("1:b", "3:a"), a_rubric("2:a", "1:b"), a_rubric("rule 3:a", "1:b"), a_rubric("3:a")]
    assert len({rubric.key, *(other.key for other in others)}) == 5


def test_what_is_not_decisive_has_the_keys_and_the_bytes_it_always_had() -> None:
    """False and no tags are unset: not written, not in keys. Decisive is in a rubric's key, tags not."""
    plain = a_rubric("3:a", "1:b")
    first = msgspec.structs.replace(plain.criteria[0], decisive=False, tags=())
    assert first == plain.criteria[0]
    assert msgspec.json.encode(first) == b'{"id":"c1","text":"a","weight":3.0,"kind":"principle"}'
    assert plain.key == "27160b76850d2a965f195a0ce02fdfcb"
    tagged = Rubric((msgspec.structs.replace(first, tags=("x",)), plain.criteria[1]))
    must = Rubric((msgspec.structs.replace(first, decisive=True), plain.criteria[1]))
    assert tagged.key == plain.key != must.key
    assert must.criteria[0].key == first.key
    for one in (tagged, must):
        assert msgspec.json.decode(msgspec.json.encode(one), type=Rubric) == one


def test_what_is_decisive_outlives_a_rewriting() -> None:
    """By text and sign; what was left out comes back last, under an id that is free."""
    must, veto, plain = a_rubric("3:a", "-2:v", "1:b").criteria
    before = Rubric(
        (
            msgspec.structs.replace(must, decisive=True, tags=("t",)),
            msgspec.structs.replace(veto, decisive=True),
            plain,
        )
    )
    after = with_decisive(before, a_rubric("1:new", "2: a", version=3))
    assert [(c.id, c.text, c.weight, c.is_decisive) for c in after.criteria] == [
        ("c1", "new", 1, False),
        ("c2", " a", 2, True),
        ("c3", "v", -2, True),
    ]
    assert after.criteria[1].tags == ("t",) and after.version == 3
    same = a_rubric("1:new")
    assert with_decisive(a_rubric("3:a"), same) is same


def test_pitfalls_are_not_in_the_denominator() -> None:
    """The total is the sum of the positive weights."""
    assert a_rubric("3:a", "0.5:b", "-2:c").total_weight == 3.5


@given(weights)
def test_a_criterion_is_written_as_it_is_read(weight: float) -> None:
    """A resumed run writes the very bytes of the unbroken one: 3 does not become 3.0 on the way."""
    written = msgspec.json.encode(Criterion("c1", "a", weight))
    assert msgspec.json.encode(msgspec.json.decode(written, type=Criterion)) == written


rubrics = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 3)), min_size=1, max_size=6).map(
    lambda lines: a_rubric(*(f"{weight}:{text}" for text, weight in dict(lines).items()))
)


@given(rubrics, rubrics)
def test_changes_tell_the_whole_difference(before: Rubric, after: Rubric) -> None:
    """From `before` and the changes `after` can be told, every text has one line, in the order promised."""
    changes = changes_between(before, after)
    assert [(line.text, line.weight_after) for line in changes if line.how != "dropped"] == [
        (criterion.text, criterion.weight) for criterion in after.criteria
    ]
    texts_after = {criterion.text for criterion in after.criteria}
    assert [
        (line.text, line.weight_before, line.weight_after) for line in changes if line.how == "dropped"
    ] == [(c.text, c.weight, None) for c in before.criteria if c.text not in texts_after]
    old = {criterion.text: criterion.weight for criterion in before.criteria}
    assert all(line.weight_before == old.get(line.text) for line in changes)
    for line in changes:
        if line.how != "dropped":
            same = "kept" if line.weight_before == line.weight_after else "reweighted"
            assert line.how == (same if line.text in old else "added")


def test_changes_by_hand() -> None:
    """One of each kind."""
    changes = changes_between(a_rubric("3:a", "1:b", "2:c"), a_rubric("2:d", "3:a", "2:b"))
    assert [(line.how, line.text, line.weight_before, line.weight_after) for line in changes] == [
        ("added", "d", None, 2),
        ("kept", "a", 3, 3),
        ("reweighted", "b", 1, 2),
        ("dropped", "c", 2, None),
    ]


def test_a_rubric_without_changes_is_kept_line_by_line() -> None:
    """Nothing is called changed that is not."""
    rubric = a_rubric("3:a", "-1:b")
    assert {line.how for line in changes_between(rubric, rubric)} == {"kept"}
