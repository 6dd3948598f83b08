"""Runs in processes of their own, forked from a warm one, to be broken and killed; and what they leave."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.served import Desk

ROOT = Path(__file__).parents[1]


class Forks:
    """The process of `run_child.py`, warm, and what it is told to do."""

    def __init__(self, desk: Desk):
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.runs.run_child"],
            cwd=desk.path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, folder: Path, arguments: list[str], die_at: int | None = None) -> int:
        """Starts a run in the folder; its process id."""
        env = {name: os.environ[name] for name in ("LITELLM_KEY", "LITELLM_BASE_URL")}
        order = {"arguments": arguments, "cwd": str(folder), "env": env, "die_at": die_at}
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(order) + "\n")
        self._child.stdin.flush()
        return int(self._told()["pid"])

    def end(self) -> int:
        """Waits for the run that was started; its exit code."""
        return int(self._told()["code"])

    def run(self, folder: Path, arguments: list[str], die_at: int | None = None) -> int:
        """Starts a run and waits for it."""
        self.start(folder, arguments, die_at)
        return self.end()

    def _told(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        return json.loads(self._child.stdout.readline())

    def close(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(20)


@pytest.fixture
def forks(desk):
    """A warm process."""
    child = Forks(desk)
    yield child
    child.close()


def n_kept(folder: Path) -> int:
    """How many replies the ledger of a folder holds."""
    path = folder / "workflow_outs" / "ledger.sqlite"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as ledger:
        if not ledger.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'reply'").fetchone()[0]:
            return 0
        return int(ledger.execute("SELECT count(*) FROM reply").fetchone()[0])


def out(folder: Path) -> str:
    """What the run in a folder said."""
    return (folder / "out.txt").read_text()
