"""One reward for all processes of a training: the first grades the whole step, the others are told.

So there is one budget, one ledger and one pace, as the settings say them, however many processes train; and
the figures of a batch, and the options that compare completions, see whole groups.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

from rubricate.errors import RubricateError, RunError
from rubricate.rewards.adapters.trl import evaluates, reward_function
from rubricate.rewards.batch.rubrics import rubric_under
from rubricate.rewards.seam import Reward


def rank() -> int:
    """Which of the processes this is, 0 for the first or only one."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def shared_function(reward: Reward) -> Callable[..., Any]:
    """What to give to `reward_funcs` in each process of a training. Logged as `rubric_reward` either way."""
    return reward_function(reward) if world() == 1 else Together(reward).rubric_reward


class Together:
    """A reward that only the first process asks. All processes must call it together, which TRL does."""

    def __init__(self, reward: Reward):
        self.reward = reward

    def rubric_reward(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        trainer_state: Any = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """The rewards of this process's completions.

        Raises:
            RubricateError: what the first process could not do, in all of them.
        """
        from accelerate.utils import broadcast_object_list, gather_object

        rubrics = rubric_under(columns) or [None] * len(prompts)
        mine = list(zip(prompts, completions, rubrics, strict=True))
        sizes = gather_object([len(mine)])
        everything = gather_object(mine)
        told: list[Any] = ["it broke off"]
        try:
            if rank() == 0:
                step = getattr(trainer_state, "global_step", None)
                told = [self._graded(everything, step, evaluation=evaluates(log_metric))]
        except RubricateError as failure:
            told = [str(failure)]
            raise
        finally:  # the others wait, whatever happened
            broadcast_object_list(told, from_process=0)
        if isinstance(told[0], str):
            raise RunError(f"the first process could not grade: {told[0]}")
        graded, metrics = told[0]
        start = sum(sizes[: rank()])
        own = graded[start : start + len(mine)]
        if log_metric is not None and rank() == 0:
            for name, value in metrics.items():
                log_metric(name, value)
        if log_extra is not None:
            log_extra("rubric_verdicts", [verdicts for _, verdicts, _ in own])
            log_extra("rubric_unjudged", [why for _, _, why in own])
        return [reward for reward, _, _ in own]

    def _graded(
        self, everything: Sequence[tuple[Any, Any, Any]], step: int | None, *, evaluation: bool
    ) -> tuple[list[tuple[float | None, str, str]], dict[str, float]]:
        if not everything:
            raise RubricateError("no process has a completion")
        prompts, completions, rubrics = zip(*everything, strict=True)
        column = None if all(rubric is None for rubric in rubrics) else list(rubrics)
        batch = self.reward.grade(list(prompts), list(completions), column, step=step, evaluation=evaluation)
        rows = [
            (one.reward, json.dumps(vector, ensure_ascii=False), one.why or "")
            for one, vector in zip(batch.graded, batch.vectors, strict=True)
        ]
        figures = {f"rubric/{name}": value for name, value in batch.metrics.items()}
        return rows, {**figures, **batch.news}
