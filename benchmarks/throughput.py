"""Gradings per second, with everything on, beside a bare loop over the same HTTP client.

    python benchmarks/throughput.py [--rounds 3] [--concurrency 64 256 1024] [--latency 0 0.1]

A local server that does nothing answers each question with one and the same grading of eight criteria, at
once or after a fixed latency. The client grades responses that all differ, in three ways that take turns:

bare     encode, post, read the content: aiohttp on uvloop, no error looked at, nothing kept
aiohttp  a grading as a run does it: question, ledger (SQLite), claim, budget, circuit, retry, throttle,
         HTTP, verdicts read one by one
swift    the same over the wire that a run takes for plain http (`api.client=swift`, which needs httptools)

Server and client have a core each, every measurement is a process of its own, and the ways take turns inside
a round, so that a noisy machine is noisy for all. Medians of the rounds. The ideal rate at a latency is
concurrency / latency.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

N_CRITERIA = 8
REPLY = json.dumps({f"c{n}": "met" if n % 3 else "unmet" for n in range(1, N_CRITERIA + 1)})
FILLER = " ".join(f"Sentence {number} says a little more." for number in range(30))
WAYS = ("bare", "aiohttp", "swift")
_SERVER_CORE, _CLIENT_CORE = 0, 1
_CALLERS = 4  # gradings under way for each call in flight, as in a run: some of them wait for the ledger


def seconds_of(latency_s: float, concurrency: int) -> float:
    """How long a measurement should take, so that its start and its end do not count much."""
    return 3.0 if latency_s == 0 else max(4.0, 20 * latency_s)


async def bare(base_url: str, n_calls: int, concurrency: int) -> float:
    """Seconds for so many calls of aiohttp alone."""
    import aiohttp
    import msgspec

    from rubricate.domain.conversation import Prompt, Response
    from rubricate.steps.grade import question, verdict_schema

    schema = {"type": "json_schema", "json_schema": {"name": "v", "schema": verdict_schema(N_CRITERIA).body}}
    text = question(Prompt.of_text("Question?"), Response(FILLER), _criteria())
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "response_format": schema}
    url, headers = f"{base_url}/chat/completions", {"Content-Type": "application/json"}
    left = iter(range(n_calls))
    connector = aiohttp.TCPConnector(limit=concurrency, limit_per_host=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def caller() -> None:
            for _ in left:
                async with session.post(url, data=msgspec.json.encode(body)) as answer:
                    msgspec.json.decode(await answer.read())["choices"][0]["message"]["content"]

        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(concurrency)))
        return time.perf_counter() - started


async def graded(base_url: str, n_calls: int, concurrency: int, client: str) -> float:
    """Seconds for so many gradings by the chain of a run."""
    import msgspec

    from rubricate.domain.conversation import Prompt, Response
    from rubricate.llm.budget import Budget
    from rubricate.llm.dialect import Dialect
    from rubricate.llm.endpoint import Endpoint
    from rubricate.llm.ledger import LedgerDialects
    from rubricate.llm.prices import known_prices
    from rubricate.llm.sqlite.ledger import SqliteLedger
    from rubricate.settings.loading import load_settings
    from rubricate.settings.wiring import OwnLimits, Wiring
    from rubricate.steps.asking import Manner
    from rubricate.steps.crew import ModelGrader

    api = load_settings("iterative", (f"api.workers={concurrency}", f"api.client={client}")).api
    prompt, criteria, left = Prompt.of_text("Question?"), _criteria(), iter(range(n_calls))
    with tempfile.TemporaryDirectory() as folder:
        async with SqliteLedger(Path(folder) / "ledger.sqlite") as ledger, AsyncExitStack() as opened:
            await LedgerDialects(ledger).put(base_url, "m", Dialect(structured=True))
            wiring = Wiring(api, ledger, OwnLimits(api, Budget(known_prices())), opened)
            chat = (await wiring.line(Endpoint(base_url, "key"), "bench")).chat
            grader = ModelGrader(chat, Manner("m"))

            async def caller() -> None:
                for number in left:
                    verdicts = await grader.grade(prompt, Response(f"{number}. {FILLER}"), criteria)
                    assert all(verdict.is_judged for verdict in verdicts)

            started = time.perf_counter()
            await asyncio.gather(*(caller() for _ in range(_CALLERS * concurrency)))
            seconds = time.perf_counter() - started
            assert chat.n_paid == n_calls, msgspec.to_builtins(wiring.lines)
            return seconds


def _criteria() -> list:
    from rubricate.domain.rubric import Criterion

    return [
        Criterion(f"c{n}", f"The response says the thing number {n} that any great one would say.")
        for n in range(1, N_CRITERIA + 1)
    ]


def measure(way: str, base_url: str, n_calls: int, concurrency: int) -> dict[str, float]:
    """One measurement in this process."""
    import gc

    import uvloop

    os.sched_setaffinity(0, {_CLIENT_CORE})
    gc.set_threshold(50_000, 20, 50)
    work = bare if way == "bare" else lambda *given: graded(*given, way)
    warm_up = uvloop.run(work(base_url, 500, concurrency))
    assert warm_up > 0
    cpu = time.process_time()
    seconds = uvloop.run(work(base_url, n_calls, concurrency))
    cpu = time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rate": n_calls / seconds, "cpu_ms": 1e3 * cpu / n_calls, "rss_mb": peak}


def measured(*arguments: object) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--part", *map(str, arguments)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return json.loads(output.splitlines()[-1])  # type: ignore[no-any-return]


def main() -> None:
    """Prints the table."""
    from tests.fake_server import server_process

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, nargs="*", default=[64, 256, 1024])
    parser.add_argument("--latency", type=float, nargs="*", default=[0.0, 0.1], help="seconds")
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    parser.add_argument("--part", nargs=4)
    given = parser.parse_args()
    if given.part:
        way, base_url, n_calls, concurrency = given.part
        print(json.dumps(measure(way, base_url, int(n_calls), int(concurrency))))
        return
    print(f"{'latency':>8}{'in flight':>10}  {'way':10}{'calls/s':>9}{'of bare':>9}{'of ideal':>9}"
          f"{'CPU ms':>8}{'RSS MB':>8}")  # fmt: skip
    for latency_s in given.latency:
        for concurrency in given.concurrency:
            expected = min(8000.0, concurrency / latency_s) if latency_s else 6000.0
            n_calls = int(expected * seconds_of(latency_s, concurrency))
            rows: dict[str, list[dict[str, float]]] = {way: [] for way in given.ways}
            with server_process(latency_s, REPLY, _SERVER_CORE) as base_url:
                for _ in range(given.rounds):
                    for way, found in rows.items():
                        found.append(measured(way, base_url, n_calls, concurrency))
            medians = {
                way: {name: statistics.median(row[name] for row in found) for name in found[0]}
                for way, found in rows.items()
            }
            for way, row in medians.items():
                of_bare = f"{row['rate'] / medians['bare']['rate']:.2f}" if "bare" in medians else ""
                of_ideal = f"{row['rate'] * latency_s / concurrency:.2f}" if latency_s else ""
                print(f"{latency_s * 1000:5.0f} ms{concurrency:10}  {way:10}{row['rate']:9,.0f}{of_bare:>9}"
                      f"{of_ideal:>9}{row['cpu_ms']:8.3f}{row['rss_mb']:8.0f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
