"""The roof's ridge: all commands, and what a mistake or a signal makes of the exit code."""

from __future__ import annotations

import sys

import typer

from rubricate.errors import RubricateError
from rubricate.roof.app import app

# isort: off
# The order of these is that of the commands in `rubricate --help`.
from rubricate.roof import (
    runs,
    rubrics,
    ledger,
    audit,
    criteria,
    judging,
    bench,
    redteam,
    serve,
    policies,
    reward_models,
    online,
    monitor,
    theory,
    world,
    rehearsal,
)

# isort: on

__all__ = [
    "app",
    "audit",
    "bench",
    "criteria",
    "judging",
    "ledger",
    "main",
    "monitor",
    "online",
    "policies",
    "redteam",
    "rehearsal",
    "reward_models",
    "rubrics",
    "runs",
    "serve",
    "theory",
    "world",
]


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


if __name__ == "__main__":
    main()
