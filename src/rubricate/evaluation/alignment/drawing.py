"""Rubrics and a grader -> gradings, as often as asked; each draw is paid for once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.scoring import COVERAGE_FLOOR, score
from rubricate.errors import AccountError, ChatError
from rubricate.evaluation.alignment.gradings import Gradings
from rubricate.evaluation.judging.pairs import Pair
from rubricate.runs.rubric_files import RubricFile
from rubricate.steps.asking import gathered
from rubricate.steps.roles import Grader


async def drawn_gradings(
    pairs: Sequence[Pair],
    rubrics: RubricFile,
    graders: Sequence[Grader],
    *,
    floor: float = COVERAGE_FLOOR,
    in_flight: int = 32,
    done: Callable[[int, int], None] = lambda n, total: None,
) -> Gradings:
    """The gradings of both sides of the pairs whose prompt has a rubric: draw k by `graders[k]`.

    A grading below the coverage floor, or whose call failed for good, is None. A prompt without a rubric has
    no gradings at all.

    Raises:
        RunStopped: the budget is spent or the endpoint is gone; what was answered is in the ledger.
        AccountError: the key or the model is wrong.
    """
    texts: dict[tuple[str, str], tuple[Prompt, Response]] = {}
    for pair in pairs:
        for response in (pair.first, pair.second):
            texts.setdefault((pair.prompt.key, response.text_key), (pair.prompt, response))
    slots, found = asyncio.Semaphore(in_flight), dict[tuple[str, str, int], float | None]()
    owed = [(key, draw) for key in sorted(texts) if rubrics.of(texts[key][0]) for draw in range(len(graders))]

    async def ask(key: tuple[str, str], draw: int) -> None:
        prompt, response = texts[key]
        rubric = rubrics.of(prompt)
        assert rubric is not None, "only prompts with a rubric are owed"
        async with slots:
            try:
                verdicts = await graders[draw].grade(prompt, response, rubric.criteria)
            except AccountError:
                raise
            except ChatError:
                found[*key, draw] = None
            else:
                found[*key, draw] = score(rubric, verdicts, floor)
        done(len(found), len(owed))

    await gathered(ask(key, draw) for key, draw in owed)
    gradings = Gradings(graders[0].name if graders else "")
    for key, draw in owed:
        gradings.add(texts[key][0].id, *key, found[*key, draw])
    return gradings
