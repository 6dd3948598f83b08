"""Whole runs through every fault, against the world behind a real server in a process of its own.

The fates of the calls are drawn by content, so a run meets the same faults every time. The waits between
tries are a twenty-fifth of the real ones here, and so are the outage and the drip.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rubricate.llm.http import HttpChat
from rubricate.llm.retry import RetryChat
from rubricate.settings import wiring
from rubricate.world.faults import LINE_FAULTS, ODD_FAULTS
from rubricate.world.pools import DIVERSE, pool_rows
from rubricate.world.world import World
from tests.served import KEY, Outcome, results, run_here, states
from tests.world_child import Worlds, worlds

SCALE = 1 / 25
RESPONSES = 8
REFUSED = ("429", "429/0.08", "500", "502", "503", "reset", "cut_body")
BROKEN = ("wrong_type", "bad_utf8", "huge", "no_choices", "drip")
UNREADABLE = ("empty", "null", "cut_json", "refusal", "length")
ODD_VERDICTS = ("wrong_ids", "doubled_ids", "missing_ids", "prose")
ALL = (*REFUSED, *BROKEN, *UNREADABLE, *ODD_VERDICTS)
VERDICTS_ONLY = {"wrong_ids", "doubled_ids", "missing_ids"}
HARMLESS = {"drip", "prose"}


@pytest.fixture(scope="module")
def servers() -> Iterator[Worlds]:
    with worlds() as child:
        yield child


@dataclass
class Rehearsal:
    """A desk with a pool of the world, and what the faultless run of it gave."""

    desk: Any
    servers: Worlds
    pool: Path
    n_runs: int = 0

    def run(self, *dials: str, settings: Sequence[str] = ()) -> tuple[Outcome, Path, int, dict[str, int]]:
        """A run in a folder and with a ledger of its own: how it ended, its folder, calls, their fates."""
        self.n_runs += 1
        folder = self.desk.move(f"run-{self.n_runs}")
        self.desk.patch.setenv("LITELLM_BASE_URL", self.servers.serve(*dials))
        outcome = run_here(f"files.responses_file={self.pool}", *settings)
        return outcome, folder, *self.servers.counts()


@pytest.fixture
def rehearsal(desk: Any, servers: Worlds, monkeypatch: pytest.MonkeyPatch) -> Rehearsal:
    monkeypatch.setattr(wiring, "RetryChat", partial(RetryChat, base_s=0.5 * SCALE))
    for name in ("_FIRST_PATIENCE_S", "_LONGEST_WAIT_S"):
        monkeypatch.setattr(wiring, name, getattr(wiring, name) * SCALE)
    monkeypatch.setattr(wiring, "HttpChat", partial(HttpChat, max_body_bytes=1024 * 1024))
    pool = desk.path / "pool.jsonl"
    with pool.open("w") as file:
        for row in pool_rows(World(), 12, DIVERSE[:RESPONSES], 1):
            file.write(json.dumps(row) + "\n")
    return Rehearsal(desk, servers, pool)


def found(folder: Path) -> dict[str, Any]:
    """What a run found: rubrics and scores. What it took to find them is left out."""
    rubrics = [json.loads(line) for line in (folder / "rubrics.jsonl").read_text().splitlines()]
    for row in rubrics:
        row.pop("spend", None)
    return {"rubrics": rubrics, "scores": (folder / "scores.jsonl").read_bytes()}


def test_the_list_of_faults_is_complete() -> None:
    """Every fault that the world knows is in the matrix."""
    assert {*LINE_FAULTS, *ODD_FAULTS} <= {*ALL, "hang"}


@pytest.mark.parametrize("faults", [REFUSED, BROKEN, UNREADABLE, ODD_VERDICTS], ids=lambda names: names[0])
def test_each_alone_at_a_fifth_of_all_calls(rehearsal: Rehearsal, faults: Sequence[str]) -> None:
    """The rubrics and scores of the faultless run, every prompt in one state, nothing unjudged; and 1.3 times
    its calls at most, over all faults of a kind (three deviations more for one of them alone)."""
    outcome, folder, n_faultless, fates = rehearsal.run()
    assert outcome.code == 0 and fates == {"200": n_faultless}
    good, n_calls = found(folder), 0
    for fault in faults:
        dials = (f"faults.{fault}=0.2", "server.drip_s=0.0005")
        outcome, folder, n, fates = rehearsal.run(*dials)
        n_calls += n
        assert outcome.code == 0, (fault, outcome.text)
        assert 0.12 * n < fates[fault] < 0.28 * n, fault
        assert len(states(folder)) == 12 and "failed" not in states(folder).values(), fault
        assert found(folder) == good, fault
        assert n <= 1.38 * n_faultless, (fault, n, n_faultless)
        if fault not in HARMLESS:
            assert n > (1.03 if fault in VERDICTS_ONLY else 1.12) * n_faultless, f"{fault} does nothing"
    assert n_calls <= 1.3 * n_faultless * len(faults)


def test_all_mixed_at_a_fifth_of_all_calls(rehearsal: Rehearsal) -> None:
    """The same of all faults together, calls that are never answered among them."""
    _, folder, n_faultless, _ = rehearsal.run()
    good = found(folder)
    share = 0.2 / (len(ALL) + 1)
    dials = [f"faults.{fault}={share}" for fault in (*ALL, "hang")]
    outcome, folder, n_calls, fates = rehearsal.run(*dials, "server.drip_s=0.0005")
    assert outcome.code == 0, outcome.text
    assert found(folder) == good and len(states(folder)) == 12
    assert n_calls - fates["200"] > 0.14 * n_calls and len(fates) > 12
    assert n_calls <= 1.33 * n_faultless


def test_two_of_a_hundred_calls_are_never_answered(rehearsal: Rehearsal) -> None:
    """Within twice the time of the faultless run, and half a second for a busy machine; with a bound on the
    extra calls, which are counted in the summary."""
    latency = ("server.latency_s=0.06",)
    started = time.monotonic()
    _, folder, n_faultless, _ = rehearsal.run(*latency)
    faultless_s, good = time.monotonic() - started, found(folder)
    started = time.monotonic()
    outcome, folder, n_calls, fates = rehearsal.run(*latency, "faults.hang=0.02")
    took_s = time.monotonic() - started
    assert outcome.code == 0 and found(folder) == good
    assert fates["hang"] >= 4
    session = json.loads((folder / "summary.json").read_bytes())["session"]
    assert fates["hang"] <= session["hedges"] <= 4 + 0.05 * n_faultless + 1
    assert n_calls == n_faultless + session["hedges"]
    assert took_s < 2 * faultless_s + 0.5, (took_s, faultless_s)


def test_without_hedging_they_hold_up_the_run(rehearsal: Rehearsal) -> None:
    """The same run with `api.hedge=0` waits for the limit of a call: the second calls are what helps."""
    started = time.monotonic()
    settings = ("api.hedge=0", "api.timeout_s=1")
    outcome, folder, _, fates = rehearsal.run("faults.hang=0.02", settings=settings)
    assert outcome.code == 0 and len(states(folder)) == 12
    assert fates["hang"] >= 4 and time.monotonic() - started > 1
    assert json.loads((folder / "summary.json").read_bytes())["session"]["hedges"] == 0


def test_a_limited_rate(rehearsal: Rehearsal) -> None:
    """A server that lets 100 calls a second in and sends the others away with `Retry-After`: no prompt is
    lost, the limit is used for the most part, and not many calls are sent in vain."""
    _, folder, n_faultless, _ = rehearsal.run()
    good, started = found(folder), time.monotonic()
    outcome, folder, n_calls, fates = rehearsal.run("server.requests_per_minute=6000")
    took_s = time.monotonic() - started
    assert outcome.code == 0 and found(folder) == good and len(states(folder)) == 12
    assert fates["200"] == n_faultless and fates["over the limit"] > 0
    assert n_calls < 2 * n_faultless
    assert took_s < 2.5 * n_faultless / 100 + 1


def test_an_outage_of_all_calls_at_the_start(rehearsal: Rehearsal) -> None:
    """Fifteen seconds of it, on a clock of ours that is 25 times as fast: waited out, nothing is lost, and it
    is over soon after the outage."""
    _, folder, n_faultless, _ = rehearsal.run()
    good, started = found(folder), time.monotonic()
    outcome, folder, n_calls, fates = rehearsal.run(f"server.outage_s={15 * SCALE}")
    assert outcome.code == 0 and found(folder) == good
    assert fates["outage"] > 12
    assert n_calls - fates["outage"] == n_faultless
    assert 15 * SCALE < time.monotonic() - started < 15


@pytest.mark.parametrize(
    ("dial", "says"),
    [("key_expires_after", "Check the API key"), ("model_gone_after", "Check the model's name")],
)
def test_a_key_that_expires_and_a_model_that_goes(rehearsal: Rehearsal, dial: str, says: str) -> None:
    """Halfway through: the run stops with one line and exit code 3; once it is mended the same command
    finishes, byte for byte the faultless run, and pays for what was owed only."""
    settings = ("api.structured_output=off", "api.workers=4")
    outcome, folder, n_faultless, _ = rehearsal.run(settings=settings)
    good = results(folder)
    outcome, folder, _, fates = rehearsal.run(f"server.{dial}={n_faultless // 2}", settings=settings)
    assert outcome.code == 3
    (line,) = [line for line in outcome.text.splitlines() if says in line]
    assert line.startswith("Stopped") and KEY not in outcome.text
    n_paid, n_states = fates["200"], len((folder / "journal.jsonl").read_bytes().splitlines())
    assert f"{n_states} of 12 prompts are finished" in outcome.text
    rehearsal.desk.patch.setenv("LITELLM_BASE_URL", rehearsal.servers.serve())
    resumed = run_here(f"files.responses_file={rehearsal.pool}", *settings, resume=True)
    assert resumed.code == 0, resumed.text
    assert rehearsal.servers.counts()[0] == n_faultless - n_paid
    assert results(folder) == good


def test_what_cannot_be_had_is_no_number(rehearsal: Rehearsal) -> None:
    """With no further asking, replies that cannot be read leave criteria unjudged: a score stands only where
    enough was judged, and is that of the judged ones; what failed is listed, and the exit code says so."""
    settings = ("api.max_retries=0", "api.stutter_retries=0", "workflow.max_iterations=1")
    dials = ("faults.empty=0.1", "faults.missing_ids=0.2", "faults.doubled_ids=0.2")
    outcome, folder, _, _ = rehearsal.run(*dials, settings=settings)
    of_state = states(folder)
    assert len(of_state) == 12 and outcome.code == ("failed" in of_state.values())
    rubrics = {
        row["id"]: row["rubrics"]
        for row in map(json.loads, (folder / "rubrics.jsonl").read_text().splitlines())
    }
    n_unjudged = n_none = 0
    for row in map(json.loads, (folder / "scores.jsonl").read_text().splitlines()):
        weights = [criterion["weight"] for criterion in rubrics[row["id"]]]
        marks = [row["verdicts"][criterion["id"]] for criterion in rubrics[row["id"]]]
        judged = sum(weight for weight, mark in zip(weights, marks, strict=True) if mark is not None)
        met = sum(weight for weight, mark in zip(weights, marks, strict=True) if mark)
        n_unjudged += None in marks
        if judged < 0.8 * sum(weights):
            n_none += 1
            assert row["score"] is None
        else:
            assert row["score"] == pytest.approx(met / judged)
    assert n_unjudged > 10 and n_none > 3
