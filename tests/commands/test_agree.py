"""`rubricate agree` from the roof down: real sockets, a real ledger, files, exit codes, and real data."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.actor import VOCABULARY, play
from tests.fake_server import Raw
from tests.served import QUICK, Served, command, rows, run_here, write_pool

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MODEL = ("models.verifier=judge", "grade.checks=false", *QUICK)


def write_labels(path: Path, n: int = 6, right: bool = True) -> str:
    """Responses that have every other word that is asked for, labelled so."""
    lines = []
    for place in range(n):
        asked = VOCABULARY[place : place + 4]
        labels = [number % 2 == 0 for number in range(4)]
        response = " ".join(word for word, label in zip(asked, labels, strict=True) if label)
        criteria = [
            {"criterion": f"The response touches on {word}.", "weight": 1, "label": label is right}
            for word, label in zip(asked, labels, strict=True)
        ]
        line = {"id": f"r{place}", "prompt_id": f"p{place}", "prompt": "Say.", "generator": "m"}
        lines.append({**line, "response": f"{response} {place}", "criteria": criteria})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def told(outcome: Any) -> dict[str, Any]:
    """What --json printed."""
    assert outcome.code in (0, 1), outcome.text
    return dict(json.loads(outcome.text))


def test_a_model_against_labels(desk):
    """A grader that is right throughout: accuracy 1, one call a response, in JSON that stands alone."""
    labels = write_labels(desk.path / "labels.jsonl")
    with Served() as server:
        desk.ask(server)
        account = told(command("agree", labels, "--json", *MODEL))
        assert server.n_requests == 6
    assert account["against"][0]["accuracy"]["value"] == 1.0
    assert account["against"][0]["n"] == 24
    assert account["graders"][0]["spend"]["calls"] == 6


def test_draws_are_paid_once(desk):
    """Three draws are three replies a response; again they are free, and a fourth pays what is new."""
    labels = write_labels(desk.path / "labels.jsonl")
    with Served() as server:
        desk.ask(server)
        first = told(command("agree", labels, "--draws", "3", "--json", *MODEL))
        assert server.n_requests == 18
        again = told(command("agree", labels, "--draws", "3", "--json", *MODEL))
        assert (server.n_requests, again) == (18, first)
        command("agree", labels, "--draws", "4", "--json", *MODEL)
        assert server.n_requests == 24


def test_draws_are_draws(desk):
    """A grader that answers otherwise each time does not agree with itself: no draw is another's reply."""
    chance = random.Random(0)

    def moody(request: dict[str, Any]) -> str | Raw:
        return json.dumps({f"c{n}": chance.choice(["met", "unmet"]) for n in range(1, 5)})

    labels = write_labels(desk.path / "labels.jsonl", 12)
    with Served(moody) as server:
        desk.ask(server)
        account = told(command("agree", labels, "--draws", "4", "--json", *MODEL))
    own = account["with_itself"][0]
    assert own["n"] == 48
    assert 0.3 < own["agreement"]["value"] < 0.7
    assert account["calibration"][0]["source"] == "share of 4 draws"


def test_a_run_and_its_first_draw_share_the_ledger(desk):
    """What a run paid for is not paid again to measure its grader."""
    pool = write_pool(desk.path / "pool.json", rows(3))
    with Served() as server:
        desk.ask(server)
        settings = (*MODEL, "models.rubric_generator=judge", "workflow.max_iterations=0")
        assert run_here(f"files.responses_file={pool}", *settings).code == 0
        paid = server.n_requests
        outcome = command("agree", "workflow_outs/out", "--json", *MODEL, "--trust-verdicts")
        assert server.n_requests == paid
    account = told(outcome)
    assert account["responses"] == 12
    assert account["against"][0]["accuracy"]["value"] == 1.0


def test_the_batching_table(desk):
    """All four criteria in one call, or four calls: both measured, with what each took."""
    labels = write_labels(desk.path / "labels.jsonl")

    def worse_at_many(request: dict[str, Any]) -> str | Raw:
        answer = json.loads(str(play(request)))["verdicts"]
        if len(answer) > 1:
            answer[-1]["verdict"] = "met"
        return json.dumps({"verdicts": answer})

    with Served(worse_at_many) as server:
        desk.ask(server)
        outcome = command("agree", labels, "--batching", "--json", *MODEL)
        assert server.n_requests == 6 + 24
    (effect,) = told(outcome)["batching"]
    assert effect["n"] == 24
    assert effect["all_at_once"]["accuracy"]["value"] == 0.75
    assert effect["one_by_one"]["accuracy"]["value"] == 1.0
    assert effect["accuracy_difference"]["value"] == 0.25
    assert (effect["spend_all_at_once"]["calls"], effect["spend_one_by_one"]["calls"]) == (6, 24)


def test_criteria_that_a_program_decides_are_not_sent(desk):
    """With checks on, nothing is asked for them, and the account says who decided."""
    path = desk.path / "labels.jsonl"
    criteria = [{"criterion": "The response contains at most 50 words.", "label": True}]
    row = {"id": "r", "prompt_id": "p", "prompt": "Say.", "response": "Yes.", "criteria": criteria}
    path.write_text(json.dumps(row))
    with Served() as server:
        desk.ask(server)
        account = told(command("agree", str(path), "--json", "models.verifier=judge", *QUICK))
        assert server.n_requests == 0
    assert account["graders"][0]["by_program"] == 1
    assert account["against"][0]["accuracy"]["value"] == 1.0


def test_a_failed_call_is_not_a_no(desk):
    """One response is refused for good: its criteria are never given, the rest is measured, exit code 1."""

    def fails_on_one(request: dict[str, Any]) -> str | Raw:
        if " 3\n</response" in request["messages"][-1]["content"]:
            return Raw({}, status=503)
        return play(request)

    labels = write_labels(desk.path / "labels.jsonl")
    with Served(fails_on_one) as server:
        desk.ask(server)
        outcome = command("agree", labels, "--json", *MODEL, "api.patience_s=0.2", "api.workers=1")
    account = told(outcome)
    assert outcome.code == 1
    assert (account["graders"][0]["absent"], len(account["graders"][0]["failed"])) == (4, 1)
    assert (account["against"][0]["n"], account["against"][0]["accuracy"]["value"]) == (20, 1.0)


def test_a_limit_stops_it_resumably(desk):
    """Exit code 3, and the same command without the limit pays the rest only."""
    labels = write_labels(desk.path / "labels.jsonl")
    with Served() as server:
        desk.ask(server)
        outcome = command("agree", labels, "--max-calls", "2", *MODEL)
        assert (outcome.code, server.n_requests) == (3, 2)
        assert "the same command goes on" in " ".join(outcome.text.split())
        assert command("agree", labels, *MODEL).code == 0
        assert server.n_requests == 6


def test_two_graders_and_files(desk):
    """A model, the offline engine and a file of verdicts side by side; the panel counts all three."""
    labels = write_labels(desk.path / "labels.jsonl")
    against = write_labels(desk.path / "against.jsonl", right=False)
    with Served() as server:
        desk.ask(server)
        asked = ("--grader", "judge", "--grader", "offline", "--verdicts", f"contrary={against}")
        account = told(command("agree", labels, "--json", *asked, "grade.checks=false", *QUICK))
    assert [grader["grader"] for grader in account["graders"]] == ["contrary", "judge", "offline"]
    pairs = {(b["first"], b["second"]): b for b in account["between"] if b["breakdown"] == "all"}
    assert pairs["contrary", "judge"]["agreement"]["value"] == 0
    assert pairs["contrary", "judge"]["accuracy_difference"]["value"] == -1
    assert account["panel"]["graders"] == ["contrary", "judge", "offline"]


def test_files_are_written_whole(desk):
    """CSV with a row a figure, a plot that is SVG, and verdicts that come back as they went."""
    labels = write_labels(desk.path / "labels.jsonl")
    wanted = ("--csv", "a.csv", "--plots", "plots", "--save", "said.jsonl")
    outcome = command("agree", labels, *wanted, "--grader", "offline")
    assert outcome.code == 0, outcome.text
    table = list(csv.DictReader(Path("a.csv").read_text().splitlines()))
    (found,) = [
        row
        for row in table
        if (row["table"], row["measure"], row["breakdown"]) == ("labels", "accuracy", "all")
    ]
    assert (found["grader"], int(found["n"])) == ("offline", 24)
    assert Path("plots/reliability.svg").read_text().startswith("<svg")
    again = told(command("agree", labels, "--verdicts", "offline=said.jsonl", "--json"))
    first = told(command("agree", labels, "--grader", "offline", "--json"))
    assert again["against"] == first["against"]
    assert again["calibration"] == first["calibration"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--verdicts", "nowhere.jsonl"), "nowhere.jsonl: no such file"),
        (("--csv", "no/where.csv", "--grader", "offline"), "--csv: there is no folder no"),
        (("--save", "v.jsonl", "--grader", "a", "--grader", "b"), "--save writes the verdicts of one grader"),
        (("models.verifyer=x",), "unknown key 'models.verifyer'"),
    ],
)
def test_mistakes_end_with_code_2(desk, arguments, said):
    """The line says what is wrong, and no file is left."""
    labels = write_labels(desk.path / "labels.jsonl")
    before = sorted(path.name for path in desk.path.iterdir())
    outcome = command("agree", labels, *arguments)
    assert outcome.code == 2
    assert said in outcome.text
    assert sorted(path.name for path in desk.path.iterdir()) == before


def test_without_labels_something_must_be_compared(desk):
    """One grader, once, on criteria without labels measures nothing."""
    path = Path(write_labels(desk.path / "labels.jsonl"))
    path.write_text(path.read_text().replace("true", "null").replace("false", "null"))
    outcome = command("agree", str(path), "--grader", "offline")
    assert outcome.code == 2
    assert "no criterion has a label" in outcome.text
    assert command("agree", str(path), "--grader", "offline", "--draws", "2").code == 0


def test_foreign_names_do_not_format(desk):
    """Names of graders and reasons of files are shown as text, without markup and on one line."""
    labels = write_labels(desk.path / "labels.jsonl")
    outcome = command("agree", labels, "--verdicts", f"[red]x\x1b[0m={labels}")
    assert outcome.code == 0, outcome.text
    assert "[red]x⟨U+001B⟩[0m" in outcome.text


@pytest.mark.parametrize(
    ("name", "n", "balanced"),
    [("ifeval_criteria_dev", 3_097, 0.975), ("realsumm_criteria_dev", 8_002, 0.773)],
)
def test_the_offline_engine_on_real_data(desk, name, n, balanced):
    """The figures of docs/log.md come out of the command."""
    path = DATA / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the project")
    found = told(command("agree", str(path), "models.verifier=offline", "--json"))["against"][0]
    assert found["n"] == n
    assert found["balanced_accuracy"]["value"] == pytest.approx(balanced, abs=0.0005)
