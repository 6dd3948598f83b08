"""Three pictures of an audit: accuracy towards the tail, gold against KL, best-of-n."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rubricate.evaluation.audit.auditing import Audit, RewardAudit
from rubricate.evaluation.audit.measures.accuracy import SHARES, percent
from rubricate.report import words
from rubricate.report.lines import Axis, Chart, Curve

_NAMES = {"random": "random", "longer": "longer is better", "gold": "gold itself"}
_LOOKS = {"random": ("grey", "2 5"), "longer": ("grey", "8 4"), "gold": ("ink", "")}
_COLOURS = (("orange", ""), ("blue", ""), ("brown", "7 4"), ("sky", "7 4"))
_POINTS = 120


def charts_of(audit: Audit) -> dict[str, Chart]:
    """The charts by the name of their file; one that has no point to draw is left out."""
    charts = {
        "tail-accuracy": tail_chart(audit),
        "frontier": frontier_chart(audit),
        "best-of-n": best_of_chart(audit),
    }
    return {name: chart for name, chart in charts.items() if chart is not None}


def tail_chart(audit: Audit) -> Chart | None:
    """Pair accuracy, ties wrong, from all responses down to the best tenth, with intervals for proxies."""
    curves = list[Curve]()
    for reward in (reward for reward in audit.rewards if reward.name != "gold" or reward.kind == "proxy"):
        found = [(100 * share, reward.estimates.get(f"tail_accuracy@{percent(share)}")) for share in SHARES]
        points = [(110 - at, estimate) for at, estimate in reversed(found) if estimate is not None]
        if points:
            bars = [
                (x, e.low, e.high) for x, e in points if e.low is not None and e.high is not None
            ] if reward.kind == "proxy" else []  # fmt: skip
            xs, ys = [x for x, _ in points], [estimate.value for _, estimate in points]
            curves.append(_curve(audit, reward, xs, ys, bars))
    lowest = min((min(curve.y) for curve in curves), default=1.0)
    bottom = max(0.0, math.floor(10 * min(lowest, 0.45)) / 10)
    x = Axis("both responses are in the top ... of their prompt, by gold", 10, 100, _MARKS, _LABELS)
    y = Axis("the better one scores higher", bottom, 1.0, _tenths(bottom, 1.0))
    title = "Can it tell great from good? Right pairs, towards the top"
    return Chart(title, x, y, curves[::-1]) if curves else None


_MARKS = (10, 35, 60, 85, 100)
_LABELS = ("100%", "75%", "50%", "25%", "10%")


def frontier_chart(audit: Audit) -> Chart | None:
    """Gold win rate against KL, if one trained on each reward: where it ends, and whether it turns."""
    curves, far, bottom = list[Curve](), 0.0, 0.5
    for reward in audit.rewards:
        if not reward.path.heard.any():
            continue
        kl, win_rate, _ = reward.path.means()
        keep = [0, *(at for at in range(1, len(kl)) if kl[at] > kl[at - 1] + 1e-6)]
        if len(keep) > 1:
            far, bottom = max(far, float(kl[-1])), min(bottom, float(win_rate.min()))
            curves.append(_curve(audit, reward, kl[keep].tolist(), win_rate[keep].tolist(), []))
    if not curves:
        return None
    end = math.ceil(2 * far) / 2
    bottom = math.floor(10 * bottom) / 10
    x = Axis("KL from the base policy, nats", 0, end, [step / 2 for step in range(int(2 * end) + 1)])
    y = Axis("gold win rate against the base policy", bottom, 1.0, _tenths(bottom, 1.0))
    return Chart("What would training on it give?", x, y, curves[::-1])


def best_of_chart(audit: Audit) -> Chart | None:
    """The win rate of best-of-n against a draw by chance, with intervals for proxies."""
    curves, most, bottom = list[Curve](), 1, 0.5
    for reward in audit.rewards:
        points = [(best.n, best.win_rate.estimate()) for best in reward.best_of]
        known = [(math.log2(n), found) for n, found in points if found is not None]
        if len(known) > 1:
            most = max(most, *(best.n for best in reward.best_of))
            xs, ys = [x for x, _ in known], [found.value for _, found in known]
            bottom = min(bottom, *ys)
            bars = [
                (x, e.low, e.high) for x, e in known if e.low is not None and e.high is not None
            ] if reward.kind == "proxy" else []  # fmt: skip
            curves.append(_curve(audit, reward, xs, ys, bars))
    if not curves:
        return None
    end, bottom = int(math.log2(most)), math.floor(10 * bottom) / 10
    x = Axis(
        "n: responses it chooses from", 0, end, range(end + 1), [str(2**step) for step in range(end + 1)]
    )
    y = Axis("gold win rate of its choice", bottom, 1.0, _tenths(bottom, 1.0))
    return Chart("What does choosing with it give?", x, y, curves[::-1])


def _curve(
    audit: Audit,
    reward: RewardAudit,
    xs: Sequence[float],
    ys: Sequence[float],
    bars: Sequence[tuple[float, float, float]],
) -> Curve:
    if reward.kind == "baseline":
        colour, dashes = _LOOKS[reward.name]
        return Curve(_NAMES[reward.name], xs, ys, colour, dashes)
    colour, dashes = _COLOURS[audit.proxies.index(reward) % len(_COLOURS)]
    return Curve(words.one_line(reward.name, 15), xs, ys, colour, dashes, bars=bars)


def _tenths(low: float, high: float) -> list[float]:
    first, last = round(10 * low), round(10 * high)
    return [tenth / 10 for tenth in range(first, last + 1, 1 if last - first < 7 else 2)]
