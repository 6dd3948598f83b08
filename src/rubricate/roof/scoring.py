"""The flags of the commands that ask a scorer or a judge, and what they order together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rubricate.roof.app import limits

if TYPE_CHECKING:
    from rubricate.commands.scoring import ScorerOrder

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


def ordered(
    overrides: list[str] | None,
    config_name: str,
    config_dir: Path | None,
    max_cost: float | None,
    max_calls: int | None,
    *,
    scorer: str = "rubric",
    rubrics: str | None = None,
    http_body: str = "full",
    http_key_env: str | None = None,
    batch_size: int | None = None,
    max_length: int | None = None,
) -> ScorerOrder:
    """Who scores, and under which settings."""
    from rubricate.commands.scoring import ScorerOrder

    return ScorerOrder(
        scorer=scorer,
        config_name=config_name,
        overrides=(*(overrides or ()), *limits(max_cost, max_calls)),
        config_dir=config_dir,
        rubrics=rubrics,
        http_body=http_body,
        http_key_env=http_key_env,
        batch_size=batch_size,
        max_length=max_length,
    )
