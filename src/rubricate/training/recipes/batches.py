"""How a step is cut into passes: prompts and rollouts -> the batch fields of TRL, steps and grader calls.

TRL counts completions where the paper counts prompts. In trl 1.16 (`GRPOConfig`, `RepeatSampler`) a device
sees `per_device_train_batch_size` completions in one pass; `gradient_accumulation_steps` passes of all
devices are one step; every `steps_per_generation` passes completions are generated for
`generation_batch_size / num_generations` prompts at once, and used `num_iterations` times. Nothing here
imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import Any

import msgspec

from rubricate.errors import SettingsError

FIELDS = (
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "num_generations",
    "generation_batch_size",
    "steps_per_generation",
    "num_iterations",
)
"""The fields of TRL that this module settles; where one is given by name, the others follow from it."""


class Batches(msgspec.Struct, frozen=True, kw_only=True):
    """The cut of one step. All counts are of completions but `prompts`, which are generated for at a time."""

    devices: int
    per_device: int
    accumulation: int
    rollouts: int
    passes_per_generation: int
    iterations: int = 1

    @property
    def per_step(self) -> int:
        """Completions in the loss of one step."""
        return self.devices * self.per_device * self.accumulation

    @property
    def generated(self) -> int:
        """Completions generated, and graded, at a time."""
        return self.devices * self.per_device * self.passes_per_generation

    @property
    def prompts(self) -> int:
        """Prompts generated for at a time."""
        return self.generated // self.rollouts

    def steps(self, n_prompts: int, epochs: float) -> int:
        """Steps of `epochs` passes over the prompts, the last batch of each counted in full.

        The paper's 106 are these: ceil(5,000 / 96) = 53 an epoch, 2 epochs (App. C; derived from the steps of
        Figure 4). TRL leaves out what does not fill a batch, 8 of 5,000, and begins the next pass; with the
        number of steps fixed the prompts left out are others each time.
        """
        rounds = ceil(n_prompts / self.prompts)
        return ceil(epochs * rounds * self.iterations * self.passes_per_generation / self.accumulation)

    def rollouts_in(self, steps: int) -> int:
        """Completions that so many steps generate; each is one call to the grader at most."""
        return (
            ceil(steps * self.accumulation / (self.iterations * self.passes_per_generation)) * self.generated
        )

    def fields(self) -> dict[str, int]:
        """What TRL has to be told."""
        said = {
            "per_device_train_batch_size": self.per_device,
            "gradient_accumulation_steps": self.accumulation,
            "num_generations": self.rollouts,
        }
        if self.passes_per_generation != self.accumulation:
            said["steps_per_generation"] = self.passes_per_generation
        return said if self.iterations == 1 else {**said, "num_iterations": self.iterations}


def batches_of(
    prompts_per_step: int,
    rollouts: int,
    per_device: int,
    devices: int,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> Batches:
    """The cut of a step of `prompts_per_step` x `rollouts` completions over `devices` of equal share.

    A device takes as many completions a pass as it may (`per_device`) and as divide its share; the rest is
    accumulation, so that fewer devices train the same step in more passes. `given` are fields of TRL by name,
    which have the last word.

    Raises:
        SettingsError: the step cannot be cut so; says what can.
    """
    rollouts = _count(given, "num_generations", rollouts)
    if rollouts < 2:
        raise SettingsError(
            f"{rollouts} rollout a prompt has nothing to be compared with; GRPO needs 2 or more"
        )
    whole = prompts_per_step * rollouts
    passes, size = given.get("gradient_accumulation_steps"), given.get("per_device_train_batch_size")
    if passes is not None and size is not None:
        accumulation, per_device = _count(given, "gradient_accumulation_steps"), _count(given, FIELDS[0])
    else:
        if whole % devices:
            raise SettingsError(
                f"{prompts_per_step} prompts x {rollouts} rollouts a step do not divide over {devices} "
                f"processes; {_near(prompts_per_step, rollouts, devices)} prompts a step do"
            )
        share = whole // devices
        if passes is not None:
            accumulation = _count(given, "gradient_accumulation_steps")
            per_device = _quotient(share, accumulation, "gradient_accumulation_steps")
        elif size is not None:
            per_device = _count(given, "per_device_train_batch_size")
            accumulation = _quotient(share, per_device, "per_device_train_batch_size")
        else:
            per_device = next(n for n in range(min(per_device, share), 0, -1) if share % n == 0)
            accumulation = share // per_device
    generation = accumulation
    if given.get("steps_per_generation") is not None:
        generation = _count(given, "steps_per_generation")
    elif given.get("generation_batch_size") is not None:
        generation = _quotient(
            _count(given, "generation_batch_size"), per_device * devices, "a pass of all devices"
        )
    cut = Batches(
        devices=devices,
        per_device=per_device,
        accumulation=accumulation,
        rollouts=rollouts,
        passes_per_generation=generation,
        iterations=_count(given, "num_iterations", 1),
    )
    if cut.generated % rollouts:
        raise SettingsError(
            f"{cut.generated} completions are generated at a time ({devices} processes x {per_device} x "
            f"{generation} passes), which is no whole number of groups of {rollouts}"
        )
    return cut


def _count(given: Mapping[str, Any], name: str, default: int = 1) -> int:
    value = given.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingsError(f"trainer.{name} is {value!r}, and must be a whole number of at least 1")
    return value


def _quotient(whole: int, part: int, name: str) -> int:
    if whole % part:
        raise SettingsError(f"{whole} completions do not divide by {part} ({name})")
    return whole // part


def _near(prompts: int, rollouts: int, devices: int) -> int:
    """The next larger number of prompts whose rollouts divide over the devices."""
    return next(n for n in range(prompts, prompts + devices + 1) if n * rollouts % devices == 0)
