"""The command that watches a training from its logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rubricate.roof.app import AsJson, app, console


@app.command()
def monitor(
    logs: Annotated[
        list[Path],
        typer.Argument(metavar="LOG...", help="Logs of one training, or its folder; later ones go first."),
    ],
    gold: Annotated[
        Path | None,
        typer.Option(
            "--gold", help="A table with step and gold, perhaps n, or low and high.", dir_okay=False
        ),
    ] = None,
    map: Annotated[
        list[str] | None,
        typer.Option("--map", help="A figure's name in the log, such as reward=critic/rewards/mean"),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option("--fail-on", help="Exit with 1 where this finding holds, such as gold_turned."),
    ] = None,
    turning_kl: Annotated[
        float | None,
        typer.Option("--turning-kl", help="KL at which an audit says that gold turns, nats a completion."),
    ] = None,
    tail: Annotated[
        float | None, typer.Option("--tail", help="Mis-ranked share of the tail by an audit, in its place.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on reading until the training ends.")] = False,
    every: Annotated[float, typer.Option("--every", help="With --follow: seconds between.", min=0.1)] = 10.0,
    page: Annotated[
        Path | None, typer.Option("--page", help="Write one self-contained HTML page.", dir_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Watch a training by its logs: has gold turned although the reward still climbs?"""
    from rubricate.commands.monitor import MonitorOrder
    from rubricate.commands.monitor import monitor as look
    from rubricate.training.monitors.rules.limits import Limits

    order = MonitorOrder(
        tuple(logs),
        gold=gold,
        map=tuple(map or ()),
        fail_on=tuple(fail_on or ()),
        follow=follow,
        every_s=every,
        page=page,
        limits=Limits(turning_kl=turning_kl, tail=tail),
    )
    return look(order, console(), as_json=as_json)
