"""`rubricate export`: the shapes that the next tool reads, and that we read back."""

from __future__ import annotations

import json

import pytest

from tests.served import QUICK, Served, command, rows, tree, write_pool

RUN = ["run", "--config-name", "iterative", "files.responses_file=pool.json", *QUICK]
RUBRIC = {"id", "prompt", "total_criteria", "criteria", "total_weight"}
CRITERION = {"criterion", "weight", "local_id"}


@pytest.fixture
def out(desk):
    """A finished run of five prompts, and its server's address in the environment."""
    write_pool(desk.path / "pool.json", rows(5, 6))
    with Served() as server:
        desk.ask(server)
        assert command(*RUN, "files.output_dir=out").code == 0
        yield desk.path / "workflow_outs" / "out"


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


class TestOfficial:
    def test_the_files_and_their_fields(self, out):
        """initial_rubrics.json, final_rubrics.json, and two files a round, as the official workflow names
        them: lists of {id, prompt, total_criteria, criteria[{criterion, weight, local_id}], total_weight}."""
        outcome = command("export", str(out), "--format", "official")
        assert outcome.code == 0
        written = {line.rpartition("/")[2] for line in outcome.text.split()}
        n_rounds = max(len(json.loads(line)["rounds"]) for line in (out / "journal.jsonl").open())
        assert written == {"initial_rubrics.json", "final_rubrics.json"} | {
            f"iteration_{number:02d}_{what}.json"
            for number in range(1, n_rounds + 1)
            for what in ("rubrics", "scored_responses")
        }
        for name in sorted(written):
            entries = load(out / name)
            assert isinstance(entries, list) and [entry["id"] for entry in entries] == [
                f"p{n}" for n in range(5)
            ]
            if not name.endswith("_rubrics.json"):
                continue
            for entry in entries:
                assert set(entry) == RUBRIC
                assert {frozenset(criterion) for criterion in entry["criteria"]} == {frozenset(CRITERION)}
                assert entry["total_criteria"] == len(entry["criteria"])
                assert [c["local_id"] for c in entry["criteria"]] == [
                    f"c{n}" for n in range(1, entry["total_criteria"] + 1)
                ]
                weights = [criterion["weight"] for criterion in entry["criteria"]]
                assert all(type(weight) is int for weight in weights) and entry["total_weight"] == sum(
                    weights
                )

    def test_they_follow_the_rounds(self, out):
        """The first file holds what was proposed, each round's the rubric after it, the last the final one;
        scores are the raw weighted sums of official code, best first."""
        command("export", str(out))
        records = [json.loads(line) for line in (out / "journal.jsonl").open()]
        initial, final = load(out / "initial_rubrics.json"), load(out / "final_rubrics.json")
        for record, first, last in zip(records, initial, final, strict=True):
            assert _texts(first["criteria"], "criterion") == _texts(record["initial"]["criteria"], "text")
            assert _texts(last["criteria"], "criterion") == _texts(record["rubric"]["criteria"], "text")
        scored = load(out / "iteration_01_scored_responses.json")
        for record, entry in zip(records, scored, strict=True):
            responses = entry["scored_responses"]
            assert len(responses) == 6
            for response in responses:
                answers = response["parsed_answers"].values()
                assert response["score"] == sum(a["weight"] for a in answers if a["answer"] == "yes")
                assert {a["answer"] for a in answers} <= {"yes", "no"} and all(a["found"] for a in answers)
            scores = [response["score"] for response in responses]
            assert scores == sorted(scores, reverse=True)
            weight = sum(c["weight"] for c in record["initial"]["criteria"])
            assert [r["score"] for r in responses] == pytest.approx(
                [s["score"] * weight for s in record["rounds"][0]["standings"]]
            )

    def test_are_read_back(self, out):
        """`files.initial_rubrics` takes what was exported: the run starts from these rubrics."""
        command("export", str(out))
        given = f"files.initial_rubrics={out}/final_rubrics.json"
        assert command(*RUN, given, "files.output_dir=next", "workflow.max_iterations=0").code == 0
        following = out.with_name("next")
        before = [json.loads(line)["rubric"]["criteria"] for line in (out / "journal.jsonl").open()]
        after = [json.loads(line)["initial"]["criteria"] for line in (following / "journal.jsonl").open()]
        assert [_texts(criteria, "text") for criteria in after] == [
            _texts(criteria, "text") for criteria in before
        ]
        assert [[c["weight"] for c in criteria] for criteria in after] == [
            [c["weight"] for c in criteria] for criteria in before
        ]


class TestOthers:
    def test_dataset(self, out, desk, monkeypatch):
        """Loads with `datasets.load_dataset` from the run's own folder and from an exported one, with the
        published fields."""
        monkeypatch.setenv("HF_HOME", str(desk.path / "hf"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        datasets = pytest.importorskip("datasets")
        assert command("export", str(out), "--format", "dataset", "-o", "mine").code == 0
        cache = str(desk.path / "cache")
        for folder in (out / "dataset", desk.path / "mine"):
            loaded = datasets.load_dataset(str(folder), split="train", cache_dir=cache)
            assert {"prompt", "rubrics", "number_of_criteria", "total_weight"} <= set(loaded.column_names)
            for row in loaded:
                assert row["number_of_criteria"] == len(row["rubrics"])
                assert row["total_weight"] == sum(c["weight"] for c in row["rubrics"])
                assert all(set(criterion) == {"criterion", "weight"} for criterion in row["rubrics"])
            assert loaded["id"][:] == [f"p{n}" for n in range(5)]

    def test_jsonl(self, out):
        """The same rows as the run's own rubrics.jsonl, wherever they are wanted."""
        assert command("export", str(out), "--format", "jsonl", "-o", "deep/down/mine.jsonl").code == 0
        mine = out.parents[1] / "deep/down/mine.jsonl"
        assert mine.read_bytes() == (out / "rubrics.jsonl").read_bytes()

    def test_a_run_that_is_not_finished(self, out):
        """What is finished is exported, and what is missing is said; of nothing there is nothing."""
        journal = out / "journal.jsonl"
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join(lines[:2] * 2))
        outcome = command("export", str(out))
        assert outcome.code == 0 and "2 of 5 prompts are finished" in outcome.text
        assert len(load(out / "final_rubrics.json")) == 2
        journal.write_bytes(b"")
        assert command("export", str(out)).code == 2

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [(["nowhere"], "is no run folder"), (["workflow_outs/out", "--format", "xml"], "no format 'xml'")],
    )
    def test_mistakes(self, out, arguments, told):
        """A folder that is no run, a format that there is not: exit 2, nothing written."""
        before = tree(out.parents[1])
        outcome = command("export", *arguments)
        assert outcome.code == 2 and told in outcome.text
        assert tree(out.parents[1]) == before


def _texts(criteria, field) -> list[str]:
    return [criterion[field] for criterion in criteria]


def test_what_decides_alone_is_kept_or_missed_aloud(desk):
    """A must-have of the rubrics that a run starts from is in its rubrics.jsonl, with its tags; formats that
    have no word for it say so."""
    write_pool(desk.path / "pool.json", rows(2, 2))
    criteria = [
        {"criterion": "Names a word.", "weight": 2, "decisive": True, "tags": ["a"]},
        {"criterion": "Is short.", "weight": 1},
    ]
    given = [{"id": f"p{n}", "criteria": criteria} for n in range(2)]
    (desk.path / "given.json").write_text(json.dumps(given))
    graded = command(
        "grade", "files.responses_file=pool.json", "--rubrics", "given.json", "files.output_dir=out",
        "models.verifier=offline", "models.rubric_generator=offline",
    )  # fmt: skip
    assert graded.code == 0, graded.text
    out = desk.path / "workflow_outs" / "out"
    kept = [json.loads(line)["rubrics"][0] for line in (out / "rubrics.jsonl").open()]
    assert [(row["decisive"], row["tags"]) for row in kept] == [(True, ["a"])] * 2
    assert "2 rubrics have criteria that decide alone" in command("export", str(out)).text
    assert "decide alone" not in command("export", str(out), "--format", "jsonl", "-o", "x.jsonl").text
