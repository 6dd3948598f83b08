"""OpenRLHF: the `reward_func` of the Python file that `--reward.remote_url` names.

Contract: OpenRLHF 0.11, `examples/python/reward_func.py`. Queries are prompt and response in one text, with
the special tokens of the chat template. Rollouts call with one sample at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rubricate.errors import DataError, SettingsError
from rubricate.rewards.adapters.singles import must_do_for_singles, number_of
from rubricate.rewards.batch.rubrics import rubric_under
from rubricate.rewards.batch.texts import BATCH
from rubricate.rewards.seam import Reward

END_TOKENS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "</s>",
    "<eos>",
)


def reward_func_of(
    reward: Reward, *, unjudged: float | None = None, end_tokens: Sequence[str] = END_TOKENS
) -> Callable[..., dict[str, Any]]:
    """The function that OpenRLHF calls; gives tensors.

    A label is the JSON of an object with the `rubric` and the `prompt` as the user wrote it, or of the list
    of criteria; any other label is passed over, and the reward's own rubrics are looked up by the prompt.
    Without a prompt in the label the grader sees the prompt with its template. `end_tokens` are cut off the
    end of a response.

    Raises:
        SettingsError: an option is on that needs completions together.

    Raises, when called:
        DataError: a query does not begin with its prompt.
        RunError: a completion could not be judged, and `unjudged` is not given.
        SettingsError: torch is not installed.
    """

    must_do_for_singles(reward, "OpenRLHF")

    def reward_func(
        queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **kwargs: Any
    ) -> dict[str, Any]:
        try:
            import torch
        except ImportError:
            raise SettingsError(
                "OpenRLHF takes tensors, and torch is not installed: pip install 'rubricate[train]'"
            ) from None
        if not len(queries) == len(prompts) == len(labels):
            raise DataError(
                BATCH,
                f"{len(queries)} queries, {len(prompts)} prompts and {len(labels)} labels: give one each",
            )
        told = [label_of(label) for label in labels]
        texts = [
            response_of(query, prompt, end_tokens) for query, prompt in zip(queries, prompts, strict=True)
        ]
        asked = [about.get("prompt") or prompt for about, prompt in zip(told, prompts, strict=True)]
        batch = reward.grade(asked, texts, [about.get("rubric") for about in told])
        rewards = torch.tensor([number_of(one, unjudged, "OpenRLHF") for one in batch.graded])
        judged = torch.tensor([float(one.reward is not None) for one in batch.graded])
        return {"rewards": rewards, "scores": rewards.clamp(0, 1), "extra_logs": {"rubric_judged": judged}}

    return reward_func


def response_of(query: str, prompt: str, end_tokens: Sequence[str]) -> str:
    """The response in a query, without the prompt before it and the end tokens behind it.

    Raises:
        DataError: the query does not begin with the prompt.
    """
    if not query.startswith(prompt):
        raise DataError(BATCH, "a query does not begin with its prompt, so its response cannot be told")
    text = query[len(prompt) :].rstrip()
    while found := next((token for token in end_tokens if text.endswith(token)), None):
        text = text.removesuffix(found).rstrip()
    return text


def label_of(label: Any) -> dict[str, Any]:
    """The prompt and the rubric that a label carries, as an object, as its JSON, or as the bare list of
    criteria; nothing of a label that is none of these."""
    if isinstance(label, str):
        try:
            label = json.loads(label)
        except (ValueError, RecursionError):
            return {}
    if isinstance(label, list):
        return {"rubric": label or None}
    if not isinstance(label, Mapping):
        return {}
    return {"prompt": label.get("prompt"), "rubric": rubric_under(label)}
