"""A run that is stopped, at any moment and in any way, and run again, is the unbroken run; nothing paid is
paid again."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.actor import play
from tests.forks import forks, n_kept, out
from tests.runs.run_child import DIED
from tests.served import KEY, Served, results, rows, run_here, states, write_pool

__all__ = ["forks"]  # a fixture

ITERATIVE = ["run", "--config-name", "iterative", "files.output_dir=out", "files.responses_file=../pool.json"]
QUICK = ["api.structured_output=off", "api.workers=3", "workflow.prompts_in_flight=2"]
COMMAND = [*ITERATIVE, *QUICK]


@pytest.mark.parametrize("part", [0, 1])
def test_killed_before_every_write(desk, forks, part):
    """A run that vanishes before its n-th write, for every n, and is run again with --resume, leaves the
    files of the unbroken run byte by byte, and asks for exactly the replies that were not kept."""
    write_pool(desk.path / "pool.json", rows(4, 2))
    command = [*ITERATIVE, "api.structured_output=off", "api.workers=8", "workflow.max_iterations=1"]
    with Served() as server:
        desk.ask(server)
        whole = desk.move("whole")
        assert forks.run(whole.parents[1], command) == 0
        unbroken, n_questions = results(whole), server.n_requests
        n, codes = part + 1, Counter()
        while True:
            folder = desk.move(f"broken-{n}").parents[1]
            code = forks.run(folder, command, die_at=n)
            codes[code] += 1
            if code != DIED:
                assert code == 0, out(folder)
                break
            kept, n_before = n_kept(folder), server.n_requests
            assert forks.run(folder, [*command, "--resume"]) == 0, out(folder)
            assert server.n_requests - n_before == n_questions - kept, f"at write {n}"
            assert results(folder / "workflow_outs" / "out") == unbroken, f"at write {n}"
            n += 2
    assert codes[DIED] > 15


KILLS = 100
IN_FLIGHT = 6


def test_killed_at_a_hundred_random_moments(desk, forks):
    """kill -9 a hundred times, at moments drawn by a seed over the whole life of one run (start, calls, the
    writing of the results), with --resume after each: no restart fails, the files are those of the unbroken
    run, and no reply that had come in is asked for again beyond those in flight at a kill."""
    write_pool(desk.path / "pool.json", rows(24, IN_FLIGHT))
    # One prompt at a time: all that can be asked and not yet be kept are the gradings of its responses.
    one_by_one = [f"api.workers={IN_FLIGHT}", "workflow.prompts_in_flight=1"]
    command = [*ITERATIVE, "api.structured_output=off", *one_by_one]
    served, chance, phases = Served(), random.Random(4), Counter[str]()
    with served as server:
        desk.ask(server)
        whole = desk.move("whole")
        assert forks.run(whole.parents[1], command) == 0
        unbroken, n_questions = results(whole), server.n_requests
        folder, n_lost = desk.move("killed").parents[1], 0
        while phases.total() - phases["ended before"] < KILLS:
            before, kept, started = server.n_requests, n_kept(folder), time.monotonic()
            is_timed = chance.random() < 0.2 or kept == n_questions
            wait_s = chance.uniform(0.0, 0.3) if is_timed else 60.0
            until = before + (n_questions if is_timed else chance.randint(1, n_questions * 5 // KILLS))
            pid = forks.start(folder, [*command, "--resume"])
            while server.n_requests < until and time.monotonic() - started < wait_s and is_running(pid):
                time.sleep(0.001)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            code = forks.end()
            assert code in (-signal.SIGKILL, 0), out(folder)
            while server.connections:  # what was on its way into the server is counted as well
                time.sleep(0.001)
            lost = server.n_requests - before - (n_kept(folder) - kept)
            assert lost <= IN_FLIGHT
            n_lost += lost
            phase = "asking" if server.n_requests > before else "starting"
            phases["ended before" if code == 0 else "writing" if kept == n_questions else phase] += 1
        before, kept = server.n_requests, n_kept(folder)
        assert forks.run(folder, [*command, "--resume"]) == 0, out(folder)
        assert server.n_requests - before == n_questions - kept
        assert results(folder / "workflow_outs" / "out") == unbroken
        assert server.n_requests - n_questions == n_questions + n_lost
    assert phases["starting"] >= 5 and phases["asking"] >= 30 and phases["writing"] >= 5, phases


def is_running(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class TestSignals:
    @pytest.mark.parametrize(
        ("number", "code", "name"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "SIGINT")]
    )
    def test_say_what_is_finished_and_how_to_go_on(self, desk, forks, number, code, name):
        """Ctrl-C and SIGTERM end the run with 128 + n, the number of finished prompts and the exact command
        to go on; that command works, and asks for nothing that was kept."""
        write_pool(desk.path / "pool.json", rows(12, 5))
        served = Served()
        with served as server:
            desk.ask(server)
            whole = desk.move("whole")
            assert forks.run(whole.parents[1], COMMAND) == 0
            unbroken, n_questions = results(whole), server.n_requests
            folder = desk.move("stopped").parents[1]
            pid = forks.start(folder, COMMAND)
            served.until(lambda server: server.n_requests >= n_questions + n_questions // 2)
            os.kill(pid, number)
            assert forks.end() == code, out(folder)
            said = out(folder).strip().splitlines()
            finished = (folder / "workflow_outs/out/journal.jsonl").read_bytes().count(b"\n")
            assert said[-3] == f"Stopped by {name}"
            assert said[-2].startswith(f"{finished} of 12 prompts are finished")
            assert KEY not in out(folder)
            before, kept = server.n_requests, n_kept(folder)
            program, *arguments = shlex.split(said[-1])
            assert program == "rubricate"
            assert forks.run(folder, arguments) == 0, out(folder)
            assert server.n_requests - before == n_questions - kept
            assert f"resuming workflow_outs/out: {finished} of 12 prompts are finished" in out(folder)
        assert results(folder / "workflow_outs" / "out") == unbroken

    def test_a_real_command_line(self, desk):
        """The same through the installed program."""
        write_pool(desk.path / "pool.json", rows(12, 5))
        served, folder = Served(latency_s=0.01), desk.move("real").parents[1]
        program = Path(sys.executable).with_name("rubricate")
        with served as server:
            desk.ask(server)
            running = subprocess.Popen([program, *COMMAND], stdout=subprocess.PIPE, text=True, cwd=folder)
            served.until(lambda server: server.n_requests > 30)
            running.send_signal(signal.SIGTERM)
            told, _ = running.communicate(timeout=30)
        assert running.returncode == 143
        assert "prompts are finished" in told and "rubricate run resume.path=workflow_outs/out" in told


class TestJournal:
    def test_a_torn_last_line_is_cut(self, desk):
        """A line that was being written when the end came is no line: it is cut, and its prompt is owed."""
        write_pool(desk.path / "pool.json", rows(3))
        folder = desk.move("torn")
        arguments = ["files.responses_file=../pool.json", *QUICK]
        with Served() as server:
            desk.ask(server)
            assert run_here(*arguments).code == 0
            unbroken, n_questions = results(folder), server.n_requests
            journal = folder / "journal.jsonl"
            whole = journal.read_bytes()
            last = whole[:-1].rindex(b"\n") + 1
            for cut in (last + 1, (last + len(whole)) // 2, len(whole) - 1, 5):
                journal.write_bytes(whole[:cut])
                outcome = run_here(*arguments, resume=True)
                assert outcome.code == 0
                assert f"{whole[:cut].count(10)} of 3 prompts are finished" in outcome.text
                assert results(folder) == unbroken
        assert server.n_requests == n_questions

    def test_a_damaged_line_in_the_middle_is_named(self, desk):
        """What no kill can leave is not guessed at: file and line are named, and nothing is changed."""
        write_pool(desk.path / "pool.json", rows(3))
        folder = desk.move("damaged")
        arguments = ["files.responses_file=../pool.json", *QUICK]
        with Served() as server:
            desk.ask(server)
            assert run_here(*arguments).code == 0
            journal = folder / "journal.jsonl"
            lines = journal.read_bytes().splitlines(keepends=True)
            journal.write_bytes(lines[0] + b"{]\n" + lines[2])
            with pytest.raises(Exception, match=r"journal\.jsonl:2: not a journal line"):
                run_here(*arguments, resume=True)
        assert journal.read_bytes() == lines[0] + b"{]\n" + lines[2]


_STARVED = """
import resource, sys
from rubricate.cli import main
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
main()
"""


class TestDiskFull:
    def test_one_line_and_resumable(self, desk, forks):
        """A disk that fills up while the run works: one line that says so, exit 3; with room again the same
        run goes on, and pays nothing twice that was kept."""
        write_pool(desk.path / "pool.json", rows(12, 6))
        with Served() as server:
            desk.ask(server)
            whole = desk.move("whole")
            assert forks.run(whole.parents[1], COMMAND) == 0
            unbroken, n_questions = results(whole), server.n_requests
            folder = desk.move("full").parents[1]
            starved = [sys.executable, "-c", _STARVED, "120000", *COMMAND]
            child = subprocess.run(starved, cwd=folder, capture_output=True, text=True, timeout=60)
            assert child.returncode == 3, child.stdout + child.stderr
            (line,) = [line for line in child.stdout.splitlines() if line.startswith("Stopped")]
            assert "disk" in line and "resume" in line
            assert child.stderr == ""
            before, kept = server.n_requests, n_kept(folder)
            assert 0 < kept < n_questions
            assert forks.run(folder, [*COMMAND, "--resume"]) == 0, out(folder)
            assert server.n_requests - before == n_questions - kept
        assert results(folder / "workflow_outs" / "out") == unbroken

    def test_a_journal_line_is_there_whole_or_not_at_all(self, tmp_path):
        """A journal that cannot grow says so once, keeps what it had, and can be closed."""
        script = """
import resource, sys
from pathlib import Path
from rubricate.domain.record import PromptRecord
from rubricate.errors import RunError
from rubricate.runs.journal import Journal
path = Path(sys.argv[1])
journal = Journal(path)
record = PromptRecord("k1", "p1", "key", "kept", "x" * 500)
journal.add(record)
size = path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, size + 100))
try:
    journal.add(PromptRecord("k2", "p2", "key", "kept", "y" * 500))
except RunError as told:
    print(told)
journal.close()
assert path.stat().st_size == size and "k2" not in journal
assert Journal(path)["k1"] == record
"""
        child = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "journal.jsonl")], capture_output=True, text=True
        )
        assert child.returncode == 0, child.stderr
        assert "journal.jsonl: cannot be written" in child.stdout and "resume" in child.stdout


def test_states_are_those_of_the_whole_input(desk):
    """A run stopped by its budget and resumed holds every prompt once."""
    write_pool(desk.path / "pool.json", rows(6))
    folder = desk.move("counted")
    with Served(play) as server:
        desk.ask(server)
        pool = "files.responses_file=../pool.json"
        assert run_here(pool, *QUICK, "budget.max_calls=40").code == 3
        assert run_here(pool, *QUICK, "budget.max_calls=1000", resume=True).code == 0
    assert len(states(folder)) == 6
