"""Commands that measure a reward, a grader or a judge on benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rubricate.roof.app import AsJson, ConfigDir, ConfigName, MaxCalls, MaxCost, Overrides, app, console

ScorerName = Annotated[
    str,
    typer.Option(
        "--scorer",
        help="rubric, judge:MODEL, checkpoint:PATH, call:module:function, http(s)://..., longer or random.",
    ),
]
Rubrics = Annotated[
    str | None, typer.Option("--rubrics", help="Rubrics to grade by; without, they are proposed.")
]
HttpBody = Annotated[
    str, typer.Option("--http-body", help="What a reward server is sent: full, or query alone.")
]
HttpKey = Annotated[
    str | None,
    typer.Option("--http-key-env", help="The environment variable with the key of the reward server."),
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", help="Texts for a checkpoint or a server at a time.", min=1)
]
MaxLength = Annotated[
    int | None, typer.Option("--max-length", help="Tokens that a checkpoint reads at most.", min=1)
]
Format = Annotated[
    str | None, typer.Option("--format", help="The shape of the file, in place of what its fields tell.")
]
Subset = Annotated[str | None, typer.Option("--subset", help="Only this subset of the benchmark.")]
Limit = Annotated[
    int | None,
    typer.Option("--limit", help="Only this many prompts, drawn by content and random_seed.", min=1),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json-file", help="Write everything as JSON.", dir_okay=False)
]
CsvFile = Annotated[
    Path | None, typer.Option("--csv-file", help="Write a line for each figure as CSV.", dir_okay=False)
]


@app.command()
def bench(
    source: Annotated[
        str, typer.Argument(metavar="BENCHMARK", help="A file, a folder, or hf://NAME[:CONFIG][#SPLIT].")
    ],
    overrides: Overrides = None,
    scorer: ScorerName = "rubric",
    rubrics: Rubrics = None,
    format: Format = None,
    subset: Subset = None,
    limit: Limit = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option("--fail-under", help="Exit with 1 unless this holds, such as accuracy@all>=0.6"),
    ] = None,
    json_file: JsonFile = None,
    csv_file: CsvFile = None,
    as_json: AsJson = False,
    http_body: HttpBody = "full",
    http_key_env: HttpKey = None,
    batch_size: BatchSize = None,
    max_length: MaxLength = None,
    config_name: ConfigName = "iterative",
    config_dir: ConfigDir = None,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
) -> int:
    """Measure a grader, a judge or any reward on a benchmark, with intervals and floors."""
    from rubricate.commands.bench import BenchOrder
    from rubricate.commands.bench import bench as measure
    from rubricate.commands.scoring import ScorerOrder

    order = BenchOrder(
        source=source,
        scorer=ScorerOrder(
            scorer=scorer,
            config_name=config_name,
            overrides=(*(overrides or ()), *limits(max_cost, max_calls)),
            config_dir=config_dir,
            rubrics=rubrics,
            http_body=http_body,
            http_key_env=http_key_env,
            batch_size=batch_size,
            max_length=max_length,
        ),
        shape=format,
        subset=subset,
        limit=limit,
        json=json_file,
        csv=csv_file,
        fail_under=tuple(fail_under or ()),
    )
    return measure(order, console(), as_json=as_json)


def limits(max_cost: float | None, max_calls: int | None) -> list[str]:
    """The overrides that two flags stand for."""
    given = {"budget.max_cost_usd": max_cost, "budget.max_calls": max_calls}
    return [f"{key}={value}" for key, value in given.items() if value is not None]
