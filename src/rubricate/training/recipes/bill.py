"""What a training will ask of others, before it begins: calls, tokens and money. Nothing here imports torch.

Counted from the recipe, the rows and the real question to the grader; what only the policy can know, how long
its completions are, is assumed and said, with a bill for the least and for the most of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import msgspec

from rubricate.domain.checks import is_decidable
from rubricate.domain.conversation import Response
from rubricate.domain.record import Spend, Step
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.llm.chat import Usage
from rubricate.llm.prices import Prices
from rubricate.runs.plan import ASSUMED
from rubricate.steps.asking import template
from rubricate.steps.grade import question
from rubricate.training.data.material import Example
from rubricate.training.recipes.grpo import GrpoRecipe

Level = str
"""`short`, `usual` or `long`: completions of a quarter of what is usual, of what is usual, of the most."""


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asked. None asks nothing: the offline engine, a learned reward."""

    grader: str | None
    proposer: str | None
    criteria_per_call: int | None = None
    checks: bool = True


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What a training takes. `levels` are the spends by step for completions of so many tokens (`tokens`)."""

    prompts: int
    steps: int
    steps_per_epoch: int
    rollouts: int
    grader_calls: int
    proposer_calls: int
    tokens: Mapping[Level, int]
    levels: Mapping[Level, Mapping[Step, Spend]]


def bill_of(
    recipe: GrpoRecipe,
    rows: Sequence[Example],
    rubrics: Mapping[str, Rubric],
    asking: Asking,
    prices: Prices,
    devices: int = 1,
) -> Bill:
    """The bill of a training on these rows; `rubrics` are those that are there, by prompt id.

    Every prompt is generated for equally often, every completion is different, none is refused: the most
    that a training asks. A criterion that a program decides is not asked, nor a completion whose rubric has
    none but such.
    """
    cut = recipe.batches(devices)
    steps = recipe.steps_for(len(rows), devices)
    rollouts = cut.rollouts_in(steps)
    share = rollouts / len(rows)
    usual = min(ASSUMED.response_tokens, recipe.max_completion)
    tokens = {"short": ceil(usual / 4), "usual": usual, "long": recipe.max_completion}
    calls, frames, criteria_chars, asked_criteria = 0.0, 0.0, 0.0, 0.0
    if asking.grader is not None:
        for row in rows:
            criteria = _asked(rubrics.get(row.id), asking.checks)
            if not criteria:
                continue
            pieces = ceil(len(criteria) / (asking.criteria_per_call or len(criteria)))
            frame = len(question(row.prompt, Response("x"), [criteria[0]])) - len(criteria[0].text) - 6
            calls += share * pieces
            frames += share * pieces * frame
            criteria_chars += share * sum(len(criterion.text) + 6 for criterion in criteria)
            asked_criteria += share * len(criteria)
    made = [row for row in rows if row.id not in rubrics] if asking.proposer is not None else []
    levels = {}
    for level, length in tokens.items():
        spent: dict[Step, Spend] = {}
        if calls and asking.grader is not None:
            characters = frames + criteria_chars + calls * length * ASSUMED.characters_per_token
            spent["grade"] = _spend(
                round(calls),
                asking.grader,
                "grade",
                characters / ASSUMED.characters_per_token,
                asked_criteria * ASSUMED.verdict_tokens,
                prices,
            )
        if made and asking.proposer is not None:
            written = ASSUMED.criteria * (ASSUMED.criterion_characters + 50)
            read = sum(len(row.prompt.text) + len(template("propose")) for row in made)
            spent["propose"] = _spend(
                len(made),
                asking.proposer,
                "propose",
                read / ASSUMED.characters_per_token,
                len(made) * written / ASSUMED.characters_per_token,
                prices,
            )
        levels[level] = spent
    return Bill(
        prompts=len(rows),
        steps=steps,
        steps_per_epoch=cut.steps(len(rows), 1),
        rollouts=rollouts,
        grader_calls=round(calls),
        proposer_calls=len(made),
        tokens=tokens,
        levels=levels,
    )


def _asked(rubric: Rubric | None, checks: bool) -> list[Criterion]:
    """The criteria that a model has to be asked about; of a rubric that is still to be made, the assumed."""
    if rubric is None:
        return [Criterion(f"c{n}", "x" * ASSUMED.criterion_characters) for n in range(ASSUMED.criteria)]
    return [one for one in rubric.criteria if not (checks and is_decidable(one.text))]


def _spend(calls: int, model: str, step: Step, read: float, written: float, prices: Prices) -> Spend:
    usage = Usage(prompt_tokens=ceil(read), completion_tokens=ceil(written))
    return Spend(
        calls=calls,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cost_usd=prices.cost(model, usage, step),
    )
