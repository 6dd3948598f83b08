"""Two of a hundred calls are never answered: the time of a whole run against that of the faultless one.

    python benchmarks/hang.py [--prompts 60] [--latency 0.5] [--rounds 3] [--timeout 30]

Runs `iterative` against the world in a process of its own, at a median latency of `--latency` seconds (sigma
of its logarithm 0.5): without fault, with 2% of calls that are never answered, and with the same but
`api.hedge=0`, where each of them is waited for until `api.timeout_s` (here `--timeout`). Rounds are
interleaved; medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.faults import made_pool, under
from tests.world_child import worlds


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--latency", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=30.0)
    given = parser.parse_args()
    latency, hang = f"server.latency_s={given.latency}", "faults.hang=0.02"
    rows: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "faultless": ((latency,), ()),
        "2% never answered": ((latency, hang), ()),
        "the same, api.hedge=0": ((latency, hang), ("api.hedge=0", f"api.timeout_s={given.timeout}")),
    }
    with tempfile.TemporaryDirectory() as folder, worlds() as servers:
        pool = made_pool(Path(folder) / "pool.jsonl", given.prompts)
        ends = [
            {
                name: under(servers, pool, *dials, settings=settings)
                for name, (dials, settings) in rows.items()
            }
            for _ in range(given.rounds)
        ]
    base = statistics.median(end["faultless"].seconds for end in ends)
    print(f"{'':24}{'seconds':>9}{'ratio':>7}{'calls':>8}{'lost':>6}{'second calls':>14}")
    for name in rows:
        seconds = statistics.median(end[name].seconds for end in ends)
        last = ends[-1][name]
        assert last.found == ends[-1]["faultless"].found, "the same rubrics and scores"
        figures = f"{last.n_calls:8,}{last.n_faults:6}{last.n_hedges:14}"
        print(f"{name:24}{seconds:9.1f}{seconds / base:7.2f}{figures}")


if __name__ == "__main__":
    main()
