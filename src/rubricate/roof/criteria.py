"""Commands on verdicts by criterion: how far to trust them, and how to make one score of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rubricate.roof.app import (
    AsJson,
    ConfigDir,
    ConfigName,
    MaxCalls,
    MaxCost,
    Overrides,
    app,
    console,
    limits,
)


@app.command()
def agree(
    labels: Annotated[
        str,
        typer.Argument(
            metavar="LABELS",
            help="Responses with labelled criteria (.jsonl, .json, .parquet; .gz), or the folder of a run.",
        ),
    ],
    overrides: Overrides = None,
    verdicts: Annotated[
        list[str] | None,
        typer.Option(
            "--verdicts",
            metavar="[NAME=]FILE",
            help="Verdicts to measure: a run folder, scores.jsonl, a verdict or label file. The same "
            "NAME again is another draw of that grader.",
        ),
    ] = None,
    grader: Annotated[
        list[str] | None,
        typer.Option(
            "--grader",
            metavar="MODEL",
            help="A grader to ask and to measure; may come several times. Without: models.verifier.",
        ),
    ] = None,
    trust_verdicts: Annotated[
        bool,
        typer.Option(
            "--trust-verdicts",
            help="Take the verdicts in LABELS for labels, to measure one grader against another.",
        ),
    ] = False,
    draws: Annotated[
        int, typer.Option("--draws", help="How often each grader is asked for every verdict.", min=1)
    ] = 1,
    batching: Annotated[
        bool,
        typer.Option("--batching", help="Also ask all criteria in one call and one by one, and compare."),
    ] = False,
    bins: Annotated[
        int, typer.Option("--bins", help="Bins of the calibration, of equal width.", min=1, max=100)
    ] = 10,
    config_name: ConfigName = "iterative",
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write every figure to this file.")] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Draw the reliability plot into this folder (SVG).")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", help="Write the grader's verdicts to this file, for `agree` and `aggregate`."),
    ] = None,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
) -> int:
    """Measure how reliable graders are on criteria: with labels, with each other, with themselves."""
    from rubricate.commands.agree import AgreeOrder
    from rubricate.commands.agree import agree as measure

    order = AgreeOrder(
        labels=labels,
        overrides=(*(overrides or ()), *limits(max_cost, max_calls)),
        verdicts=tuple(verdicts or ()),
        graders=tuple(grader or ()),
        draws=draws,
        batching=batching,
        bins=bins,
        config_name=config_name,
        config_dir=config_dir,
        as_json=as_json,
        csv=csv,
        plots=plots,
        save=save,
        trust_verdicts=trust_verdicts,
    )
    return measure(order, console())


@app.command()
def aggregate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="VERDICTS",
            help="The folder of a run, its scores.jsonl, or a file that `agree --save` wrote.",
        ),
    ],
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Run every rule through the audit on the same verdicts (needs gold)."),
    ] = False,
    rule: Annotated[
        str | None,
        typer.Option("--rule", metavar="NAME", help="Write the scores under this rule to --output."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write them, as JSON Lines.")
    ] = None,
    metric: Annotated[
        str, typer.Option("--metric", help="The metric of the audit that decides.")
    ] = "tail_accuracy_half@25%",
    floor: Annotated[
        float,
        typer.Option("--floor", help="Share of the weight that must be judged for a score.", min=0, max=1),
    ] = 0.8,
    as_json: AsJson = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write every figure to this file.")] = None,
) -> int:
    """Compare the rules that make one score of verdicts, at the tail, or write the scores under one."""
    from rubricate.commands.aggregate import AggregateOrder
    from rubricate.commands.aggregate import aggregate as work

    order = AggregateOrder(
        source=source,
        compare=compare,
        rule=rule,
        output=output,
        metric=metric,
        floor=floor,
        as_json=as_json,
        csv=csv,
    )
    return work(order, console())
