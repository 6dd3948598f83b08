"""`rubricate online`, offline and over a real socket: refresh by what was logged, show, recompute, resume."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.served import QUICK, Served, command

OFFLINE = ("models.verifier=offline", "models.rubric_generator=offline")
PROMPT = "Explain photosynthesis in exactly three lines."
TEXTS = [
    "Light is caught by chlorophyll in the leaves.\nWater is split into oxygen and hydrogen.\n"
    "Sugar is made from carbon dioxide.",
    "Plants eat light.\nThey drink water.\nThey make sugar.",
    "Plants eat light.",
    "",
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with logged completions."""
    monkeypatch.chdir(tmp_path)
    logged = [{"step": 0, "prompt": PROMPT, "completion": text} for text in TEXTS]
    logged.append({"step": 7, "prompt": "Of a later step?", "completion": "not yet"})
    (tmp_path / "logged.jsonl").write_text("\n".join(map(json.dumps, logged)))
    return tmp_path


def rows(path: Path) -> list[dict]:
    """The rows of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def refreshed(*more: str, folder: str = "on"):
    """A refresh of step 1 by the logged completions, offline."""
    return command(
        "online", "refresh", folder, "--step", "1", "--completions", "logged.jsonl", *OFFLINE, *more
    )


def test_logged_completions_make_the_next_version(here):
    """The tied best two are told apart; the same command again does nothing; rubrics of both steps are
    exported; the rewards of step 0 are made again; a run can begin with what was exported."""
    outcome = refreshed("--json")
    assert outcome.code == 0 and json.loads(outcome.text)["online/accepted"] == 1
    assert "done before" in refreshed().text
    shown = command("online", "show", "on", "--output", "now.jsonl")
    assert shown.code == 0 and "step 1: prompts 1, pairs 1: 1 accepted, 0 refused" in shown.text
    assert command("online", "show", "on", "--step", "0", "--output", "then.jsonl").code == 0
    (now,), (then,) = rows(here / "now.jsonl"), rows(here / "then.jsonl")
    assert (now["state"], then["state"]) == ("refined", "kept")
    assert now["number_of_criteria"] > then["number_of_criteria"] and now["version"] > then["version"]
    assert command("online", "recompute", "on", "--step", "0", "--output", "r.jsonl").code == 0
    made = rows(here / "r.jsonl")
    assert [row["completion"] for row in made] == [*TEXTS[:3], None]
    assert made[0]["reward"] == made[1]["reward"] > made[2]["reward"] == 0.0
    assert made[3]["reward"] is None and made[3]["why"] == "the completion is empty"
    again = refreshed("--rubrics", "now.jsonl", folder="other")
    assert again.code == 0
    begun = json.loads(command("online", "show", "other", "--step", "0", "--json").text)
    assert [c["criterion"] for c in begun[0]["rubrics"]] == [c["criterion"] for c in now["rubrics"]]


def test_going_back(here):
    """What came later is superseded, and the step can be done again."""
    refreshed()
    outcome = command("online", "resume", "on", "--step", "0")
    assert outcome.code == 0 and "does not count any more" in outcome.text
    assert "Nothing was done" in command("online", "resume", "on", "--step", "0").text
    assert command("online", "recompute", "on", "--step", "0").code == 2
    assert "1 accepted" in refreshed().text


def test_the_judge_of_the_settings_is_asked_in_both_orders(here, desk):
    """Over a real socket: a judge who goes by the position has no preference, so the old rubric stays; the
    models are those of the settings, every call is in the ledger."""
    criteria = [{"criterion": "Names water.", "weight": 2, "kind": "principle"}]
    more = [*criteria, {"criterion": "Names chlorophyll.", "weight": 1, "kind": "principle"}]

    def served(request):
        said = request["messages"][-1]["content"]
        if request["model"] == "judge":
            return json.dumps({"better": 1})
        if request["model"] == "writer":
            return json.dumps({"criteria": more if "<response-" in said else criteria})
        names = re.findall(r"^(c\d+): Names (\w+)\.", said, re.M)
        (text,) = re.findall(r"<response-\w+>\n(.*?)\n</response-", said, re.S)
        return json.dumps({name: "met" if word in text.lower() else "unmet" for name, word in names})

    models = ("models.verifier=grader", "models.rubric_generator=writer", "gate.judge=judge", *QUICK)
    with Served(served) as server:
        desk.ask(server)
        arguments = ("online", "refresh", "on", "--step", "1", "--completions", str(here / "logged.jsonl"))
        outcome = command(*arguments, *models)
        assert outcome.code == 0, outcome.text
        assert "0 accepted, 1 refused (no preference 1)" in outcome.text and "comparisons 1" in outcome.text
        n_paid = server.n_requests
        assert command("online", "resume", "on", "--step", "0").code == 0
        assert command(*arguments, *models).code == 0 and server.n_requests == n_paid, "for nothing"


LOGGED = ("refresh", "on", "--step", "1", "--completions", "logged.jsonl")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "nowhere"), "no training wrote its rubrics here"),
        (("refresh", "nowhere", "--step", "3"), "give --completions"),
        ((*LOGGED, "--rule", "max_activ=3"), "did you mean 'max_active'?"),
        ((*LOGGED, "--rule", "gate"), "NAME=VALUE"),
        ((*LOGGED, "--rule", "pairs=x"), "online.pairs: expected `int`"),
        ((*LOGGED[:-1], "bad.jsonl"), "bad.jsonl:1: completion: missing"),
        ((*LOGGED[:-1], "none.jsonl"), "none.jsonl"),
        (("recompute", "nowhere", "--step", "0"), "no training"),
        (("resume", "nowhere", "--step", "0"), "no training"),
    ],
)
def test_mistakes(here, arguments, said):
    """Told in a line, exit code 2, and no folder is left behind."""
    (here / "bad.jsonl").write_text('{"prompt": "p", "rubric": []}\n')
    outcome = command("online", *arguments)
    assert outcome.code == 2 and said in outcome.text
    assert not (here / "on").exists() and not (here / "nowhere").exists()
