"""Commands of the simulated world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rubricate.roof.app import app, console

world = typer.Typer(
    help="A simulated world with known truth: rehearse a run before paying for it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(world, name="world")

Assignments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[DIAL=VALUE]...", help="Dials, such as grader.sensitivity=0.8 faults.503=0.1"),
]
Seed = Annotated[int, typer.Option("--seed", help="Which world: its truth, its models, its chances.")]


@world.command("serve")
def world_serve(
    dials: Assignments = None,
    seed: Seed = 0,
    port: Annotated[int, typer.Option("--port", help="0: any free one.", min=0, max=65535)] = 8400,
    api_key: Annotated[
        str | None, typer.Option("--api-key", help="Refuse all others.", envvar="RUBRICATE_WORLD_KEY")
    ] = None,
) -> int:
    """Serve the world on this machine as an OpenAI-compatible endpoint, until Ctrl-C."""
    from rubricate.commands.world import serve

    return serve(dials or (), seed=seed, port=port, api_key=api_key, console=console())


@world.command("make-pool")
def world_make_pool(
    path: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="The pool to write.")],
    dials: Assignments = None,
    seed: Seed = 0,
    prompts: Annotated[int, typer.Option("--prompts", help="How many prompts.", min=1)] = 20,
    generators: Annotated[
        list[str] | None,
        typer.Option("--generator", help="A model that answers, such as good-1 [16 of these]"),
    ] = None,
    draws: Annotated[int, typer.Option("--draws", help="Answers of each model to each prompt.", min=1)] = 1,
) -> int:
    """Write prompts of the world with answers and their gold, as a pool for `rubricate run`."""
    from rubricate.commands.world import make_pool

    return make_pool(
        path,
        seed=seed,
        n_prompts=prompts,
        generators=generators or (),
        draws=draws,
        assignments=dials or (),
        console=console(),
    )


@world.command("dials")
def world_dials() -> int:
    """List every dial with its default, and every fault."""
    from rubricate.commands.world import show_dials

    return show_dials(console())
