"""Commands around a judge of pairs, and the kinds of what rubrics ask."""

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
from rubricate.roof.scoring import (
    BatchSize,
    CsvFile,
    Format,
    HttpBody,
    HttpKey,
    JsonFile,
    MaxLength,
    Rubrics,
    ordered,
)

JudgeModel = Annotated[
    str | None, typer.Option("--judge", help="The model that judges; without, gate.judge of the settings.")
]
InsteadOfJudge = Annotated[
    str | None,
    typer.Option(
        "--scorer",
        help="Scores in place of a judge: rubric, checkpoint:PATH, call:module:function, http(s)://..., "
        "longer or random.",
    ),
]
AskedOrder = Annotated[
    str, typer.Option("--order", help="both, or random: one order by seed and content, as in the paper.")
]
FailUnder = Annotated[
    list[str] | None,
    typer.Option("--fail-under", help="Exit with 1 unless this holds; METRIC.low is the interval's end."),
]


@app.command()
def compare(
    source: Annotated[
        str, typer.Argument(metavar="PAIRS|POOL|RUN", help="A file of pairs, a pool, or a run folder.")
    ],
    overrides: Overrides = None,
    judge: JudgeModel = None,
    scorer: InsteadOfJudge = None,
    order: AskedOrder = "both",
    format: Format = None,
    pairs: Annotated[
        str, typer.Option("--pairs", help="Of a pool: all pairs of a prompt, or those of its top.")
    ] = "all",
    top: Annotated[
        int, typer.Option("--top", help="How many responses are the top, by gold or final score.", min=2)
    ] = 4,
    limit: Annotated[
        int | None, typer.Option("--limit", help="Only this many prompts, drawn by content and seed.", min=1)
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", help="Only this many pairs, drawn by content and seed.", min=1)
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the preferences go.", dir_okay=False)
    ] = Path("preferences.jsonl"),
    fail_under: FailUnder = None,
    json_file: JsonFile = None,
    as_json: AsJson = False,
    rubrics: Rubrics = None,
    http_body: HttpBody = "full",
    http_key_env: HttpKey = None,
    batch_size: BatchSize = None,
    max_length: MaxLength = None,
    config_name: ConfigName = "iterative",
    config_dir: ConfigDir = None,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
) -> int:
    """Judge pairs in both orders: preferences, and how far the judge can be trusted."""
    from rubricate.commands.compare import Asking, CompareOrder
    from rubricate.commands.compare import compare as decide

    settings = ordered(
        overrides,
        config_name,
        config_dir,
        max_cost,
        max_calls,
        rubrics=rubrics,
        http_body=http_body,
        http_key_env=http_key_env,
        batch_size=batch_size,
        max_length=max_length,
    )
    return decide(
        CompareOrder(
            source=source,
            asking=Asking(settings, judge, scorer, order),  # type: ignore[arg-type]  # checked there
            shape=format,
            which=pairs,  # type: ignore[arg-type]  # checked there
            top=top,
            limit=limit,
            sample=sample,
            output=output,
            json=json_file,
            fail_under=tuple(fail_under or ()),
        ),
        console(),
        as_json=as_json,
    )


@app.command()
def winrate(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A file of a policy's responses.")],
    reference: Annotated[
        str, typer.Argument(metavar="REFERENCE", help="A file of responses to the same prompts.")
    ],
    overrides: Overrides = None,
    judge: JudgeModel = None,
    scorer: InsteadOfJudge = None,
    order: AskedOrder = "both",
    by: Annotated[
        str, typer.Option("--by", help="What joins the files: prompt (its content) or id.")
    ] = "prompt",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the preferences go.", dir_okay=False)
    ] = None,
    fail_under: FailUnder = None,
    json_file: JsonFile = None,
    as_json: AsJson = False,
    rubrics: Rubrics = None,
    http_body: HttpBody = "full",
    http_key_env: HttpKey = None,
    batch_size: BatchSize = None,
    max_length: MaxLength = None,
    config_name: ConfigName = "iterative",
    config_dir: ConfigDir = None,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
) -> int:
    """The win rate of a policy against a reference, also at equal length."""
    from rubricate.commands.compare import Asking
    from rubricate.commands.winrate import WinRateOrder
    from rubricate.commands.winrate import winrate as measure

    settings = ordered(
        overrides,
        config_name,
        config_dir,
        max_cost,
        max_calls,
        rubrics=rubrics,
        http_body=http_body,
        http_key_env=http_key_env,
        batch_size=batch_size,
        max_length=max_length,
    )
    return measure(
        WinRateOrder(
            policy=policy,
            reference=reference,
            asking=Asking(settings, judge, scorer, order),  # type: ignore[arg-type]  # checked there
            by=by,  # type: ignore[arg-type]  # checked there
            output=output,
            json=json_file,
            fail_under=tuple(fail_under or ()),
        ),
        console(),
        as_json=as_json,
    )


@app.command()
def align(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN|SCORES|RUBRICS", help="A run folder, scored responses, or rubrics to grade by."
        ),
    ],
    preferences: Annotated[
        str, typer.Option("--preferences", help="What `compare` wrote, or a file of labelled pairs.")
    ],
    overrides: Overrides = None,
    responses: Annotated[
        str | None,
        typer.Option("--responses", help="With rubrics: the file that was compared, for its texts."),
    ] = None,
    draws: Annotated[
        int, typer.Option("--draws", help="With rubrics: gradings of each response.", min=1)
    ] = 5,
    fail_under: FailUnder = None,
    json_file: JsonFile = None,
    as_json: AsJson = False,
    config_name: ConfigName = "iterative",
    config_dir: ConfigDir = None,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
) -> int:
    """Whether rubrics prefer what a judge prefers: the paper's accuracy and alignment."""
    from rubricate.commands.align import AlignOrder, align_rubrics

    order = AlignOrder(
        source=source,
        preferences=preferences,
        settings=ordered(overrides, config_name, config_dir, max_cost, max_calls),
        responses=responses,
        draws=draws,
        json=json_file,
        fail_under=tuple(fail_under or ()),
    )
    return align_rubrics(order, console(), as_json=as_json)


@app.command()
def kinds(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", file_okay=False)],
    overrides: Overrides = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Another run, contrasted by prompt: great pairs, good pairs."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="The model that sorts; without, word cues, for nothing.")
    ] = None,
    grade: Annotated[
        bool,
        typer.Option(
            "--grade", help="Grade the tail under every proposal, with the grader of RUN's settings."
        ),
    ] = False,
    json_file: JsonFile = None,
    csv_file: CsvFile = None,
    as_json: AsJson = False,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
) -> int:
    """What refinements do and criteria ask; which survive the gate, and which move the tail."""
    from rubricate.commands.kinds import KindsOrder
    from rubricate.commands.kinds import kinds as sort

    order = KindsOrder(
        run=run,
        overrides=(*(overrides or ()), *limits(max_cost, max_calls)),
        against=against,
        model=model,
        grade=grade,
        json=json_file,
        csv=csv_file,
    )
    return sort(order, console(), as_json=as_json)
