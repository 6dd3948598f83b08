"""Forms that trainers post by themselves: OpenRLHF and slime.

Contracts: OpenRLHF 0.11, `openrlhf/utils/agent.py` (`SingleTurnAgentExecutor`), which asks for one sample at
a time, tries a failed request five times and then leaves the sample without a reward; slime,
`slime/rollout/rm_hub/__init__.py` (`remote_rm`), whose answer is the bare number.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rubricate.rewards.adapters.openrlhf import END_TOKENS, label_of, response_of
from rubricate.rewards.batch.graded import Batch
from rubricate.rewards.serving.contracts.seam import Asked, Form, Served, number_of
from rubricate.rewards.serving.intake.reading import record_of
from rubricate.rewards.serving.intake.refusals import Refusal


class Queries(msgspec.Struct, frozen=True):
    """What OpenRLHF posts: prompt and response in one text, the prompt, and the label of the row."""

    query: list[str]
    prompts: list[str]
    labels: list[Any]


class Scores(msgspec.Struct, frozen=True):
    """What OpenRLHF reads; one entry for each query."""

    rewards: list[float]
    scores: list[float]
    extra_logs: dict[str, list[float]]


class Sample(msgspec.Struct, frozen=True):
    """What slime posts."""

    prompt: Any
    response: Any
    label: Any = None


def _read_queries(value: Any, served: Served) -> Asked:
    asked = record_of(value, Queries)
    if not len(asked.query) == len(asked.prompts) == len(asked.labels):
        raise Refusal(
            "invalid_request",
            f"{len(asked.query)} queries, {len(asked.prompts)} prompts and {len(asked.labels)} labels: "
            "give one each",
        )
    told = [label_of(label) for label in asked.labels]
    texts = [
        response_of(query, prompt, END_TOKENS)
        for query, prompt in zip(asked.query, asked.prompts, strict=True)
    ]
    prompts = [about.get("prompt") or prompt for about, prompt in zip(told, asked.prompts, strict=True)]
    return Asked(prompts, texts, [about.get("rubric") for about in told])


def _scores(asked: Asked, batch: Batch, served: Served) -> Scores:
    rewards = [number_of(one, served) for one in batch.graded]
    judged = [float(one.reward is not None) for one in batch.graded]
    return Scores(rewards, [min(max(reward, 0.0), 1.0) for reward in rewards], {"rubric_judged": judged})


def _read_sample(value: Any, served: Served) -> Asked:
    sample = record_of(value, Sample)
    about = label_of(sample.label)
    return Asked([about.get("prompt") or sample.prompt], [sample.response], [about.get("rubric")])


def _bare(asked: Asked, batch: Batch, served: Served) -> float:
    return number_of(batch.graded[0], served)


OPENRLHF = Form(
    "/openrlhf",
    "The remote reward of OpenRLHF: --reward.remote_url URL/openrlhf.",
    Queries,
    Scores,
    _read_queries,
    _scores,
)
SLIME = Form("/slime", "The remote reward of slime: --rm-url URL/slime.", Sample, float, _read_sample, _bare)
