"""`rubricate serve` as a process: it answers, drains on a signal, and refuses what is unsafe."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

PROMPT = "Explain photosynthesis in exactly three lines."
ITEM = {
    "prompt": PROMPT,
    "completion": "Light.\nWater.\nSugar.",
    "rubric": ["The response has exactly three lines."],
}
OFFLINE = ("models.verifier=offline", "models.rubric_generator=offline")


@contextmanager
def serving(folder, *words, env=None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address; killed at the end if it is still there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rubricate", "serve", "--port", "0", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    watchdog = threading.Timer(90, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"http://\S+", said)
        assert found, (said, process.stderr.read() if process.stderr else "")
        yield process, found[0].rstrip()
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def asked(url, body, token=None):
    head = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    with urlopen(Request(url + "/v1/rewards", json.dumps(body).encode(), head), timeout=30) as answer:
        return json.loads(answer.read())


def test_it_serves_until_a_signal(tmp_path):
    """The ready line, a reward by the offline engine, and an end with 0 that says what was done."""
    with serving(tmp_path, *OFFLINE) as (process, url):
        said = asked(url, {"items": [ITEM, {**ITEM, "completion": ""}]})
        assert [one["reward"] for one in said["items"]] == [1.0, None]
        assert len(said["version"]["reward"]) > 8
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert "1 rewards, 1 without" in out


def test_tokens_of_the_environment(tmp_path):
    """In no argument and in no line; another one is refused, and its absence is."""
    token = "a-token-of-at-least-16"
    with serving(tmp_path, *OFFLINE, "--token-env", "MY_TOKEN", env={"MY_TOKEN": token}) as (process, url):
        assert asked(url, {"items": [ITEM]}, token)["items"][0]["reward"] == 1.0
        for wrong in (None, token + "x"):
            with pytest.raises(HTTPError) as refused:
                asked(url, {"items": [ITEM]}, wrong)
            assert refused.value.code == 401
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0 and token not in out + err


def test_a_trained_model_is_served(tmp_path):
    """A checkpoint in place of rubrics; its rewards are what the model gives, and its version is its own."""
    pytest.importorskip("transformers")
    from tests.reward_model.models import a_reward_model

    a_reward_model(tmp_path / "model")
    env = {"OMP_NUM_THREADS": "1"}
    with serving(tmp_path, "--reward", f"checkpoint:{tmp_path / 'model'}", env=env) as (_, url):
        said = asked(url, {"items": [{"prompt": PROMPT, "completion": "Light."}] * 2})
        first, second = (one["reward"] for one in said["items"])
        assert isinstance(first, float) and first == second


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "0.0.0.0"), "can be reached from other machines"),
        (("--token-env", "NOT_SET_ANYWHERE"), "NOT_SET_ANYWHERE is not set"),
        (("--reward", "nonsense"), "no reward 'nonsense'"),
        (("--reward", "checkpoint:./nowhere"), "there is no model in that folder"),
        (("no-such-rubrics.jsonl",), "no-such-rubrics.jsonl"),
        (("--rule", "nonsense"), "no rule 'nonsense'"),
        (("--host", "203.0.113.7", "--without-token"), "cannot be had"),
    ],
)
def test_mistakes(tmp_path, words, said):
    """One line and the exit code 2, before a socket is open; an address that cannot be had too."""
    command = [sys.executable, "-m", "rubricate", "serve", "--port", "0", *words, *OFFLINE]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
