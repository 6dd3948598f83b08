"""How long an audit of a million scored responses takes, from the file to the last number.

    python benchmarks/audit.py [--rows N]

Two pools of 1,000,000 rows, as Parquet and as JSON Lines: 62,500 prompts of 16 responses and 1,000 of 1,000,
with a text of 20 to 400 characters, a source, gold, and a proxy that is rounded, noisy, and silent on one in
fifty.
Each audit runs in a process of its own, so that the peak memory printed is its own; time is that of the whole
command, start of the interpreter included.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet


def make(folder: Path, n_prompts: int, size: int) -> arrow.Table:
    """The rows, shuffled, so that grouping by prompt is part of what is measured."""
    rng, n = np.random.default_rng(0), n_prompts * size
    gold = rng.random(n)
    proxy = np.round(6 * gold + 2 * rng.normal(size=n)) / 10
    proxy[rng.random(n) < 0.02] = np.nan
    order = rng.permutation(n)
    filler = "the quick brown fox jumps over the lazy dog, again and again, " * 7
    lengths = rng.integers(20, 400, n)
    return arrow.table(
        {
            "prompt": [f"prompt {place // size}" for place in order],
            "response": [f"{place} {filler[: lengths[place]]}" for place in order],
            "generator": [f"model {place % 8}" for place in order],
            "gold": gold[order],
            "score": arrow.array(proxy[order], mask=np.isnan(proxy[order])),
        }
    )


def write_lines(table: arrow.Table, path: Path) -> None:
    """The table as JSON Lines."""
    import json

    with path.open("w", encoding="utf-8") as target:
        for batch in table.to_batches(max_chunksize=10_000):
            target.writelines(json.dumps(row) + "\n" for row in batch.to_pylist())


def main() -> None:
    """Print time and peak memory of each audit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"{'pool':24} {'file':>8} {'MB':>6} {'seconds':>8} {'CPU s':>7} {'peak GB':>8}")
    for size in (16, 1000):
        n_prompts = options.rows // size
        with tempfile.TemporaryDirectory() as folder:
            table = make(Path(folder), n_prompts, size)
            for kind in ("parquet", "jsonl"):
                path = Path(folder) / f"scored.{kind}"
                parquet.write_table(table, path) if kind == "parquet" else write_lines(table, path)
                before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
                started = time.perf_counter()
                code = (
                    "import resource, sys; from rubricate.commands.audit import AuditOrder, run_audit; "
                    "from pathlib import Path; from rich.console import Console; "
                    "run_audit(AuditOrder(Path(sys.argv[1])), Console(file=open('/dev/null', 'w'))); "
                    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)"
                )
                told = subprocess.run(
                    [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
                ).stdout
                took = time.perf_counter() - started
                cpu = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
                megabytes = path.stat().st_size / 1e6
                print(
                    f"{f'{n_prompts:,} x {size:,}':24} {kind:>8} {megabytes:6.0f} {took:8.1f} "
                    f"{cpu:7.1f} {float(told):8.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
