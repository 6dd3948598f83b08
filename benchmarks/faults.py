"""What becomes of a run under each fault, at real waits: the table of docs/faults.md.

    python benchmarks/faults.py [--prompts 24] [fault ...]

Runs `iterative` on a pool of the world of `rubricate world`, served by a process of its own: once without
fault, then with every fault at 20% of all calls (calls that are never answered: 2%), all of them mixed, and
an outage of all calls for the first 15 seconds. Each run has a ledger of its own. Asserts that every prompt
is in one state; prints the calls against the faultless run's, the time, and whether rubrics and scores are
the same.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

LINE = ("429", "429/2", "500", "502", "503", "reset", "cut_body", "drip")
BODY = ("wrong_type", "bad_utf8", "huge", "no_choices")
TEXT = ("empty", "null", "cut_json", "refusal", "length", "prose", "wrong_ids", "doubled_ids", "missing_ids")
ALL = (*LINE, *BODY, *TEXT)


@dataclass(frozen=True)
class Ended:
    """How a run ended. `found` is what must not depend on faults: rubrics and scores."""

    code: int
    seconds: float
    n_calls: int
    n_faults: int
    n_hedges: int
    states: dict[str, int]
    found: tuple[bytes, bytes]


def rehearsed(base_url: str, pool: Path, *settings: str) -> tuple[int, float, Path]:
    """`rubricate run --config-name iterative` in this process: exit code, seconds, folder."""
    from rich.console import Console

    from rubricate.commands.run import Order, run

    folder = Path(tempfile.mkdtemp(dir=pool.parent))
    os.environ |= {"LITELLM_BASE_URL": base_url, "LITELLM_KEY": "none"}
    overrides = (f"files.responses_file={pool}", f"files.output_dir={folder / 'run'}")
    overrides += (f"ledger={folder / 'ledger.sqlite'}", *settings)
    started = time.monotonic()
    code = run(Order("iterative", overrides, resume=False), Console(file=io.StringIO()))
    return code, time.monotonic() - started, folder / "run"


def under(servers: object, pool: Path, *dials: str, settings: tuple[str, ...] = ()) -> Ended:
    """A run against a world with these dials."""
    from tests.world_child import Worlds

    assert isinstance(servers, Worlds)
    code, seconds, folder = rehearsed(servers.serve(*dials), pool, *settings)
    n_calls, fates = servers.counts()
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_bytes().splitlines()]
    assert len({line["id"] for line in lines}) == len(lines), "a prompt is in one state"
    states: dict[str, int] = {}
    for line in lines:
        states[line["state"]] = states.get(line["state"], 0) + 1
    hedges = json.loads((folder / "summary.json").read_bytes())["session"]["hedges"] if code < 2 else 0
    found = ((folder / "rubrics.jsonl").read_bytes(), (folder / "scores.jsonl").read_bytes())
    return Ended(code, seconds, n_calls, n_calls - fates.get("200", 0), hedges, states, found)


def made_pool(path: Path, n_prompts: int) -> Path:
    """A pool of the world of seed 0, eight responses a prompt."""
    from rubricate.world.pools import DIVERSE, pool_rows
    from rubricate.world.world import World

    with path.open("w") as file:
        for row in pool_rows(World(), n_prompts, DIVERSE[:8], 1):
            file.write(json.dumps(row) + "\n")
    return path


def main() -> None:
    """Prints the table."""
    from tests.world_child import worlds

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("faults", nargs="*")
    given = parser.parse_args()
    mixed = [f"faults.{name}={0.2 / (len(ALL) + 1)}" for name in (*ALL, "hang")]
    rows = {name: [f"faults.{name}=0.2"] for name in ALL}
    rows |= {"hang (2%)": ["faults.hang=0.02"], "all mixed": mixed, "outage of 15 s": ["server.outage_s=15"]}
    with tempfile.TemporaryDirectory() as folder, worlds() as servers:
        pool = made_pool(Path(folder) / "pool.jsonl", given.prompts)
        good = under(servers, pool)
        assert good.code == 0 and not good.n_faults
        print(f"{given.prompts} prompts; without fault {good.n_calls} calls, {good.seconds:.1f} s\n")
        print("| fault | exit | prompts finished | rubrics and scores | calls | second calls | seconds |")
        print("|---|---|---|---|---|---|---|")
        for name, dials in rows.items():
            if given.faults and name not in given.faults:
                continue
            end = under(servers, pool, *dials)
            finished = sum(n for state, n in end.states.items() if state != "failed")
            same = "the same" if end.found == good.found else "DIFFERENT"
            calls = end.n_calls if name != "outage of 15 s" else end.n_calls - end.n_faults
            print(
                f"| {name} | {end.code} | {finished} of {given.prompts} | {same} | "
                f"{calls / good.n_calls:.2f} | {end.n_hedges} | {end.seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
