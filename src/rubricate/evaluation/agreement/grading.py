"""Entries through a grader, as often as asked: k draws of each verdict, each paid for once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from rubricate.domain.conversation import Response
from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Criterion
from rubricate.errors import AccountError, ChatError
from rubricate.evaluation.agreement.items import Items, mark_of
from rubricate.evaluation.agreement.measures import UNJUDGED
from rubricate.evaluation.agreement.opinions import Opinion, mean_known
from rubricate.evaluation.entries import Entry
from rubricate.steps.asking import gathered
from rubricate.steps.roles import Grader


async def graded(
    name: str,
    items: Items,
    graders: Sequence[Grader],
    *,
    in_flight: int,
    told: Callable[[str], None] = lambda state: None,
) -> Opinion:
    """The opinion of one grader that draws `len(graders)` times: draw k is given by `graders[k]`.

    Every distinct criterion of a response is asked once a draw. At most `in_flight` responses are worked on
    at a time; results stand in the order of the items. `told` hears "graded" or "failed" of each response.

    Raises:
        RunStopped: the budget is spent or the endpoint is down. What was paid is in the ledger.
        AccountError: the key or the model is wrong.
    """
    shape = (len(graders), len(items))
    marks, absent = np.full(shape, UNJUDGED, dtype=np.int8), np.zeros(shape, dtype=bool)
    probability, by_program = np.full(shape, np.nan), np.zeros(len(items), dtype=bool)
    reasons, failed = Counter[str](), dict[tuple[int, int], str]()
    starts = np.searchsorted(items.cases, np.arange(len(items.entries)))
    owed = iter([(case, draw) for case in range(len(items.entries)) for draw in range(len(graders))])

    async def worker() -> None:
        for case, draw in owed:
            entry, start = items.entries[case], int(starts[case])
            places = range(start, start + len(entry.criteria))
            try:
                said = await _verdicts(graders[draw], entry)
            except AccountError:
                raise
            except ChatError as failure:
                failed[case, draw] = f"{entry.place}, draw {draw}: {failure}"
                absent[draw, list(places)] = True
                told("failed")
                continue
            for place, stated in zip(places, entry.criteria, strict=True):
                verdict = said[stated.text]
                marks[draw, place] = mark_of(verdict.outcome == "met" if verdict.is_judged else None)
                if verdict.probability is not None:
                    probability[draw, place] = verdict.probability
                by_program[place] |= verdict.by == "check"
                if not verdict.is_judged:
                    reasons[verdict.reason or ""] += 1
            told("graded")

    await gathered(worker() for _ in range(max(1, min(in_flight, len(items.entries) * len(graders)))))
    lost = tuple(failed[key] for key in sorted(failed))
    return Opinion(name, marks, absent, mean_known(probability), by_program, reasons, lost)


async def _verdicts(grader: Grader, entry: Entry) -> dict[str, Verdict]:
    """The verdict on each distinct criterion of an entry, by its text."""
    texts = list(dict.fromkeys(stated.text for stated in entry.criteria))
    criteria = [Criterion(f"c{number}", text) for number, text in enumerate(texts, 1)]
    response = Response(entry.response, entry.generator)
    return dict(zip(texts, await grader.grade(entry.prompt, response, criteria), strict=True))
