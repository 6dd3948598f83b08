"""Settings of a training -> its reward, and what it spends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rubricate.errors import SettingsError
from rubricate.rewards.options import Options
from rubricate.rewards.panel import Panel
from rubricate.rewards.reward import RubricReward
from rubricate.rewards.seam import Reward
from rubricate.settings.online import reference_responses
from rubricate.settings.reward import CHECKPOINT, learned_reward, rubric_in_column
from rubricate.settings.roles import Roles, opened_roles
from rubricate.settings.schema import Settings
from rubricate.settings.secrets import environment
from rubricate.settings.training.loading import settings_of_grader
from rubricate.settings.training.schema import GrpoSettings
from rubricate.training.online.rubrics import OnlineRubrics


@dataclass
class Till:
    """What the reward, and whoever watches, have cost in this process."""

    roles: list[Roles] = field(default_factory=list)

    @property
    def n_paid(self) -> int:
        """Calls that were paid for."""
        return sum(roles.n_paid for roles in self.roles)

    @property
    def n_reused(self) -> int:
        """Replies that the ledger gave."""
        return sum(roles.n_reused for roles in self.roles)

    @property
    def usd(self) -> float:
        """What the calls cost, as far as prices are known."""
        return sum(roles.budget.spent_usd for roles in self.roles)


def is_learned(settings: GrpoSettings) -> bool:
    """Whether the reward is a learned model, which needs no rubric and asks nobody."""
    return (settings.reward.rubrics or "").startswith(CHECKPOINT)


def reward_of_training(settings: GrpoSettings, till: Till, folder: Path) -> Reward:
    """The reward that the settings describe, with its rubrics in a column of the rows; those that change
    while it is trained are kept in `folder`. Nothing is opened before the first batch.

    Raises:
        SettingsError: an option or a rule is wrong, or there is no learned model where one is said to be.
    """
    if settings.api.mode == "batch":
        raise SettingsError("api.mode=batch: a trainer waits for every step's rewards; leave it interactive")
    given = settings.reward
    online = settings.online
    if is_learned(settings):
        if online.enabled:
            raise SettingsError("online.enabled: a learned reward has no rubrics to refine")
        learned, model = settings.learned, (given.rubrics or "").removeprefix(CHECKPOINT)
        if settings.made_by and not Path(model).expanduser().exists():
            made = "\n  ".join(settings.made_by)
            raise SettingsError(f"reward.rubrics: {model} is not there; these commands make it:\n  {made}")
        return learned_reward(
            model,
            squash=learned.squash,
            batch_size=learned.batch_size,
            max_length=learned.max_length,
            bf16=learned.bf16,
        )
    if given.second_look > 0 and given.second_grader is None:
        raise SettingsError("reward.second_look needs reward.second_grader, the model that looks")
    options = Options(
        dropout=given.dropout,
        canaries=given.canaries,
        second_look=given.second_look,
        reweight=given.reweight,
        seed=settings.random_seed,
    )
    asking = settings_of_grader(settings)
    versions = None
    if online.enabled:
        reference = {} if online.reference is None else reference_responses(online.reference)
        versions = OnlineRubrics(folder, online.rules, reference)
    return RubricReward(
        partial(_panel, asking, given.unseen == "make", given.second_grader, online.enabled, till),
        unseen="make" if given.unseen == "make" else "fail",
        rule=given.rule,
        floor=settings.grade.coverage_floor,
        options=options,
        read_column=rubric_in_column,
        versions=versions,
    )


@asynccontextmanager
async def _panel(
    settings: Settings, makes: bool, second: str | None, refines: bool, till: Till
) -> AsyncIterator[Panel]:
    judge = settings.gate.judge if refines else None
    roles = ["verifier", *(["proposer"] if makes or refines else []), *(["judge"] if judge else [])]
    models = [model for model in (second, judge) if model is not None]
    async with opened_roles(
        settings, environment(), say=lambda line: None, roles=roles, models=models
    ) as opened:
        till.roles.append(opened)
        yield Panel(
            await opened.grader(),
            await opened.proposer() if makes or refines else None,
            await opened.grader(second) if second is not None else None,
            await opened.judge(judge) if judge is not None else None,
        )
