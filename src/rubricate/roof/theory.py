"""Commands on the theory of the tail."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rubricate.roof.app import app, console


@app.command()
def theory(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write to.", file_okay=False)
    ] = Path("theory"),
    max_kl: Annotated[
        float | None,
        typer.Option("--max-kl", help="Where both axes end, in nats (as in the paper: 8 and 4)."),
    ] = None,
) -> int:
    """Draw Figures 2a and 2b of the paper from closed forms: SVG, PNG and the numbers as CSV."""
    from rubricate.commands.theory import theory as draw

    return draw(output, max_kl, console())
