"""Weights for dialects that know whole numbers only."""

from __future__ import annotations

from rubricate.dialects.seam import Loss
from rubricate.domain.rubric import Rubric

_MOST = 100
_EXACT = 2**53


def whole(rubric: Rubric, most: int | None) -> tuple[list[int], list[Loss]]:
    """Whole weights in the order of the criteria, their size at most `most`, and what was lost.

    Weights that are whole and small enough stay. Else all are scaled so that the largest is `most` (100
    without one), and rounded, never to 0: scores then differ by the rounding, as the losses say.
    """
    weights = [criterion.weight for criterion in rubric.criteria]
    largest = max(map(abs, weights))
    if all(weight.is_integer() for weight in weights) and largest <= (most or _EXACT):
        return [int(weight) for weight in weights], []
    scaled, losses = list[int](), list[Loss]()
    for criterion in rubric.criteria:
        points = max(1, round(abs(criterion.weight) / largest * (most or _MOST)))
        scaled.append(points if criterion.weight > 0 else -points)
        losses.append(Loss("weights are scaled and rounded to whole numbers", criterion.id))
    return scaled, losses
