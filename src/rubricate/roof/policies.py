"""`rubricate train grpo`, `sft` and `dpo`: policies trained by TRL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from rubricate.roof.app import AsJson, ConfigDir, MaxCalls, MaxCost, Overrides, console, limits
from rubricate.roof.train import train

_Name = Annotated[
    str | None,
    typer.Option(
        "--config-name",
        "-cn",
        help="A named config: initial, good_pair, great_pair, four_great, four_great_diverse, ... or yours.",
    ),
]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say steps, calls and money, and stop; needs no torch.")
]
_Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the training in files.output_dir from its checkpoint.")
]


@train.command("grpo")
def grpo(
    overrides: Overrides = None,
    config_name: _Name = None,
    config_dir: ConfigDir = None,
    dry_run: _DryRun = False,
    resume: _Resume = False,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
    as_json: AsJson = False,
) -> int:
    """Train a policy by GRPO on a reward of rubrics, or on a learned one."""
    given = [*(overrides or ()), *limits(max_cost, max_calls)]
    return _ordered("grpo", given, config_name, config_dir, dry_run, resume, as_json)


@train.command("sft")
def sft(
    overrides: Overrides = None,
    config_name: _Name = None,
    config_dir: ConfigDir = None,
    dry_run: _DryRun = False,
    resume: _Resume = False,
    as_json: AsJson = False,
) -> int:
    """Train a policy on good responses: two of a great model to each prompt, as in the paper's baseline."""
    return _ordered("sft", overrides or [], config_name, config_dir, dry_run, resume, as_json)


@train.command("dpo")
def dpo(
    overrides: Overrides = None,
    config_name: _Name = None,
    config_dir: ConfigDir = None,
    dry_run: _DryRun = False,
    resume: _Resume = False,
    as_json: AsJson = False,
) -> int:
    """Train a policy on pairs: of a file, of a judge, or the best and the worst of a scored pool."""
    return _ordered("dpo", overrides or [], config_name, config_dir, dry_run, resume, as_json)


def _ordered(
    kind: Literal["grpo", "sft", "dpo"],
    overrides: list[str],
    config_name: str | None,
    config_dir: Path | None,
    dry_run: bool,
    resume: bool,
    as_json: bool,
) -> int:
    from rubricate.commands.train_order import TrainOrder

    order = TrainOrder(kind, config_name, tuple(overrides), config_dir, resume)
    if dry_run:
        from rubricate.commands.train_plan import show_training

        return show_training(order, console(), as_json=as_json)
    from rubricate.commands.train_policy import train_policy

    return train_policy(order, console(), as_json=as_json)
