"""Commands on rubrics as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rubricate.roof.app import app, console


@app.command()
def convert(
    source: Annotated[
        str | None,
        typer.Argument(metavar="INPUT", help="Rubrics in any dialect: a file, a folder, a glob or a URL."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUTPUT",
            help="The file to write (.jsonl, .json, .parquet; .toml, .yaml), or a folder for dialects that "
            "hold one rubric a file.",
        ),
    ] = None,
    given: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NAME", help="The dialect of INPUT. Without: found out from its rows."
        ),
    ] = None,
    wanted: Annotated[str, typer.Option("--to", metavar="NAME", help="The dialect to write.")] = "rubricate",
    prompts: Annotated[
        str | None,
        typer.Option(
            "--prompts",
            metavar="FILE",
            help="Prompts by id, for rubrics of dialects that have none (a pool will do).",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Write nothing, and exit with 1, if anything would be lost.")
    ] = False,
    list_all: Annotated[bool, typer.Option("--list", help="Name all dialects and end.")] = False,
) -> int:
    """Convert rubrics between dialects, and say what the new one cannot carry."""
    from rubricate.commands.convert import ConvertOrder, list_dialects
    from rubricate.commands.convert import convert as turn

    if list_all:
        return list_dialects(console())
    if source is None or output is None:
        raise typer.BadParameter("INPUT and OUTPUT are needed (or --list)")
    return turn(ConvertOrder(source, output, given, wanted, prompts, strict), console())
