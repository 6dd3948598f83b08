"""What a reward is worth against the gold of the world: at the tail, and as a selector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import msgspec

from rubricate.domain.judgement import Verdict
from rubricate.domain.record import PromptRecord
from rubricate.domain.rubric import Rubric
from rubricate.domain.scoring import score
from rubricate.world.judging import WorldGrader
from rubricate.world.reading import read
from rubricate.world.topics import topic_of

TAIL = 0.25


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How scores order pairs of responses whose golds differ; `n_pairs` of them.

    `right`: share that the score orders as gold does, ties and missing scores counting as wrong. `ties`:
    share that it ties. `half`: as `right`, ties counting one half. In [0, 1]; None where there is no pair.
    """

    n_pairs: int
    right: float | None
    half: float | None
    ties: float | None


def gold_of(seed: int, prompt_text: str, response_text: str) -> float | None:
    """Gold reward of any text as an answer to a prompt, in [0, 1]; None for a prompt of another world."""
    topic = topic_of(seed, prompt_text)
    return None if topic is None else topic.gold(response_text)


def tail_of(golds: Sequence[float], share: float = TAIL) -> tuple[int, ...]:
    """Places of the responses in the top `share` by gold, at least two; all that tie with the last of them
    belong to it."""
    if len(golds) <= 2:
        return tuple(range(len(golds)))
    last = sorted(golds, reverse=True)[max(2, math.ceil(share * len(golds))) - 1]
    return tuple(place for place, value in enumerate(golds) if value >= last)


def order_of(golds: Sequence[float], scores: Sequence[float | None], places: Sequence[int]) -> Order:
    """How the scores order the responses at these places. Quadratic in their number."""
    n = right = ties = 0
    for one, two in combinations(places, 2):
        if golds[one] == golds[two]:
            continue
        n += 1
        first, second = scores[one], scores[two]
        if first is None or second is None:
            continue
        ties += first == second
        right += first > second if golds[one] > golds[two] else first < second
    if not n:
        return Order(0, None, None, None)
    return Order(n, right / n, (right + ties / 2) / n, ties / n)


def regret_of(golds: Sequence[float], scores: Sequence[float | None]) -> float | None:
    """Best gold of the pool less the gold of what the score puts first (the mean over its ties): what
    best-of-n loses with this score as its selector. In [0, 1]; None without any score."""
    known = [value for value in scores if value is not None]
    if not known:
        return None
    best = max(known)
    chosen = [gold for gold, value in zip(golds, scores, strict=True) if value == best]
    return max(golds) - math.fsum(chosen) / len(chosen)


def scores_under(rubric: Rubric, grader: WorldGrader, texts: Sequence[str]) -> list[float | None]:
    """Scores of texts under a rubric, as this grader of the world gives them when it is asked in a run."""
    said = {True: Verdict("met"), False: Verdict("unmet")}
    readings = [read(text) for text in texts]
    return [
        score(rubric, [said[grader.is_met(reading, criterion.text)] for criterion in rubric.criteria])
        for reading in readings
    ]


def rubric_by_round(record: PromptRecord) -> tuple[Rubric, ...]:
    """The rubric that a prompt had before any round, after round 1, ...; empty if it never had one."""
    if record.initial is None:
        return ()
    rubrics = [record.initial]
    for played in record.rounds:
        accepted = played.decision == "accepted" and played.proposed is not None
        rubrics.append(played.proposed if accepted and played.proposed is not None else rubrics[-1])
    return tuple(rubrics)
