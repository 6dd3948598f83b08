"""What SFT and DPO have in common: given texts, cut into steps."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Annotated, Any

import msgspec

from rubricate.errors import SettingsError
from rubricate.training.recipes.fields import Lora, number_in

AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Examples(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Hyperparameters of a training on given texts. The paper reports none for its SFT baseline; unless a
    field says otherwise, those here are ours, after its Table 4.

    batch               examples a step over all devices (Table 4 as GRPO has it: 96)
    per_device_batch    examples a device sees in one pass, at most; memory decides
    max_sequence        tokens of prompt and completion together (Table 4: 3584)
    trainer             any field of the TRL config by its name; it has the last word
    """

    batch: AtLeastOne = 96
    per_device_batch: AtLeastOne = 6
    learning_rate: Positive = 1e-5
    schedule: str = "constant_with_warmup"
    warmup: Share = 0.1
    epochs: Positive = 2
    steps: AtLeastOne | None = None
    max_sequence: AtLeastOne = 3584
    seed: int = 0
    save_every: AtLeastOne = 20
    keep: AtLeastOne | None = 2
    log_every: AtLeastOne = 1
    evaluate_every: AtLeastOne = 20
    lora: Lora | None = None
    trainer: dict[str, Any] = {}

    def cut(self, devices: int = 1) -> tuple[int, int]:
        """Examples a device sees in one pass, and passes a step.

        Raises:
            SettingsError: the step does not divide over the devices.
        """
        size = _whole(self.trainer, "per_device_train_batch_size")
        passes = _whole(self.trainer, "gradient_accumulation_steps")
        if size is not None and passes is not None:
            return int(size), int(passes)
        if self.batch % devices:
            near = self.batch + devices - self.batch % devices
            raise SettingsError(
                f"{self.batch} examples a step do not divide over {devices} processes, {near} do"
            )
        share = self.batch // devices
        if passes is not None:
            size = share // passes if share % passes == 0 else None
        elif size is None:
            size = next(n for n in range(min(self.per_device_batch, share), 0, -1) if share % n == 0)
        if size is None or share % size:
            raise SettingsError(
                f"a device's {share} examples a step do not divide by what trainer.* asks for"
            )
        return int(size), share // int(size)

    def steps_for(self, n_rows: int, devices: int = 1) -> int:
        """Steps of a training on so many examples; the last batch of an epoch may be a part of one."""
        given = number_in(self.trainer, "max_steps")
        if given is not None:
            return int(given)
        if self.steps is not None:
            return self.steps
        size, passes = self.cut(devices)
        return ceil(
            (number_in(self.trainer, "num_train_epochs") or self.epochs)
            * ceil(n_rows / (size * passes * devices))
        )

    def fields(self, n_rows: int, devices: int = 1, *, evaluates: bool = False) -> dict[str, Any]:
        """The fields of the TRL config that the recipe stands for; all others keep TRL's defaults.

        Raises:
            SettingsError: a step cannot be cut, or there is no example.
        """
        if not n_rows:
            raise SettingsError("there is no example to train on")
        size, passes = self.cut(devices)
        steps = self.steps_for(n_rows, devices)
        said: dict[str, Any] = {
            "per_device_train_batch_size": size,
            "gradient_accumulation_steps": passes,
            "max_steps": steps,
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": self.schedule,
            "warmup_steps": ceil(self.warmup * steps),
            "max_length": self.max_sequence,
            "seed": self.seed,
            "logging_steps": self.log_every,
            "save_strategy": "steps",
            "save_steps": self.save_every,
            "save_total_limit": self.keep,
        }
        if evaluates:
            said |= {"eval_strategy": "steps", "eval_steps": self.evaluate_every}
            said["per_device_eval_batch_size"] = size
        return {**said, **_without(self.trainer, ("max_steps", "num_train_epochs"))}


def _without(given: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}


def _whole(given: Mapping[str, Any], name: str) -> int | None:
    number = number_in(given, name)
    return None if number is None else max(1, int(number))
