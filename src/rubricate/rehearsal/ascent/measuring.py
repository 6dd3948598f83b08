"""What a policy is worth at one step, measured on prompts that it is trained on and on held-out ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import msgspec

from rubricate.rehearsal.ascent.divergence import divergences
from rubricate.rehearsal.ascent.rewards import Payment
from rubricate.rehearsal.pupil.learner import Said, say
from rubricate.rehearsal.pupil.lessons import School, within
from rubricate.world.reading import read

REFERENCES = tuple(f"great-reference-{number}" for number in range(8))
"""Great models, cut to the budget, against which a policy stands as in the paper's head-to-head; they have no
part in lessons or rewards."""

Golds = dict[str, list[float]]
"""Golds of some answers to each prompt."""


class View(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Means over a policy's answers to each of P prompts, in order; each of length P.

    gold        in [0, 1]
    start_wins  chance to beat an answer of the starting policy in gold, ties one half
    great_wins  chance to beat an answer of a great model within the budget, ties one half
    kl          KL from the starting policy in nats, an estimate (`divergence.divergences`)
    tokens      length
    advice      pieces of advice that are of the subject, good or bad
    """

    gold: tuple[float, ...]
    start_wins: tuple[float, ...]
    great_wins: tuple[float, ...]
    kl: tuple[float, ...]
    tokens: tuple[float, ...]
    advice: tuple[float, ...]


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A policy at one step. What it is paid is known on prompts of training only, where the reward has its
    rubrics: `pay` by prompt, the share of pairs of answers to one prompt that are paid alike (`ties`), and of
    prompts on which all are (`flat`: groups without any advantage)."""

    reward: str
    seed: int
    step: int
    held_out: View
    asked: View
    pay: tuple[float | None, ...]
    ties: float
    flat: float


class Yardstick:
    """What policies of one world are measured against: answers of the starting policy and of great models."""

    def __init__(self, school: School, tokenizer: Any, base: Any, start: Golds):
        self._school, self._tokenizer, self._base, self._start = school, tokenizer, base, start
        self._great: Golds = {
            prompt: [
                school.gold(prompt, within(tokenizer, school.answer(name, prompt), school.plan.budget))
                for name in REFERENCES
            ]
            for prompt in (*school.asked, *school.held_out)
        }

    def point(self, model: Any, payment: Payment, reward: str, step: int) -> Point:
        """The model as it is now. The draws are the same for all rewards at one step."""
        plan, seed = self._school.plan, self._school.seed
        views, asked = [], None
        for prompts, salt in ((self._school.held_out, 1), (self._school.asked, 2)):
            each = [prompt for prompt in prompts for _ in range(plan.samples)]
            asked = say(model, self._tokenizer, each, plan.budget, seed * 1_000_003 + step * 10 + salt)
            views.append(self._view(model, asked))
        assert asked is not None
        pay = _groups(payment.scores(asked.prompts, asked.texts), plan.samples)
        judged = [[value for value in group if value is not None] for group in pay]
        pairs = [one == two for group in judged for one, two in combinations(group, 2)]
        return Point(
            reward=reward,
            seed=seed,
            step=step,
            held_out=views[0],
            asked=views[1],
            pay=tuple(sum(group) / len(group) if group else None for group in judged),
            ties=sum(pairs) / len(pairs) if pairs else 0.0,
            flat=sum(len(set(group)) <= 1 for group in judged) / len(judged),
        )

    def _view(self, model: Any, said: Said) -> View:
        school, size = self._school, self._school.plan.samples
        golds = [school.gold(*pair) for pair in zip(said.prompts, said.texts, strict=True)]
        advice = [
            sum(school.topic(prompt).facet(given) is not None for given in read(text).advice)
            for prompt, text in zip(said.prompts, said.texts, strict=True)
        ]
        lengths = said.answered.sum(1).tolist()
        columns: list[Sequence[float]] = [
            golds,
            [beats(gold, self._start[prompt]) for gold, prompt in zip(golds, said.prompts, strict=True)],
            [beats(gold, self._great[prompt]) for gold, prompt in zip(golds, said.prompts, strict=True)],
            divergences(model, self._base, said),
            lengths,
            advice,
        ]
        return View(*(tuple(sum(group) / size for group in _groups(column, size)) for column in columns))


def beats(gold: float, others: Sequence[float]) -> float:
    """The chance to beat one of the others, ties one half."""
    return sum(1.0 if gold > other else 0.5 if gold == other else 0.0 for other in others) / len(others)


def _groups(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
