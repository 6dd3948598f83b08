"""Supervised fine-tuning on good responses: the paper's baseline takes two of a great model a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rubricate.training.recipes.examples import Examples
from rubricate.training.recipes.fields import built, processes, trl


class SftRecipe(Examples, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Hyperparameters of SFT; see `Examples`. The loss is on the completion alone (TRL's default)."""


def sft_trainer(
    recipe: SftRecipe,
    *,
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    folder: Path,
    tokenizer: Any = None,
    callbacks: Sequence[Any] = (),
    eval_rows: Sequence[Mapping[str, Any]] | None = None,
) -> Any:
    """TRL's `SFTTrainer` for a recipe, ready for `train()`. `rows` have a `prompt` and a `completion`, both
    texts or both lists of messages; the rest is as in `grpo_trainer`.

    Raises:
        SettingsError: as `grpo_trainer`.
    """
    library = trl()
    return built(
        library.SFTTrainer,
        library.SFTConfig,
        recipe,
        recipe.fields(len(rows), processes(), evaluates=bool(eval_rows)),
        model=model,
        rows=rows,
        folder=folder,
        tokenizer=tokenizer,
        callbacks=callbacks,
        eval_rows=eval_rows,
    )
