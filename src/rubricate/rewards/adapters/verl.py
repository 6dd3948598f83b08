"""verl: a `compute_score` for `reward.custom_reward_function`, or a reward manager; both are awaited by its
reward loop.

Contract: verl 0.9, `verl/experimental/reward_loop/reward_manager/{base,naive}.py`. One call for each
completion. A function gets no prompt, which has to travel in `extra_info`; a manager gets the sample with the
conversation that was sampled from. The answer has a score; its other entries are logged and must have the
same names every time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rubricate.domain.scoring import coverage
from rubricate.errors import DataError, SettingsError
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
        return await _scored(
            reward, data_source, about.get("prompt"), solution_str, ground_truth, about, unjudged
        )

    return compute_score


def reward_manager_of(reward: Reward, *, unjudged: float | None = None) -> type[Any]:
    """The class for `reward.reward_manager.source=importlib`: verl makes one in each reward worker, and
    awaits its `run_single` for each sample while others are still sampled.

    The prompt is the `raw_prompt` that verl sampled from, unless `extra_info["prompt"]` is there; rubric and
    `unjudged` are as in `compute_score_of`. Of a sample of several turns the last is graded. There is no time
    limit that makes a number of what is late, unlike that of verl's own `rate_limited` manager: the reward's
    settings bound time and pace.

    Raises:
        SettingsError: verl is not installed, or an option is on that needs completions together.

    Raises, when awaited:
        DataError, RunError: as `compute_score_of`.
    """

    must_do_for_singles(reward, "verl")
    try:
        from verl.experimental.reward_loop.reward_manager.base import (  # type: ignore[import-not-found]
            RewardManagerBase,
        )
    except ImportError:
        raise SettingsError("a reward manager is a class of verl's, and verl is not installed") from None

    class RubricRewardManager(RewardManagerBase):  # type: ignore[misc]
        """Grades by rubrics; see `rubricate.rewards.adapters.verl`."""

        def __init__(
            self, config: Any, tokenizer: Any, compute_score: Any = None, *others: Any, **named: Any
        ):
            super().__init__(config, tokenizer, compute_score)

        async def run_single(self, data: Any) -> dict[str, Any]:
            """The reward of one sample, as verl reads it."""
            item = data[len(data) - 1]
            rows = item.non_tensor_batch
            about = rows.get("extra_info")
            about = about if isinstance(about, Mapping) else {}
            ground_truth = (rows.get("reward_model") or {}).get("ground_truth")
            prompt = about.get("prompt")
            prompt = rows.get("raw_prompt") if prompt is None else prompt
            text = await asyncio.to_thread(_response, item.batch, self.tokenizer)
            source = rows.get("data_source", "verl")
            said = await _scored(reward, source, prompt, text, ground_truth, about, unjudged)
            return {"reward_score": said["score"], "reward_extra_info": said}

    return RubricRewardManager


def _response(batch: Any, tokenizer: Any) -> str:
    """The text of a sample without padding and special tokens."""
    tokens = batch["responses"]
    n = int(batch["attention_mask"][-tokens.shape[-1] :].sum())
    text: str = tokenizer.decode(tokens[:n], skip_special_tokens=True)
    return text


async def _scored(
    reward: Reward,
    data_source: str,
    prompt: Any,
    text: str,
    ground_truth: Any,
    about: Mapping[str, Any],
    unjudged: float | None,
) -> dict[str, Any]:
    if prompt is None:
        raise DataError(
            f"a row of {data_source}",
            "missing; verl gives a reward function no prompt, so the row has to carry it",
            field="extra_info.prompt",
        )
    rubric = rubric_under(about)
    rubric = _as_list(rubric if rubric is not None else _rubric_in(ground_truth))
    batch = await reward.agrade([_as_list(prompt)], [text], [rubric])
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


def _rubric_in(ground_truth: Any) -> Any:
    """The rubric in a ground truth; None where it is an answer, or nothing."""
    ground_truth = _as_list(ground_truth)
    if isinstance(ground_truth, str):
        return ground_truth if ground_truth.lstrip().startswith(("[", "{")) else None
    return ground_truth if isinstance(ground_truth, list | Mapping) else None


def _as_list(value: Any) -> Any:
    """Lists that went through Parquet and pandas come back as arrays."""
    return value.tolist() if hasattr(value, "tolist") else value
