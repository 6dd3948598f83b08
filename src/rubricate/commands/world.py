"""`rubricate world`: a simulated world behind a real server, and pools of it, to rehearse runs with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from rubricate.commands.session import Interrupted, in_loop
from rubricate.errors import RunError, SettingsError
from rubricate.runs.writing import replacing
from rubricate.world.dials import dials_of, known_dials
from rubricate.world.faults import LINE_FAULTS, ODD_FAULTS
from rubricate.world.pools import DIVERSE, pool_rows
from rubricate.world.server import WorldServer
from rubricate.world.world import World

HOW_TO = """\
The world of seed {seed} answers at {base_url}
Any model name is answered. To rehearse a run, in another terminal:

  export LITELLM_BASE_URL={base_url} LITELLM_KEY=none
  rubricate world make-pool world_pool.jsonl --seed {seed}
  rubricate run --config-name iterative files.responses_file=world_pool.jsonl ledger=rehearsal.sqlite

Keep the ledger of a rehearsal apart from that of real runs: its replies are of this world.
Ctrl-C ends the server."""


def serve(assignments: Sequence[str], *, seed: int, port: int, api_key: str | None, console: Console) -> int:
    """Serves until Ctrl-C, then says what was answered; the exit code.

    Raises:
        SettingsError: no such dial, or a value out of range.
        RunError: the port is taken.
    """
    server = WorldServer(World(dials_of(assignments), seed), api_key=api_key)

    async def stay() -> None:
        await server.start(port)
        try:
            console.print(HOW_TO.format(seed=seed, base_url=server.base_url), soft_wrap=True, markup=False)
            await asyncio.Event().wait()
        finally:
            await server.stop()

    try:
        in_loop(stay())
    except Interrupted:
        fates = ", ".join(f"{fate}: {n:,}" for fate, n in sorted(server.fates.items()))
        console.print(f"{server.n_calls:,} calls ({fates or 'none'})", markup=False)
    return 0


def make_pool(
    path: Path,
    *,
    seed: int,
    n_prompts: int,
    generators: Sequence[str],
    draws: int,
    assignments: Sequence[str],
    console: Console,
) -> int:
    """Writes a pool with gold, as JSON Lines; the exit code.

    Raises:
        SettingsError: a name that is no file of JSON Lines; or a dial that is none.
        RunError: the file exists already.
    """
    if path.suffix not in (".jsonl", ".ndjson"):
        raise SettingsError(f"{path}: a pool is written as JSON Lines; call it {path.with_suffix('.jsonl')}")
    if path.exists():
        raise RunError(f"{path} exists already: choose another name")
    names = tuple(generators) or DIVERSE
    world, n = World(dials_of(assignments), seed), 0
    with replacing(path) as draft, draft.open("wb") as file:
        for row in pool_rows(world, n_prompts, names, draws):
            file.write(msgspec.json.encode(row) + b"\n")
            n += len(row["responses"])
    console.print(f"{path}: {n_prompts:,} prompts, {n:,} responses with gold", markup=False, soft_wrap=True)
    return 0


def show_dials(console: Console) -> int:
    """Prints every dial with its default, and every fault."""
    for name, default in known_dials().items():
        console.print(f"{name}={default:g}", markup=False)
    faults = {name: what for name, (_, what) in ODD_FAULTS.items()}
    told = {
        "503": "any status from 400 to 599",
        "429/2": "a status with Retry-After: 2",
        **LINE_FAULTS,
        **faults,
    }
    for name, what in told.items():
        console.print(f"faults.{name}=0  # {what}", markup=False, soft_wrap=True)
    return 0
