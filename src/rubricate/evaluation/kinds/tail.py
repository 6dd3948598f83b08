"""What a refinement does to the order of the best responses, by their gold scores."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from rubricate.domain.conversation import Pool, Prompt, Response
from rubricate.domain.rubric import Rubric
from rubricate.domain.scoring import COVERAGE_FLOOR, score
from rubricate.errors import AccountError, ChatError
from rubricate.evaluation.kinds.refinements import Refinement
from rubricate.steps.asking import gathered
from rubricate.steps.roles import Grader

TAIL = 0.25
Scores = Mapping[str, float | None]


def tail_of(pool: Pool, share: float = TAIL) -> tuple[Response, ...]:
    """The responses with gold of the top `share` of a pool by gold, at least two, and all that tie with the
    last one; in the order of the pool. Responses without gold take no part."""
    gold = [response.gold for response in pool.responses if response.gold is not None]
    if len(gold) < 2:
        return ()
    size = max(2, math.ceil(share * len(gold)))
    least = sorted(gold, reverse=True)[size - 1]
    return tuple(r for r in pool.responses if r.gold is not None and r.gold >= least)


def pair_accuracy(tail: Sequence[Response], scores: Scores) -> float | None:
    """The share of pairs of different gold that the scores put in the right order; a tie is wrong.

    None where no two golds differ, and where a response has no score: the figure of a part would not be that
    of the tail. On one prompt that is judged throughout it is the `tail_accuracy@25%` of an audit.
    """
    right = pairs = 0
    for one, two in combinations(tail, 2):
        if one.gold is None or two.gold is None or one.gold == two.gold:
            continue
        better, worse = (one, two) if one.gold > two.gold else (two, one)
        high, low = scores.get(better.key), scores.get(worse.key)
        if high is None or low is None:
            return None
        pairs += 1
        right += high > low
    return right / pairs if pairs else None


def change_of(tail: Sequence[Response], before: Scores, after: Scores) -> float | None:
    """The pair accuracy after less that before, in [-1, 1]; None where either cannot be had."""
    was, now = pair_accuracy(tail, before), pair_accuracy(tail, after)
    return None if was is None or now is None else now - was


def recorded(refinement: Refinement) -> tuple[Scores, Scores]:
    """The scores that the record itself holds under the rubric before and after."""
    before, after = (
        {standing.response: standing.score for standing in standings} for standings in refinement.standings
    )
    return before, after


async def graded_changes(
    refinements: Sequence[Refinement],
    tails: Mapping[str, tuple[Prompt, tuple[Response, ...]]],
    grader: Grader,
    *,
    floor: float = COVERAGE_FLOOR,
    in_flight: int = 32,
    done: Callable[[int, int], None] = lambda n, total: None,
) -> dict[tuple[str, int], float | None]:
    """The change by prompt key and round of every proposal, refused ones too, with the tail graded anew under
    both rubrics. What a run has paid for costs nothing.

    A call that fails for good leaves its response without a score.

    Raises:
        RunStopped: the budget is spent or the endpoint is gone; what was answered is in the ledger.
        AccountError: the key or the model is wrong.
    """
    rounds = [each for each in refinements if each.decision != "whole" and tails[each.prompt][1]]
    owed: dict[tuple[str, str, str], tuple[Prompt, Rubric, Response]] = {}
    for each in rounds:
        prompt, tail = tails[each.prompt]
        for rubric in (each.before, each.after):
            for response in tail:
                owed[each.prompt, rubric.key, response.key] = prompt, rubric, response
    slots, scores = asyncio.Semaphore(in_flight), dict[tuple[str, str, str], float | None]()

    async def ask(key: tuple[str, str, str]) -> None:
        prompt, rubric, response = owed[key]
        async with slots:
            try:
                scores[key] = score(rubric, await grader.grade(prompt, response, rubric.criteria), floor)
            except AccountError:
                raise
            except ChatError:
                scores[key] = None
        done(len(scores), len(owed))

    await gathered(ask(key) for key in sorted(owed))

    def under(each: Refinement, rubric: Rubric) -> Scores:
        return {r.key: scores[each.prompt, rubric.key, r.key] for r in tails[each.prompt][1]}

    return {
        (each.prompt, each.number): change_of(
            tails[each.prompt][1], under(each, each.before), under(each, each.after)
        )
        for each in rounds
    }
