"""`rubricate world train`, beside the other commands of the simulated world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rubricate.roof.app import console
from rubricate.roof.world import Assignments, world


@world.command("train")
def world_train(
    folder: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Results; finished runs in it stay.")],
    dials: Assignments = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small one, to see it work.")] = False,
    seeds: Annotated[
        int | None, typer.Option("--seeds", help="Worlds, each with a model of its own [3; quick: 1]", min=1)
    ] = None,
    first_seed: Annotated[int, typer.Option("--first-seed", help="The first world.", min=0)] = 0,
    steps: Annotated[int | None, typer.Option("--steps", help="Steps of GRPO a run.", min=1)] = None,
    budget: Annotated[
        int | None, typer.Option("--budget", help="Tokens of an answer at most [48]", min=8)
    ] = None,
    reward: Annotated[
        list[str] | None, typer.Option("--reward", help="Only this: gold, bt, initial or refined [all]")
    ] = None,
) -> int:
    """Train a small language model on gold, on preferences, and on a rubric before and after refining."""
    from rubricate.commands.rehearsal import RehearsalOrder, train_in_world

    order = RehearsalOrder(
        folder, tuple(dials or ()), quick, seeds, first_seed, steps, budget, tuple(reward or ())
    )
    return train_in_world(order, console())
