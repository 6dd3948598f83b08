"""`rubricate kinds` from the roof down: two runs of the simulated world's pools, offline and by a model."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.served import QUICK, Served, command

OFFLINE = (
    "models.verifier=offline",
    "models.rubric_generator=offline",
    "grade.coverage=all",
    "workflow.exclude_used_reference_responses=false",
)


def a_run(name: str, generator: str) -> str:
    """A run of the offline engine on a pool of the world."""
    pool = f"{name}.jsonl"
    made = command("world", "make-pool", pool, "--prompts", "4", "--generator", generator, "--draws", "8")
    assert made.code == 0, made.text
    done = command(
        "run", "-cn", "iterative", *OFFLINE, f"files.responses_file={pool}", f"files.output_dir=./{name}"
    )
    assert done.code == 0, done.text
    return f"./{name}"


def shown(*arguments: str) -> dict[str, Any]:
    outcome = command("kinds", *arguments, "--json")
    assert outcome.code == 0, outcome.text
    found: dict[str, Any] = json.loads(outcome.text)
    return found


def test_two_runs_offline(desk):
    """Tables, JSON and CSV say the same; the tail is measured from the record and again by grading."""
    great, good = a_run("great", "great-1"), a_run("good", "good-1")
    found = shown(great, "--against", good, "--csv-file", "kinds.csv", "--json-file", "kinds.json")
    assert found["by"] == "word cues" and len(found["runs"]) == 2 and len(found["contrast"]) == 21
    counts = found["runs"][0]["counts"]
    assert counts["prompts"] == 4 and counts["accepted proposals"] + counts["refused proposals"] > 0
    everything = found["runs"][0]["types"][0]
    assert everything["name"] == "all"
    assert everything["rounds"] == counts["accepted proposals"] + counts["refused proposals"]
    assert json.loads(Path("kinds.json").read_text()) == found
    rows = list(csv.DictReader(Path("kinds.csv").read_text().splitlines()))
    mine = [row for row in rows if (row["run"], row["kind"], row["figure"]) == ("great", "all", "survived")]
    assert float(mine[0]["value"]) == pytest.approx(everything["survived"]["value"], abs=1e-5)
    graded = shown(great, "--grade")
    assert graded["runs"][0]["counts"]["rounds with tail accuracy"] >= counts["rounds with tail accuracy"]
    assert graded["runs"][0]["counts"]["rounds with tail accuracy"] > 0
    outcome = command("kinds", great, "--against", good)
    assert outcome.code == 0 and "great less good, points" in outcome.text


def test_by_a_model_and_again_for_nothing(desk):
    """Every question is answered with one kind; the second time nothing is paid."""

    def answer(request: dict[str, Any]) -> str:
        text = request["messages"][-1]["content"]
        kind = "splitting" if "one difference between a rubric" in text else "focus"
        items = [
            line.partition(":")[0] for line in text.split("\n") if line.startswith("i") and line[1].isdigit()
        ]
        return json.dumps({item: [kind] for item in items})

    run = a_run("great", "great-1")
    with Served(answer) as server:
        desk.ask(server)
        found = shown(run, *QUICK, "--model", "m")
        paid = server.n_requests
        again = command("kinds", run, *QUICK, "--model", "m")
        assert server.n_requests == paid > 0 and "calls: 0 paid" in again.text
    types = {row["name"]: row for row in found["runs"][0]["types"]}
    assert types["splitting"]["share"]["value"] == 1
    groups = {row["name"]: row for row in found["runs"][0]["groups"]}
    assert groups["focus"]["final"]["value"] == 1
    assert found["runs"][0]["counts"]["refinements unclassified"] == 0


def test_a_model_that_cannot_be_read_is_counted(desk):
    run = a_run("great", "great-1")
    with Served(lambda request: "who knows") as server:
        desk.ask(server)
        found = shown(run, *QUICK, "api.max_retries=0", "api.stutter_retries=0", "--model", "m")["runs"][0]
    assert found["counts"]["refinements unclassified"] > 0
    assert found["counts"]["criteria without a group"] == found["counts"]["criteria"]
    assert found["types"][0]["rounds"] == found["counts"]["proposals without a change"]
    assert found["reasons"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("./nowhere",), "no run folder"),
        (("./run", "--against", "./run"), "it is the same run"),
        (("./run", "--against", "./nowhere"), "no run folder"),
        (("./run", "--csv-file", "no/where.csv"), "there is no folder no"),
        (("./run", "models.grader=x"), "unknown key"),
    ],
)
def test_mistakes(desk, arguments, said):
    """Exit code 2, with what is wrong, and nothing written."""
    if arguments[0] == "./run":
        a_run("run", "good-1")
    before = set(Path().rglob("*"))
    outcome = command("kinds", *arguments)
    assert outcome.code == 2 and said in " ".join(outcome.text.split()), outcome.text
    assert set(Path().rglob("*")) == before
