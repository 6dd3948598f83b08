"""The two stores side by side: a file (SQLite) and a server (PostgreSQL), under the same load from asyncio.

    python benchmarks/ledgers.py [--records 20000] [--callers 256] [--rounds 3]
                                 [--url postgresql://user@host/database] [--fsync]

Without --url a server of its own is started on this machine, in a temporary folder, with fsync off unless
--fsync is given; a schema of its own is made in a database that --url names, and dropped at the end. A record
is a grading reply of seven verdicts. Prints medians of the rounds: records kept per second with so many
callers at once, one caller's latency of a write, reads per second and one reader's latency, claims taken and
given back per second, verdicts kept and looked up per second, and bytes a record on disk with indexes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rubricate.domain.identity import key_of
from rubricate.domain.judgement import Verdict
from rubricate.llm.chat import Reply, Usage
from rubricate.llm.ledger import Ledger
from rubricate.llm.shelf import open_shelf
from rubricate.llm.store import Place, open_ledger
from tests.postgres_server import PostgresServer, programs

_ALONE = 300
Row = dict[str, float]


def a_reply(number: int) -> Reply:
    """What a grader says of seven criteria."""
    chance = random.Random(number)
    verdicts = [
        {"id": n, "verdict": chance.choice(["met", "unmet"]), "evidence": f"{chance.random():.6f} of it"}
        for n in range(7)
    ]
    return Reply(json.dumps({"verdicts": verdicts}), usage=Usage(800 + number % 90, 180), model="grader-1")


async def at_once(work: Callable[[int], Awaitable[object]], n: int, n_callers: int) -> float:
    """How many a second."""
    left, begun = iter(range(n)), time.perf_counter()

    async def caller() -> None:
        for number in left:
            await work(number)

    await asyncio.gather(*(caller() for _ in range(n_callers)))
    return n / (time.perf_counter() - begun)


async def alone(work: Callable[[int], Awaitable[object]], n: int = _ALONE) -> float:
    """The median time of one, in milliseconds, when nobody else asks."""
    took = []
    for number in range(n):
        begun = time.perf_counter()
        await work(number)
        took.append(time.perf_counter() - begun)
    return 1e3 * statistics.median(took)


async def measured(place: Place, n: int, n_callers: int, salt: int) -> Row:
    """One round on an empty or filled ledger, all keys new."""
    keys = [key_of("bench", salt, number) for number in range(n)]
    replies = [a_reply(number) for number in range(n)]
    verdicts = [
        {key_of("verdict", salt, number, c): Verdict("met") for c in range(7)} for number in range(n // 7)
    ]
    async with open_shelf(place, make=True) as shelf:
        before = await shelf.holdings()
    async with open_ledger(place) as ledger:
        row = await _replies(ledger, keys, replies, n_callers, salt)
    async with open_shelf(place) as shelf:
        after = await shelf.holdings()
    n_new = after.n_replies - before.n_replies
    row["bytes a reply"] = (after.n_bytes - before.n_bytes) / n_new
    async with open_ledger(place) as ledger:
        rate = await at_once(lambda number: ledger.keep_verdicts(verdicts[number]), n // 7, n_callers)
        row["verdicts kept/s, by seven"] = 7 * rate
        mark = await ledger.watermark()
        rate = await at_once(lambda number: ledger.verdicts(list(verdicts[number]), mark), n // 7, n_callers)
        row["verdicts looked up/s, by seven"] = 7 * rate
    async with open_shelf(place) as shelf:
        at_last = await shelf.holdings()
    row["bytes a verdict"] = (at_last.n_bytes - after.n_bytes) / (at_last.n_verdicts - after.n_verdicts)
    return row


async def _replies(ledger: Ledger, keys: list[str], replies: list[Reply], n_callers: int, salt: int) -> Row:
    n = len(keys)
    kept = await at_once(lambda number: ledger.keep_reply(keys[number], replies[number], "m"), n, n_callers)
    single = await alone(lambda number: ledger.keep_reply(key_of("single", salt, number), replies[0], "m"))
    read = await at_once(lambda number: ledger.reply(keys[number]), n, n_callers)
    read_alone = await alone(lambda number: ledger.reply(keys[number]))

    async def claim_and_release(number: int) -> None:
        assert await ledger.claim(keys[number])
        await ledger.release(keys[number])

    claimed = await at_once(claim_and_release, n, n_callers)
    return {
        "replies kept/s": kept,
        "one write alone, ms": single,
        "replies read/s": read,
        "one read alone, ms": read_alone,
        "claims taken and given back/s": claimed,
    }


@contextlib.contextmanager
def server(url: str | None, fsync: bool) -> Iterator[str]:
    """The URL of a database to work in."""
    if url is not None:
        yield url
        return
    bin = programs()
    if bin is None:
        sys.exit("PostgreSQL is not installed: apt-get install postgresql, or name a database with --url")
    with tempfile.TemporaryDirectory(prefix="rubricate-bench-") as folder:
        own = PostgresServer(Path(folder), bin, fsync=fsync)
        try:
            yield own.url("postgres")
        finally:
            own.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, default in {"records": 20_000, "callers": 256, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--url", help="a database to measure, such as postgresql://user@host/database")
    parser.add_argument("--fsync", action="store_true", help="of the server that is started here")
    settings = parser.parse_args()
    loop_factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        loop_factory = uvloop.new_event_loop
    with server(settings.url, settings.fsync) as url, tempfile.TemporaryDirectory() as folder:
        schema = f"bench_{random.SystemRandom().randrange(10**9)}"
        mark = "&" if "?" in url else "?"
        places = {
            "SQLite": Place(Path(folder) / "l.sqlite"),
            "PostgreSQL": Place.parse(f"{url}{mark}schema={schema}"),
        }
        rows: dict[str, list[Row]] = {name: [] for name in places}
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            for salt in range(settings.rounds):
                for name, place in places.items():
                    work = measured(place, settings.records, settings.callers, salt)
                    rows[name].append(runner.run(work))
            runner.run(_dropped(places["PostgreSQL"], schema))
    names = list(rows)
    print(f"{'':32}" + "".join(f"{name:>14}" for name in names))
    for figure in rows[names[0]][0]:
        medians = [statistics.median(row[figure] for row in rows[name]) for name in names]
        print(f"{figure:32}" + "".join(f"{value:14,.{3 if value < 10 else 0}f}" for value in medians))


async def _dropped(place: Place, schema: str) -> None:
    from rubricate.llm.postgres.link import Link

    link = Link(place.at, patience_s=0.0)  # type: ignore[arg-type]
    await link.open()
    await link.execute(f'DROP SCHEMA "{schema}" CASCADE')
    await link.close()


if __name__ == "__main__":
    main()
