"""TRL: reward functions of `GRPOTrainer`, `RLOOTrainer` and online DPO, and a judge of pairs.

Contract: trl 1.16, `trl/trainer/grpo_trainer.py`, `_calculate_rewards`. A function is called with keywords,
lists with one entry for each completion; None leaves a completion out of its group. The rubric may stand in a
column of the dataset (`batch.rubrics.FIELDS`). A learned reward goes by the same names, in the logs too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from rubricate.rewards.adapters.singles import number_of
from rubricate.rewards.batch.graded import Batch
from rubricate.rewards.batch.rubrics import rubric_under
from rubricate.rewards.preferring import preferred
from rubricate.rewards.seam import Reward


class TrlReward:
    """A reward as TRL wants it. Hand out its bound methods, which pickle with it:

    rubric_reward       async, for GRPO and RLOO, which run all such functions at once
    blocking_reward     plain, for online DPO, which awaits nothing and knows no None
    judge               of pairs, for trainers that take one

    `unjudged` is what online DPO gets for a completion without a reward. It prefers by `>=`, and with a None
    the other completion or, worse, the unjudged one would win by its place; 0.0 never beats a judged one.
    """

    def __init__(self, reward: Reward, *, unjudged: float | None = None):
        self.reward, self.unjudged = reward, unjudged

    async def rubric_reward(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        trainer_state: Any = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """One reward for each completion, None for those that could not be judged. Logs the figures of the
        batch as `rubric/...`, and for each completion its verdicts and the reason where it has no reward.
        While the trainer evaluates, no option is on and nothing is counted."""
        batch = await self.reward.agrade(
            prompts,
            completions,
            rubric_under(columns),
            step=getattr(trainer_state, "global_step", None),
            evaluation=evaluates(log_metric),
        )
        return _logged(batch, log_extra, log_metric)

    def blocking_reward(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        trainer_state: Any = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float]:
        """As `rubric_reward`, waited for, and with `unjudged` for None.

        Raises:
            RunError: a completion could not be judged, and `unjudged` is not given.
        """
        batch = self.reward.grade(
            prompts,
            completions,
            rubric_under(columns),
            step=getattr(trainer_state, "global_step", None),
            evaluation=evaluates(log_metric),
        )
        _logged(batch, log_extra, log_metric)
        return [number_of(one, self.unjudged, "online DPO") for one in batch.graded]

    def judge(
        self, prompts: Sequence[Any], completions: Sequence[Sequence[Any]], shuffle_order: bool = True
    ) -> list[int]:
        """For each prompt the place of the better of two completions, -1 for no preference. Each is graded
        for itself, so that the order cannot matter."""
        return preferred(self.reward, prompts, completions)


def reward_function(reward: Reward) -> Callable[..., Any]:
    """What to give to `reward_funcs` of GRPO and RLOO: a bound async method with a name, which pickles."""
    return TrlReward(reward).rubric_reward


def evaluates(log_metric: Callable[[str, float], None] | None) -> bool:
    """Whether the trainer whose method this is evaluates: as TRL itself finds out (`_calculate_rewards`)."""
    model = getattr(getattr(log_metric, "__self__", None), "model", None)
    return getattr(model, "training", True) is False


def _logged(
    batch: Batch,
    log_extra: Callable[[str, list[Any]], None] | None,
    log_metric: Callable[[str, float], None] | None,
) -> list[float | None]:
    if log_metric is not None:
        for name, value in batch.metrics.items():
            log_metric(f"rubric/{name}", value)
        for name, value in batch.news.items():
            log_metric(name, value)
    if log_extra is not None:
        log_extra("rubric_verdicts", [json.dumps(vector, ensure_ascii=False) for vector in batch.vectors])
        log_extra("rubric_unjudged", [one.why or "" for one in batch.graded])
    return batch.rewards
