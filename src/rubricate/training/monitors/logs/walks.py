"""A training that was resumed has walked some steps twice: of each figure the later walk counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rubricate.training.monitors.series.points import Point, Reading


class Walked(NamedTuple):
    """One point for each step, in order of steps; the steps that were walked twice; and those that a later
    walk took back and has not come to again."""

    points: list[Point]
    repeated: list[int]
    taken_back: list[int]


def walked(points: Sequence[Point], *, is_timed: bool = True) -> Walked:
    """The points of one log.

    `is_timed`: they stand in the order of time, and a figure that goes back to an earlier step takes back
    what it said of later ones. Each figure walks for itself: gold may come late. O(n log n).
    """
    walks: dict[tuple[str, bool], list[tuple[int, float | Reading]]] = {}
    repeated, taken_back = set[int](), set[int]()
    for point in points if is_timed else sorted(points, key=lambda each: each.step):
        said: dict[tuple[str, bool], float | Reading] = {}
        said |= {(name, False): value for name, value in point.figures.items()}
        said |= {(name, True): value for name, value in point.readings.items()}
        for key, value in said.items():
            walk = walks.setdefault(key, [])
            while walk and walk[-1][0] > point.step:
                taken_back.add(walk.pop()[0])
            if walk and walk[-1][0] == point.step:
                if walk[-1][1] != value:
                    repeated.add(point.step)
                walk.pop()
            walk.append((point.step, value))
    found: dict[int, tuple[dict[str, float], dict[str, Reading]]] = {}
    for (name, _), walk in walks.items():
        for step, value in walk:
            figures, held_out = found.setdefault(step, ({}, {}))
            if isinstance(value, Reading):
                held_out[name] = value
            else:
                figures[name] = value
    return Walked(
        [Point(step, *found[step]) for step in sorted(found)],
        sorted(repeated | {step for step in taken_back if step in found}),
        sorted(step for step in taken_back if step not in found),
    )
