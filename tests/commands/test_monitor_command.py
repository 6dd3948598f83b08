"""`rubricate monitor` from the command line: what it says, what it writes, when it fails."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rubricate.cli import app
from rubricate.report.monitor import monitor_page
from rubricate.training.monitors.rules.watching import watch
from rubricate.training.monitors.series.points import Point
from tests.training.monitors.test_watching import PAPER


@pytest.fixture
def training(tmp_path, monkeypatch):
    """A log whose reward climbs, and the gold of the paper's initial rubric."""
    monkeypatch.chdir(tmp_path)
    lines = [
        json.dumps({"step": step, "reward": 0.3 + step / 500, "kl": step / 1e4}) for step in range(1, 201)
    ]
    Path("log.jsonl").write_text("\n".join(lines) + "\n")
    rows = [f"{20 * place},{win / 100},504" for place, win in enumerate(PAPER["Initial"])]
    Path("gold.csv").write_text("\n".join(["step,gold,n", *rows]) + "\n")
    return tmp_path


def called(*words):
    return CliRunner().invoke(app, ["monitor", *words])


def test_it_says_that_gold_has_turned(training):
    """In the terminal, on the page, as JSON, and by its exit code where that is asked for."""
    told = called("log.jsonl", "--gold", "gold.csv", "--page", "m.html")
    assert told.exit_code == 0, told.output
    assert "Gold has turned although the reward still climbs" in told.output and "40*" in told.output
    page = Path("m.html").read_text()
    assert "Gold has turned" in page and "Reward and gold, by steps" in page and "http-equiv" in page
    assert called("log.jsonl", "--gold", "gold.csv", "--fail-on", "gold_turned").exit_code == 1
    assert called("log.jsonl", "--fail-on", "gold_turned").exit_code == 0
    said = json.loads(called("log.jsonl", "--gold", "gold.csv", "--json").stdout)
    assert said["best"] == 40 and said["findings"][0]["kind"] == "gold_turned"


def test_mistakes(training):
    """Each in one line, and nothing is written."""
    for words, said in (
        (("log.jsonl", "--fail-on", "doom"), "no such finding"),
        (("log.jsonl", "--map", "x=y"), "--map x=y"),
        (("nothing.jsonl", "--page", "m.html"), "does not exist"),
        (("log.jsonl", "--tail", "3"), "tail is 3"),
    ):
        told = called(*words)
        assert told.exit_code != 0 and said in str(told.exception), words
    assert not Path("m.html").exists()


def test_it_follows_a_log_until_gold_turns(training):
    """A real process, while the log grows; it ends by itself with 1."""
    lines, rows = Path("log.jsonl").read_text(), Path("gold.csv").read_text().splitlines()
    Path("log.jsonl").write_text("\n".join(lines.splitlines()[:30]) + "\n")
    Path("gold.csv").write_text("\n".join(rows[:3]) + "\n")
    command = [sys.executable, "-m", "rubricate", "monitor", "log.jsonl", "--gold", "gold.csv", "--follow"]
    process = subprocess.Popen(
        [*command, "--every", "0.1", "--fail-on", "gold_turned"], stdout=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "no finding" in line:  # it has read what was there
                Path("log.jsonl").write_text(lines)
                Path("gold.csv").write_text("\n".join(rows) + "\n")
        assert process.wait() == 1
    finally:
        watchdog.cancel()


def test_a_log_that_is_being_written_anew(training, monkeypatch):
    """While it is followed a half state of a trainer is said, and read again; at first it is a mistake."""
    whole = json.dumps({"log_history": [{"step": 1, "reward": 0.5}]}, indent=2)
    state, waits = Path("trainer_state.json"), list[float]()
    state.write_text(whole[:30])
    assert "trainer_state.json" in str(called("trainer_state.json", "--follow").exception)
    state.write_text(whole)

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt
        state.write_text(whole[:30] if len(waits) == 1 else whole)

    monkeypatch.setattr("rubricate.commands.monitor.time.sleep", wait)
    told = called("trainer_state.json", "--follow", "--every", "3")
    assert waits == [3.0] * 3 and told.output.count("not read this time") == 1


def test_the_page_marks_the_best_step(training):
    """In both large pictures: by steps, and by KL between the steps that are logged."""
    rows = [f"{20 * place + 5},{win / 100},504" for place, win in enumerate(PAPER["Initial"])]
    Path("gold.csv").write_text("\n".join(["step,gold,n", *rows]) + "\n")
    lines = [json.dumps({"step": step, "reward": 0.3, "kl_nats": step / 100}) for step in range(10, 221, 10)]
    Path("log.jsonl").write_text("\n".join(lines) + "\n")
    assert called("log.jsonl", "--gold", "gold.csv", "--page", "m.html").exit_code == 0
    assert Path("m.html").read_text().count("<title>best: step 45</title>") == 2


def test_the_page_trusts_nothing():
    """Titles and notes are text."""
    page = monitor_page(watch([Point(1, {"reward": 0.5})], notes=["<script>alert(1)</script>"]), "<b>x</b>")
    assert "<script>" not in page and "<b>x" not in page and "&lt;script&gt;" in page
    assert "No finding" in monitor_page(watch([]), "nothing")
