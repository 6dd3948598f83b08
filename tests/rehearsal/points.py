"""Points of trainings that never were."""

from __future__ import annotations

from collections.abc import Sequence

from rubricate.rehearsal.ascent.measuring import Point, View


def view(wins: Sequence[float], kl: float) -> View:
    """A view on prompts with these win rates against both, one KL, and gold that is half the win rate."""
    n = len(wins)
    return View(tuple(win / 2 for win in wins), tuple(wins), tuple(wins), (kl,) * n, (40.0,) * n, (6.0,) * n)


def training(
    curve: Sequence[Sequence[float]], *, reward: str = "initial", seed: int = 0, stride: int = 10
) -> list[Point]:
    """A training measured every `stride` steps; `curve` has the win rates of its prompts at each. KL rises by
    one nat from point to point."""
    return [
        Point(
            reward=reward,
            seed=seed,
            step=stride * number,
            held_out=view(wins, float(number)),
            asked=view(wins, float(number)),
            pay=(0.5,),
            ties=0.25,
            flat=0.0,
        )
        for number, wins in enumerate(curve)
    ]
