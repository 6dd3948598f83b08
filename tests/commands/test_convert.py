"""`rubricate convert`, and foreign rubrics in other commands: there and back, losses told, mistakes named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rubricate.domain.conversation import Message, Prompt
from rubricate.runs.rubric_files import read_rubrics
from tests.served import QUICK, Served, command, rows, write_pool

TALK = [{"role": "user", "content": "I fainted.\nTwice."}]
ROWS = [
    {"prompt_id": "h/1", "prompt": TALK, "canary": "x",
     "rubrics": [{"criterion": 'Says "see a doctor"', "points": 7, "tags": ["level:x"]},
                 {"criterion": "Says it is nothing", "points": -3.5, "tags": []}]},
    {"prompt_id": "h2", "prompt": [*TALK, {"role": "assistant", "content": "When?"}],
     "rubrics": [{"criterion": "b", "points": 2, "tags": []}]},
]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rubrics in HealthBench's dialect."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    return tmp_path


def test_there_and_back_through_a_folder(here: Path) -> None:
    """Two TOML files, named by id; what comes back differs by what was told to be lost."""
    outcome = command("convert", "in.jsonl", "out", "--to", "verifiers")
    assert outcome.code == 0 and "healthbench (found out) -> verifiers" in outcome.text
    assert "lost: the field 'canary' is not carried (once, in h/1: canary)" in outcome.text
    assert "lost: the tags of a criterion are left out (once, in h/1: c1)" in outcome.text
    assert sorted(path.name for path in (here / "out").iterdir()) == ["h-1.toml", "h2.toml"]
    outcome = command("convert", "out", "back.jsonl", "--to", "healthbench", "--strict")
    assert outcome.code == 0 and "nothing was lost" in outcome.text
    back = [json.loads(line) for line in (here / "back.jsonl").read_text().splitlines()]
    for row, was in zip(back, ROWS, strict=True):
        assert (row["prompt_id"], row["prompt"]) == (was["prompt_id"], was["prompt"])
        assert row["rubrics"] == [{**item, "tags": []} for item in was["rubrics"]]


@pytest.mark.parametrize("name", ["out.json", "out.jsonl", "out.parquet"])
def test_every_format_of_rows_is_read_back(here: Path, name: str) -> None:
    """JSON, JSON Lines and Parquet say the same."""
    assert command("convert", "in.jsonl", f"deep/{name}").code == 0
    assert command("convert", f"deep/{name}", "back.jsonl", "--to", "healthbench", "--strict").code == 0
    back = [json.loads(line) for line in (here / "back.jsonl").read_text().splitlines()]
    assert [row["rubrics"] for row in back] == [row["rubrics"] for row in ROWS]


def test_one_rubric_in_one_file_and_bare_lists(here: Path) -> None:
    """A single rubric may be a .yaml or .json; a bare list of criteria is one rubric, named by its file."""
    (here / "one.jsonl").write_text(json.dumps(ROWS[0]))
    for name in ("kind.yaml", "kind.json"):
        assert command("convert", "one.jsonl", name, "--to", "autorubric").code == 0
    criteria = json.loads((here / "kind.json").read_text())["criteria"]
    (here / "bare.json").write_text(json.dumps(criteria))
    (here / "bare.yaml").write_text("- requirement: a\n- {requirement: b, weight: 2}\n")
    found = read_rubrics("bare.json").of(Prompt.of_text("any", "bare"))
    assert found is not None and [c.weight for c in found.criteria] == [7, -3.5]
    found = read_rubrics("bare.yaml").of(Prompt.of_text("any", "bare"))
    assert found is not None and [c.weight for c in found.criteria] == [10, 2]


def test_prompts_come_from_a_pool(here: Path) -> None:
    """A rubric without a prompt finds it by id; without --prompts the row that lacks it is named."""
    (here / "p1.toml").write_text('[[criteria]]\nname = "n"\ntext = "a"\n')
    outcome = command("convert", "p1.toml", "x.jsonl", "--to", "rar")
    assert outcome.code == 2 and "'p1' has no prompt" in outcome.text and not (here / "x.jsonl").exists()
    (here / "pool.json").write_text(json.dumps([{"id": "p1", "prompt": "Why?", "responses": []}]))
    assert command("convert", "p1.toml", "x.jsonl", "--to", "rar", "--prompts", "pool.json").code == 0
    assert json.loads((here / "x.jsonl").read_text())["question"] == "Why?"


def test_strict_writes_nothing(here: Path) -> None:
    """A loss is exit code 1, and no file is made."""
    outcome = command("convert", "in.jsonl", "x.jsonl", "--to", "rar", "--strict")
    assert outcome.code == 1 and "nothing is written" in outcome.text and not (here / "x.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("in.jsonl", "x.jsonl", "--to", "health-bench"), "did you mean 'healthbench'?"),
        (("in.jsonl", "x.jsonl", "--from", "verifer"), "did you mean 'verifiers'?"),
        (("in.jsonl", "x.jsonl", "--to", "openai"), "only read"),
        (("in.jsonl", "x.toml", "--to", "verifiers"), "holds one rubric, and there are 2"),
        (("in.jsonl", "x.csv"), "written to .jsonl, .json or .parquet"),
        (("in.jsonl", "x.jsonl", "--from", "tinker"), "in.jsonl:1: rubric_items: a list is needed"),
        (("none.jsonl", "x.jsonl"), "no such file"),
        (("in.jsonl",), "INPUT and OUTPUT are needed"),
    ],
)
def test_mistakes_are_named(here: Path, words: tuple[str, ...], said: str) -> None:
    """Exit code 2, one line that says what is wrong, nothing written."""
    outcome = command("convert", *words)
    assert outcome.code == 2 and said in " ".join(outcome.text.split())
    assert sorted(path.name for path in here.iterdir()) == ["in.jsonl"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.toml", "a = 1\nb = =", "x.toml:2: not TOML"),
        ("x.yaml", "a: [1\nb: {", "not YAML"),
        ("x.yaml", "", "x.yaml: the file is empty"),
        ("x.yaml", "a: 1\nb: &a [*a]", "x.yaml:2: not YAML: aliases"),
        (
            "x.toml",
            '[[criteria]]\nname = "n"\ntext = "a"\nweight = -1',
            "x.toml: criteria[0].weight: a weight is 0",
        ),
    ],
)
def test_broken_documents_are_named(here: Path, name: str, text: str, said: str) -> None:
    """With file, and line or field."""
    (here / name).write_text(text)
    outcome = command("convert", name, "out.jsonl")
    assert outcome.code == 2 and said in " ".join(outcome.text.split())


def test_the_list_names_every_dialect() -> None:
    """With what can be done with it."""
    outcome = command("convert", "--list")
    assert outcome.code == 0 and len(outcome.text.splitlines()) == 11
    assert "openai         reads  " in outcome.text


def test_conversations_find_their_rubric(here: Path) -> None:
    """Foreign rubrics are found by id and text, and by text alone where the ids are others."""
    found = read_rubrics("in.jsonl")
    turns = tuple(Message(turn["role"], turn["content"]) for turn in ROWS[1]["prompt"])
    rubric = found.of(Prompt("other", turns))
    assert rubric is not None and rubric.criteria[0].text == "b"


def test_a_run_starts_from_foreign_rubrics(desk) -> None:
    """`files.initial_rubrics` in another dialect: nothing is proposed, and a must-have stays through it."""
    pool = rows(2, 4)
    write_pool(desk.path / "pool.json", pool)
    own = [{"id": row["id"], "prompt": row["prompt"], "rubrics": [
        {"criterion": "Names a number", "weight": 2, "decisive": True}, {"criterion": "Is kind", "weight": 1},
    ]} for row in pool]  # fmt: skip
    (desk.path / "own.json").write_text(json.dumps(own))
    points = [{"criterion": "Names a number", "points": 8}]
    hub = [{"question": row["prompt"], "id": row["id"], "rubrics": points} for row in pool]
    (desk.path / "hub.json").write_text(json.dumps(hub))
    with Served() as server:
        desk.ask(server)
        for name in ("hub", "own"):
            run = ["run", "--config-name", "iterative", "files.responses_file=pool.json", *QUICK]
            outcome = command(*run, f"files.initial_rubrics={name}.json", f"files.output_dir={name}")
            assert outcome.code == 0, outcome.text
            journal = (desk.path / "workflow_outs" / name / "journal.jsonl").read_text().splitlines()
            first = [json.loads(line)["initial"]["criteria"][0] for line in journal]
            assert [c["text"] for c in first] == ["Names a number"] * 2
        final = [json.loads(line) for line in (desk.path / "workflow_outs/own/rubrics.jsonl").open()]
        assert all(any(c.get("decisive") for c in row["rubrics"]) for row in final)
    outcome = command("convert", "workflow_outs/own", "back.jsonl", "--strict")
    assert outcome.code == 0 and "2 rubrics: rubricate (found out) -> rubricate" in outcome.text
