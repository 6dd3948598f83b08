"""The one command that all others hang on, and the flags that many of them share.

A module of this room holds the flags of related commands; each command imports what does its work inside
its function, so that `rubricate --help` stays light.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console


def _leave(code: int | None, **_: object) -> None:
    """A command's result is its exit code."""
    raise typer.Exit(code or 0)


app = typer.Typer(
    result_callback=_leave,
    help="Rubric rewards that tell excellent responses from merely great ones.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Settings, such as files.responses_file=POOL.json"),
]
ConfigName = Annotated[
    str, typer.Option("--config-name", "-cn", help="A named config: single, iterative, paper, or yours.")
]
ConfigDir = Annotated[
    Path | None, typer.Option("--config-dir", "-cd", help="A folder with configs of yours.", file_okay=False)
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in files.output_dir.")]
MaxCost = Annotated[float | None, typer.Option("--max-cost", help="Stop, resumably, at this many USD.")]
MaxCalls = Annotated[int | None, typer.Option("--max-calls", help="Stop, resumably, at this many calls.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _tell_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"rubricate {version('rubricate')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    """Rubric rewards that tell excellent responses from merely great ones."""


def limits(max_cost: float | None, max_calls: int | None) -> list[str]:
    """The overrides that two flags stand for."""
    given = {"budget.max_cost_usd": max_cost, "budget.max_calls": max_calls}
    return [f"{key}={value}" for key, value in given.items() if value is not None]


def console() -> Console:
    """Where a command speaks."""
    from rich.console import Console

    return Console(soft_wrap=False, highlight=False)
