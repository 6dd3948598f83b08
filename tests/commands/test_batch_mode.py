"""`api.mode=batch`, from the command line to a real server: the same rubrics, half the bill."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rich.console import Console

from rubricate.commands.doctor import examine
from rubricate.commands.progress import RunProgress
from rubricate.commands.world import make_pool
from rubricate.errors import SettingsError
from rubricate.llm.batches.chat import Pending
from rubricate.runs.plan import turnarounds
from rubricate.settings.loading import load_settings
from rubricate.settings.terms import default_in_flight, shape_of
from rubricate.world.dials import dials_of
from rubricate.world.server import WorldServer
from rubricate.world.world import World
from tests.served import Desk, command, results, run_here

QUICK = ("api.mode=batch", "batch.linger_s=0.1", "batch.poll_s=0.03", "batch.longest_poll_s=0.1")
POOL = "files.responses_file=../pool.jsonl"


@contextmanager
def serving(desk: Desk, *dials: str) -> Iterator[WorldServer]:
    """A world on a thread of its own, which the commands ask."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = WorldServer(World(dials_of(dials), seed=5))

    def do(work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(30)

    do(server.start())
    desk.patch.setenv("LITELLM_BASE_URL", server.base_url)
    try:
        yield server
    finally:
        do(server.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def pool(desk: Desk, n_prompts: int) -> None:
    made = Console(file=io.StringIO())
    names = ["great-1", "good-1", "fair-1", "weak-1"]
    make_pool(
        desk.path / "pool.jsonl",
        seed=5,
        n_prompts=n_prompts,
        generators=names,
        draws=2,
        assignments=(),
        console=made,
    )


def without_money(found: dict[str, bytes]) -> dict[str, Any]:
    """The results, but for what they cost and which way of asking the page names."""

    def free(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: free(inside) for key, inside in value.items() if "cost" not in key}
        return [free(inside) for inside in value] if isinstance(value, list) else value

    del found["report.html"]
    found["journal.jsonl"] = json.dumps(
        [free(json.loads(line)) for line in found["journal.jsonl"].splitlines()]
    ).encode()
    found["summary.json"] = json.dumps(free(json.loads(found["summary.json"]))).encode()
    return found


def test_the_same_rubrics_for_half_the_money(desk: Desk):
    """By batch, with failing rows, expiring batches and failing calls, a run finds byte for byte what it
    finds interactively; every row is paid once, and the bill is half."""
    pool(desk, 2)
    loop = ("gate.judge=judge", "workflow.max_iterations=2")
    with serving(desk):
        interactive = desk.move("interactive")
        assert run_here(POOL, *loop).code == 0
    faults = [
        "batches.row_fails=0.05",
        "batches.expires=0.2",
        "batches.call_fails=0.02",
        "batches.row_lost=0.02",
    ]
    with serving(desk, *faults) as server:
        by_batch = desk.move("batch")
        outcome = run_here(POOL, *loop, *QUICK)
        assert outcome.code == 0, outcome.text
        assert max(server.batches.paid.values()) == 1
        assert server.n_calls == 6, "two small questions to each of three models are single calls"
    assert without_money(results(by_batch)) == without_money(results(interactive))
    first, second = (json.loads((folder / "summary.json").read_text()) for folder in (interactive, by_batch))
    steps = first["spend"]
    known = {step for step in steps if steps[step]["cost_usd"]}
    assert known >= {"grade", "propose", "refine"}
    for step in known:
        assert second["spend"][step]["cost_usd"] == pytest.approx(steps[step]["cost_usd"] / 2)
    assert second["session"]["batches"] == len(
        [b for b in server.batches.batches.values() if b["status"] != "failed"]
    )


def test_one_role_by_batch(desk: Desk):
    """`batch.roles=[verifier]`: gradings go by batch at half price, the proposer is asked at once."""
    pool(desk, 2)
    folder = desk.move("run")
    with serving(desk) as server:
        assert run_here(POOL, "workflow.max_iterations=1", "batch.roles=[verifier]", *QUICK).code == 0
        models = {batch["model"] for batch in server.batches.batches.values()}
    assert models == {"openai/gpt-4.1-mini"}
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["session"]["usd_paid"] > 0


def test_a_stopped_run_goes_on_with_its_batch(desk: Desk):
    """A limit on calls stops a run; resumed, it ends as if it had never stopped."""
    pool(desk, 2)
    with serving(desk) as server:
        whole = desk.move("whole")
        assert run_here(POOL, *QUICK).code == 0
        broken = desk.move("broken")
        assert run_here(POOL, *QUICK, "budget.max_calls=20").code == 3
        assert run_here(POOL, "budget.max_calls=null", resume=True).code == 0
        assert max(server.batches.paid.values()) == 2, "once for each of the two ledgers"
    assert results(broken)["rubrics.jsonl"] == results(whole)["rubrics.jsonl"]


def test_an_endpoint_without_batches(desk: Desk):
    """One clear line at the start, and nothing half done: no folder, no batch, no question."""
    pool(desk, 2)
    folder = desk.move("run")
    with serving(desk, "batches.offered=0") as server:
        with pytest.raises(SettingsError, match=r"has no batch endpoints.*api\.mode=interactive"):
            run_here(POOL, *QUICK)
        assert server.n_calls == 0
        assert not folder.exists()
        assert run_here(POOL, "workflow.max_iterations=0").code == 0


@pytest.mark.parametrize(
    ("dials", "overrides", "code", "said"),
    [
        ((), (), 0, "batches are offered: api.mode=batch could be used"),
        ((), ("api.mode=batch",), 0, "batches are offered: api.mode=batch is used"),
        (("batches.offered=0",), (), 0, "batches are not offered here: api.mode=batch cannot be used"),
        (("batches.offered=0",), ("api.mode=batch",), 1, "batches are not offered here: use"),
    ],
)
def test_doctor_says_whether_batches_are_offered(desk: Desk, dials, overrides, code, said):
    """Wrong only where the run would ask by batch."""
    shown = io.StringIO()
    with serving(desk, *dials):
        assert examine("iterative", overrides, None, Console(file=shown, width=300)) == code, shown.getvalue()
    assert said in shown.getvalue()


@pytest.mark.parametrize(
    ("overrides", "rounds"),
    [
        (("workflow.max_iterations=4",), {"propose": 1, "grade": 13, "refine": 4}),
        (("workflow.max_iterations=4", "gate.judge=j"), {"propose": 1, "grade": 13, "refine": 4, "judge": 4}),
        (("workflow.max_iterations=2", "gate.enabled=false"), {"propose": 1, "grade": 3, "refine": 2}),
        (("workflow.max_iterations=0", "workflow.score_final=false"), {"propose": 1}),
        (("workflow.max_iterations=1", "models.verifier=offline"), {"propose": 1, "refine": 1}),
    ],
)
def test_turnarounds_by_hand(overrides, rounds):
    """One proposal; in each round a grading, a refinement, and at the gate two gradings and a judgement; and
    the final grading."""
    assert turnarounds(shape_of(load_settings("iterative", overrides)), proposes=True) == rounds


def test_no_run_takes_more_turnarounds_than_planned(desk: Desk):
    """With one prompt at a time every batch is a turnaround of its own. Asking everybody at once takes no
    more than planned; `grade.coverage=top` asks in waves, and the plan says so."""
    pool(desk, 1)
    n = dict[str, int]()
    for coverage in ("all", "top"):
        desk.move(coverage)
        with serving(desk) as server:
            rounds = ("workflow.max_iterations=3", f"grade.coverage={coverage}")
            assert run_here(POOL, *QUICK, *rounds).code == 0
            n[coverage] = len(server.batches.batches)
        told = command("plan", "--config-name", "iterative", POOL, "api.mode=batch", *rounds).text
        assert f"{'up to' if coverage == 'all' else 'at least'} 14 turnarounds" in " ".join(told.split())
        assert ("grade.coverage=all asks everybody" in " ".join(told.split())) is (coverage == "top")
    planned = turnarounds(shape_of(load_settings("iterative", ["workflow.max_iterations=3"])), proposes=True)
    assert 8 <= n["all"] <= sum(planned.values()) == 14


def test_prompts_in_flight_by_batch():
    """Who is not in this batch waits for a turnaround, so as many as fill a batch: 50,000 gradings are 3,125
    prompts of 16 responses, or the most that there may be of 2."""
    assert default_in_flight(load_settings("iterative")) == 64
    assert default_in_flight(load_settings("iterative", ["api.mode=batch"])) == 3125
    assert default_in_flight(load_settings("single", ["api.mode=batch"])) == 10_000


def test_local_servers_are_never_asked_by_batch():
    """vLLM and llama.cpp have no batch endpoints."""
    settings = load_settings("iterative", ["api.mode=batch", "models.verifier_backend=vllm"])
    assert settings.batch_roles == {"proposer", "judge", "rollouts"}
    assert load_settings("iterative").batch_roles == frozenset()


def test_the_terminal_says_what_is_waited_for():
    """Batches, questions, age; it is the last part of the line, and gone when nothing is pending."""
    console = Console(file=io.StringIO(), width=200)
    progress = RunProgress(console, 9, lambda: (1234, 0.5), pending=lambda: Pending(2, 12_300, 2040.0))
    progress.add("refined", 3)
    told = (
        "3 refined · 1,234 calls · $0.50 · waiting for 2 batches of 12,300 questions, the oldest 34 min old"
    )
    assert progress.words() == told
    quiet = RunProgress(console, 9, lambda: (0, 0.0))
    assert quiet.words() == ""
