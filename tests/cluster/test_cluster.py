"""engine=ray on a real cluster of several nodes: the same results, whatever dies, in one account's limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster.nodes import ROOT, SOURCE, Nodes, command_of, until
from tests.served import KEY, Desk, Served, results, rows, run_here, states, write_pool

pytestmark = pytest.mark.xdist_group("cluster")  # one cluster for all, whatever runs in parallel

N_PROMPTS = 24
WORKERS = 6
LOST = 2 * WORKERS
"""Calls that a kill may cost: as many as are in flight, and as many replies on their way into the ledger."""
COMMON = ("files.responses_file=../pool.json", "api.structured_output=off", f"api.workers={WORKERS}")


@pytest.fixture
def ray(nodes: Nodes) -> tuple[str, ...]:
    """What makes a run one on the cluster, which has two working nodes."""
    nodes.have(2)
    return ("engine=ray", f"ray.address='{nodes.address}'")


_WHOLE: list[tuple[dict[str, bytes], int]] = []


def whole(desk: Desk) -> tuple[dict[str, bytes], int]:
    """The results of an unbroken local run, made once, and how many calls it took."""
    write_pool(desk.path / "pool.json", rows(N_PROMPTS, 4))
    if not _WHOLE:
        with Served() as server:
            desk.ask(server)
            folder = desk.move("whole")
            outcome = run_here(*COMMON, "ledger=whole.sqlite")
            assert outcome.code == 0, outcome.text
            _WHOLE.append((results(folder), server.n_requests))
    return _WHOLE[0]


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Does something on a thread while the block runs; what it raises is raised at the end."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)
            raise

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
    assert failures == []


@pytest.mark.parametrize("n_workers", [1, 2])
def test_the_results_are_those_of_the_local_engine(desk, ray, n_workers):
    """Byte for byte, with as many calls, never more of them at once than the account may have, and every
    worker has its part."""
    expected, n_calls = whole(desk)
    with Served(latency_s=0.005) as server:
        desk.ask(server)
        folder = desk.move("ray")
        outcome = run_here(*COMMON, *ray, f"ray.workers={n_workers}")
        assert outcome.code == 0, outcome.text
        assert results(folder) == expected
        assert (server.n_requests, server.peak <= WORKERS) == (n_calls, True)
    assert f"{n_workers} worker" in outcome.text


def test_a_killed_worker_costs_its_calls_in_flight_at_most(desk, ray, nodes):
    """kill -9 of a worker: Ray starts it again, its prompts go to others and replay from the ledger."""
    expected, n_calls = whole(desk)
    served = Served(latency_s=0.03)
    with served as server:
        desk.ask(server)
        folder = desk.move("ray")

        def kill() -> None:
            served.until(lambda server: server.n_requests > n_calls // 4, 60)
            os.kill(nodes.workers()[0], signal.SIGKILL)

        with meanwhile(kill):
            outcome = run_here(*COMMON, *ray)
        assert outcome.code == 0, outcome.text
        assert "died; its" in outcome.text
        assert results(folder) == expected
        assert n_calls <= server.n_requests <= n_calls + LOST


def test_the_budget_is_one_for_all_workers(desk, ray):
    """Not one call beyond budget.max_calls; and what is left is done by the local engine, without a call that
    was answered before (those that were on their way when the budget ended are given up, as ever)."""
    expected, n_calls = whole(desk)
    with Served(latency_s=0.002) as server:
        desk.ask(server)
        folder = desk.move("ray")
        outcome = run_here(*COMMON, *ray, "budget.max_calls=100")
        assert outcome.code == 3 and 100 - LOST <= server.n_requests <= 100, outcome.text
        assert "budget.max_calls" in outcome.text and "resume.path" in outcome.text
        outcome = run_here("engine=local", "budget.max_calls=null", resume=True)
        assert outcome.code == 0, outcome.text
        assert results(folder) == expected
        assert n_calls <= server.n_requests <= n_calls + LOST


def test_the_pace_is_one_for_all_workers(desk, ray):
    """Requests per minute are those of the account, however many workers there are."""
    write_pool(desk.path / "pool.json", rows(4, 4))
    starts: list[float] = []
    with Served() as server:
        answer = server.answer
        assert answer is not None

        def timed(request: dict[str, Any]) -> Any:
            starts.append(time.monotonic())
            return answer(request)

        server.answer = timed
        desk.ask(server)
        desk.move("ray")
        outcome = run_here(*COMMON, *ray, "api.requests_per_minute=1200", "workflow.max_iterations=1")
        assert outcome.code == 0, outcome.text
    assert len(starts) > 30
    assert starts[-1] - starts[0] >= 0.8 * (len(starts) - 1) * 60 / 1200


def test_a_wrong_key_stops_all_workers(desk, ray):
    """One line, exit code 3, and nobody goes on asking."""
    write_pool(desk.path / "pool.json", rows(N_PROMPTS, 4))
    with Served(api_key="sk-another-9d1c0a44b7e2") as server:
        desk.ask(server)
        desk.move("ray")
        outcome = run_here(*COMMON, *ray)
        assert outcome.code == 3
        assert "Check the API key" in outcome.text and KEY not in outcome.text
        assert server.n_requests <= WORKERS


def command(*overrides: str) -> subprocess.Popen[str]:
    """A run in a process of its own, in the current folder."""
    program = [
        sys.executable,
        "-c",
        "from rubricate.cli import main; main()",
        "run",
        "--config-name",
        "iterative",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(ROOT)])}
    return subprocess.Popen(
        [*program, "files.output_dir=out", *COMMON, *overrides],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name
)
def test_a_run_that_is_stopped_goes_on(desk, ray, nodes, number):
    """By Ctrl-C or SIGTERM in order, by kill -9 in none: no worker is left behind, and the local engine goes
    on to the same bytes, without a call that was answered before."""
    expected, n_calls = whole(desk)
    served = Served(latency_s=0.03)
    with served as server:
        desk.ask(server)
        folder = desk.move("ray")
        process = command(*ray)
        served.until(lambda server: server.n_requests > n_calls // 4, 60)
        workers = nodes.workers()
        assert workers
        process.send_signal(number)
        told, _ = process.communicate(timeout=60)
        assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number), told
        assert number == signal.SIGKILL or "To go on:" in told
        until(lambda: not any(command_of(pid).startswith("ray::Worker") for pid in workers))
        outcome = run_here("engine=local", resume=True)
        assert outcome.code == 0, outcome.text
        assert results(folder) == expected
        assert n_calls <= server.n_requests <= n_calls + LOST


def test_no_key_is_written_by_ray(desk, ray, nodes, database, postgres_server):
    """Keys and the password of the ledger go from process to process: no log of Ray and no file of the run
    has them."""
    from tests.postgres_server import PASSWORD

    write_pool(desk.path / "pool.json", rows(4, 2))
    desk.patch.setenv("RUBRICATE_LEDGER", postgres_server.url(database))
    with Served(api_key=KEY) as server:
        desk.ask(server)
        folder = desk.move("ray")
        outcome = run_here(*COMMON, *ray)
        assert outcome.code == 0, outcome.text
    written = [path for place in (nodes.logs, folder) for path in place.rglob("*") if path.is_file()]
    assert any(path.name.startswith("raylet") for path in written)
    for path in written:
        content = path.read_bytes()
        assert KEY.encode() not in content, path
        assert PASSWORD.encode() not in content, path


def test_a_file_is_no_ledger_for_other_machines(desk, ray, nodes):
    """A node with another address cannot reach a SQLite file: said before anything is begun."""
    write_pool(desk.path / "pool.json", rows(2))
    other = nodes.add(num_cpus=1, node_ip_address="127.0.0.2")
    try:
        folder = desk.move("ray")
        with pytest.raises(Exception, match=r"ledger is a file.*127\.0\.0\.2.*engine=local"):
            run_here(*COMMON, *ray)
        assert not folder.exists()
    finally:
        nodes.take_away(other)


def test_another_version_of_ray_is_said(desk, ray, monkeypatch):
    """Ray's own check of versions, in one line with both and with the way out."""
    import ray as library

    from rubricate.errors import SettingsError

    write_pool(desk.path / "pool.json", rows(2))
    folder = desk.move("ray")
    monkeypatch.setattr(library, "__version__", "0.0.1")
    with pytest.raises(SettingsError, match=r"[Vv]ersion mismatch.*0\.0\.1.*engine=local") as mistake:
        run_here(*COMMON, *ray)
    assert "\n" not in str(mistake.value)
    assert not folder.exists()


def test_prompts_that_fail_are_failed_there_too(desk, ray):
    """A prompt whose rubric cannot be read is a failed record with its reason, as in a local run."""
    pool = rows(6, 3)
    write_pool(desk.path / "pool.json", pool)

    def answer(request: dict[str, Any]) -> Any:
        from tests.actor import play

        text = request["messages"][-1]["content"]
        return "no rubric" if "subject 3." in text and "You write grading rubrics" in text else play(request)

    said = {}
    for name, overrides in (("local", ()), ("ray", ray)):
        with Served(answer) as server:
            desk.ask(server)
            folder = desk.move(name)
            assert run_here(*COMMON, *overrides, f"ledger={name}.sqlite").code == 1
            said[name] = results(folder)
            assert states(folder)["p3"] == "failed"
    assert said["local"] == said["ray"]


def test_responses_are_sampled_and_judged_there_too(desk, ray):
    """Pools that are filled up on the spot, a judge, and criteria in chunks: the same bytes."""
    write_pool(desk.path / "pool.json", [{"id": f"e{n}", "prompt": f"Say something {n}."} for n in range(5)])
    asked = ("rollouts.models=[a,b,c]", "gate.judge=judge", "grade.criteria_per_call=2")
    said = {}
    for name, overrides in (("local", ()), ("ray", ray)):
        with Served() as server:
            desk.ask(server)
            folder = desk.move(name)
            outcome = run_here(*COMMON, *asked, *overrides, f"ledger={name}.sqlite")
            assert outcome.code == 0, outcome.text
            said[name] = (results(folder), server.n_requests)
            assert len((folder / "sampled.jsonl").read_bytes().splitlines()) == 5
    assert said["local"] == said["ray"]


def test_a_killed_node_costs_its_calls_in_flight_at_most(desk, ray, nodes, database, postgres_server):
    """One node of the cluster gone in the middle, with the ledger in PostgreSQL: the other does the rest."""
    expected, n_calls = whole(desk)
    desk.patch.setenv("RUBRICATE_LEDGER", postgres_server.url(database))
    served = Served(latency_s=0.03)
    with served as server:
        desk.ask(server)
        folder = desk.move("ray")

        def kill() -> None:
            served.until(lambda server: server.n_requests > n_calls // 4, 60)
            nodes.kill_node()

        with meanwhile(kill):
            outcome = run_here(*COMMON, *ray)
        assert outcome.code == 0, outcome.text
        assert "died; its" in outcome.text
        assert results(folder) == expected
        assert n_calls <= server.n_requests <= n_calls + LOST
    assert postgres_server.query(database, "SELECT count(*) FROM rubricate.reply")[0][0] == n_calls
