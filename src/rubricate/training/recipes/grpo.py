"""GRPO with the paper's settings: a recipe, the TRL config that it stands for, and the trainer.

TRL trains; nothing here loops. The same recipe gives the same steps on a laptop and on eight GPUs
(`recipes.batches`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Annotated, Any

import msgspec

from rubricate.errors import SettingsError
from rubricate.training.recipes.batches import FIELDS, Batches, batches_of
from rubricate.training.recipes.fields import (
    Lora,
    built,
    number_in,
    processes,
    trl,
)

LENGTH = ("max_steps", "num_train_epochs")
"""Fields of TRL that say how long a training is; given by name, they go into the number of steps."""

AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class GrpoRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Hyperparameters of GRPO; the defaults are those of "Chasing the Tail" (arXiv 2509.21500), Table 4.

    rollouts            completions a prompt (Table 4: 16)
    prompts_per_step    prompts a step over all devices; 96 is derived: per-device batch 6 x accumulation 2
                        (Table 4) x 8 devices, the only count under which two epochs of 5,000 prompts end at
                        step 106 (Figure 4, Table 1)
    per_device_batch    completions a device sees in one pass, at most; ours, memory decides
    learning_rate       1e-5, and its `schedule`: constant after a warm-up of `warmup` of the steps (Table 4)
    kl                  coefficient of the KL penalty to the starting policy (Table 4: 0.01)
    epochs              passes over the prompts (Table 4: 2); `steps` sets their number instead (Table 5: 320)
    max_sequence        tokens of prompt and completion together (Table 4: 3584)
    max_prompt          tokens of these that are the prompt's (ours; the paper does not say): completions get
                        the rest
    temperature         of the rollouts (ours: 1, the policy itself)
    save_every          steps from checkpoint to checkpoint, `keep` of them stay (ours)
    log_every           steps from line to line of the log (ours)
    evaluate_every      steps from evaluation to evaluation on `eval_rows`, if there are any (ours)
    lora                a low-rank adapter in place of all weights; None: all weights, as in the paper
    trainer             any field of `trl.GRPOConfig` by its name; it has the last word
    """

    rollouts: AtLeastOne = 16
    prompts_per_step: AtLeastOne = 96
    per_device_batch: AtLeastOne = 6
    learning_rate: Positive = 1e-5
    schedule: str = "constant_with_warmup"
    warmup: Share = 0.1
    kl: NotNegative = 0.01
    epochs: Positive = 2
    steps: AtLeastOne | None = None
    max_sequence: AtLeastOne = 3584
    max_prompt: AtLeastOne = 1024
    temperature: Positive = 1.0
    seed: int = 0
    save_every: AtLeastOne = 20
    keep: AtLeastOne | None = 2
    log_every: AtLeastOne = 1
    evaluate_every: AtLeastOne = 20
    lora: Lora | None = None
    trainer: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.max_prompt >= self.max_sequence:
            raise SettingsError(
                f"max_prompt={self.max_prompt} leaves no token of max_sequence={self.max_sequence} over"
            )

    @property
    def max_completion(self) -> int:
        """Tokens of a completion at most."""
        given = number_in(self.trainer, "max_completion_length")
        return int(given) if given is not None else self.max_sequence - self.max_prompt

    def batches(self, devices: int = 1) -> Batches:
        """How a step is cut over so many devices.

        Raises:
            SettingsError: it cannot be.
        """
        return batches_of(self.prompts_per_step, self.rollouts, self.per_device_batch, devices, self.trainer)

    def steps_for(self, n_prompts: int, devices: int = 1) -> int:
        """Steps of a training on so many prompts."""
        given = number_in(self.trainer, "max_steps")
        if given is not None:
            return int(given)
        if self.steps is not None:
            return self.steps
        epochs = number_in(self.trainer, "num_train_epochs") or self.epochs
        return self.batches(devices).steps(n_prompts, epochs)

    def fields(self, n_prompts: int, devices: int = 1, *, evaluates: bool = False) -> dict[str, Any]:
        """The fields of `trl.GRPOConfig` that the recipe stands for; all others keep TRL's defaults.

        Raises:
            SettingsError: a step takes more prompts than there are, or cannot be cut.
        """
        cut = self.batches(devices)
        if cut.prompts > n_prompts:
            raise SettingsError(
                f"{n_prompts} prompts do not fill a step of {cut.prompts}: "
                f"set recipe.prompts_per_step to {n_prompts} or less"
            )
        steps = self.steps_for(n_prompts, devices)
        said: dict[str, Any] = {
            **cut.fields(),
            "max_steps": steps,
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": self.schedule,
            "warmup_steps": ceil(self.warmup * steps),
            "beta": self.kl,
            "max_completion_length": self.max_completion,
            "temperature": self.temperature,
            "seed": self.seed,
            "shuffle_dataset": False,
            "logging_steps": self.log_every,
            "save_strategy": "steps",
            "save_steps": self.save_every,
            "save_total_limit": self.keep,
        }
        if self.trainer.get("use_vllm"):
            said["vllm_max_model_length"] = self.max_sequence
        if evaluates:
            said["eval_strategy"], said["eval_steps"] = "steps", self.evaluate_every
            said["per_device_eval_batch_size"] = cut.rollouts
        given = {name: value for name, value in self.trainer.items() if name not in FIELDS}
        return {**said, **{name: value for name, value in given.items() if name not in LENGTH}}


def grpo_trainer(
    recipe: GrpoRecipe,
    *,
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    reward_funcs: Callable[..., Any] | Sequence[Callable[..., Any]],
    folder: Path,
    tokenizer: Any = None,
    callbacks: Sequence[Any] = (),
    eval_rows: Sequence[Mapping[str, Any]] | None = None,
) -> Any:
    """TRL's `GRPOTrainer` for a recipe, ready for `train()`.

    `model` is a name, a folder or a loaded model that has been saved (TRL loads the reference policy from
    where the model came from), `tokenizer` likewise, None for the model's own. `rows` have a `prompt`, a text
    or a list of messages, and whatever columns the reward functions take. `folder` gets the checkpoints.
    TRL is handed the rows in the order of the whole training (`Batches.order`), which is one epoch to it.
    Rewards, callbacks and evaluation are TRL's; see `rewards.adapters.trl.reward_function`.

    Raises:
        SettingsError: the extra is missing, a field is unknown or refused, the rows do not fill a step, the
            model or its tokenizer cannot be loaded.
    """
    library = trl()
    fields = recipe.fields(len(rows), processes(), evaluates=bool(eval_rows))
    order = recipe.batches(processes()).order(len(rows), fields["max_steps"], recipe.seed)
    return built(
        library.GRPOTrainer,
        library.GRPOConfig,
        recipe,
        fields,
        model=model,
        rows=rows,
        folder=folder,
        tokenizer=tokenizer,
        callbacks=callbacks,
        eval_rows=eval_rows,
        order=order,
        reward_funcs=list(reward_funcs) if isinstance(reward_funcs, Sequence) else reward_funcs,
    )
