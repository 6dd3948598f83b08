"""What RL on a reward would give, without training: gold against KL as the pool is tilted ever further.

The policy at penalty beta is the base policy times e^{proxy / beta} on each prompt's own responses. One beta
holds for all prompts, and every quantity is the mean over prompts (Proposition 1 of "Chasing the Tail",
arXiv 2509.21500). The path runs from the base policy (KL 0) to the proxy's best responses (beta 0), where it
ends: a pool of m responses knows no KL above log m, and ties of the proxy end it earlier.

The path of a reward depends on its values, up to a factor and a shift; its rank path, on which the proxy is
taken in quantiles of its own, depends on its order alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rubricate.domain.intervals import Estimate
from rubricate.evaluation.audit.measures.counting import Layout
from rubricate.evaluation.audit.measures.measure import Measure, between, draws
from rubricate.evaluation.scored import Floats, Mask
from rubricate.theory.pools import pools_of
from rubricate.theory.tail import tail_share
from rubricate.theory.tilt import Outcome, tilted

KLS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Where the path is read off, in nats; those beyond its end are left out."""

_STRENGTHS = np.geomspace(0.05, 2000, 20)
_FINER = 8
_FALL = 1e-9


@dataclass(frozen=True, eq=False)
class Path:
    """The way of one reward, prompt by prompt (P) and step by step (S), from the base policy to its best."""

    win_rate: Floats
    """Chance to beat a base draw of the same prompt, ties one half, shape (P, S); NaN for a silent prompt."""
    gold: Floats
    """Expected gold score, shape (P, S)."""
    kl: Floats
    """In nats, shape (P, S), rising along the path."""

    @property
    def heard(self) -> Mask:
        """Which prompts have a judged response, shape (P,)."""
        return ~np.isnan(self.kl[:, 0])

    def means(self, weights: Floats | None = None) -> tuple[Floats, Floats, Floats]:
        """Mean KL, win rate and gold over the prompts heard: each (S,), or (R, S) for weights (R, P)."""
        heard, curves = self.heard, (self.kl, self.win_rate, self.gold)
        if not heard.all():
            curves = (self.kl[heard], self.win_rate[heard], self.gold[heard])
        if weights is None:
            kl, win_rate, gold = (values.mean(axis=0) for values in curves)
            return kl, win_rate, gold
        drawn = weights if heard.all() else weights[:, heard]
        total = drawn.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):  # a resample without a single prompt that is heard
            kl, win_rate, gold = (drawn @ values / total for values in curves)
        return kl, win_rate, gold

    @cached_property
    def drawn(self) -> tuple[Floats, Floats, Floats]:
        """The means of each resample of the prompts (`measure.draws`), shape (R, S) each."""
        return self.means(draws(len(self.kl)))


def path_of(layout: Layout, gold: Floats, proxy: Floats, weights: Floats | None, *, ranks: bool) -> Path:
    """The path of a proxy, NaN where unjudged; `ranks` takes it in its own quantiles within each prompt.

    Unjudged responses leave the pool of their prompt, whose base weights are scaled anew. 22 steps, then
    eight between the neighbours of the highest win rate and of the highest gold. Exact at each step.
    Cost: O(N) for each step; memory O(P) for each.
    """
    judged = ~np.isnan(proxy)
    heard = np.unique(layout.segment_of[judged])
    if not len(heard):
        empty = np.full((len(layout.sizes), 1), np.nan)
        return Path(empty, empty, empty)
    part, scores, rewards = layout.kept(judged), proxy[judged], gold[judged]
    base = None if weights is None else weights[judged]
    pools = pools_of(len(scores), part.sizes, base)
    if ranks:
        scores = pools.quantiles(scores)
    gaps = -pools.total(pools.base * pools.below_best(scores))
    scale = float(gaps.mean()) or 1.0

    def tilt(betas: Floats) -> Outcome:
        return tilted(rewards, scores, betas, sizes=part.sizes, base=base)

    coarse = np.concatenate([[np.inf], scale / _STRENGTHS, [0.0]])
    outcome = tilt(coarse)
    finer = _around(coarse, outcome)
    if len(finer):
        betas, both = np.concatenate([coarse, finer]), zip(outcome, tilt(finer), strict=True)
        order = np.argsort(-betas, kind="stable")
        outcome = Outcome(*(np.concatenate(pair, axis=1)[:, order] for pair in both))

    def whole(values: Floats) -> Floats:
        result = np.full((len(layout.sizes), values.shape[1]), np.nan)
        result[heard] = values
        return result

    return Path(whole(outcome.win_rate), whole(outcome.gold), whole(outcome.kl))


def _around(betas: Floats, outcome: Outcome) -> Floats:
    """Further betas beside the highest win rate and the highest gold, if they are not at an end."""
    found = list[float]()
    for values in (outcome.win_rate, outcome.gold):
        top = int(np.argmax(values.mean(axis=0)))
        if 1 < top < len(betas) - 2:
            found += np.geomspace(betas[top - 1], betas[top + 1], _FINER + 2)[1:-1].tolist()
    return np.unique(np.array([beta for beta in found if beta not in betas]))


def read_off(path: Path, kls: tuple[float, ...] = KLS) -> dict[str, Estimate | None]:
    """`win_rate@KL` and `gold_reward@KL` at each KL in nats, between two steps by a straight line.

    None beyond the end of the path: no penalty, however weak, takes the policy there.
    """
    value, n = _along([mean[None] for mean in path.means()], kls), int(path.heard.sum())
    return _estimates(value, _along(path.drawn, kls), n, kls)


def peak(path: Path) -> dict[str, Estimate | None]:
    """Where the path is highest: `peak_win_rate` at `peak_kl`, `peak_gold` at `turn_kl`; and `fall`.

    `turn_kl` is the KL at which gold reward turns: from there on RL raises the proxy and lowers the gold. It
    is None where gold rises to the end. `fall` is the win rate lost from the peak to the end, 0 for none.
    """
    (kl, win_rate, gold), n = path.means(), int(path.heard.sum())
    kls, win_rates, golds = path.drawn
    top, highest = int(np.argmax(win_rate)), int(np.argmax(gold))
    turns = gold[highest] > gold[-1] + _FALL * max(1.0, abs(gold[highest]))
    return {
        "peak_win_rate": between(float(win_rate[top]), n, win_rates.max(axis=1)),
        "peak_kl": between(float(kl[top]), n, _at(kls, win_rates)),
        "peak_gold": between(float(gold[highest]), n, golds.max(axis=1)),
        "turn_kl": between(float(kl[highest]), n, _at(kls, golds)) if turns else None,
        "fall": between(float(win_rate[top] - win_rate[-1]), n, win_rates.max(axis=1) - win_rates[:, -1]),
    }


def misranked_tail(ranks: Path) -> Estimate | None:
    """`misranked_tail`: the share of the tail that is reversed, as the peak of a rank path tells it.

    `tail.tail_share` of the KL at which the win rate of the rank path peaks; 0 where it rises to the end,
    which says no more than that nothing above about 1/m is reversed in pools of m. Reversal only: ties and
    noise make a plateau and no peak. Read it as a scale for comparing rewards on one pool.

    Source: derived from Theorem 1; see `tail.tail_share` for what it is not.
    """
    (kl, win_rate, _), n = ranks.means(), int(ranks.heard.sum())
    kls, win_rates, _ = ranks.drawn
    return between(float(_share(kl[None], win_rate[None])[0]), n, _share(kls, win_rates))


def plateau(layout: Layout, proxy: Floats, weights: Floats | None, path: Path) -> dict[str, Measure]:
    """The end of the path, at no penalty at all: `plateau_win_rate`, `plateau_kl`, `plateau_ceiling`.

    `plateau_kl` is the KL of the policy that has only the proxy's best responses: the mean of -log of their
    base mass. `plateau_ceiling` is the win rate that ties allow there: 1 - c/2 with c the base mass of the
    proxy's best, which a proxy would have whose tied best are the best in gold. Means over prompts.

    Source: ours, `tail.tie_plateau`, prompt by prompt.
    """
    ceiling = np.full(len(layout.sizes), np.nan)
    judged = ~np.isnan(proxy)
    if judged.any():
        part = layout.kept(judged)
        pools = pools_of(int(part.sizes.sum()), part.sizes, None if weights is None else weights[judged])
        best = pools.total(pools.base * (pools.below_best(proxy[judged]) == 0))
        ceiling[path.heard] = 1 - best / 2
    return {
        "plateau_win_rate": Measure.mean(path.win_rate[:, -1]),
        "plateau_kl": Measure.mean(path.kl[:, -1]),
        "plateau_ceiling": Measure.mean(ceiling),
    }


def paths_apart(one: Path, other: Path, kls: tuple[float, ...] = KLS) -> dict[str, Estimate | None]:
    """What one path has more than another at each KL, on the prompts that both hear, paired."""
    both = one.heard & other.heard
    sides = [_where(path, both) for path in (one, other)]
    if not both.any():
        return {f"{name}@{kl:g}": None for name in ("win_rate", "gold_reward") for kl in kls}
    value, less = (_along([mean[None] for mean in side.means()], kls) for side in sides)
    drawn, drawn_less = (_along(side.drawn, kls) for side in sides)
    return _estimates(value - less, drawn - drawn_less, int(both.sum()), kls)


def _where(path: Path, heard: Mask) -> Path:
    if np.array_equal(heard, path.heard):
        return path
    return Path(*(np.where(heard[:, None], values, np.nan) for values in (path.win_rate, path.gold, path.kl)))


def _along(curves: Sequence[Floats], kls: tuple[float, ...]) -> Floats:
    """Win rate and gold at each KL for each row of KL, win rate and gold: (2, R, K), NaN beyond the end."""
    kl, *others = curves
    result = np.full((2, len(kl), len(kls)), np.nan)
    for row, steps in enumerate(kl):
        for place, values in enumerate(others):
            if not np.isnan(steps[0]):
                result[place, row] = np.interp(kls, steps, values[row], right=np.nan)
    return result


def _estimates(values: Floats, drawn: Floats, n: int, kls: tuple[float, ...]) -> dict[str, Estimate | None]:
    result = dict[str, Estimate | None]()
    for place, name in enumerate(("win_rate", "gold_reward")):
        for at, kl in enumerate(kls):
            value = float(values[place, 0, at])
            result[f"{name}@{kl:g}"] = None if np.isnan(value) else between(value, n, drawn[place, :, at])
    return result


def _at(kls: Floats, values: Floats) -> Floats:
    at: Floats = kls[np.arange(len(kls)), np.argmax(values, axis=1)]
    return at


def _share(kls: Floats, win_rates: Floats) -> Floats:
    peaks = _at(kls, win_rates)
    falls = win_rates.max(axis=1) > win_rates[:, -1] + _FALL
    shares = np.where(np.isnan(peaks), np.nan, 0.0)
    turned = falls & (peaks > 1e-6)
    shares[turned] = tail_share(peaks[turned])
    shares[falls & (peaks <= 1e-6)] = 1.0  # it falls from the start
    return shares
