"""Each dialect by a row of its published form: what is read, what is said to be lost, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rubricate.dialects.registry import DIALECTS, dialect_named, dialect_of
from rubricate.dialects.seam import Entry, Taken
from rubricate.domain.conversation import Prompt
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.errors import DataError, SettingsError
from rubricate.runs.documents import toml_of
from rubricate.runs.rows import Row, _mended
from tests.builders import a_rubric

TALK = [{"role": "user", "content": "I fainted."}, {"role": "assistant", "content": "When?"}]
CANONICAL: dict[str, Any] = {
    "rubricate": {
        "id": "p",
        "prompt": "q",
        "rubrics": [{"id": "c1", "criterion": "a", "weight": 2, "kind": "rule"}],
    },
    "paper": {
        "id": "p",
        "prompt": "q",
        "total_criteria": 1,
        "total_weight": 2,
        "criteria": [{"criterion": "a", "weight": 2, "local_id": "c1"}],
    },
    "dataset": {
        "prompt": "q",
        "rubrics": [{"criterion": "a", "weight": 2}],
        "number_of_criteria": 1,
        "total_weight": 2,
    },
    "healthbench": {
        "prompt_id": "p",
        "prompt": TALK,
        "example_tags": ["theme:x"],
        "rubrics": [
            {"criterion": "a", "points": 7, "tags": ["level:example"]},
            {"criterion": "b", "points": -3, "tags": []},
        ],
    },
    "rar": {
        "question": "q",
        "reference_answer": "r",
        "question_source": "s",
        "rubric_count": 1,
        "rubric": [{"title": "T", "description": "Essential Criteria: a", "weight": 5}],
        "rubric_list": ["a"],
    },
    "rubrichub": {"question": "q", "id": "p", "rubrics": [{"criterion": "a", "points": 8}]},
    "verifiers": {"criteria": [{"name": "n", "text": "a", "weight": 2}]},
    "autorubric": {
        "criteria": [{"name": "n", "requirement": "a", "weight": -2}, {"name": "m", "requirement": "b"}],
        "guidelines": "g",
    },
    "tinker": {
        "convo": TALK,
        "rubric_items": [
            {
                "rubric_str": "a",
                "extraction_regex": "<score>(.*)</score>",
                "grader_output_format_instruction": "Please output your score between 0 and 1",
            }
        ],
    },
    "open-instruct": {
        "messages": TALK[:1],
        "dataset": "rubric",
        "ground_truth": [
            json.dumps(
                {
                    "query": "q",
                    "rubrics": [
                        {"description": "a", "weight": 1.0, "title": "t"},
                        {"rubric_item": "b", "weight": -1.0},
                    ],
                }
            )
        ],
    },
    "openai": {
        "type": "multi",
        "name": "g",
        "calculate_output": "0.75 * one + 0.25 * two",
        "graders": {
            "one": {
                "type": "score_model",
                "name": "one",
                "model": "m",
                "range": [0, 1],
                "input": [{"role": "user", "content": "Is {{sample.output_text}} kind?"}],
            },
            "two": {
                "type": "string_check",
                "name": "two",
                "input": "{{sample.output_text}}",
                "reference": "{{item.answer}}",
                "operation": "ilike",
            },
        },
    },
}


def taken(name: str, value: Any, path: str = "rubric.json") -> Taken:
    (found,) = DIALECTS[name].read(Row(value, path, 3))
    return found


def said(rubric: Rubric) -> list[tuple[str, str, float]]:
    return [(c.id, c.text, c.weight) for c in rubric.criteria]


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_row_is_known_by_its_fields(name: str) -> None:
    """The published form of each dialect is taken for that dialect, and read."""
    found = dialect_of(CANONICAL[name])
    assert found is not None and found.name == name
    assert taken(name, CANONICAL[name]).entry.rubric.criteria


def test_healthbench() -> None:
    """Turns, signed points and tags are carried; the tags of the example are not, and that is said."""
    entry, losses = taken("healthbench", CANONICAL["healthbench"])
    assert said(entry.rubric) == [("c1", "a", 7.0), ("c2", "b", -3.0)]
    assert entry.rubric.criteria[0].tags == ("level:example",) and entry.rubric.criteria[1].kind == "pitfall"
    assert entry.prompt is not None and entry.prompt.id == "p" and len(entry.prompt.messages) == 2
    assert [loss.at for loss in losses] == ["example_tags"]


def test_rar_titles_are_ids_and_answers_are_lost() -> None:
    """A title names its criterion; what is no rubric is named as lost."""
    entry, losses = taken("rar", CANONICAL["rar"])
    assert said(entry.rubric) == [("T", "Essential Criteria: a", 5.0)]
    assert [loss.at for loss in losses] == ["reference_answer", "question_source"]


def test_the_released_files_of_rubrichub_are_read() -> None:
    """`prompt` as messages, the criteria under `Rubrics` or `reward_model.rubrics`."""
    items = [{"criterion": "a", "points": 8}]
    for row in ({"prompt": TALK, "Rubrics": items}, {"prompt": TALK, "reward_model": {"rubrics": items}}):
        found = dialect_of(row)
        assert found is not None and found.name == "rubrichub"
        assert said(taken("rubrichub", row).entry.rubric) == [("c1", "a", 8.0)]


def test_open_instruct_labels() -> None:
    """The label is JSON in a text in a list; -1 is a pitfall; the alias of a description is read."""
    entry, losses = taken("open-instruct", CANONICAL["open-instruct"])
    assert said(entry.rubric) == [("t", "a", 1.0), ("c2", "b", -1.0)] and losses == []


def test_half_a_character_within_a_label_is_named() -> None:
    """The JSON in the text escapes the mending of the file: it is refused with its field."""
    label = '{"query": "q", "rubrics": [{"description": "a \\ud83d", "weight": 1}]}'
    with pytest.raises(DataError, match=r"ground_truth.rubrics\[0\].description: half a character"):
        taken("open-instruct", {"ground_truth": label})


def test_openai_graders() -> None:
    """The formula gives the weights; templates stay; what is no yes or no is said."""
    entry, losses = taken("openai", CANONICAL["openai"])
    assert [(c.id, c.weight) for c in entry.rubric.criteria] == [("one", 0.75), ("two", 0.25)]
    assert "{{sample.output_text}}" in entry.rubric.criteria[0].text
    assert [loss.what for loss in losses] == ["a score in a range becomes yes or no"]
    rooted = {**CANONICAL["openai"], "calculate_output": "max(one, two)"}
    entry, losses = taken("openai", rooted)
    assert [c.weight for c in entry.rubric.criteria] == [1.0, 1.0]
    assert "equal weights" in losses[0].what
    assert DIALECTS["openai"].write is None


def test_openai_means() -> None:
    """(a + b) / 2 is the mean; a constant beside the names is no weighted sum."""
    for formula, weights in (
        ("(one + two) / 2", [0.5, 0.5]),
        ("one*2 - -two", [2.0, 1.0]),
        ("one + two + 1", [1.0, 1.0]),
    ):
        entry, _ = taken("openai", {**CANONICAL["openai"], "calculate_output": formula})
        assert [c.weight for c in entry.rubric.criteria] == weights


def test_verifiers_choices() -> None:
    """yes before no is a pitfall; three choices are two boundaries of half the weight, in order."""
    value = {
        "criteria": [
            {"name": "a", "text": "A", "weight": 4, "choices": ["poor", "fair", "good"]},
            {"name": "b", "text": "B", "choices": ["yes", "no"]},
            {"name": "c", "text": "C", "weight": 0},
        ]
    }
    entry, losses = taken("verifiers", value, "folder/kind.toml")
    assert entry.id == "kind" and entry.prompt is None
    assert [(c.id, c.weight, c.kind) for c in entry.rubric.criteria] == [
        ("a.1", 2.0, "principle"),
        ("a.2", 2.0, "principle"),
        ("b", -1.0, "pitfall"),
    ]
    assert [loss.what for loss in losses] == [
        "an ordinal criterion becomes one criterion per level boundary",
        "a criterion of weight 0 is left out",
    ]


def test_autorubric_options() -> None:
    """Options by value: 0, 0.3 and 1 of weight 10 are boundaries of 3 and 7; one that abstains is lost."""
    options = [
        {"label": "good", "value": 1.0},
        {"label": "poor", "value": 0.0},
        {"label": "fair", "value": 0.3},
        {"label": "n/a", "value": 0, "na": True},
    ]
    entry, losses = taken("autorubric", {"criteria": [{"requirement": "A", "name": "n", "options": options}]})
    assert [c.weight for c in entry.rubric.criteria] == pytest.approx([3.0, 7.0])
    assert [c.id for c in entry.rubric.criteria] == ["n.1", "n.2"]
    assert {loss.what.partition(" ")[0] for loss in losses} == {"an", "options"} and len(losses) == 3


def test_autorubric_datasets() -> None:
    """A dataset gives a rubric for each prompt: an item's own, else the shared one, each once."""
    shared = [{"name": "s", "requirement": "S"}]
    items = [
        {"submission": "x", "description": "d", "prompt": "one"},
        {"submission": "y", "description": "d", "prompt": "one"},
        {"submission": "z", "description": "d", "prompt": "two", "rubric": [{"requirement": "T"}]},
    ]
    value = {"name": "set", "prompt": "all", "rubric": shared, "items": items}
    found = dialect_of(value)
    assert found is not None and found.name == "autorubric"
    entries = [one.entry for one in found.read(Row(value, "set.json", 1))]
    assert [(e.prompt and e.prompt.text, said(e.rubric)) for e in entries] == [
        ("one", [("s", "S", 10.0)]),
        ("two", [("c1", "T", 10.0)]),
    ]


def test_autorubric_sections() -> None:
    """Sections are flattened in order; guidelines are lost, and that is said."""
    value = {
        "rubric": {
            "sections": [{"criteria": [{"requirement": "a"}]}, {"criteria": [{"requirement": "b"}]}],
            "guidelines": "g",
        }
    }
    entry, losses = taken("autorubric", value)
    assert [c.text for c in entry.rubric.criteria] == ["a", "b"]
    assert [loss.at for loss in losses] == ["rubric.guidelines"]


def test_a_criterion_that_comes_twice_counts_once_with_both_weights() -> None:
    """The sum that the dialect would make is kept; two signs cannot be one criterion."""
    items = [{"criterion": "a", "points": 3, "tags": []}, {"criterion": "a", "points": 4, "tags": []}]
    entry, losses = taken("healthbench", {"prompt": TALK, "rubrics": items})
    assert said(entry.rubric) == [("c1", "a", 7.0)] and len(losses) == 1
    items[1]["points"] = -4
    with pytest.raises(DataError, match=r"rubric.json:3: rubrics\[1\]: the same criterion"):
        taken("healthbench", {"prompt": TALK, "rubrics": items})


def test_rubrichub_scales_what_is_too_large_and_leaves_pitfalls_out() -> None:
    """40, 20 and 1 become 10, 5 and 1 (never 0); each change is said."""
    rubric = a_rubric("40:a", "20:b", "1:c", "-5:d")
    write = DIALECTS["rubrichub"].write
    assert write is not None
    value, losses = write(Entry("p", Prompt.of_text("q", "p"), rubric))
    assert [item["points"] for item in value["rubrics"]] == [10, 5, 1]
    assert len(losses) == 4


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        (
            "healthbench",
            {"prompt": TALK, "rubrics": [{"criterion": "a", "points": "many"}]},
            r"rubrics\[0\].points",
        ),
        ("healthbench", {"prompt": TALK, "rubrics": [{"points": 1}]}, r"rubrics\[0\].criterion"),
        (
            "healthbench",
            {"prompt": [{"role": "user"}], "rubrics": [{"criterion": "a", "points": 1}]},
            r"prompt\[0\]",
        ),
        ("rar", {"question": "q", "rubric": [{"description": "a", "weight": None}]}, r"rubric\[0\].weight"),
        ("rubrichub", {"question": " ", "rubrics": [{"criterion": "a", "points": 1}]}, "question"),
        (
            "rubrichub",
            {"question": "q", "rubrics": [{"criterion": "a", "points": 0}]},
            "rubrics: a rubric needs",
        ),
        ("verifiers", {"criteria": [{"name": "n", "text": "a", "weight": -1}]}, r"criteria\[0\].weight"),
        (
            "verifiers",
            {"criteria": [{"name": "n", "text": "a", "choices": ["x", "x"]}]},
            r"criteria\[0\].choices",
        ),
        (
            "verifiers",
            {"criteria": [{"name": "n", "text": "a"}, {"name": "n", "text": "b"}]},
            r"criteria\[1\].name",
        ),
        (
            "autorubric",
            {"criteria": [{"requirement": "a", "options": [{"label": "x", "value": 2}]}]},
            r"options\[0\].value",
        ),
        ("autorubric", {"guidelines": "g"}, "criteria: missing"),
        ("tinker", {"convo": TALK, "rubric_items": ["a"]}, r"rubric_items\[0\]"),
        ("open-instruct", {"ground_truth": "{"}, "ground_truth: a label is JSON"),
        ("openai", {"type": "python", "name": "n", "source": "x"}, "type: no grader"),
        (
            "rubricate",
            {"id": "p", "criteria": [{"criterion": "a", "weight": 1, "decisive": 1}]},
            r"criteria\[0\].decisive",
        ),
        (
            "rubricate",
            {"id": "p", "criteria": [{"criterion": "a", "weight": 1, "tags": "x"}]},
            r"criteria\[0\].tags",
        ),
    ],
)
def test_mistakes_are_named(name: str, value: Any, field: str) -> None:
    """File, line and field of what is wrong."""
    with pytest.raises(DataError, match=f"rubric.json:3: .*{field}"):
        taken(name, value)


@pytest.mark.parametrize(
    "value", [None, 1, "x", [], {}, {"criteria": 1}, {"rubrics": [1]}, {"rubric": {"rubric": {}}}]
)
def test_no_shape_confuses_the_search(value: Any) -> None:
    """Whatever a row is, finding its dialect gives one or none, and never breaks."""
    dialect_of(value)


def test_an_unknown_dialect_names_its_neighbour() -> None:
    """A misspelt name is answered with the one that was meant."""
    with pytest.raises(SettingsError, match="did you mean 'healthbench'"):
        dialect_named("health-bench")


def test_the_libraries_read_what_we_write(tmp_path: Any) -> None:
    """verifiers and autorubric, where they are installed, load our files."""
    verifiers = pytest.importorskip("verifiers.v1.judges.rubric", reason="verifiers is not installed")

    rubric = Rubric((Criterion("a", "A", 2), Criterion("b", "B", -1, "pitfall")))
    write = DIALECTS["verifiers"].write
    assert write is not None
    path = tmp_path / "rubric.toml"
    path.write_text(toml_of(write(Entry("p", None, rubric)).value))
    loaded = verifiers.load_criteria(path)
    assert [(c.name, c.weight, c.choices) for c in loaded] == [
        ("a", 2, ["no", "yes"]),
        ("b", 1, ["yes", "no"]),
    ]


HOSTILE = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        2.5,
        float("nan"),
        float("inf"),
        10**400,
        "",
        " ",
        "3",
        "\ud83d",
        [],
        {},
        [[]],
        [{}],
        ["a"],
    ]
)


def mutated(data: st.DataObject, value: Any) -> Any:
    """The value with one node of it, at any depth, replaced by something hostile or left out."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 5)):
        key = data.draw(st.sampled_from(sorted(value)))
        if not data.draw(st.integers(0, 4)):
            return {name: inner for name, inner in value.items() if name != key}
        return {**value, key: mutated(data, value[key])}
    if isinstance(value, list) and value and data.draw(st.integers(0, 5)):
        place = data.draw(st.integers(0, len(value) - 1))
        return [*value[:place], mutated(data, value[place]), *value[place + 1 :]]
    return data.draw(HOSTILE)


@pytest.mark.parametrize("name", sorted(DIALECTS))
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_a_broken_row_is_an_error_of_the_row(name: str, data: st.DataObject) -> None:
    """Whatever one field of a row is, the row is read or refused with its place; what is read can be
    written by every dialect, or lacks a prompt and says so."""
    value = _mended(mutated(data, CANONICAL[name]))  # as every reader of files does
    dialect_of(value)
    try:
        entries = [one.entry for one in DIALECTS[name].read(Row(value, "rubric.json", 3))]
    except DataError as mistake:
        assert str(mistake).startswith("rubric.json:3: ")
        return
    for entry in entries:
        for dialect in DIALECTS.values():
            if dialect.write is not None and entry.prompt is not None:
                dialect.write(entry)
            elif dialect.write is not None and dialect.layout == "rows" and dialect.name != "rubricate":
                with pytest.raises(ValueError, match="has no prompt"):
                    dialect.write(entry)
