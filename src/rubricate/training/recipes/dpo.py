"""Direct preference optimisation on pairs: what a judge preferred, or the best and the worst of a pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rubricate.training.recipes.examples import Examples, Positive
from rubricate.training.recipes.fields import built, processes, trl


class DpoRecipe(Examples, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Hyperparameters of DPO; see `Examples`. The paper trains none.

    learning_rate   1e-6, as TRL's config has it
    beta            how strongly the policy is held to where it started (0.1: DPO, arXiv 2305.18290, and TRL)
    loss            of TRL's `loss_type`
    """

    learning_rate: Positive = 1e-6
    epochs: Positive = 1
    beta: Positive = 0.1
    loss: str = "sigmoid"

    def fields(self, n_rows: int, devices: int = 1, *, evaluates: bool = False) -> dict[str, Any]:
        """As `Examples.fields`, and what DPO has beside."""
        own = {"beta": self.beta, "loss_type": [self.loss]}
        return {**own, **super().fields(n_rows, devices, evaluates=evaluates)}


def dpo_trainer(
    recipe: DpoRecipe,
    *,
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    folder: Path,
    tokenizer: Any = None,
    callbacks: Sequence[Any] = (),
    eval_rows: Sequence[Mapping[str, Any]] | None = None,
) -> Any:
    """TRL's `DPOTrainer` for a recipe, ready for `train()`. `rows` have a `prompt`, a `chosen` and a
    `rejected`, all texts or all lists of messages; the rest is as in `grpo_trainer`.

    Raises:
        SettingsError: as `grpo_trainer`.
    """
    library = trl()
    return built(
        library.DPOTrainer,
        library.DPOConfig,
        recipe,
        recipe.fields(len(rows), processes(), evaluates=bool(eval_rows)),
        model=model,
        rows=rows,
        folder=folder,
        tokenizer=tokenizer,
        callbacks=callbacks,
        eval_rows=eval_rows,
    )
