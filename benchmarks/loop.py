"""The whole loop against a local server of no latency, beside a bare aiohttp loop over the same requests.

    python benchmarks/loop.py [--prompts 1000] [--concurrency 64]

Runs `iterative` (propose, grade, refine, gate, ledger, journal: everything) on a made pool of 16 responses
a prompt, then a bare loop that posts grading questions of the same size to the same server and reads the
content of the answers: no ledger, no retry, no reading of verdicts. Then the same run once more into another
folder, which the ledger answers. Prints calls per second, processor time per call of the client, and the
largest resident memory, each in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def made_pool(path: Path, n_prompts: int) -> None:
    """A pool of n prompts with sixteen responses of about a hundred words each."""
    from tests.actor import a_text

    with path.open("w") as file:
        for place in range(n_prompts):
            filler = " ".join(f"sentence {number} says little." for number in range(18))
            responses = [
                {"generator": f"model-{number}", "response": f"{a_text(f'{place}/{number}')} {filler}"}
                for number in range(16)
            ]
            row = {"id": f"p{place}", "prompt": f"Question number {place}?", "responses": responses}
            file.write(json.dumps(row) + "\n")


def serve() -> None:
    """A fake server with the actor, until its standard input closes."""
    import uvloop

    from tests.actor import play
    from tests.fake_server import FakeServer

    async def stay() -> None:
        async with FakeServer(play, keeps_requests=False) as server:
            print(server.base_url, flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    uvloop.run(stay())


def bare(base_url: str, n_calls: int, concurrency: int) -> dict[str, float]:
    """A bare aiohttp loop: posts grading questions of the run's size, reads the content of the answers."""
    import aiohttp
    import msgspec
    import uvloop

    from rubricate.domain.conversation import Prompt, Response
    from rubricate.domain.rubric import Criterion
    from rubricate.steps.grade import question, verdict_schema
    from tests.actor import a_text

    filler = " ".join(f"sentence {number} says little." for number in range(18))
    criteria = [
        Criterion(f"c{n}", f"The response touches on {word}.") for n, word in enumerate(["opal", "dune"])
    ]
    text = question(Prompt.of_text("Question?"), Response(f"{a_text('x')} {filler}"), criteria)
    schema = {"type": "json_schema", "json_schema": {"name": "v", "schema": verdict_schema(2).body}}
    body = msgspec.json.encode(
        {"model": "m", "messages": [{"role": "user", "content": text}], "response_format": schema}
    )

    async def ask() -> None:
        left = iter(range(n_calls))
        connector = aiohttp.TCPConnector(limit=concurrency)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def worker() -> None:
                for _ in left:
                    async with session.post(f"{base_url}/chat/completions", data=body) as answer:
                        msgspec.json.decode(await answer.read())["choices"][0]["message"]["content"]

            await asyncio.gather(*(worker() for _ in range(concurrency)))

    started, cpu = time.monotonic(), time.process_time()
    uvloop.run(ask())
    return {"calls": n_calls, "seconds": time.monotonic() - started, "cpu": time.process_time() - cpu}


def whole_loop(base_url: str, pool: Path, concurrency: int, name: str = "run") -> dict[str, float]:
    """`rubricate run --config-name iterative` in this process, into a folder of this name."""
    import io

    from rich.console import Console

    from rubricate.commands.run import Order, run

    os.environ |= {"LITELLM_BASE_URL": base_url, "LITELLM_KEY": "none"}
    overrides = (f"files.responses_file={pool}", f"files.output_dir={pool.parent / name}")
    overrides += (f"ledger={pool.parent / 'ledger.sqlite'}", f"api.workers={concurrency}")
    started, cpu = time.monotonic(), time.process_time()
    code = run(Order("iterative", overrides, resume=False), Console(file=io.StringIO()))
    seconds, spent = time.monotonic() - started, time.process_time() - cpu
    assert code == 0, code
    summary = json.loads((pool.parent / name / "summary.json").read_bytes())
    session = summary["session"]
    return {"calls": session["calls_paid"] or session["calls_reused"], "seconds": seconds, "cpu": spent}


def measured(*arguments: str) -> dict[str, float]:
    """A part of this benchmark in a process of its own; its figures and its largest resident memory."""
    output = subprocess.run(
        [sys.executable, __file__, *arguments], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout
    return json.loads(output.splitlines()[-1])  # type: ignore[no-any-return]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--part", nargs="*")
    given = parser.parse_args()
    if given.part:
        name, *rest = given.part
        if name == "serve":
            serve()
            return
        result = (
            bare(rest[0], int(rest[1]), given.concurrency)
            if name == "bare"
            else whole_loop(rest[0], Path(rest[1]), given.concurrency, name)
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**result, "rss_mb": peak}))
        return
    common = ["--concurrency", str(given.concurrency), "--part"]
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, __file__, "--part", "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdout is not None and server.stdin is not None
        base_url = server.stdout.readline().strip()
        rows = {}
        for n_prompts in (given.prompts // 4, given.prompts):
            pool = Path(folder) / str(n_prompts) / "pool.jsonl"
            pool.parent.mkdir()
            made_pool(pool, n_prompts)
            rows[f"rubricate, {n_prompts} prompts"] = measured(*common, "run", base_url, str(pool))
            rows[f"again, {n_prompts} prompts"] = measured(*common, "again", base_url, str(pool))
        n_calls = int(min(20_000, rows[f"rubricate, {given.prompts} prompts"]["calls"]))
        rows["bare aiohttp"] = measured(*common, "bare", base_url, str(n_calls))
        server.stdin.close()
        server.wait()
    print(f"{'':26}{'calls':>9}{'seconds':>9}{'calls/s':>9}{'CPU ms/call':>13}{'peak RSS MB':>13}")
    for name, row in rows.items():
        rate, cpu = row["calls"] / row["seconds"], 1000 * row["cpu"] / row["calls"]
        print(
            f"{name:26}{row['calls']:9,.0f}{row['seconds']:9.1f}{rate:9,.0f}{cpu:13.3f}{row['rss_mb']:13.0f}"
        )
    ours, base = rows[f"rubricate, {given.prompts} prompts"], rows["bare aiohttp"]
    ratio = (ours["calls"] / ours["seconds"]) / (base["calls"] / base["seconds"])
    print(f"rate of the whole loop: {ratio:.2f} of the bare loop's")


if __name__ == "__main__":
    main()
