"""`rubricate train`: what its commands hang on. Each family of them has a module of its own."""

from __future__ import annotations

import typer

from rubricate.roof.app import app

train = typer.Typer(
    help="Train reward models and policies.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(train, name="train")
