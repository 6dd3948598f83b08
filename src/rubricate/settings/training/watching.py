"""Settings of a training -> its monitor: held-out prompts, and who says how good the answers to them are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from rubricate.errors import DataError, SettingsError
from rubricate.rewards.panel import Panel
from rubricate.rewards.reward import RubricReward
from rubricate.rewards.seam import Reward
from rubricate.settings.reward import CHECKPOINT, learned_reward, rubric_in_column
from rubricate.settings.roles import opened_roles
from rubricate.settings.schema import Settings
from rubricate.settings.secrets import environment
from rubricate.settings.training.loading import settings_of_grader
from rubricate.settings.training.reward import Till, is_learned
from rubricate.settings.training.schema import GrpoSettings
from rubricate.steps.roles import Judge
from rubricate.training.monitors.live.gold import JudgeGold
from rubricate.training.monitors.live.held_out import HeldOut, read_held_out
from rubricate.training.monitors.live.making import monitor_callback
from rubricate.training.monitors.rules.watching import Watched


def held_out_of_training(
    settings: GrpoSettings, trained_on: Collection[str], *, chat: bool
) -> HeldOut | None:
    """The held-out prompts, given to the policy as those are that it is trained on; None without any.
    `trained_on` are the keys of the latter.

    Raises:
        DataError: the file is malformed, or one of its prompts is trained on.
        SettingsError: there are prompts and no gold, or the other way round.
    """
    watching = settings.monitor
    if watching.prompts is None:
        if watching.gold is not None:
            raise SettingsError("monitor.gold needs monitor.prompts, the held-out prompts")
        return None
    if watching.gold is None:
        raise SettingsError(
            "monitor.prompts needs monitor.gold: judge:MODEL, grader:MODEL or checkpoint:PATH says how good "
            "the answers are"
        )
    held_out = read_held_out(watching.prompts)
    both = [one.prompt.id for one in held_out.prompts if one.prompt.key in set(trained_on)]
    if both:
        raise DataError(
            watching.prompts,
            f"{len(both):,} of its prompts are trained on, {both[0]!r} first: hold others out",
        )
    return HeldOut(tuple(msgspec.structs.replace(one, is_text=not chat) for one in held_out.prompts))


def monitor_of_training(
    settings: GrpoSettings,
    held_out: HeldOut,
    reward: Reward,
    till: Till,
    journal: Path,
    changed: Callable[[Watched, Path], None] | None = None,
) -> Any:
    """The callback that watches; `changed` hears of every new state. Its gold asks by the same ledger, under
    a budget of its own. The reward is asked about the held-out answers too, where it has the rubrics.

    Raises:
        SettingsError: no gold of that name.
    """
    watching = settings.monitor
    rubrics = held_out.rubrics
    covers = is_learned(settings) or (rubrics is not None and all(one is not None for one in rubrics))
    return monitor_callback(
        held_out,
        _gold(settings, till),
        every=watching.every,
        reward=reward if covers else None,
        stop=watching.stop,
        max_tokens=watching.max_tokens,
        temperature=watching.temperature,
        seed=settings.random_seed,
        gap_samples=watching.gap_samples,
        journal=journal,
        changed=changed,
    )


def _gold(settings: GrpoSettings, till: Till) -> Any:
    said = settings.monitor.gold or ""
    kind, _, name = said.partition(":")
    asking = settings_of_grader(settings)
    if said.startswith(CHECKPOINT) and name:
        return learned_reward(name)
    if kind == "judge" and name:
        return JudgeGold(partial(_judge, asking, name, till))
    if kind == "grader" and name:
        return RubricReward(
            partial(_grader, asking, name, till),
            unseen="skip",
            floor=settings.grade.coverage_floor,
            read_column=rubric_in_column,
        )
    raise SettingsError(f"monitor.gold is {said!r}; it is judge:MODEL, grader:MODEL or checkpoint:PATH")


@asynccontextmanager
async def _judge(settings: Settings, model: str, till: Till) -> AsyncIterator[Judge]:
    async with opened_roles(
        settings, environment(), say=lambda line: None, roles=("judge",), models=[model]
    ) as opened:
        till.roles.append(opened)
        yield await opened.judge(model)


@asynccontextmanager
async def _grader(settings: Settings, model: str, till: Till) -> AsyncIterator[Panel]:
    async with opened_roles(
        settings, environment(), say=lambda line: None, roles=("verifier",), models=[model]
    ) as opened:
        till.roles.append(opened)
        yield Panel(await opened.grader(model))
