"""Entries of a pool -> rubrics, verdicts and columns: what every aggregation works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rubricate.domain.aggregation import probability_of
from rubricate.domain.checks import is_decidable
from rubricate.domain.judgement import Verdict, unjudged
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.domain.scoring import COVERAGE_FLOOR, score
from rubricate.errors import DataError
from rubricate.evaluation.entries import Entry, Stated

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Observations:
    """Every judged verdict, as columns of shape (verdicts,).

    `response` and `item` are places; equal texts are one item in whichever prompts they stand. `good` is 1
    where the criterion speaks for the response: met, or a pitfall that did not happen. `position` runs from 0
    to 1 down the rubric.
    """

    response: Places
    item: Places
    good: Floats
    probability: Floats
    weight: Floats
    kind: Sequence[str]
    position: Floats
    decidable: Floats


@dataclass(frozen=True)
class GradedPool:
    """Responses with rubrics and verdicts, in the order of the file, and their prompts' ids.

    `prompt` is the place of each response's prompt, `gold` NaN where there is none, `has_score` whether the
    judged share of the weight reaches the floor. `flagged` are the ids of criteria that carry a veto.
    """

    entries: Sequence[Entry]
    rubrics: Sequence[Rubric]
    verdicts: Sequence[tuple[Verdict, ...]]
    flagged: Sequence[frozenset[str]]
    prompt_ids: Sequence[str]
    prompt: Places
    gold: Floats
    has_score: NDArray[np.bool_]
    observed: Observations
    n_items: int
    floor: float
    has_probabilities: bool

    def __len__(self) -> int:
        return len(self.entries)


def graded_pool(entries: Sequence[Entry], source: str, floor: float = COVERAGE_FLOOR) -> GradedPool:
    """The pool of some entries. Verdicts are taken; where a file has labels only, those.

    Raises:
        DataError: no rubric can be made of a row's criteria, or the file has neither verdicts nor labels.
    """
    by_verdict = any(stated.has_verdict for entry in entries for stated in entry.criteria)
    if not by_verdict and not any(stated.has_label for entry in entries for stated in entry.criteria):
        raise DataError(source, "its criteria have neither a verdict nor a label")
    number_of: dict[str, int] = {}
    rubrics, verdicts, flagged = list[Rubric](), list[tuple[Verdict, ...]](), list[frozenset[str]]()
    for entry in entries:
        number_of.setdefault(entry.prompt_id, len(number_of))
        distinct = list({stated.text: stated for stated in entry.criteria}.values())
        named = [(f"c{number}", stated) for number, stated in enumerate(distinct, 1)]
        try:
            criteria = (
                Criterion(id, stated.text, stated.weight, stated.kind or "principle") for id, stated in named
            )
            rubrics.append(Rubric(tuple(criteria)))
        except ValueError as problem:
            raise DataError(source, f"{entry.place}: {problem}", field="criteria") from None
        verdicts.append(tuple(_verdict(stated, by_verdict) for stated in distinct))
        flagged.append(frozenset(id for id, stated in named if stated.veto))
    scores = [score(rubric, said, floor) for rubric, said in zip(rubrics, verdicts, strict=True)]
    observed, n_items = _observed(rubrics, verdicts)
    return GradedPool(
        entries=entries,
        rubrics=rubrics,
        verdicts=verdicts,
        flagged=flagged,
        prompt_ids=list(number_of),
        prompt=np.array([number_of[entry.prompt_id] for entry in entries], dtype=np.intp),
        gold=np.array([np.nan if entry.gold is None else entry.gold for entry in entries], dtype=float),
        has_score=np.array([value is not None for value in scores], dtype=bool),
        observed=observed,
        n_items=n_items,
        floor=floor,
        has_probabilities=any(
            stated.probability is not None for entry in entries for stated in entry.criteria
        ),
    )


def _verdict(stated: Stated, by_verdict: bool) -> Verdict:
    said = stated.verdict if by_verdict else stated.label
    if said is None:
        return unjudged(stated.reason or "the file says null", by=stated.by)
    return Verdict("met" if said else "unmet", by=stated.by, probability=stated.probability)


def _observed(rubrics: Sequence[Rubric], verdicts: Sequence[tuple[Verdict, ...]]) -> tuple[Observations, int]:
    items: dict[str, int] = {}
    columns: list[list[float]] = [[] for _ in range(7)]
    kinds = list[str]()
    for place, (rubric, said) in enumerate(zip(rubrics, verdicts, strict=True)):
        last = max(1, len(rubric.criteria) - 1)
        for position, (criterion, verdict) in enumerate(zip(rubric.criteria, said, strict=True)):
            item = items.setdefault(criterion.text, len(items))
            if not verdict.is_judged:
                continue
            is_good, chance = (verdict.outcome == "met") == (criterion.weight > 0), probability_of(verdict)
            row = (
                place,
                item,
                float(is_good),
                chance if criterion.weight > 0 else 1 - chance,
                abs(criterion.weight),
                position / last,
                0.0,
            )
            for column, value in zip(columns, row, strict=True):
                column.append(value)
            kinds.append(criterion.kind)
    decidable = np.array([is_decidable(text) for text in items], dtype=float)
    responses, places, good, chances, weights, positions, _ = (np.array(column) for column in columns)
    item_of = places.astype(np.intp)
    return Observations(
        response=responses.astype(np.intp),
        item=item_of,
        good=good.astype(float),
        probability=chances.astype(float),
        weight=weights.astype(float),
        kind=kinds,
        position=positions.astype(float),
        decidable=decidable[item_of] if len(item_of) else np.zeros(0),
    ), len(items)
