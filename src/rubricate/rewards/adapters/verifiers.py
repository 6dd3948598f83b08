"""verifiers: a reward of a v1 `Task`, and a reward function of the older `Rubric`.

Contracts: verifiers 0.4, `verifiers/v1/task.py` and `utils/decorators.py`; before 0.4 `verifiers/rubrics`,
which makes 0.0 of whatever a function raises, and so cannot be told that there is no reward.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rubricate.errors import SettingsError
from rubricate.rewards.adapters.singles import must_do_for_singles, number_of
from rubricate.rewards.batch.rubrics import FIELDS, rubric_under
from rubricate.rewards.seam import Reward


def task_reward(
    reward: Reward, *, weight: float = 1.0, unjudged: float | None = None
) -> Callable[..., Awaitable[float]]:
    """A method for a `vf.Task`: `rubric_reward = task_reward(reward)` in the body of its class.

    The rubric stands in the task's data as `rubric`, `rubrics` or `criteria`, or was given to the reward. A
    completion that could not be judged ends as an error of its trace, unless `unjudged` says what it is
    worth.

    Raises:
        SettingsError: verifiers 0.4 or newer is not installed; an option is on that needs completions
            together.
    """
    must_do_for_singles(reward, "verifiers")
    try:
        from verifiers.v1.utils.decorators import reward as marked
    except ImportError:
        raise SettingsError("this needs verifiers 0.4 or newer: pip install verifiers") from None

    async def rubric_reward(self: Any, task: Any, trace: Any) -> float:
        rubric = next((found for name in FIELDS if (found := getattr(task, name, None)) is not None), None)
        batch = await reward.agrade([task.prompt], [trace.last_reply], [rubric])
        return number_of(batch.graded[0], unjudged, "verifiers")

    made: Callable[..., Awaitable[float]] = marked(rubric_reward, weight=weight)
    return made


def rubric_function(reward: Reward, *, unjudged: float) -> Callable[..., Awaitable[float]]:
    """A function for `vf.Rubric(funcs=[...])` before 0.4. The rubric stands in `info`, or was given.

    `unjudged` has to be chosen: that library would make 0.0 of anything else. Why a completion has no reward
    is left in `state["rubricate"]`.

    Raises:
        SettingsError: an option is on that needs completions together.
    """
    must_do_for_singles(reward, "verifiers")

    async def rubric_reward(prompt: Any, completion: Any, info: Any = None, state: Any = None) -> float:
        about = info if isinstance(info, Mapping) else {}
        rubric = rubric_under(about)
        (one,) = (await reward.agrade([prompt], [completion], [rubric])).graded
        if isinstance(state, dict):
            state["rubricate"] = {"reward": one.reward, "why": one.why, "criteria": one.vector}
        return number_of(one, unjudged, "verifiers")

    return rubric_reward
