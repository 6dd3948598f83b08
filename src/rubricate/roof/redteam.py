"""Commands that try to cheat a reward."""

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
    MaxLength,
    ScorerName,
    ordered,
)


@app.command()
def redteam(
    source: Annotated[
        str, typer.Argument(metavar="RESPONSES", help="Responses to attack: a file in any shape of `bench`.")
    ],
    overrides: Overrides = None,
    scorer: ScorerName = "rubric",
    rubrics: Annotated[
        str | None, typer.Option("--rubrics", help="Rubrics to grade by and to copy; without, proposed ones.")
    ] = None,
    format: Format = None,
    attacks: Annotated[
        list[str] | None,
        typer.Option("--attacks", help="Attacks or families, with commas; none for real cases alone [all]"),
    ] = None,
    cases: Annotated[
        list[str] | None,
        typer.Option("--cases", help="Real cases beside the attacks: a file as for `bench`."),
    ] = None,
    per_prompt: Annotated[
        int, typer.Option("--per-prompt", help="Responses to attack of each prompt.", min=1)
    ] = 1,
    limit: Annotated[
        int, typer.Option("--limit", help="Prompts at most, drawn by content and random_seed; 0: all.", min=0)
    ] = 50,
    paraphrase: Annotated[
        str | None, typer.Option("--paraphrase", help="A model that rewrites and translates responses.")
    ] = None,
    panel: Annotated[
        list[str] | None, typer.Option("--panel", help="A further grader (a model, or offline) as reference.")
    ] = None,
    fail_over: Annotated[
        list[str] | None,
        typer.Option("--fail-over", help="Exit with 1 unless this holds, such as gain.high@praise<=0.05"),
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
    """Attack a grader, a judge or any reward with changes that make nothing better, and say what they
    gain."""
    from rubricate.commands.redteam import RedteamOrder
    from rubricate.commands.redteam import redteam as attack

    order = RedteamOrder(
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
        attacks=tuple(attacks or ()),
        cases=tuple(cases or ()),
        per_prompt=per_prompt,
        limit=limit or None,
        paraphrase=paraphrase,
        panel=tuple(panel or ()),
        json=json_file,
        csv=csv_file,
        fail_over=tuple(fail_over or ()),
    )
    return attack(order, console(), as_json=as_json)
