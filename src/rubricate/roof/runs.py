"""Commands that make rubrics and write them out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rubricate.errors import RunError
from rubricate.roof.app import (
    AsJson,
    ConfigDir,
    ConfigName,
    MaxCalls,
    MaxCost,
    Overrides,
    Resume,
    app,
    console,
    limits,
)


@app.command()
def run(
    overrides: Overrides = None,
    config_name: ConfigName = "single",
    config_dir: ConfigDir = None,
    resume: Resume = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it will take, and stop: the same as `plan`.")
    ] = False,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
) -> int:
    """Turn prompts with responses into rubrics: propose, grade, select, refine, again."""
    return _ordered(overrides, (), config_name, config_dir, resume, max_cost, max_calls, dry_run=dry_run)


@app.command()
def plan(
    overrides: Overrides = None,
    config_name: ConfigName = "single",
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> int:
    """Say what a run will take, in calls, tokens and money, before anything is spent."""
    return _ordered(overrides, (), config_name, config_dir, False, None, None, dry_run=True, as_json=as_json)


@app.command()
def propose(
    overrides: Overrides = None,
    config_dir: ConfigDir = None,
    resume: Resume = False,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
) -> int:
    """Write the first rubric of each prompt, from the prompt alone."""
    fixed = ("workflow.max_iterations=0", "workflow.score_final=false")
    return _ordered(overrides, fixed, "iterative", config_dir, resume, max_cost, max_calls)


@app.command()
def grade(
    overrides: Overrides = None,
    rubrics: Annotated[
        str | None, typer.Option("--rubrics", help="The rubrics: a run's rubrics.jsonl, or official ones.")
    ] = None,
    config_dir: ConfigDir = None,
    resume: Resume = False,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
) -> int:
    """Score the responses of a pool under given rubrics."""
    given = [f"files.initial_rubrics={_quoted(rubrics)}"] if rubrics else []
    fixed = ("workflow.max_iterations=0", "workflow.must_have_rubric=true", *given)
    return _ordered(overrides, fixed, "iterative", config_dir, resume, max_cost, max_calls)


@app.command()
def refine(
    overrides: Overrides = None,
    rubrics: Annotated[
        str | None, typer.Option("--rubrics", help="The rubrics to start from; without, they are proposed.")
    ] = None,
    config_dir: ConfigDir = None,
    resume: Resume = False,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
) -> int:
    """Refine each rubric for one round, on the best two responses under it."""
    given = [f"files.initial_rubrics={_quoted(rubrics)}"] if rubrics else []
    fixed = ("workflow.max_iterations=1", *given)
    return _ordered(overrides, fixed, "iterative", config_dir, resume, max_cost, max_calls)


@app.command()
def rollouts(
    models: Annotated[
        list[str] | None,
        typer.Option("--models", help="Models, or `paper` for the sixteen of the paper (the default)."),
    ] = None,
    num_responses_per_model: Annotated[
        int, typer.Option("--num-responses-per-model", help="Draws a model owes to each prompt.", min=1)
    ] = 1,
    num_prompts: Annotated[
        int | None, typer.Option("--num-prompts", help="Only this many prompts, drawn by content.")
    ] = None,
    sequential: Annotated[bool, typer.Option("--sequential", help="The first ones instead.")] = False,
    temperature: Annotated[float, typer.Option("--temperature", help="Sent as it is.", min=0, max=2)] = 1.0,
    top_p: Annotated[float, typer.Option("--top-p", help="Sent as it is.", min=0, max=1)] = 0.95,
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="0: the provider's default.", min=0)] = 0,
    num_workers: Annotated[int, typer.Option("--num-workers", help="Calls in flight.", min=1)] = 16,
    api_max_retries: Annotated[
        int, typer.Option("--api-max-retries", help="Further tries of a call that fails by itself.", min=0)
    ] = 3,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Where to ask, in place of the environment's address.")
    ] = None,
    input_file: Annotated[
        str | None, typer.Option("--input-file", help="Prompts (default: data/sample_prompts.json).")
    ] = None,
    output_dir: Annotated[str, typer.Option("--output-dir", help="Folder of the output.")] = "data",
    output_filename: Annotated[
        str | None, typer.Option("--output-filename", help="Without: the official name is made.")
    ] = None,
    existing_file: Annotated[
        str | None, typer.Option("--existing-file", help="Responses to keep and to complete.")
    ] = None,
    ledger: Annotated[str | None, typer.Option("--ledger", help="Where paid replies are kept.")] = None,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
) -> int:
    """Sample responses: many models x many prompts."""
    from rubricate.commands.rollouts import RolloutOrder
    from rubricate.commands.rollouts import rollouts as roll

    order = RolloutOrder(
        input_file=input_file or "data/sample_prompts.json",
        models=tuple(models or ()),
        num_prompts=num_prompts,
        num_responses_per_model=num_responses_per_model,
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        output_dir=output_dir,
        output_filename=output_filename,
        sequential=sequential,
        api_max_retries=api_max_retries,
        num_workers=num_workers,
        existing_file=existing_file,
        base_url=base_url,
        max_cost=max_cost,
        max_calls=max_calls,
        ledger=ledger,
    )
    return roll(order, console())


@app.command()
def export(
    run_folder: Annotated[Path, typer.Argument(help="The folder of a run.")],
    format: Annotated[str, typer.Option("--format", help="official, dataset or jsonl.")] = "official",
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="Where to, also s3://... (default: into the run folder)."),
    ] = None,
    rows_per_shard: Annotated[
        int | None,
        typer.Option("--rows-per-shard", help="The dataset in shards of so many prompts.", min=1),
    ] = None,
) -> int:
    """Write the rubrics of a run in the shape that the next tool wants."""
    from rubricate.commands.export import export as write

    return write(run_folder, format, output, console(), rows_per_shard)


@app.command()
def report(run_folder: Annotated[Path, typer.Argument(help="The folder of a run.")]) -> int:
    """Write report.html of a run again."""
    from rubricate.report.page import write_report

    if not run_folder.is_dir():
        raise RunError(f"{run_folder} is no run folder")
    console().print(str(write_report(run_folder)), markup=False, highlight=False, soft_wrap=True)
    return 0


@app.command()
def doctor(
    overrides: Overrides = None,
    config_name: ConfigName = "iterative",
    config_dir: ConfigDir = None,
) -> int:
    """Check endpoints, keys, models, structured output, disk and GPU, and say what to do about each."""
    from rubricate.commands.doctor import examine

    return examine(config_name, tuple(overrides or ()), config_dir, console())


def _ordered(
    overrides: list[str] | None,
    fixed: tuple[str, ...],
    config_name: str,
    config_dir: Path | None,
    resume: bool,
    max_cost: float | None,
    max_calls: int | None,
    *,
    dry_run: bool = False,
    as_json: bool = False,
) -> int:
    from rubricate.commands.plan import show_plan
    from rubricate.commands.run import Order
    from rubricate.commands.run import run as work

    order = Order(
        config_name=config_name,
        overrides=(*fixed, *(overrides or ()), *limits(max_cost, max_calls)),
        resume=resume,
        config_dir=config_dir,
    )
    return show_plan(order, console(), as_json=as_json) if dry_run else work(order, console())


def _quoted(text: str) -> str:
    """A value as Hydra's grammar wants one that may hold any character."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
