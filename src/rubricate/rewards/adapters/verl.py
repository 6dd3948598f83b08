"""verl: a `compute_score` for `reward.custom_reward_function`, awaited by its reward loop.

Contract: verl 0.9, `verl/experimental/reward_loop/reward_manager/naive.py`. One call for each completion,
without the prompt: that has to travel in `extra_info`. The answer is a dict with `score`; its other entries
are logged and must have the same names every time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rubricate.domain.scoring import coverage
from rubricate.errors import DataError
from rubricate.rewards.adapters.singles import must_do_for_singles, number_of
from rubricate.rewards.batch.rubrics import rubric_under
from rubricate.rewards.seam import Reward


def compute_score_of(
    reward: Reward, *, unjudged: float | None = None
) -> Callable[..., Awaitable[dict[str, Any]]]:
    """The coroutine function that verl calls.

    `extra_info["prompt"]` is the prompt, a text or a list of messages; the rubric stands in
    `extra_info["rubric"]`, or in `ground_truth` as a list of criteria or as its JSON, or was given to the
    reward. verl has no None: without `unjudged` a completion that could not be judged ends the training with
    an error. With it, `judged` in the answer tells the two apart.

    Raises:
        SettingsError: an option is on that needs completions together.

    Raises, when called:
        DataError: there is no prompt.
        RunError: a completion could not be judged, and `unjudged` is not given.
    """

    must_do_for_singles(reward, "verl")

    async def compute_score(
        data_source: str, solution_str: str, ground_truth: Any, extra_info: Any = None, **reward_kwargs: Any
    ) -> dict[str, Any]:
        about = extra_info if isinstance(extra_info, Mapping) else {}
        prompt = about.get("prompt")
        if prompt is None:
            raise DataError(
                f"a row of {data_source}",
                "missing; verl gives a reward function no prompt, so the row has to carry it",
                field="extra_info.prompt",
            )
        rubric = rubric_under(about)
        rubric = _as_list(rubric if rubric is not None else _rubric_in(ground_truth))
        batch = await reward.agrade([_as_list(prompt)], [solution_str], [rubric])
        (one,) = batch.graded
        judged = covered = float(one.reward is not None)
        if one.rubric is not None:
            covered = coverage(one.rubric, one.verdicts) if one.verdicts else 0.0
        return {
            "score": number_of(one, unjudged, "verl"),
            "judged": judged,
            "coverage": covered,
            "why": one.why or "",
        }

    return compute_score


def _rubric_in(ground_truth: Any) -> Any:
    """The rubric in a ground truth; None where it is an answer, or nothing."""
    ground_truth = _as_list(ground_truth)
    if isinstance(ground_truth, str):
        return ground_truth if ground_truth.lstrip().startswith(("[", "{")) else None
    return ground_truth if isinstance(ground_truth, list | Mapping) else None


def _as_list(value: Any) -> Any:
    """Lists that went through Parquet and pandas come back as arrays."""
    return value.tolist() if hasattr(value, "tolist") else value
