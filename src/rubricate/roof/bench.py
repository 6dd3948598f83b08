"""Commands that measure a reward, a grader or a judge on benchmarks."""

from __future__ import annotations

from typing import Annotated

import typer

from rubricate.roof.app import AsJson, ConfigDir, ConfigName, MaxCalls, MaxCost, Overrides, app, console
from rubricate.roof.scoring import (
    BatchSize,
    CsvFile,
    Format,
    HttpBody,
    HttpKey,
    JsonFile,
    Limit,
    MaxLength,
    Rubrics,
    ScorerName,
    Subset,
    ordered,
)


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

    order = BenchOrder(
        source=source,
        scorer=ordered(
            overrides,
            config_name,
            config_dir,
            max_cost,
            max_calls,
            scorer=scorer,
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
