"""A real process that asks by batch is killed at every stage, started again, and pays for nothing twice."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

import rubricate
from rubricate.world.batches import Answer
from tests.batch_server import NO_ANSWER, BatchServer, until

N = 12
CHILD = Path(__file__).with_name("batch_child.py")
ROOT = Path(__file__).parents[2]
TOLD = [f"answer to question {n}" for n in range(N)]


class Killer:
    """Kills the child, for good and without a word, when the server sees the n-th call of a kind.

    `done`: whether the server does what it was asked before the child dies, which never hears of it.
    """

    def __init__(self, method: str, ending: str, n: int = 1, *, done: bool):
        self._what, self._n, self._done = (method, ending), n, done
        self.child: asyncio.subprocess.Process | None = None
        self.n_killed = 0

    async def before(self, method: str, path: str) -> Answer | None:
        """A hook of the server."""
        return None if self._done else await self._kill(method, path)

    async def after(self, method: str, path: str) -> Answer | None:
        """A hook of the server."""
        return await self._kill(method, path) if self._done else None

    async def _kill(self, method: str, path: str) -> Answer | None:
        if self.n_killed or method != self._what[0] or not path.endswith(self._what[1]):
            return None
        self._n -= 1
        if self._n:
            return None
        assert self.child is not None
        self.child.kill()
        self.n_killed += 1
        await self.child.wait()
        return NO_ANSWER


async def child(server: BatchServer, ledger: Path) -> asyncio.subprocess.Process:
    path = os.pathsep.join([str(Path(rubricate.__file__).parents[1]), str(ROOT)])
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(CHILD),
        server.base_url,
        str(ledger),
        str(N),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )


STAGES = {
    "before the upload arrives": ("POST", "/files", 1, False),
    "after the upload": ("POST", "/files", 1, True),
    "before the submission arrives": ("POST", "/batches", 1, False),
    "in the very moment of the submission": ("POST", "/batches", 1, True),
    "at the first look": ("GET", "/batch_1", 1, False),
    "while polling": ("GET", "/batch_1", 3, True),
    "before the download": ("GET", "/content", 1, False),
    "after the download": ("GET", "/content", 1, True),
}


@pytest.mark.parametrize("stage", STAGES)
async def test_killed_at_every_stage(stage: str, tmp_path: Path):
    """The second process finds the batch of the first, by its id or by its key; every row is paid once."""
    method, ending, n, done = STAGES[stage]
    killer = Killer(method, ending, n, done=done)
    server = BatchServer(turnaround_s=0.25, before=killer.before, after=killer.after)
    async with server:
        killer.child = first = await child(server, tmp_path / "ledger.sqlite")
        assert await first.wait() == -9 and killer.n_killed == 1
        second = await child(server, tmp_path / "ledger.sqlite")
        told, _ = await second.communicate()
    assert second.returncode == 0 and json.loads(told) == TOLD
    assert server.n_submitted == 1
    assert server.batches.n_rows == N and not server.paid_twice
    looked_for = ending == "/batches"
    assert (("GET", "/batches") in server.calls) is looked_for, "only a submission in doubt is looked for"
    is_adopted = method == "GET" or (looked_for and done)
    assert server.calls.count(("POST", "/files")) == (1 if is_adopted else 2)


async def test_killed_in_the_middle_of_the_download(tmp_path: Path):
    """Half of the file has arrived, and of its rows some are kept."""
    path = tmp_path / "ledger.sqlite"

    def n_kept() -> int:
        with closing(sqlite3.connect(path)) as file:
            return int(file.execute("SELECT count(*) FROM reply").fetchone()[0])

    async with BatchServer() as server:

        async def kill() -> None:
            await until(n_kept)
            first.kill()
            await first.wait()

        server.midway = kill
        first = await child(server, path)
        assert await first.wait() == -9
        assert 0 < n_kept() < N
        second = await child(server, path)
        told, _ = await second.communicate()
    assert json.loads(told) == TOLD
    assert server.n_submitted == 1 and server.batches.n_rows == N and not server.paid_twice


async def test_killed_again_and_again(tmp_path: Path):
    """Five processes, each killed a little later than the one before; the sixth ends, with one batch."""
    async with BatchServer(turnaround_s=1.5) as server:
        for n in range(5):
            process = await child(server, tmp_path / "ledger.sqlite")
            try:
                await asyncio.wait_for(process.wait(), 0.4 + 0.25 * n)
            except TimeoutError:
                process.kill()
                await process.wait()
        last = await child(server, tmp_path / "ledger.sqlite")
        told, _ = await last.communicate()
    assert json.loads(told) == TOLD
    assert server.n_submitted == 1 and server.batches.n_rows == N and not server.paid_twice
