"""Commands that train reward models and score with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rubricate.roof.app import AsJson, ConfigDir, ConfigName, MaxCalls, MaxCost, Overrides, app, console
from rubricate.roof.scoring import BatchSize, HttpBody, HttpKey, MaxLength, Rubrics, ordered
from rubricate.roof.train import train


@train.command("bt")
def bt(
    pairs: Annotated[
        list[str],
        typer.Argument(
            metavar="PAIRS...", help="Files of pairs, pools with gold scores, runs, or hf://NAME[#SPLIT]."
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Base model: a folder, a name on the hub, or minilm.")
    ],
    output_dir: Annotated[
        Path,
        typer.Option("--output-dir", "-o", help="Where the model goes; with several seeds one folder each."),
    ],
    gold: Annotated[
        str | None,
        typer.Option("--gold", help="Column of the score that pairs are made from [found by name]"),
    ] = None,
    preferences: Annotated[
        str | None,
        typer.Option(
            "--preferences",
            help="What a judge prefers (of `rubricate compare`), in place of labels and gold.",
        ),
    ] = None,
    source: Annotated[
        str, typer.Option("--source", help="all, on (both responses of the policy), off (none), or mixed.")
    ] = "all",
    policy_generator: Annotated[
        list[str] | None,
        typer.Option(
            "--policy-generator", help="A generator of the policy; * and ? as in file names. Again."
        ),
    ] = None,
    min_gap: Annotated[
        float, typer.Option("--min-gap", help="Least gap between the gold scores of a pair.", min=0)
    ] = 0.0,
    per_prompt: Annotated[
        int | None,
        typer.Option("--pairs-per-prompt", help="Pairs of one prompt and source at most, drawn.", min=1),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option("--pairs", help="Pairs in all at most, drawn; of mixed sources half of each.", min=1),
    ] = None,
    balance_length: Annotated[
        bool,
        typer.Option("--balance-length", help="As many pairs with the longer response preferred as others."),
    ] = False,
    held_out: Annotated[
        float, typer.Option("--held-out", help="Share of the prompts that is not trained on.")
    ] = 0.1,
    evals: Annotated[
        list[str] | None,
        typer.Option(
            "--eval", help="A benchmark to measure on; its prompts are never trained on. Again for more."
        ),
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option("--seed", help="A seed; again for more, each a model [0]")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", help="So many seeds, from 0 on, in place of --seed.", min=1)
    ] = None,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Peak of the schedule.")] = 1e-5,
    head_learning_rate: Annotated[
        float | None, typer.Option("--head-learning-rate", help="That of the new head [as the rest]")
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Pairs at a time on a device.")] = 4,
    accumulation: Annotated[int, typer.Option("--accumulation", help="Batches that make one step.")] = 4,
    epochs: Annotated[float, typer.Option("--epochs", help="Times that every pair is seen.")] = 10.0,
    max_length: Annotated[
        int,
        typer.Option("--max-length", help="Tokens of a text; more are cut, never dropped [or what it reads]"),
    ] = 8192,
    prompt_share: Annotated[
        float, typer.Option("--prompt-share", help="Share of --max-length that a long prompt keeps.")
    ] = 0.25,
    warmup: Annotated[float, typer.Option("--warmup", help="Share of the steps.")] = 0.1,
    schedule: Annotated[
        str, typer.Option("--schedule", help="Of the learning rate, as transformers names it.")
    ] = "cosine",
    weight_decay: Annotated[float, typer.Option("--weight-decay", help="AdamW's.")] = 0.0,
    center: Annotated[
        float | None,
        typer.Option("--center", help="Weight of what keeps rewards around 0; 0.01 is usual [off]"),
    ] = None,
    margin: Annotated[
        bool, typer.Option("--margin", help="Subtract the gap of the gold scores inside the loss.")
    ] = False,
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16.")] = False,
    freeze_layers: Annotated[
        int, typer.Option("--freeze-layers", help="Layers from the input that stay, embeddings too.")
    ] = 0,
    lora_rank: Annotated[
        int, typer.Option("--lora-rank", help="Train adapters of this rank; they are merged at the end.")
    ] = 0,
    checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory for more time.")
    ] = False,
    save_steps: Annotated[
        int | None, typer.Option("--save-steps", help="Keep the state every so many steps [never]", min=1)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on in --output-dir; seeds that are done stay as they are.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say pairs, steps and tokens, and train nothing.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Train a Bradley-Terry reward model on preference pairs, and measure it beside longer-is-better.

    Defaults are the paper's (table 7 of Chasing the Tail).
    """
    from rubricate.commands.train_bt import TrainOrder, train_bt
    from rubricate.errors import SettingsError
    from rubricate.reward_model.pairs import Choice
    from rubricate.reward_model.recipe import Recipe

    if seed and seeds:
        raise SettingsError("--seed and --seeds: give one of them")
    try:
        recipe = Recipe(
            learning_rate=learning_rate,
            head_learning_rate=head_learning_rate,
            batch_size=batch_size,
            accumulation=accumulation,
            epochs=epochs,
            max_length=max_length,
            prompt_share=prompt_share,
            warmup=warmup,
            schedule=schedule,
            weight_decay=weight_decay,
            center=center,
            margin=margin,
            bf16=bf16,
            freeze_layers=freeze_layers,
            lora_rank=lora_rank,
            checkpointing=checkpointing,
        )
        choice = Choice(
            source=source,  # type: ignore[arg-type]  # checked there
            policy=tuple(policy_generator or ()),
            min_gap=min_gap,
            per_prompt=per_prompt,
            most=most,
            balance_length=balance_length,
        )
    except ValueError as problem:
        raise SettingsError(str(problem)) from None
    order = TrainOrder(
        pairs=tuple(pairs),
        model=model,
        output=output_dir,
        recipe=recipe,
        choice=choice,
        seeds=tuple(range(seeds)) if seeds else tuple(seed or [0]),
        held_out=held_out,
        evals=tuple(evals or ()),
        gold=gold,
        preferences=preferences,
        resume=resume,
        save_steps=save_steps,
        dry_run=dry_run,
    )
    return train_bt(order, console(), as_json=as_json)


@app.command()
def score(
    source: Annotated[
        str, typer.Argument(metavar="POOL", help="Prompts with their responses, in any shape of a pool.")
    ],
    overrides: Overrides = None,
    scorer: Annotated[
        list[str] | None,
        typer.Option(
            "--scorer",
            help="rubric, checkpoint:PATH, call:module:function, http(s)://..., longer, random. Again.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="What the scores are called; one for each scorer [score]"),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the scored responses go.", dir_okay=False)
    ] = Path("scored.jsonl"),
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
    """Score the responses of a pool by any reward, into a file that `rubricate audit` reads."""
    from rubricate.commands.score import ScoreOrder
    from rubricate.commands.score import score as put_scores

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
    asked = ScoreOrder(source, settings, tuple(scorer or ["rubric"]), tuple(column or ()), output)
    return put_scores(asked, console())
