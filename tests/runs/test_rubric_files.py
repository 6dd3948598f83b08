"""Rubrics from files: official shapes, the published dataset, our own; mistakes named by their ordinal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rubricate.domain.conversation import Prompt
from rubricate.domain.record import PromptRecord
from rubricate.domain.rubric import Rubric
from rubricate.errors import DataError
from rubricate.runs.dataset import dataset_row
from rubricate.runs.outputs import official_rubric, rubric_row
from rubricate.runs.rubric_files import RubricFile, read_rubrics
from tests.builders import a_dialogue, a_pool, a_prompt, a_rubric

PROMPT = a_prompt("How much may an adult take?", "p1")
CRITERIA = [{"local_id": "c1", "criterion": "names the dose", "weight": 3},
            {"local_id": "c2", "criterion": "names a risk", "weight": 1}]  # fmt: skip


def rubrics_of(folder: Path, rows: Any, name: str = "rubrics.json") -> RubricFile:
    path = folder / name
    lines = name.endswith(".jsonl")
    path.write_text("\n".join(json.dumps(row) for row in rows) if lines else json.dumps(rows, indent=1))
    return read_rubrics(str(path))


def said(rubric: Rubric | None) -> list[tuple[str, float, str]] | None:
    return rubric and [(c.text, c.weight, c.kind) for c in rubric.criteria]


PLAIN = [("names the dose", 3.0, "principle"), ("names a risk", 1.0, "principle")]


@pytest.mark.parametrize(
    "rows",
    [
        [{"id": "p1", "prompt": PROMPT.text, "total_criteria": 2, "criteria": CRITERIA}],
        [{"prompt_id": "p1", "criteria": CRITERIA}],
        {"p1": {"prompt": PROMPT.text, "criteria": CRITERIA}},
        {"p1": CRITERIA},
        {"rubrics": {"p1": {"criteria": CRITERIA}}},
        {"rubrics": [{"id": "p1", "criteria": CRITERIA}]},
        [{"prompt": PROMPT.text, "rubrics": CRITERIA, "number_of_criteria": 2, "total_weight": 4}],
        [{"prompt": f"  {PROMPT.text}\n", "rubrics": CRITERIA}],
        [{"id": "p1", "rubric": {"criteria": CRITERIA}}],
        [{"id": "p1", "criteria": [{"description": "names the dose", "points": 3}, "names a risk"]}],
        [{"id": "p1", "criteria": [{**c, "weight": f" {c['weight']} "} for c in CRITERIA]}],
        [{"id": "p1", "criteria": [{**c, "id": c["local_id"], "local_id": None} for c in CRITERIA]}],
    ],
)
def test_all_shapes_say_the_same(tmp_path: Path, rows: Any) -> None:
    """Lists, objects by id, the published rows, weights as text: one rubric, found by id or by text."""
    found = rubrics_of(tmp_path, rows)
    assert said(found.of(PROMPT)) == PLAIN
    assert found.of(a_prompt("Another question?", "p2")) is None


def test_what_we_write_is_read_back(tmp_path: Path) -> None:
    """rubrics.jsonl keeps kinds and weights; the dataset and the official shape keep what they can carry."""
    rubric, pool = a_rubric("rule 2:at most 200 words", "1.5:is kind", "-2:tells to stop"), a_pool(2, PROMPT)
    record = PromptRecord("k", "p1", PROMPT.key, "kept", "why", rubric=rubric)
    ours = rubrics_of(tmp_path, [rubric_row(pool, record, rubric)], "rubrics.jsonl")
    assert ours.of(PROMPT) == rubric
    published, official = dataset_row(pool, "p1", rubric), official_rubric(pool, "p1", rubric)
    for row in (published, official):
        again = said(rubrics_of(tmp_path, [row]).of(PROMPT))
        assert again == [
            (text, weight, kind.replace("rule", "principle")) for text, weight, kind in said(rubric) or ()
        ]


def test_dialogues_are_found(tmp_path: Path) -> None:
    """A prompt of several turns is found by its id and by the text that our files give for it."""
    dialogue = a_dialogue("one", "two", "three")
    row = {"prompt": dialogue.text, "rubrics": CRITERIA}
    assert said(rubrics_of(tmp_path, [row]).of(dialogue)) == PLAIN
    turns = [{"role": message.role, "content": message.content} for message in dialogue.messages]
    with_turns = rubrics_of(tmp_path, [{"id": "dialogue", "prompt": turns, "rubrics": CRITERIA}])
    assert said(with_turns.of(dialogue)) == PLAIN


def test_an_id_of_another_prompt_finds_nothing(tmp_path: Path) -> None:
    """Ids such as 1 and 2 name other prompts in another file: where the file says what the prompt is, that
    decides."""
    rows = [{"id": 1, "prompt": "Why?", "criteria": CRITERIA}, {"id": 2, "prompt": "Who?", "criteria": ["x"]}]
    found = rubrics_of(tmp_path, rows)
    assert said(found.of(Prompt.of_text("Why?", "1"))) == PLAIN
    assert found.of(Prompt.of_text("When?", "1")) is None
    assert said(found.of(Prompt.of_text("Who?", "1"))) == [("x", 1.0, "principle")]
    assert said(found.of(Prompt.of_text("Why?", "elsewhere"))) == PLAIN


def test_two_rubrics_of_one_text_are_found_by_id_only(tmp_path: Path) -> None:
    """When a text stands for two rubrics, it settles nothing; ids still do."""
    rows = [{"id": n, "prompt": "Why?", "criteria": [f"criterion {n}"]} for n in (1, 2)]
    found = rubrics_of(tmp_path, rows)
    assert said(found.of(Prompt.of_text("Why?", "2"))) == [("criterion 2", 1.0, "principle")]
    assert found.of(Prompt.of_text("Why?", "3")) is None


def test_rows_without_criteria_are_owed(tmp_path: Path) -> None:
    """An empty list says that the prompt has no rubric yet: it will be proposed."""
    found = rubrics_of(tmp_path, [{"id": "p1", "criteria": []}, {"id": "p2", "criteria": CRITERIA}])
    assert (found.of(PROMPT), len(found)) == (None, 1)


WELL = {"criterion": "x", "weight": 1}
GOOD = {"id": "p0", "criteria": CRITERIA}


@pytest.mark.parametrize(
    ("row", "field", "problem"),
    [
        (7, None, "object"),
        ({"id": "p1"}, "criteria", "missing"),
        ({"criteria": CRITERIA}, "id", "missing"),
        ({"id": True, "criteria": CRITERIA}, "id", "whole number"),
        ({"id": "p1", "criteria": "be good"}, "criteria", "list"),
        ({"id": "p1", "criteria": {"a": 1}}, "criteria", "list"),
        ({"id": "p1", "criteria": [CRITERIA[0], 7]}, "criteria[1]", "text or an object"),
        ({"id": "p1", "rubrics": [{"weight": 1}]}, "rubrics[0]", "criterion needs one of"),
        ({"id": "p1", "rubrics": [{"criterion": 7, "weight": 1}]}, "rubrics[0]", "criterion needs one of"),
        ({"id": "p1", "rubrics": [{"criterion": " ", "weight": 1}]}, "rubrics[0]", "no text"),
        ({"id": "p1", "criteria": [{"criterion": "x"}]}, "criteria[0].weight", "missing"),
        ({"id": "p1", "criteria": [{"criterion": "x", "weight": "heavy"}]}, "criteria[0].weight", "'heavy'"),
        ({"id": "p1", "criteria": [{"criterion": "x", "weight": True}]}, "criteria[0].weight", "True"),
        ({"id": "p1", "criteria": [{"criterion": "x", "points": [1]}]}, "criteria[0].points", "[1]"),
        ({"id": "p1", "criteria": [{"criterion": "x", "weight": 0}]}, "criteria[0]", "not 0"),
        ({"id": "p1", "criteria": [{"criterion": "x", "weight": "nan"}]}, "criteria[0]", "finite"),
        ({"id": "p1", "criteria": [{"criterion": "x", "weight": 10**400}]}, "criteria[0].weight", "number"),
        ({"id": "p1", "criteria": [{**WELL, "kind": "law"}]}, "criteria[0].kind", "rule"),
        ({"id": "p1", "criteria": [{**WELL, "weight": -1, "kind": "rule"}]}, "criteria[0]", "pitfall"),
        ({"id": "p1", "criteria": [{"criterion": "x", "weight": -1}]}, "criteria", "positive weight"),
        ({"id": "p1", "criteria": ["x", "y", "x"]}, "criteria", "two criteria have the text 'x'"),
        ({"id": "p0", "criteria": ["other"]}, "id", "has another rubric"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_file_line_and_field(
    tmp_path: Path, row: Any, field: str | None, problem: str
) -> None:
    """The first thing that cannot be a rubric ends the reading; no weight and no kind is ever made up."""
    with pytest.raises(DataError) as caught:
        rubrics_of(tmp_path, [GOOD, row], "rubrics.jsonl")
    assert (caught.value.line, caught.value.field) == (2, field), str(caught.value)
    assert problem in caught.value.problem


def test_two_rubrics_of_one_prompt_without_id_are_a_mistake(tmp_path: Path) -> None:
    """Which of two to take is not for us to say; the same one twice is no question."""
    row = {"prompt": "Why?", "rubrics": CRITERIA}
    assert said(rubrics_of(tmp_path, [row, row]).of(Prompt.of_text("Why?"))) == PLAIN
    with pytest.raises(DataError, match="another rubric"):
        rubrics_of(tmp_path, [row, {**row, "rubrics": ["x"]}])
