"""`rubricate aggregate` from the roof down, on a run of its own making."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from rubricate.evaluation.aggregation.scores import NAMES
from tests.served import command, rows, run_here, write_pool


@pytest.fixture
def finished(desk) -> str:
    """The folder of a run of the offline engine on a pool with gold."""
    pool = rows(12, 5)
    for row in pool:
        for place, response in enumerate(row["responses"]):
            response["reference_score"] = place / 4
    write_pool(desk.path / "pool.json", pool)
    asked = ("files.responses_file=pool.json", "models.verifier=offline", "models.rubric_generator=offline")
    assert run_here(*asked, "workflow.max_iterations=1").code == 0
    return "workflow_outs/out"


def test_a_run_is_compared(finished):
    """A table of all rules with paired differences, and a last line that says what may be said."""
    outcome = command("aggregate", finished, "--compare", "--csv", "a.csv")
    assert outcome.code == 0, outcome.text
    for rule in NAMES:
        assert rule in outcome.text
    assert "beyond its interval" in outcome.text.splitlines()[-1]
    table = list(csv.DictReader(Path("a.csv").read_text().splitlines()))
    assert {row["rule"] for row in table} >= {"weighted_mean", "item_response", "random", "gold"}
    (base,) = [r for r in table if (r["rule"], r["measure"]) == ("weighted_mean", "pair_accuracy")]
    found = json.loads(command("aggregate", finished, "--compare", "--json").text)
    (same,) = [rule for rule in found["rules"] if rule["rule"] == "weighted_mean"]
    assert same["metrics"]["pair_accuracy"]["value"] == pytest.approx(float(base["value"]))


def test_the_scores_of_a_rule_are_written(finished):
    """The weighted mean writes the scores that the run wrote; a row for each response, in their order."""
    outcome = command("aggregate", finished, "--rule", "weighted_mean", "--output", "scores.jsonl")
    assert outcome.code == 0, outcome.text
    written: list[dict[str, Any]] = [
        json.loads(line) for line in Path("scores.jsonl").read_text().splitlines()
    ]
    theirs = [json.loads(line) for line in Path(finished, "scores.jsonl").read_text().splitlines()]
    assert [row["score"] for row in written] == [row["score"] for row in theirs]
    assert [row["gold"] for row in written] == [row["gold"] for row in theirs]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say either --compare, or --rule NAME"),
        (("--compare", "--rule", "geometric"), "say either --compare, or --rule NAME"),
        (("--rule", "best", "-o", "x.jsonl"), "no rule 'best'"),
        (("--rule", "geometric"), "say where with --output"),
        (("--rule", "probability_weighted", "-o", "x.jsonl"), "no verdict has a probability"),
        (("--rule", "geometric", "-o", "no/x.jsonl"), "there is no folder no"),
        (("--compare", "--metric", "beauty"), "no metric 'beauty'"),
    ],
)
def test_mistakes_end_with_code_2(finished, arguments, said):
    """The line says what is wrong, and nothing is written."""
    outcome = command("aggregate", finished, *arguments)
    assert outcome.code == 2
    assert said in " ".join(outcome.text.split())
    assert not Path("x.jsonl").exists()


def test_a_bad_row_is_named(finished):
    """NaN for gold: file, line and field."""
    scores = Path(finished, "scores.jsonl")
    lines = scores.read_text().splitlines()
    lines[3] = json.dumps({**json.loads(lines[3]), "gold": float("nan")})
    scores.write_text("\n".join(lines) + "\n")
    outcome = command("aggregate", finished, "--compare")
    assert outcome.code == 2
    assert "scores.jsonl:4: gold: a finite number is needed" in outcome.text
