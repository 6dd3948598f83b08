"""The plain form: a batch of prompts and completions, and for each a reward or null with its reason."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Criterion
from rubricate.rewards.batch.graded import Batch, Graded
from rubricate.rewards.serving.contracts.seam import Asked, Form, Served, Version, reward_of
from rubricate.rewards.serving.intake.reading import record_of
from rubricate.rewards.serving.intake.refusals import Refusal

Step = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One completion. `prompt` and `completion` are a text or a list of messages; what is neither gets null.
    `rubric` is a list of criteria, an object with such a list, or its JSON text."""

    prompt: Any
    completion: Any
    rubric: Any = None


class Items(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch, item by item. `step` is what options of training are drawn for; with `evaluation` none is on;
    with `detail` the verdicts come too."""

    items: list[Item]
    step: Step | None = None
    evaluation: bool = False
    detail: bool = False


class Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch as lists of one length."""

    prompts: list[Any]
    completions: list[Any]
    rubrics: list[Any] | None = None
    step: Step | None = None
    evaluation: bool = False
    detail: bool = False


class Judged(msgspec.Struct, frozen=True):
    """A criterion of the rubric with its verdict; `counted` is its weight in this step, 0 when it was left
    out."""

    criterion: Criterion
    verdict: Verdict
    counted: float


class Rewarded(msgspec.Struct, frozen=True):
    """What one completion got: the reward, in [0, 1] unless a model without bounds is served, or null and
    why; the score by the whole rubric with its human weights."""

    reward: float | None
    why: str | None
    score: float | None
    criteria: list[Judged] | msgspec.UnsetType = msgspec.UNSET


class Rewards(msgspec.Struct, frozen=True):
    """One entry for each completion, in the order of the request, and the figures of the batch by name."""

    version: Version
    model: str
    items: list[Rewarded]
    metrics: dict[str, float]
    step: int


def _read(value: Any, served: Served) -> Asked:
    if isinstance(value, dict) and "items" not in value and ("prompts" in value or "completions" in value):
        columns = record_of(value, Columns)
        n = len(columns.completions)
        for name in ("prompts", "rubrics"):
            held = getattr(columns, name)
            if held is not None and len(held) != n:
                raise Refusal(
                    "invalid_request", f"{name} has {len(held)} entries for {n} completions", field=name
                )
        return Asked(
            columns.prompts,
            columns.completions,
            columns.rubrics,
            columns.step,
            columns.evaluation,
            columns,
        )
    batch = record_of(value, Items)
    return Asked(
        [item.prompt for item in batch.items],
        [item.completion for item in batch.items],
        [item.rubric for item in batch.items],
        batch.step,
        batch.evaluation,
        batch,
    )


def _answer(asked: Asked, batch: Batch, served: Served) -> Rewards:
    items = [rewarded(one, detail=asked.form.detail) for one in batch.graded]
    return Rewards(served.version, served.model, items, batch.metrics, batch.step)


def rewarded(one: Graded, *, detail: bool) -> Rewarded:
    """What one completion got, with the criteria where they are asked for and there."""
    criteria: list[Judged] | msgspec.UnsetType = msgspec.UNSET
    if detail:
        counted = {c.id: c.weight for c in one.counted.criteria} if one.counted is not None else {}
        pairs = zip(one.rubric.criteria, one.verdicts, strict=True) if one.rubric and one.verdicts else ()
        criteria = [Judged(c, verdict, counted.get(c.id, 0.0)) for c, verdict in pairs]
    reward = reward_of(one)
    why = one.why if one.reward == reward else "the reward is no number"
    return Rewarded(reward, why, one.score, criteria)


PLAIN = Form(
    "/v1/rewards",
    "Rewards of a batch, with reasons and, on request, verdicts.",
    Items | Columns,
    Rewards,
    _read,
    _answer,
)
