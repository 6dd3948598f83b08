"""Pairs -> preferences: through a judge, each different pair once, or by the scores of any reward."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from rubricate.domain.judgement import Answer, Preference, preference_of
from rubricate.errors import AccountError, ChatError
from rubricate.evaluation.judging.pairs import Pair
from rubricate.evaluation.judging.preferences import Judged, judged
from rubricate.evaluation.scorers.marks import Item, Mark, Scorer, marks_of
from rubricate.steps.asking import gathered
from rubricate.steps.compare import Order
from rubricate.steps.crew import ModelJudge

Done = Callable[[int, int], None]
SAME = "both sides are one text"


async def judge_pairs(
    pairs: Sequence[Pair],
    judge: ModelJudge,
    *,
    order: Order = "both",
    seed: int = 0,
    in_flight: int = 32,
    done: Done = lambda n, total: None,
) -> list[Judged]:
    """What the judge says of each pair, in their order; of equal texts a tie, without asking.

    Which text is named first makes no difference to what is asked, and a pair that comes again is asked once.
    A call that fails for good leaves its pair unjudged, with the reason.

    Raises:
        RunStopped: the budget is spent or the endpoint is gone; what was answered is in the ledger.
        AccountError: the key or the model is wrong.
    """
    by_key = {pair.key: pair for pair in pairs if pair.first.text_key != pair.second.text_key}
    slots, said = asyncio.Semaphore(in_flight), dict[str, tuple[tuple[Answer, ...], str | None]]()

    async def ask(key: str, pair: Pair) -> None:
        async with slots:
            try:
                said[key] = await judge.answers(pair.prompt, pair.first, pair.second, order, seed), None
            except AccountError:
                raise
            except ChatError as failure:
                said[key] = (), str(failure)
        done(len(said), len(by_key))

    await gathered(ask(key, by_key[key]) for key in sorted(by_key))
    lines = []
    for pair in pairs:
        if pair.first.text_key == pair.second.text_key:
            lines.append(judged(pair, Preference("tie", SAME), judge.name))
            continue
        answers, failure = said[pair.key]
        if pair.first.text_key != by_key[pair.key].first.text_key:
            answers = tuple(_turned(answer) for answer in answers)
        preference = Preference("unjudged", failure) if failure is not None else preference_of(answers)
        lines.append(judged(pair, preference, judge.name, answers))
    return lines


def _turned(answer: Answer) -> Answer:
    """The same answer where the two sides have each other's names."""
    return Answer("second" if answer.shown_first == "first" else "first", answer.better, answer.why)


async def score_pairs(
    pairs: Sequence[Pair], scorer: Scorer, done: Done = lambda n, total: None
) -> list[Judged]:
    """What the scores of a reward say of each pair: the higher one wins, equal ones tie.

    Raises:
        RunStopped, RunError: as `marks_of`.
    """
    marks = await marks_of(
        (Item(pair.prompt, r.text) for pair in pairs for r in (pair.first, pair.second)), scorer, done
    )
    lines = []
    for pair in pairs:
        first, second = (marks[Item(pair.prompt, r.text).key] for r in (pair.first, pair.second))
        lines.append(judged(pair, by_marks(first, second), scorer.name))
    return lines


def by_marks(first: Mark, second: Mark) -> Preference:
    """The preference of two scores; unjudged where one is missing."""
    if first.score is None or second.score is None:
        return Preference("unjudged", (first if first.score is None else second).why or "no score")
    if first.score == second.score:
        return Preference("tie", "equal scores")
    return Preference("first" if first.score > second.score else "second")
