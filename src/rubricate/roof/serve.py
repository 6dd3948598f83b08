"""The command that serves a reward."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rubricate.roof.app import ConfigName, Overrides, app, console


@app.command()
def serve(
    rubrics: Annotated[
        str | None,
        typer.Argument(metavar="[RUBRICS]", help="A file of rubrics, or the folder of a run."),
    ] = None,
    overrides: Overrides = None,
    config_name: ConfigName = "iterative",
    reward: Annotated[
        str, typer.Option("--reward", help="rubric, or checkpoint:PATH for a trained reward model.")
    ] = "rubric",
    unseen: Annotated[
        str, typer.Option("--unseen", help="A prompt without a rubric: make, skip (null) or fail.")
    ] = "fail",
    rule: Annotated[str, typer.Option("--rule", help="How verdicts become a score.")] = "weighted_mean",
    dropout: Annotated[float, typer.Option("--dropout", help="Share of criteria left out in a step.")] = 0.0,
    canaries: Annotated[float, typer.Option("--canaries", help="Share of criteria never paid for.")] = 0.0,
    reweight: Annotated[float, typer.Option("--reweight", help="How far weights follow spread.")] = 0.0,
    second_grader: Annotated[
        str | None, typer.Option("--second-grader", help="A model that looks again and never pays.")
    ] = None,
    second_look: Annotated[
        float, typer.Option("--second-look", help="Share of completions that it sees.")
    ] = 0.0,
    unjudged: Annotated[
        float | None,
        typer.Option(
            "--unjudged", help="What a completion without a reward is worth where no null is known."
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--model-name", help="The name of the model to clients.")
    ] = "rubricate",
    host: Annotated[
        str, typer.Option("--host", help="The address; another than this machine's needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0: any free one.", min=0, max=65535)] = 8500,
    token_env: Annotated[
        str | None, typer.Option("--token-env", help="The environment variable that holds the token.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="A file with tokens, one a line.", dir_okay=False)
    ] = None,
    without_token: Annotated[
        bool, typer.Option("--without-token", help="Let in whoever reaches --host.")
    ] = False,
    open_metrics: Annotated[
        bool, typer.Option("--open-metrics", help="Let /metrics be read without the token.")
    ] = False,
    in_flight: Annotated[int, typer.Option("--in-flight", help="Requests graded at a time.", min=1)] = 512,
    waiting: Annotated[
        int, typer.Option("--waiting", help="Requests that may wait; more get 429.", min=0)
    ] = 2048,
    items: Annotated[int, typer.Option("--items", help="Completions of one request.", min=1)] = 4096,
    body_mib: Annotated[float, typer.Option("--body-mib", help="MiB of one body; more gets 413.")] = 16.0,
    time_limit: Annotated[
        float, typer.Option("--time-limit", help="Seconds a request may wait and be graded; then 504.")
    ] = 600.0,
    drain: Annotated[
        float, typer.Option("--drain", help="Seconds that the end waits for what was accepted.")
    ] = 60.0,
) -> int:
    """Serve a reward over HTTP, to trainers on other machines or in other languages."""
    from rubricate.commands.serve import Order
    from rubricate.commands.serve import serve as stay
    from rubricate.rewards.serving.intake.gate import Limits

    given = list(overrides or ())
    if rubrics is not None and "=" in rubrics and not Path(rubrics).exists():
        given, rubrics = [rubrics, *given], None  # the rubrics were left out
    asked = {"dropout": dropout, "canaries": canaries, "reweight": reweight, "second_look": second_look}
    order = Order(
        None if rubrics is None else Path(rubrics),
        given,
        config=config_name,
        reward=reward,
        unseen=unseen,
        rule=rule,
        options={name: share for name, share in asked.items() if share},
        second_grader=second_grader,
        model=model,
        unjudged=unjudged,
        host=host,
        port=port,
        token_env=token_env,
        token_file=token_file,
        without_token=without_token,
        open_metrics=open_metrics,
        limits=Limits(
            in_flight=in_flight,
            waiting=waiting,
            items=items,
            body_bytes=int(body_mib * 1024 * 1024),
            time_limit_s=time_limit,
            drain_s=drain,
        ),
    )
    return stay(order, console())
