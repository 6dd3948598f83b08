"""Two runs on one ledger, a ledger that is taken away, and a clock that jumps: whole runs, real processes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.forks import Forks, n_kept, out
from tests.served import Desk, Served, results, rows, run_here, states, write_pool

RUN = ["run", "--config-name", "iterative", "files.responses_file=../pool.json", "api.structured_output=off"]
RUN += ["files.output_dir=out", "api.workers=4"]
N_PROMPTS = 12


@pytest.fixture
def second(desk: Desk) -> Iterator[Forks]:
    child = Forks(desk)
    yield child
    child.close()


class Whole:
    """The unbroken run of a pool: its files, and how many questions it asked."""

    def __init__(self, desk: Desk, forks: Forks, server: Any, *more: str):
        write_pool(desk.path / "pool.json", rows(N_PROMPTS, 5))
        desk.ask(server)
        folder = desk.move("whole")
        assert forks.run(folder.parents[1], [*RUN, *more]) == 0
        self.results, self.n_questions = results(folder), server.n_requests


@pytest.mark.parametrize("killed", [False, True])
def test_two_processes_on_one_ledger_pay_once(desk: Desk, forks: Forks, second: Forks, killed: bool) -> None:
    """The same command twice at the same time, on one ledger into two folders: both give the files of the
    unbroken run, and the server is asked as often as for one. Also when one of them is killed -9 in the
    middle: what it had under way is asked by the other, and it goes on for nothing."""
    served = Served(latency_s=0.003)
    with served as server:
        shared = "ledger=../ledger.sqlite"
        whole, command = Whole(desk, forks, server, shared), [*RUN, shared]
        deleted(desk.path / "ledger.sqlite")
        one, two = (desk.move(name).parents[1] for name in ("one", "two"))
        before = server.n_requests
        pid = second.start(two, command)
        forks.start(one, command)
        n_open = 0
        if killed:
            served.until(lambda server: server.n_requests >= before + whole.n_questions // 3)
            n_open = 4  # its workers
            os.kill(pid, signal.SIGKILL)
            assert second.end() == -signal.SIGKILL
        assert forks.end() == 0, out(one)
        if killed:
            assert server.n_requests - before <= whole.n_questions + 2 * n_open
            before_resumed = server.n_requests
            assert second.run(two, [*command, "--resume"]) == 0, out(two)
            assert server.n_requests == before_resumed
        else:
            assert second.end() == 0, out(two)
            assert server.n_requests - before == whole.n_questions
    assert results(one / "workflow_outs" / "out") == whole.results
    assert results(two / "workflow_outs" / "out") == whole.results


def deleted(ledger: Path) -> None:
    for path in ledger.parent.glob("ledger.sqlite*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def cut(ledger: Path) -> None:
    os.truncate(ledger, ledger.stat().st_size // 2)


@pytest.mark.parametrize("harm", [deleted, cut])
def test_a_ledger_that_is_taken_away_while_it_works(
    desk: Desk, forks: Forks, harm: Callable[[Path], None]
) -> None:
    """One line that names it and what to do; nothing is paid for that cannot be kept, but what was under
    way. With the damaged file out of the way the same command goes on, and keeps what the journal has."""
    served = Served(latency_s=0.003)
    with served as server:
        whole = Whole(desk, forks, server)
        folder = desk.move("harmed").parents[1]
        before = server.n_requests
        forks.start(folder, RUN)
        served.until(lambda server: server.n_requests >= before + whole.n_questions // 2)
        ledger = folder / "workflow_outs" / "ledger.sqlite"
        harm(ledger)
        n_then = server.n_requests
        code = forks.end()
        assert server.n_requests - n_then <= 60, "it stopped soon"
        start = {2: "rubricate: ", 3: "Stopped: "}[code]
        (line,) = [line for line in out(folder).splitlines() if line.startswith(start)]
        assert "ledger.sqlite" in line and "Traceback" not in out(folder)
        deleted(ledger)
        n_finished = (folder / "workflow_outs/out/journal.jsonl").read_bytes().count(b"\n")
        assert forks.run(folder, [*RUN, "--resume"]) == 0, out(folder)
        assert f"{n_finished} of {N_PROMPTS} prompts are finished" in out(folder)
    assert results(folder / "workflow_outs" / "out") == whole.results


@pytest.mark.parametrize("harm", [deleted, cut])
def test_a_ledger_that_is_taken_away_between_runs(
    desk: Desk, forks: Forks, harm: Callable[[Path], None]
) -> None:
    """Deleted: the run goes on and pays for what the journal does not have. Cut off: one line that says what
    to do, nothing is asked and nothing changed; once that is done, the same."""
    with Served() as server:
        whole = Whole(desk, forks, server)
        folder = desk.move("harmed").parents[1]
        half = f"budget.max_calls={whole.n_questions // 2}"
        assert forks.run(folder, [*RUN, half]) == 3
        ledger = folder / "workflow_outs" / "ledger.sqlite"
        assert n_kept(folder) == whole.n_questions // 2
        harm(ledger)
        resume = [*RUN, "budget.max_calls=null", "--resume"]
        if harm is cut:
            before, journal = server.n_requests, (folder / "workflow_outs/out/journal.jsonl").read_bytes()
            assert forks.run(folder, resume) in (2, 3)
            assert "ledger.sqlite" in out(folder) and "Traceback" not in out(folder)
            assert server.n_requests == before
            assert (folder / "workflow_outs/out/journal.jsonl").read_bytes() == journal
            deleted(ledger)
        assert forks.run(folder, resume) == 0, out(folder)
    assert results(folder / "workflow_outs" / "out") == whole.results


def test_the_wall_clock_may_jump(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that is somewhere else at every look, years ahead and years back, changes nothing: no
    result, no wait, no limit. (Every look at it in this process goes through the patched function, those of
    the libraries included.)"""
    write_pool(desk.path / "pool.json", rows(N_PROMPTS, 5))
    settings = ("files.responses_file=../pool.json", "api.structured_output=off")
    settings += ("api.requests_per_minute=200000", "api.timeout_s=20")
    found, real, chance, n_looks = [], time.time, random.Random(0), 0

    def jumping() -> float:
        nonlocal n_looks
        n_looks += 1
        return real() + chance.choice((-1, 1)) * chance.random() * 1e8

    for name in ("steady", "jumping"):
        folder = desk.move(name)
        if name == "jumping":
            monkeypatch.setattr(time, "time", jumping)
        with Served(rates={"503": 0.05, "429/0.01": 0.05}) as server:
            desk.ask(server)
            started = time.monotonic()
            assert run_here(*settings).code == 0
            assert time.monotonic() - started < 30
        found.append(results(folder))
        assert len(states(folder)) == N_PROMPTS
    assert n_looks > 0
    assert found[0] == found[1]
