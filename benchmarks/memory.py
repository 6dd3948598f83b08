"""How memory grows with the number of prompts.

    python benchmarks/memory.py [--prompts 100000] [--few 1000] [--iterations 0]

Runs `iterative` against a local server of no latency on a few prompts and on many, with two short responses
each: with no iterations a prompt takes three calls (propose, and a grading of each response). Each run is a
process of its own; prints calls, seconds and the largest resident memory of each, and how much the many took
more than the few, which had loaded all that a run loads.
"""

from __future__ import annotations

import argparse
import io
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
    """A pool of n prompts with two responses."""
    from tests.actor import a_text

    with path.open("w") as file:
        for place in range(n_prompts):
            texts = [a_text(f"{place}/{number}") for number in range(2)]
            responses = [{"generator": f"m{number}", "response": text} for number, text in enumerate(texts)]
            row = {"id": f"p{place}", "prompt": f"Question number {place}?", "responses": responses}
            file.write(json.dumps(row) + "\n")


def run_here(base_url: str, pool: Path, iterations: int) -> None:
    """`rubricate run --config-name iterative` in this process; prints its figures."""
    from rich.console import Console

    from rubricate.commands.run import Order, run

    os.environ |= {"LITELLM_BASE_URL": base_url, "LITELLM_KEY": "none"}
    overrides = (
        f"files.responses_file={pool}",
        f"files.output_dir={pool.parent / 'run'}",
        f"ledger={pool.parent / 'ledger.sqlite'}",
        f"workflow.max_iterations={iterations}",
    )
    started = time.monotonic()
    code = run(Order("iterative", overrides, resume=False), Console(file=io.StringIO()))
    assert code == 0, code
    summary = json.loads((pool.parent / "run" / "summary.json").read_bytes())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    calls = summary["session"]["calls_paid"]
    print(json.dumps({"calls": calls, "seconds": time.monotonic() - started, "rss_mb": peak}))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--iterations", type=int, default=0)
    parser.add_argument("--part", nargs=2)
    given = parser.parse_args()
    if given.part:
        run_here(given.part[0], Path(given.part[1]), given.iterations)
        return
    serve = [sys.executable, str(ROOT / "benchmarks" / "loop.py"), "--part", "serve"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(serve, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None and server.stdin is not None
        base_url, peaks = server.stdout.readline().strip(), []
        print(f"{'prompts':>9}{'calls':>10}{'seconds':>9}{'peak RSS MB':>13}")
        for n_prompts in (given.few, given.prompts):
            pool = Path(folder) / str(n_prompts) / "pool.jsonl"
            pool.parent.mkdir()
            made_pool(pool, n_prompts)
            command = [sys.executable, __file__, "--iterations", str(given.iterations)]
            output = subprocess.run(
                [*command, "--part", base_url, str(pool)], check=True, capture_output=True, text=True
            ).stdout
            row = json.loads(output.splitlines()[-1])
            peaks.append(row["rss_mb"])
            print(f"{n_prompts:9,}{row['calls']:10,}{row['seconds']:9.1f}{row['rss_mb']:13.0f}", flush=True)
        server.stdin.close()
    print(f"growth: {peaks[1] - peaks[0]:.0f} MB")


if __name__ == "__main__":
    main()
