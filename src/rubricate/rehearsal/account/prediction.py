"""What the audit says of a reward from the starting pool alone, beside what training then gave.

The prediction is the audit's frontier: the starting policy's own answers, tilted by e^{reward / beta}, give a
gold win rate for every KL (`evaluation.audit.measures.frontier`). Measured is the same win rate, against the
starting policy and on the same prompts, at the KL that the training has reached there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from rubricate.domain.intervals import Estimate, mean_of_few
from rubricate.evaluation.audit.measures.counting import Layout
from rubricate.evaluation.audit.measures.frontier import path_of
from rubricate.rehearsal.account.curves import Runs
from rubricate.rehearsal.ascent.measuring import Point
from rubricate.rehearsal.ascent.runs import Row
from rubricate.rehearsal.plan import REWARDS

KLS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)


class Course(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Win rate against the starting policy by KL in nats, one number a step, KL rising."""

    kl: tuple[float, ...]
    win_rate: tuple[float, ...]

    def at(self, kl: float) -> float | None:
        """The win rate at this KL; None beyond the end.

        Between two steps it is a straight line in the root of KL: a small tilt by lambda moves the win rate
        by lambda and KL by lambda squared, so that near the start a line in KL itself would lie too low.
        """
        if kl > self.kl[-1]:
            return None
        return float(np.interp(kl**0.5, np.sqrt(self.kl), self.win_rate))


class Agreement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One reward at one KL, over the seeds that reach it: what was said, what came, and the latter less the
    former, paired by seed."""

    reward: str
    kl: float
    predicted: Estimate
    measured: Estimate
    error: Estimate


def predicted(pool: Sequence[Row], reward: str) -> Course:
    """The frontier of a reward on a starting pool, mean over its prompts."""
    gold, proxy, sizes = _columns(pool, reward)
    kl, win_rate, _ = path_of(Layout(sizes), gold, proxy, None, ranks=False).means()
    return _course(kl, win_rate)


def measured(points: Sequence[Point]) -> Course:
    """The course of a training on the prompts that it is trained on, up to the highest KL that it reaches.

    A step whose KL is not above that of all before it is left out: training moves back and forth.
    """
    kl = np.array([np.mean(point.asked.kl) for point in points])
    win_rate = np.array([np.mean(point.asked.start_wins) for point in points])
    return _course(kl, win_rate)


def agreements(runs: Runs, pools: Mapping[int, Sequence[Row]]) -> list[Agreement]:
    """For each reward and KL the prediction and the measurement, where a seed has both."""
    found = []
    for reward in REWARDS:
        courses = [
            (predicted(pools[seed], reward), measured(points))
            for (name, seed), points in sorted(runs.items())
            if name == reward and seed in pools
        ]
        for at in KLS:
            pairs = [(said.at(at), came.at(at)) for said, came in courses]
            both = [(said, came) for said, came in pairs if said is not None and came is not None]
            estimates = [
                mean_of_few([said for said, _ in both]),
                mean_of_few([came for _, came in both]),
                mean_of_few([came - said for said, came in both]),
            ]
            if all(estimate is not None for estimate in estimates):
                names = ("predicted", "measured", "error")
                found.append(Agreement(reward=reward, kl=at, **dict(zip(names, estimates, strict=True))))  # type: ignore[arg-type]
    return found


def _columns(pool: Sequence[Row], reward: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gold, proxy (NaN where unjudged) and answers per prompt. A pool lies prompt by prompt."""
    sizes: dict[str, int] = {}
    for row in pool:
        sizes[row.prompt_id] = sizes.get(row.prompt_id, 0) + 1
    paid = [getattr(row, reward) for row in pool]
    return (
        np.array([row.gold for row in pool]),
        np.array([np.nan if value is None else value for value in paid], dtype=float),
        np.array(list(sizes.values()), dtype=np.int64),
    )


def _course(kl: np.ndarray, win_rate: np.ndarray) -> Course:
    keep, highest = list[int](), -1.0
    for place, value in enumerate(kl.tolist()):
        if value > highest:
            keep.append(place)
            highest = value
    return Course(tuple(kl[keep].tolist()), tuple(win_rate[keep].tolist()))
