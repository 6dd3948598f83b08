"""Label files, verdict files and run folders are read as they are, or refused by line and field."""

from __future__ import annotations

import gzip
import json

import pytest
from label_files import a_row, judged, write

from rubricate.errors import DataError
from rubricate.evaluation.entries import first_draws, read_entries, trusted


def test_a_label_file(tmp_path):
    """Labels true, false and null; kinds, types and weights where they are stated; .gz as well."""
    row = a_row(1, "+-?")
    row["criteria"][0] |= {"kind": "rule", "type": "count", "weight": 2, "probability": 0.25}
    path = tmp_path / "labels.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(row).encode()))
    (entry,) = read_entries(str(path))
    assert [(c.label, c.has_label, c.has_verdict) for c in entry.criteria] == [
        (True, True, False),
        (False, True, False),
        (None, True, False),
    ]
    first = entry.criteria[0]
    assert (first.kind, first.type, first.weight, first.probability) == ("rule", "count", 2.0, 0.25)
    assert (entry.id, entry.prompt_id, entry.prompt.text, entry.place) == ("r1", "p1", "Ask 1.", "line 1")


@pytest.mark.parametrize(
    ("said", "read"),
    [("met", True), ("Yes", True), ("unmet", False), ("no", False), ("unjudged", None), (None, None)],
)
def test_words_for_verdicts(tmp_path, said, read):
    """Our words, and the official yes and no."""
    row = a_row(1, "+")
    row["criteria"][0]["verdict"] = said
    assert read_entries(write(tmp_path / "v.jsonl", [row]))[0].criteria[0].verdict is read


def test_a_run_folder(tmp_path):
    """Verdicts by criterion id meet the texts, weights and kinds of the rubric; gold comes along."""
    rubric = {
        "id": "p1",
        "prompt": "Ask.",
        "rubrics": [{"id": "c7", "criterion": "Is short.", "weight": -2, "kind": "pitfall"}],
    }
    score = {"id": "p1", "generator": "m", "response": "Yes.", "verdicts": {"c7": None}, "gold": 0.5}
    write(tmp_path / "rubrics.jsonl", [rubric])
    write(tmp_path / "scores.jsonl", [score])
    (entry,) = read_entries(str(tmp_path))
    (stated,) = entry.criteria
    assert (entry.prompt_id, entry.gold, entry.generator) == ("p1", 0.5, "m")
    assert (stated.text, stated.weight, stated.kind) == ("Is short.", -2.0, "pitfall")
    assert (stated.verdict, stated.has_verdict, stated.has_label) == (None, True, False)


def _with(**change):
    row = a_row(1, "+-")
    row["criteria"][1] |= change
    return row


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (_with(label="perhaps"), r"criteria\[1\]\.label: true, false or null"),
        (_with(label=1), r"criteria\[1\]\.label: true, false or null"),
        (_with(weight=float("nan")), r"criteria\[1\]\.weight: a finite number"),
        (_with(weight=0), r"criteria\[1\]\.weight: a weight of 0"),
        (_with(weight="2"), r"criteria\[1\]\.weight: a number is needed"),
        (_with(probability=1.5), r"criteria\[1\]\.probability: 1\.5 is not between 0 and 1"),
        (_with(probability=float("inf")), r"criteria\[1\]\.probability: a finite number"),
        (_with(kind="wish"), r"criteria\[1\]\.kind: one of rule"),
        (_with(kind="pitfall"), r"criteria\[1\]\.kind: only a pitfall"),
        (_with(criterion=" "), r"criteria\[1\]\.criterion: a text is needed"),
        (_with(criterion=None), r"criteria\[1\]\.criterion: missing"),
        (_with(votes=[3, 2]), r"criteria\[1\]\.votes: votes are"),
        (_with(criterion="The response touches on amber."), r"criteria\[1\]\.label: the same criterion"),
        (a_row(1, "+", gold=float("nan")), r"gold: a finite number"),
        (a_row(1, "+", gold="high"), r"gold: a number is needed"),
        (a_row(1, "+", draw=-1), r"draw: a draw is a whole number"),
        (a_row(1, "+", criteria=[]), r"criteria: a list of criteria"),
        (a_row(1, "+", criteria=["short"]), r"criteria\[0\]: a criterion is an object"),
        (a_row(1, "+", response=None), r"response: missing"),
        ({**a_row(1, "+"), "prompt": 3}, r"prompt: a text is needed"),
        ({**a_row(1, "+"), "prompt": [{"role": "user"}]}, r"prompt: not a list of messages"),
        ([1], r"a row is an object"),
    ],
)
def test_what_is_wrong_is_named_by_line_and_field(tmp_path, row, field):
    """The second line is wrong: the error says so, and which field."""
    path = write(tmp_path / "labels.jsonl", [a_row(0, "+"), row])
    with pytest.raises(DataError, match=rf"labels\.jsonl:2: {field}"):
        read_entries(path)


def test_a_response_comes_once(tmp_path):
    """By id, and where there is none by prompt, generator and text; another draw is another row."""
    twice = write(tmp_path / "a.jsonl", [a_row(1, "+"), a_row(2, "+", id="r1")])
    with pytest.raises(DataError, match=r"a\.jsonl:2: id: the same response as in line 1"):
        read_entries(twice)
    same = write(tmp_path / "b.jsonl", [a_row(1, "+", id=None), a_row(1, "-", id=None)])
    with pytest.raises(DataError, match=r"b\.jsonl:2: response: the same response as in line 1"):
        read_entries(same)
    drawn = write(tmp_path / "c.jsonl", [a_row(1, "+"), a_row(1, "+", draw=1)])
    entries = read_entries(drawn)
    assert [entry.draw for entry in entries] == [0, 1]
    with pytest.raises(DataError, match="draw: line 2: a further draw of a response"):
        first_draws(entries, drawn)
    assert first_draws(entries[:1], drawn) == entries[:1]


def test_the_same_criterion_twice_with_one_label(tmp_path):
    """Public files do that; only labels that contradict each other are refused."""
    row = a_row(1, "++")
    row["criteria"][1]["criterion"] = row["criteria"][0]["criterion"]
    assert len(read_entries(write(tmp_path / "a.jsonl", [row]))[0].criteria) == 2


def test_an_empty_file_and_a_strange_folder(tmp_path):
    """Each says what is missing."""
    with pytest.raises(DataError, match="there is no row in it"):
        read_entries(write(tmp_path / "a.jsonl", []))
    with pytest.raises(DataError, match=r"a folder without scores\.jsonl"):
        read_entries(str(tmp_path))
    write(tmp_path / "scores.jsonl", [{"id": "p"}])
    with pytest.raises(DataError, match=r"needs rubrics\.jsonl"):
        read_entries(str(tmp_path))
    write(tmp_path / "rubrics.jsonl", [{"id": "other", "prompt": "x", "rubrics": []}])
    with pytest.raises(DataError, match=r"scores\.jsonl:1: id: rubrics\.jsonl has no rubric of this prompt"):
        read_entries(str(tmp_path))


def test_verdicts_can_be_trusted(tmp_path):
    """They become labels; without verdicts there is nothing to trust."""
    row = judged(a_row(1, "+-?"), "-+?")
    entries = read_entries(write(tmp_path / "v.jsonl", [row]))
    (entry,) = trusted(entries, "v.jsonl")
    assert [(c.label, c.has_label, c.has_verdict) for c in entry.criteria] == [
        (False, True, False),
        (True, True, False),
        (None, True, False),
    ]
    with pytest.raises(DataError, match="carries no verdicts"):
        trusted(read_entries(write(tmp_path / "l.jsonl", [a_row(1, "+")])), "l.jsonl")
