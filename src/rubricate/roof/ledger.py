"""Commands of the ledger, the memory of everything that was paid for."""

from __future__ import annotations

from typing import Annotated

import typer

from rubricate.roof.app import AsJson, app, console

ledger = typer.Typer(
    help="The memory of everything that was paid for: what it holds, and moving it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(ledger, name="ledger")


@ledger.command("show")
def ledger_show(
    place: Annotated[
        str, typer.Argument(metavar="LEDGER", help="A file, or postgresql://user@host/database.")
    ],
    as_json: AsJson = False,
) -> int:
    """Say what a ledger holds: replies by model, verdicts, size, and from when to when."""
    from rubricate.commands.ledger import show

    return show(place, as_json=as_json, console=console())


@ledger.command("copy")
def ledger_copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The ledger to copy; it stays as it is.")],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="Where to; made if it is not there, and what it holds stays.")
    ],
) -> int:
    """Copy a ledger into another, from a file to PostgreSQL or back. Can be broken off and run again."""
    from rubricate.commands.ledger import move

    return move(source, target, console())
