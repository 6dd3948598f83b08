"""The command that measures rewards on a scored pool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rubricate.roof.app import app, console


@app.command()
def audit(
    source: Annotated[
        Path, typer.Argument(metavar="FILE_OR_FOLDER", help="Scored responses, or the folder of a run.")
    ],
    gold: Annotated[
        str | None, typer.Option("--gold", help="Column of the gold score [found by name]")
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option("--proxy", help="Column of a reward; again for more [found by name]"),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", help="Column of the prompt, id or text [found by name]")
    ] = None,
    response: Annotated[
        str | None, typer.Option("--response", help="Column of the response text [found by name]")
    ] = None,
    source_column: Annotated[
        str | None, typer.Option("--source", help="Column of who wrote it [generator or model]")
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="Column of weights under the base policy [all alike]")
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option("--pairs", help="Preferences in place of gold scores: a file, or a field of the rows."),
    ] = None,
    duplicates: Annotated[
        str, typer.Option("--duplicates", help="A second row of one response: error, drop or keep.")
    ] = "error",
    json: Annotated[Path | None, typer.Option("--json", help="Write all numbers as JSON.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write all metrics as CSV.")] = None,
    plots: Annotated[
        Path | None,
        typer.Option("--plots", help="Draw three SVG pictures into this folder.", file_okay=False),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write one self-contained HTML page.")
    ] = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-under",
            help="A gate, such as 'tail_accuracy@25%>=0.6' or 'low(regret)<0.1'; again for more. "
            "The exit code is 1 where one fails.",
        ),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option("--compare", metavar="A B", help="Two rewards, paired over the same prompts."),
    ] = None,
) -> int:
    """Measure what rewards are worth at the tail, on responses with gold scores or preferences."""
    from rubricate.commands.audit import AuditOrder, run_audit
    from rubricate.evaluation.reading.columns import Wanted

    wanted = Wanted(prompt, response, gold, tuple(proxy or ()), weights, source_column, duplicates=duplicates)
    order = AuditOrder(
        source=source,
        wanted=wanted,
        pairs=pairs,
        json=json,
        csv=csv,
        plots=plots,
        report=report,
        fail_under=tuple(fail_under or ()),
        compare=(compare,) if compare else (),
    )
    return run_audit(order, console())
