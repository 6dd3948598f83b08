"""What GRPO is paid by: the truth, a model of preferences, and rubrics before and after the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Protocol

from rubricate.domain.conversation import Prompt
from rubricate.domain.identity import key_of
from rubricate.domain.record import PromptRecord
from rubricate.domain.rubric import Rubric
from rubricate.rehearsal.pupil.lessons import School
from rubricate.reward_model.cards import CARD
from rubricate.reward_model.pairs import PreferencePair
from rubricate.reward_model.recipe import Recipe
from rubricate.reward_model.scoring import load
from rubricate.reward_model.training import train
from rubricate.rewards.adapters.trl import reward_function
from rubricate.rewards.learned import LearnedReward
from rubricate.rewards.panel import panel_of
from rubricate.rewards.reward import RubricReward
from rubricate.rewards.seam import Reward
from rubricate.runs.refinement import Rules, refine_prompt
from rubricate.steps.asking import Manner
from rubricate.steps.crew import Crew, ModelGrader, ModelJudge, ModelProposer, RecallingGrader
from rubricate.world.pools import DIVERSE
from rubricate.world.world import WorldChat

ROUNDS = 4
GREAT = tuple(f"great-{number}" for number in range(1, 17))
"""Four rounds on one answer of each of sixteen great models: the paper's best rubrics."""


class Payment(Protocol):
    """A reward in both of its uses: for the trainer, and for whoever looks on."""

    @property
    def function(self) -> Callable[..., Any]:
        """What TRL calls."""
        ...

    def scores(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float | None]:
        """What it pays for texts; None where it cannot judge."""
        ...

    def close(self) -> None:
        """Closes what is open."""
        ...


class GoldPayment:
    """The truth itself."""

    def __init__(self, school: School):
        self._school = school

    @property
    def function(self) -> Callable[..., Any]:
        """See `Payment`."""

        def gold(prompts: Sequence[str], completions: Sequence[str], **_: Any) -> list[float | None]:
            return self.scores(prompts, completions)

        return gold

    def scores(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float | None]:
        """See `Payment`."""
        return [self._school.gold(*pair) for pair in zip(prompts, texts, strict=True)]

    def close(self) -> None:
        """Nothing is open."""


class RewardPayment:
    """A reward of this package, behind its own adapter to TRL."""

    def __init__(self, reward: Reward):
        self._reward = reward
        self.function = reward_function(reward)

    def scores(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float | None]:
        """See `Payment`."""
        return self._reward.grade(prompts, texts, evaluation=True).scores

    def close(self) -> None:
        """See `Payment`."""
        self._reward.close()


class _Shelf:
    """Rubrics by prompt."""

    def __init__(self, rubrics: Mapping[str, Rubric]):
        self._rubrics = rubrics

    def of(self, prompt: Prompt) -> Rubric | None:
        return self._rubrics.get(prompt.key)


def rubrics_of(school: School) -> list[PromptRecord]:
    """For each prompt of training its rubric from the prompt alone, and what the loop made of it: four rounds
    with the loop's usual pairs and gate, on answers in full of models that have no part in the lessons."""
    chat = WorldChat(school.world)
    proposer = ModelProposer(chat, chat, Manner("proposer"))

    async def all_of_them() -> list[PromptRecord]:
        records = []
        for prompt in school.asked:
            crew = Crew(proposer, RecallingGrader(_grader(school), {}))
            pool = school.world.pool(prompt, GREAT)
            records.append(await refine_prompt(pool, crew, Rules(ROUNDS, score_final=False)))
        return records

    return asyncio.run(all_of_them())


def rubric_payment(school: School, records: Sequence[PromptRecord], *, refined: bool) -> RewardPayment:
    """Pays by each prompt's last rubric, or by its first one, as the grader of the world grades."""
    shelf = {
        Prompt.of_text(prompt).key: rubric
        for prompt, record in zip(school.asked, records, strict=True)
        if (rubric := record.rubric if refined else record.initial) is not None
    }
    return RewardPayment(RubricReward(panel_of(_grader(school)), _Shelf(shelf)))


def off_policy_pairs(school: School) -> list[PreferencePair]:
    """For each prompt of training `plan.pairs` pairs of answers in full of sixteen models of four abilities,
    drawn by seed, as the judge of the world prefers in both orders; a pair without a preference is left out.
    """
    judge = ModelJudge(WorldChat(school.world), Manner("judge"))

    async def all_of_them() -> list[PreferencePair]:
        found = []
        for text in school.asked:
            pool = school.world.pool(text, DIVERSE)
            drawn = sorted(
                combinations(pool.responses, 2),
                key=lambda pair: key_of("pair", school.seed, pair[0].key, pair[1].key),
            )
            for one, two in drawn[: school.plan.pairs]:
                said = (await judge.compare(pool.prompt, one, two)).winner
                if said in ("first", "second"):
                    better, worse = (one, two) if said == "first" else (two, one)
                    found.append(PreferencePair(pool.prompt, better, worse))
        return found

    return asyncio.run(all_of_them())


def learned_payment(school: School, base: Path, folder: Path) -> RewardPayment:
    """Pays by a Bradley-Terry model: a scalar head on the taught model, trained on off-policy pairs, in
    `folder`; one that is there and done is not trained again. A tenth of the prompts is kept for its card.
    """
    if not (folder / CARD).is_file():
        pairs, plan = off_policy_pairs(school), school.plan
        last = set(school.asked[-max(1, len(school.asked) // 10) :])
        kept = [pair for pair in pairs if pair.prompt.text not in last]
        held_out = [pair for pair in pairs if pair.prompt.text in last]
        recipe = Recipe(
            learning_rate=plan.pair_rate,
            batch_size=16,
            accumulation=1,
            epochs=plan.pair_epochs,
            max_length=256,
        )
        train(str(base), kept, held_out, recipe, folder, seed=school.seed)
    return RewardPayment(LearnedReward(partial(load, str(folder), batch_size=64)))


def _grader(school: School) -> ModelGrader:
    return ModelGrader(WorldChat(school.world), Manner("grader"))
