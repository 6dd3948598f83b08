"""The roof: commands and their flags. Everything heavy is imported inside the command that needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rubricate.errors import RubricateError, RunError

if TYPE_CHECKING:
    from rich.console import Console


def _leave(code: int | None, **_: object) -> None:
    """A command's result is its exit code."""
    raise typer.Exit(code or 0)


app = typer.Typer(
    result_callback=_leave,
    help="Rubric rewards that tell excellent responses from merely great ones.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Settings, such as files.responses_file=POOL.json"),
]
ConfigName = Annotated[
    str, typer.Option("--config-name", "-cn", help="A named config: single, iterative, paper, or yours.")
]
ConfigDir = Annotated[
    Path | None, typer.Option("--config-dir", "-cd", help="A folder with configs of yours.", file_okay=False)
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in files.output_dir.")]
MaxCost = Annotated[float | None, typer.Option("--max-cost", help="Stop, resumably, at this many USD.")]
MaxCalls = Annotated[int | None, typer.Option("--max-calls", help="Stop, resumably, at this many calls.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _tell_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"rubricate {version('rubricate')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    """Rubric rewards that tell excellent responses from merely great ones."""


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
    return roll(order, _console())


@app.command()
def export(
    run_folder: Annotated[Path, typer.Argument(help="The folder of a run.")],
    format: Annotated[str, typer.Option("--format", help="official, dataset or jsonl.")] = "official",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to (default: into the run folder).")
    ] = None,
) -> int:
    """Write the rubrics of a run in the shape that the next tool wants."""
    from rubricate.commands.export import export as write

    return write(run_folder, format, output, _console())


@app.command()
def report(run_folder: Annotated[Path, typer.Argument(help="The folder of a run.")]) -> int:
    """Write report.html of a run again."""
    from rubricate.report.page import write_report

    if not run_folder.is_dir():
        raise RunError(f"{run_folder} is no run folder")
    _console().print(str(write_report(run_folder)), markup=False, highlight=False, soft_wrap=True)
    return 0


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

    return draw(output, max_kl, _console())


@app.command()
def doctor(
    overrides: Overrides = None,
    config_name: ConfigName = "iterative",
    config_dir: ConfigDir = None,
) -> int:
    """Check endpoints, keys, models, structured output, disk and GPU, and say what to do about each."""
    from rubricate.commands.doctor import examine

    return examine(config_name, tuple(overrides or ()), config_dir, _console())


world = typer.Typer(
    help="A simulated world with known truth: rehearse a run before paying for it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(world, name="world")

Assignments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[DIAL=VALUE]...", help="Dials, such as grader.sensitivity=0.8 faults.503=0.1"),
]
Seed = Annotated[int, typer.Option("--seed", help="Which world: its truth, its models, its chances.")]


@world.command("serve")
def world_serve(
    dials: Assignments = None,
    seed: Seed = 0,
    port: Annotated[int, typer.Option("--port", help="0: any free one.", min=0, max=65535)] = 8400,
    api_key: Annotated[
        str | None, typer.Option("--api-key", help="Refuse all others.", envvar="RUBRICATE_WORLD_KEY")
    ] = None,
) -> int:
    """Serve the world on this machine as an OpenAI-compatible endpoint, until Ctrl-C."""
    from rubricate.commands.world import serve

    return serve(dials or (), seed=seed, port=port, api_key=api_key, console=_console())


@world.command("make-pool")
def world_make_pool(
    path: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="The pool to write.")],
    dials: Assignments = None,
    seed: Seed = 0,
    prompts: Annotated[int, typer.Option("--prompts", help="How many prompts.", min=1)] = 20,
    generators: Annotated[
        list[str] | None,
        typer.Option("--generator", help="A model that answers, such as good-1 [16 of these]"),
    ] = None,
    draws: Annotated[int, typer.Option("--draws", help="Answers of each model to each prompt.", min=1)] = 1,
) -> int:
    """Write prompts of the world with answers and their gold, as a pool for `rubricate run`."""
    from rubricate.commands.world import make_pool

    return make_pool(
        path,
        seed=seed,
        n_prompts=prompts,
        generators=generators or (),
        draws=draws,
        assignments=dials or (),
        console=_console(),
    )


@world.command("dials")
def world_dials() -> int:
    """List every dial with its default, and every fault."""
    from rubricate.commands.world import show_dials

    return show_dials(_console())


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

    limits = {"budget.max_cost_usd": max_cost, "budget.max_calls": max_calls}
    given = [f"{key}={value}" for key, value in limits.items() if value is not None]
    order = Order(
        config_name=config_name,
        overrides=(*fixed, *(overrides or ()), *given),
        resume=resume,
        config_dir=config_dir,
    )
    return show_plan(order, _console(), as_json=as_json) if dry_run else work(order, _console())


def _quoted(text: str) -> str:
    """A value as Hydra's grammar wants one that may hold any character."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _console() -> Console:
    from rich.console import Console

    return Console(soft_wrap=False, highlight=False)


def _official(arguments: list[str]) -> list[str]:
    """Arguments as click reads them: the official sampler takes `--models A B C`, click one value a flag."""
    given, spread, models = list[str](), arguments[:1] == ["rollouts"], False
    for argument in arguments:
        if spread and argument == "--models":
            models = True
        elif models and not argument.startswith("-"):
            given += ["--models", argument]
        else:
            models = False
            given.append(argument)
    return given


def main() -> None:
    """The command `rubricate`. Exit codes: 0 all done, 1 a prompt failed, 2 the user's mistake, 3 stopped
    and resumable, 128 + n by signal n."""
    try:
        app(args=_official(sys.argv[1:]), prog_name="rubricate")
    except RubricateError as mistake:
        typer.echo(f"rubricate: {mistake}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
