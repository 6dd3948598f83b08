"""Three pictures: gold against steps, gold against KL, and training beside the audit's prediction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from rubricate.domain.intervals import Estimate
from rubricate.rehearsal.account.curves import Row, Runs
from rubricate.rehearsal.account.prediction import Course, measured, predicted
from rubricate.rehearsal.ascent.runs import Row as PoolRow
from rubricate.rehearsal.plan import REWARDS
from rubricate.report.lines import Axis, Chart, Curve

LOOKS = {
    "gold": ("gold", "ink", ""),
    "bt": ("BT, off-policy", "orange", ""),
    "initial": ("prompt only", "brown", "7 4"),
    "refined": ("refined", "blue", ""),
}
_N_AT = 40


def charts_of(rows: Sequence[Row], runs: Runs, pools: Mapping[int, Sequence[PoolRow]]) -> dict[str, Chart]:
    """The charts by the name of their file; without rows there is none."""
    if not rows:
        return {}
    charts = {
        "over-optimisation": _steps(rows),
        "over-optimisation-kl": _kls(rows),
        "over-optimisation-predicted": _predicted(runs, pools),
    }
    return {name: chart for name, chart in charts.items() if chart.curves}


def _steps(rows: Sequence[Row]) -> Chart:
    curves = [
        _curve(reward, [row.step for row in chosen], [row.great_wins for row in chosen])
        for reward, chosen in _by_reward(rows)
    ]
    last = max(row.step for row in rows)
    x = Axis("steps of GRPO", 0, last, _marks(last))
    return Chart("Gold win rate against great models, by steps", x, _wins(rows), curves)


def _kls(rows: Sequence[Row]) -> Chart:
    curves = [
        _curve(reward, [row.kl.value for row in chosen], [row.great_wins for row in chosen])
        for reward, chosen in _by_reward(rows)
    ]
    ends = sorted(chosen[-1].kl.value for _, chosen in _by_reward(rows))
    far = min(ends[-1], 1.5 * ends[len(ends) // 2]) or 1.0  # one that runs away leaves room for the others
    beyond = f"; the longest curve goes on to {ends[-1]:.0f}" if ends[-1] > far else ""
    x = Axis(f"measured KL from the starting policy, nats{beyond}", 0, far, _marks(far))
    return Chart("The same by measured KL", x, _wins(rows), curves)


def _predicted(runs: Runs, pools: Mapping[int, Sequence[PoolRow]]) -> Chart:
    curves = list[Curve]()
    far, lowest = 0.0, 0.5
    for reward in REWARDS:
        seeds = [seed for name, seed in sorted(runs) if name == reward and seed in pools]
        if not seeds:
            continue
        name, colour, _ = LOOKS[reward]
        said = _mean_of([predicted(pools[seed], reward) for seed in seeds])
        came = _mean_of([measured(runs[reward, seed]) for seed in seeds])
        for course, label, dashes in ((said, f"{name}, said", "2 5"), (came, name, "")):
            keep = [place for place, kl in enumerate(course.kl) if kl <= said.kl[-1] + 1e-9]
            if len(keep) > 1:
                xs, ys = [course.kl[at] for at in keep], [course.win_rate[at] for at in keep]
                far, lowest = max(far, xs[-1]), min(lowest, *ys)
                curves.append(Curve(label, xs, ys, colour, dashes))
    low = math.floor(10 * lowest) / 10
    x = Axis("KL from the starting policy, nats", 0, far or 1.0, _marks(far or 1.0))
    y = Axis("gold win rate against the start", low, 1.0, _tenths(low, 1.0))
    return Chart("What the audit said (dotted), and what training gave", x, y, curves)


def _mean_of(courses: Sequence[Course]) -> Course:
    """The mean course over seeds, as far as all of them go."""
    end = min(course.kl[-1] for course in courses)
    at = end * np.linspace(0, 1, _N_AT) ** 2  # close together at the steep beginning
    wins = np.mean([[course.at(kl) or 0.5 for kl in at] for course in courses], axis=0)
    return Course(tuple(at.tolist()), tuple(wins.tolist()))


def _by_reward(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    found = [(reward, [row for row in rows if row.reward == reward]) for reward in REWARDS]
    return [(reward, chosen) for reward, chosen in found if chosen]


def _curve(reward: str, xs: Sequence[float], estimates: Sequence[Estimate]) -> Curve:
    name, colour, dashes = LOOKS[reward]
    bars = [
        (x, max(0.0, e.low), min(1.0, e.high))
        for x, e in zip(xs, estimates, strict=True)
        if e.low is not None and e.high is not None
    ]
    return Curve(name, xs, [e.value for e in estimates], colour, dashes, bars=bars)


def _wins(rows: Sequence[Row]) -> Axis:
    values = [row.great_wins.value for row in rows]
    low, high = math.floor(10 * min(values)) / 10, min(1.0, math.ceil(10 * max(values) + 0.5) / 10)
    return Axis("gold win rate against great models", low, high, _tenths(low, high))


def _tenths(low: float, high: float) -> list[float]:
    return [tenth / 10 for tenth in range(round(10 * low), round(10 * high) + 1)]


def _marks(end: float) -> list[float]:
    """Four to eight round numbers from 0 to the end."""
    power = 10.0 ** math.floor(math.log10(end))
    step = next(part * power for part in (0.1, 0.2, 0.25, 0.5, 1, 2) if end / (part * power) <= 8)
    return [round(step * number, 6) for number in range(int(end / step + 1e-9) + 1)]
