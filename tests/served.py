"""Whole commands against a real server: a server on a thread, a desk to work at, and runs in this process.

    served = Served()
    with served as server:
        desk.ask(server)
        outcome = run_here("files.responses_file=pool.json")

Commands own their event loop, so the server lives on a thread of its own.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import re
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rubricate.cli import main
from rubricate.commands.run import Order, run
from tests.actor import a_text, play
from tests.fake_server import FakeServer, Hook

KEY = "sk-test-5f2c9a71d0e84b63"
QUICK = ("api.structured_output=off",)
"""No probe: every request that the server sees is a question of the run."""


class Served:
    """A `FakeServer` on a thread of its own; use it in a `with`. Without an answer the actor plays."""

    def __init__(self, answer: Hook | None = play, **dials: Any):
        self._answer, self._dials = answer, dials
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> FakeServer:
        self._thread.start()
        self.server = FakeServer(self._answer, **self._dials)
        self._do(self.server.start())
        return self.server

    def __exit__(self, *_: object) -> None:
        self._do(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def until(self, holds: Callable[[FakeServer], bool], timeout_s: float = 20.0) -> None:
        """Waits until something holds of the server's counts."""
        self._do(self.server.until(holds, timeout_s))

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


@dataclass
class Desk:
    """A clean folder and a clean environment to give commands in."""

    path: Path
    patch: pytest.MonkeyPatch

    def ask(self, server: FakeServer) -> None:
        """Lets the commands ask this server."""
        self.patch.setenv("LITELLM_BASE_URL", server.base_url)

    def move(self, name: str) -> Path:
        """Goes to a new folder beside the first; gives where the run will be."""
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        self.patch.chdir(folder)
        return folder / "workflow_outs" / "out"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk in an empty folder, with a key and no endpoint yet."""
    for name in ("LITELLM_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LITELLM_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, monkeypatch)


def restless(served: Served, seed: int, longest_s: float = 0.004) -> None:
    """Makes every answer of the server come after a time of its own, so that they overtake each other."""
    chance, answer = random.Random(seed), served.server.answer
    assert answer is not None

    def later(request: dict[str, Any]) -> Any:
        served.server.latency_s = chance.random() * longest_s
        return answer(request)

    served.server.answer = later


def rows(n_prompts: int, n_responses: int = 4, salt: str = "") -> list[dict[str, Any]]:
    """Prompts with responses that the actor can tell apart."""
    return [
        {
            "id": f"p{place}",
            "prompt": f"Tell me about subject {salt}{place}.",
            "responses": [
                {"generator": f"m{n}", "response": a_text(f"{salt}{place} {n}", 8)}
                for n in range(n_responses)
            ],
        }
        for place in range(n_prompts)
    ]


def write_pool(path: Path, pool: Sequence[dict[str, Any]]) -> Path:
    """The pool as a JSON file."""
    path.write_text(json.dumps(pool))
    return path


@dataclass
class Outcome:
    """What a command did: its exit code and what it printed."""

    code: int
    text: str


def run_here(
    *overrides: str, config: str = "iterative", resume: bool = False, config_dir: Path | None = None
) -> Outcome:
    """`rubricate run` in this process, in the current folder, into workflow_outs/out."""
    told = io.StringIO()
    order = Order(config, ("files.output_dir=out", *overrides), resume, config_dir)
    return Outcome(run(order, Console(file=told, width=80, highlight=False)), told.getvalue())


def command(*arguments: str) -> Outcome:
    """`rubricate` with these arguments, from the roof down, in this process."""
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(told), redirect_stderr(told):
        patch.setattr(sys, "argv", ["rubricate", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
    assert isinstance(end.value.code, int)
    return Outcome(end.value.code, told.getvalue())


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def results(folder: Path) -> dict[str, bytes]:
    """The files of a finished run that must not depend on speed, order or chance, by name.

    Left out is only what says how fast it was to be: the two settings of concurrency in the page, and the
    part `session` of the summary.
    """
    found = {
        name: (folder / name).read_bytes()
        for name in ("rubrics.jsonl", "scores.jsonl", "journal.jsonl", "dataset/train.parquet", "report.html")
    }
    speed = rb"\b(workers|prompts_in_flight): \S+"
    found["report.html"] = re.sub(speed, rb"\1: -", found["report.html"])
    summary = json.loads((folder / "summary.json").read_bytes())
    del summary["session"]
    return {**found, "summary.json": json.dumps(summary).encode()}


def states(folder: Path) -> dict[str, str]:
    """State of each prompt of a run, by id; each prompt is in the journal exactly once."""
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_bytes().splitlines()]
    by_id = {line["id"]: line["state"] for line in lines}
    assert len(by_id) == len(lines)
    return by_id
