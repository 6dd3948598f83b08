"""Commands on rubrics that change while a policy is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rubricate.roof.app import AsJson, ConfigName, MaxCalls, MaxCost, Overrides, app, console, limits

online = typer.Typer(
    help="Rubrics that change while a policy is trained: refresh them, and see what they were at any step.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(online, name="online")

Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Where the training keeps its rubrics.", file_okay=False)
]
Step = Annotated[int, typer.Option("--step", help="A step of the optimizer, counted from 0.", min=0)]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write JSON Lines to this file.", dir_okay=False)
]


@online.command("refresh")
def online_refresh(
    folder: Folder,
    step: Annotated[int, typer.Option("--step", help="The step from which on the rubrics count.", min=1)],
    overrides: Overrides = None,
    completions: Annotated[
        str | None,
        typer.Option(
            "--completions",
            metavar="FILE",
            help="Completions that a trainer logged: rows with prompt, completion and perhaps step. Without, "
            "those that the reward has graded.",
        ),
    ] = None,
    rubrics: Annotated[
        str | None,
        typer.Option(
            "--rubrics", metavar="FILE", help="The rubrics to begin with; without, they are proposed."
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference", metavar="FILE", help="Responses of a reference policy to compare the best with."
        ),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            "--rule",
            metavar="NAME=VALUE",
            help="A rule of refreshing, such as max_active=20; a folder keeps those that it was made with.",
        ),
    ] = None,
    as_json: AsJson = False,
    config_name: ConfigName = "iterative",
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
) -> int:
    """Refine the rubrics of a training on the latest completions of its policy."""
    from rubricate.commands.online import RefreshOrder, refresh_folder

    order = RefreshOrder(
        folder=folder,
        step=step,
        overrides=(*(overrides or ()), *limits(max_cost, max_calls)),
        config_name=config_name,
        completions=completions,
        rubrics=rubrics,
        reference=reference,
        rules=tuple(rule or ()),
    )
    return refresh_folder(order, console(), as_json=as_json)


@online.command("show")
def online_show(
    folder: Folder,
    step: Annotated[
        int | None, typer.Option("--step", help="As they stood at this step; without, now.", min=0)
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="With the criteria that are kept for evaluations alone.")
    ] = False,
    output: Output = None,
    as_json: AsJson = False,
) -> int:
    """Say what the rubrics of a training were at a step, and what each refresh did; write them to a file."""
    from rubricate.commands.online import show

    return show(folder, step, output, console(), whole=whole, as_json=as_json)


@online.command("recompute")
def online_recompute(folder: Folder, step: Step, output: Output = None) -> int:
    """Make the rewards of a step again, from what the training wrote down. Asks nobody."""
    from rubricate.commands.online import recompute

    return recompute(folder, step, output, console())


@online.command("resume")
def online_resume(folder: Folder, step: Step) -> int:
    """Tell that a training goes on from a step: what came later does not count any more, and stays there."""
    from rubricate.commands.online import resume

    return resume(folder, step, console())
