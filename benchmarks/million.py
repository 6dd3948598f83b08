"""What a run of a million prompts takes: calls, money, hours, machines, disk. Measured small, said large.

    python benchmarks/million.py --measure 200      # measures here, and prints the table
    python benchmarks/million.py                    # prints it from the figures of docs/cluster.md
    python benchmarks/million.py --rpm 30000 --tpm 150000000 --response-characters 6000

`--measure N` runs `iterative` on N prompts with 16 responses of the simulated world: once with the local
engine, once with engine=ray and two workers (if Ray is installed), each in a process of its own; it takes
calls a prompt, processor time a call and bytes on disk from them, and the memory of the lists that grow with
the input from a run folder of 50,000 tiny prompts. Tokens a call depend on the texts and not on the program:
they are counted as by `rubricate plan`, on texts of the given lengths.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

STEPS = ("propose", "grade", "refine")
MEASURED = {  # what `--measure 200` printed where docs/cluster.md says
    "calls": {"propose": 1.0, "grade": 49.95, "refine": 4.0},
    "cpu_ms_a_call": 0.628,
    "driver_cpu_ms_a_call": 0.347,
    "rss_mb": 255,
    "driver_bytes_a_prompt": 697,  # benchmarks/memory.py: 69 MB for 99,000 more prompts
    "ledger_bytes_a_call": 728,
    "folder_bytes_a_prompt": 111_329,
}
POSTGRES_TO_FILE = (
    1.9  # bytes on disk: 371 a reply and 149 a verdict against 204 and 75 (benchmarks/ledgers.py)
)
CORES = 8
GIGABYTE = 1e9
MANY = 50_000


def serve() -> None:
    """The world behind its server, until standard input closes."""
    import asyncio

    from rubricate.commands.session import _loop_factory
    from rubricate.world.dials import dials_of
    from rubricate.world.server import WorldServer
    from rubricate.world.world import World

    async def stay() -> None:
        async with WorldServer(World(dials_of([]), 0)) as server:
            print(server.base_url, flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(stay())


def run_part(engine: str, base_url: str, pool: Path) -> dict[str, Any]:
    """`rubricate run` in this process; its counts, its seconds of processor time, its memory."""
    from rich.console import Console

    from rubricate.commands.run import Order, run

    os.environ |= {"LITELLM_BASE_URL": base_url, "LITELLM_KEY": "none"}
    os.environ.pop("RUBRICATE_LEDGER", None)
    folder = pool.parent / f"{pool.stem}-{engine}"
    overrides = (f"files.responses_file={pool}", f"files.output_dir={folder}", f"engine={engine}")
    overrides += (f"ledger={folder}.sqlite", "ray.address=local", "ray.workers=2", "ray.cpus_per_worker=0.5")
    started, cpu = time.monotonic(), time.process_time()
    told = io.StringIO()
    code = run(Order("iterative", overrides, resume=False), Console(file=told))
    seconds, spent = time.monotonic() - started, time.process_time() - cpu
    assert code == 0, told.getvalue()
    summary = json.loads((folder / "summary.json").read_bytes())
    return {
        "calls": {step: summary["spend"][step]["calls"] for step in STEPS},
        "paid": summary["session"]["calls_paid"],
        "seconds": seconds,
        "cpu_s": spent,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "ledger_bytes": sum(path.stat().st_size for path in folder.parent.glob(f"{folder.name}.sqlite*")),
        "folder_bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
    }


def lists_part(n_prompts: int) -> dict[str, Any]:
    """The memory that grows with the input: reading it, keys, the run folder and its journal."""
    from rubricate.runs.folder import JOURNAL, RunFolder, create
    from rubricate.runs.intake import read_pools
    from rubricate.runs.pipeline import record_keys
    from rubricate.runs.rubric_files import RubricFile

    with tempfile.TemporaryDirectory() as folder:
        source, run = Path(folder) / "pool.jsonl", Path(folder) / "run"
        with source.open("w") as file:
            for n in range(n_prompts):
                row = {"id": f"prompt-{n:09}", "prompt": f"Q{n}?", "responses": ["a", "b"]}
                file.write(json.dumps(row) + "\n")
        first = source.with_name("first.jsonl")
        first.write_text(json.dumps({"prompt": "Q?", "responses": ["a"]}) + "\n")
        read_pools(str(first))  # imports what it needs
        before = _resident()
        with read_pools(str(source)) as intake:
            keys = record_keys(intake, "identity", RubricFile())
            create(run, config="", intake=intake, verdicts_up_to=0)
        with (run / JOURNAL).open("w") as file:
            for n, key in enumerate(keys):
                file.write(json.dumps({"key": key, "id": f"prompt-{n:09}", "state": "refined"}) + "\n")
        with RunFolder(run) as open_folder:
            open_folder.keys = keys
            assert open_folder.n_done == n_prompts
            return {"bytes_a_prompt": round((_resident() - before) / n_prompts)}


def _resident() -> int:
    """The largest resident memory so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def part(*arguments: str) -> dict[str, Any]:
    """A part of this benchmark in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--part", *arguments], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


@contextmanager
def world() -> Iterator[str]:
    """The world's server in a process of its own; its address."""
    command = [sys.executable, __file__, "--part", "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdin is not None
        yield server.stdout.readline().strip()
        server.stdin.close()


def measured(n_prompts: int) -> dict[str, Any]:
    """The figures of MEASURED, taken now on this machine."""
    import msgspec

    from rubricate.world.dials import dials_of
    from rubricate.world.pools import DIVERSE, pool_rows
    from rubricate.world.world import World

    with tempfile.TemporaryDirectory() as folder, world() as base_url:
        pool = Path(folder) / "pool.jsonl"
        rows = pool_rows(World(dials_of([]), 0), n_prompts, DIVERSE, 1)
        pool.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
        local = part("local", base_url, str(pool))
        try:
            import ray  # noqa: F401
        except ModuleNotFoundError:
            cluster = None
        else:
            cluster = part("ray", base_url, str(pool))
            assert cluster["calls"] == local["calls"], "the engines differ"
    return {
        "calls": {step: round(n / n_prompts, 2) for step, n in local["calls"].items()},
        "cpu_ms_a_call": round(1000 * local["cpu_s"] / local["paid"], 3),
        "driver_cpu_ms_a_call": round(1000 * cluster["cpu_s"] / cluster["paid"], 3) if cluster else None,
        "rss_mb": round(local["rss_mb"]),
        "driver_bytes_a_prompt": part("lists", str(MANY))["bytes_a_prompt"],
        "ledger_bytes_a_call": round(local["ledger_bytes"] / local["paid"]),
        "folder_bytes_a_prompt": round(local["folder_bytes"] / n_prompts),
    }


def tokens_a_call(given: argparse.Namespace) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    """Prompt and completion tokens of a call of each step, and calls a prompt at most, as `plan` counts."""
    from rubricate.domain.conversation import Pool, Prompt, Response
    from rubricate.llm.prices import known_prices
    from rubricate.runs.plan import plan
    from rubricate.settings.loading import load_settings
    from rubricate.settings.terms import shape_of

    prompt = Prompt.of_text("q" * given.prompt_characters)
    responses = tuple(
        Response(f"{n:02}" + "r" * (given.response_characters - 2)) for n in range(given.responses)
    )
    bill = plan([Pool(prompt, responses)], shape_of(load_settings("iterative")), known_prices())
    tokens = {
        step: (spend.prompt_tokens / spend.calls, spend.completion_tokens / spend.calls)
        for step, spend in bill.items()
    }
    return tokens, {step: float(spend.calls) for step, spend in bill.items()}


def table(figures: dict[str, Any], given: argparse.Namespace) -> list[tuple[str, str, str]]:
    """The rows: what, how much, from what."""
    from rubricate.llm.chat import Usage
    from rubricate.llm.prices import known_prices
    from rubricate.settings.loading import load_settings

    models = load_settings("iterative").models
    model = {"propose": models.rubric_generator, "refine": models.rubric_generator, "grade": models.verifier}
    tokens, at_most = tokens_a_call(given)
    n, calls = given.prompts, figures["calls"]
    total = {step: n * calls[step] for step in STEPS}
    asked = sum(total[step] * tokens[step][0] for step in STEPS)
    said = sum(total[step] * tokens[step][1] for step in STEPS)
    prices, money = known_prices(), {}
    for step in STEPS:
        each = prices.cost(model[step], Usage(round(1000 * tokens[step][0]), round(1000 * tokens[step][1])))
        assert each is not None, model[step]
        money[step] = total[step] * each / 1000
    all_calls = sum(total.values())
    by_requests, by_tokens = all_calls / given.rpm / 60, (asked + said) / given.tpm / 60
    hours = max(by_requests, by_tokens)
    a_second = all_calls / hours / 3600
    busy = a_second * figures["cpu_ms_a_call"] / 1000
    ledger = all_calls * figures["ledger_bytes_a_call"]
    grow = (given.prompt_characters + given.responses * given.response_characters) * n
    folder = n * figures["folder_bytes_a_prompt"]
    listed = [
        (
            f"{step} calls",
            f"{total[step] / 1e6:,.1f} M",
            f"{calls[step]:g} a prompt (at most {at_most[step]:g})",
        )
        for step in STEPS
    ]
    listed += [
        ("prompt tokens", f"{asked / 1e9:,.1f} G", "plan, four characters a token"),
        ("completion tokens", f"{said / 1e9:,.2f} G", "the same"),
        *(
            (f"{step} money", f"${money[step]:,.0f}", f"{model[step]}, list price of {prices.as_of}")
            for step in STEPS
        ),
        ("money", f"${sum(money.values()):,.0f}", "without prefix cache and batch discount"),
        ("money by the batch endpoint", f"${sum(money.values()) / 2:,.0f}", "half price, where it can wait"),
        ("hours by requests", f"{by_requests:,.0f} h", f"{given.rpm:,} requests a minute"),
        ("hours by tokens", f"{by_tokens:,.0f} h", f"{given.tpm:,} tokens a minute"),
        ("calls a second", f"{a_second:,.0f}", f"over {hours:,.0f} h"),
        ("machines for workers", f"{max(1, math.ceil(2 * busy / CORES))}", f"of {CORES} cores, half busy"),
        ("processor cores of workers", f"{busy:,.2f}", f"{figures['cpu_ms_a_call']:g} ms a call"),
    ]
    if figures["driver_cpu_ms_a_call"] is not None:
        share = a_second * figures["driver_cpu_ms_a_call"] / 1000
        listed.append(
            ("the driver's core is busy", f"{share:.0%}", f"{figures['driver_cpu_ms_a_call']:g} ms a call")
        )
    memory = figures["rss_mb"] * 1e6 + figures["driver_bytes_a_prompt"] * n
    listed += [
        (
            "memory of the driver",
            f"{memory / GIGABYTE:,.1f} GB",
            f"{figures['driver_bytes_a_prompt']:,.0f} bytes a prompt",
        ),
        (
            "ledger in PostgreSQL",
            f"{POSTGRES_TO_FILE * ledger / GIGABYTE:,.0f} GB",
            f"{POSTGRES_TO_FILE} times the file's",
        ),
        (
            "ledger in a file",
            f"{ledger / GIGABYTE:,.0f} GB",
            f"{figures['ledger_bytes_a_call']:g} bytes a call, verdicts included",
        ),
        (
            "run folder",
            f"{folder / GIGABYTE:,.0f} GB",
            f"{figures['folder_bytes_a_prompt']:,.0f} bytes a prompt",
        ),
        ("texts of the pool", f"{grow / GIGABYTE:,.0f} GB", "at the lengths given"),
    ]
    return listed


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", type=int, metavar="PROMPTS", help="measure first, on so many prompts")
    parser.add_argument("--prompts", type=int, default=1_000_000)
    parser.add_argument("--responses", type=int, default=16)
    parser.add_argument("--prompt-characters", type=int, default=600)
    parser.add_argument("--response-characters", type=int, default=2400)
    parser.add_argument("--rpm", type=int, default=10_000, help="requests a minute of the account")
    parser.add_argument("--tpm", type=int, default=10_000_000, help="tokens a minute of the account")
    parser.add_argument("--part", nargs="*")
    given = parser.parse_args()
    if given.part:
        name, *rest = given.part
        if name == "serve":
            serve()
        elif name == "lists":
            print(json.dumps(lists_part(int(rest[0]))))
        else:
            print(json.dumps(run_part(name, rest[0], Path(rest[1]))))
        return
    figures = measured(given.measure) if given.measure else MEASURED
    if given.measure:
        print(json.dumps(figures, indent=4))
    print(
        f"{given.prompts:,} prompts of {given.prompt_characters} characters, {given.responses} responses of "
        f"{given.response_characters}, config iterative:"
    )
    for what, amount, why in table(figures, given):
        print(f"{what:30}{amount:>14}   {why}")


if __name__ == "__main__":
    main()
