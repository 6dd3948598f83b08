"""A scored pool -> what each of its rewards is worth, beside random, longer is better, and the gold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rubricate.domain.intervals import Estimate
from rubricate.errors import DataError
from rubricate.evaluation.audit.measures import accuracy, choice, frontier, gold_law, length
from rubricate.evaluation.audit.measures.choice import BestOf, Source
from rubricate.evaluation.audit.measures.counting import Layout, booked
from rubricate.evaluation.audit.measures.frontier import KLS, Path
from rubricate.evaluation.audit.measures.gold_law import GoldLaw
from rubricate.evaluation.audit.measures.measure import Measure, estimated
from rubricate.evaluation.scored import Floats, ScoredPool
from rubricate.theory.pools import pools_of

Kind = Literal["proxy", "baseline"]
RANDOM, LONGER, GOLD = "random", "longer", "gold"


@dataclass(frozen=True, eq=False)
class RewardAudit:
    """All that was measured of one reward."""

    name: str
    kind: Kind
    estimates: dict[str, Estimate | None]
    """By metric; None where the data allow none (no pair, no text, beyond the end of the path)."""
    measures: dict[str, Measure]
    """What the metrics that are ratios over prompts were made of, for paired comparison."""
    path: Path
    ranks: Path
    best_of: list[BestOf]
    sources: list[Source]


@dataclass(frozen=True, eq=False)
class Audit:
    """A pool and its rewards, audited: proxies first, in the order of the file, then the baselines."""

    n_prompts: int
    """Prompts that take part: with two responses or more that have gold."""
    n_responses: int
    n_pairs: int
    """Pairs of responses to one prompt with different gold."""
    sizes: tuple[int, int, int]
    """Smallest, median and largest number of responses of a prompt."""
    notes: tuple[str, ...]
    gold: GoldLaw
    gold_name: str
    rewards: tuple[RewardAudit, ...]

    @property
    def proxies(self) -> tuple[RewardAudit, ...]:
        return tuple(reward for reward in self.rewards if reward.kind == "proxy")

    def reward(self, name: str) -> RewardAudit | None:
        """The reward of a name, a proxy before a baseline; None where there is none."""
        return next((reward for reward in self.rewards if reward.name == name), None)


def audit(
    pool: ScoredPool,
    *,
    shares: Iterable[float] = (),
    kls: Iterable[float] = (),
    origin: str = "the pool",
) -> Audit:
    """Audits every proxy of a pool and the three baselines.

    `shares` in (0, 1] and `kls` in nats are measured besides the usual ones. Responses without gold take no
    part, nor do prompts with fewer than two responses that have it; both are counted in `notes`. Depends
    neither on the order of rows or prompts (but for rounding) nor on names. Cost: about 3 s for each proxy of
    a million responses.

    Raises:
        DataError: there is no gold, no prompt with two responses, or no pair with different gold; `origin`
            stands for the file in its message.
    """
    part, notes = _taking_part(pool, origin)
    layout = Layout(part.sizes)
    levels = pools_of(part.n_responses, part.sizes, part.weights).levels(part.gold)
    setting = _Setting(
        part,
        layout,
        1 - levels.up_to,
        tuple(sorted({*accuracy.SHARES, *shares})),
        tuple(sorted({*KLS, *kls})),
    )
    rewards = [_of_proxy(setting, name, "proxy", scores) for name, scores in part.proxies.items()]
    gold = _of_proxy(setting, GOLD, "baseline", part.gold)
    rewards.append(_of_random(setting, gold))
    if np.any(part.lengths > 0):
        rewards.append(_of_proxy(setting, LONGER, "baseline", part.lengths))
    else:
        notes.append("no response text: nothing is said of length")
    rewards.append(gold)
    notes += [note for name, scores in part.proxies.items() for note in _said_of(layout, name, scores)]
    return Audit(
        n_prompts=part.n_prompts,
        n_responses=part.n_responses,
        n_pairs=int(gold.measures["pair_accuracy"].below.sum()),
        sizes=(int(part.sizes.min()), int(np.median(part.sizes)), int(part.sizes.max())),
        notes=tuple(notes),
        gold=gold_law.gold_law(layout, part.gold, gold.path, gold.ranks, setting.better),
        gold_name=part.gold_name,
        rewards=tuple(rewards),
    )


@dataclass(frozen=True, eq=False)
class _Setting:
    """What all rewards of one audit share."""

    pool: ScoredPool
    layout: Layout
    better: Floats
    """Base mass of the responses with more gold, shape (N,)."""
    shares: tuple[float, ...]
    kls: tuple[float, ...]


def _taking_part(pool: ScoredPool, origin: str) -> tuple[ScoredPool, list[str]]:
    """The responses that can be compared, and what was left out."""
    notes, known = list(pool.notes), ~np.isnan(pool.gold)
    if not pool.n_responses:
        raise DataError(origin, "no responses")
    if not known.any():
        raise DataError(
            origin, "empty in every row: an audit needs gold scores or preferences", field=pool.gold_name
        )
    n_known = np.add.reduceat(known, pool.starts, dtype=np.int64)
    if not known.all():
        partly = int(np.sum((n_known > 0) & (n_known < pool.sizes)))
        notes.append(
            f"gold is missing for {int((~known).sum()):,} of {pool.n_responses:,} responses, left out here "
            f"({int(np.sum(n_known == 0)):,} prompts have none, {partly:,} have it for some)"
        )
    lone = int(np.sum(n_known == 1))
    if n_known.max() < 2:
        raise DataError(
            origin,
            f"each of the {pool.n_prompts:,} prompts has one response with gold: nothing to compare; "
            "rows of one prompt must have the same text or id in the prompt column (--prompt)",
        )
    if lone:
        notes.append(
            f"{lone:,} prompts have one response with gold, nothing to compare it with, and take no part"
        )
    part = pool.only(known & np.repeat(n_known >= 2, pool.sizes))
    highest = np.maximum.reduceat(part.gold, part.starts)
    level = int(np.sum(highest == np.minimum.reduceat(part.gold, part.starts)))
    if level == part.n_prompts:
        raise DataError(
            origin,
            "all responses of each prompt have the same gold: there is nothing to rank",
            field=pool.gold_name,
        )
    if level:
        notes.append(f"{level:,} prompts have the same gold throughout: no pair of theirs can be ranked")
    return part, notes


def _said_of(layout: Layout, name: str, scores: Floats) -> list[str]:
    judged = ~np.isnan(scores)
    if not judged.any():
        return [f"{name} judged no response"]
    part = layout.kept(judged)
    starts = part.starts
    is_level = np.maximum.reduceat(scores[judged], starts) == np.minimum.reduceat(scores[judged], starts)
    if is_level.all():
        return [f"{name} gives all responses of each prompt the same score: it ranks nothing"]
    return []


def _of_proxy(setting: _Setting, name: str, kind: Kind, proxy: Floats) -> RewardAudit:
    pool, layout = setting.pool, setting.layout
    pairs = booked(layout, pool.gold, proxy)
    measures = accuracy.pair_measures(layout, pairs)
    measures |= accuracy.tail_measures(layout, pairs, setting.better, setting.shares)
    measures |= accuracy.band_measures(layout, pool.gold, proxy, setting.better)
    measures |= accuracy.tie_measures(layout, proxy, setting.better)
    measures["kendall_tau"] = accuracy.kendall_tau(layout, pool.gold, proxy, pairs)
    measures["length_correlation"] = length.length_correlation(layout, proxy, pool.lengths)
    measures |= length.length_matched(layout, pool.gold, proxy, pool.lengths)
    ranks = frontier.path_of(layout, pool.gold, proxy, pool.weights, ranks=True)
    path = (
        ranks
        if name == LONGER and kind == "baseline"
        else frontier.path_of(layout, pool.gold, proxy, pool.weights, ranks=False)
    )
    measures |= frontier.plateau(layout, proxy, pool.weights, path)
    judged = layout.total(~np.isnan(proxy))
    measures["unjudged"] = Measure(layout.sizes - judged, layout.sizes.astype(float))
    chance = choice.chances(layout, proxy, pool.weights)
    best_of = choice.best_of_n(layout, pool.gold, proxy)
    return _assembled(setting, name, kind, measures, path, ranks, chance, best_of)


def _of_random(setting: _Setting, gold: RewardAudit) -> RewardAudit:
    """What scores drawn by chance, without ties, would show in the mean: no draw of ours stands in the way.

    Pairs, and the path of an untied reward, are those of the gold.
    """
    pool, layout = setting.pool, setting.layout
    measures, nothing = dict[str, Measure](), np.zeros(len(layout.sizes))
    for name, measure in gold.measures.items():
        if "accuracy" in name:
            pairs = gold.measures[name.replace("_decided", "")].below
            measures[name] = Measure(pairs / 2, pairs)
        elif "ties" in name or "tie_share" in name or "unjudged" in name or name == "length_correlation":
            measures[name] = Measure(nothing, measure.below)
    measures["kendall_tau"] = Measure(nothing, gold.measures["kendall_tau"].below)
    pools = pools_of(pool.n_responses, layout.sizes, pool.weights)
    mean = pools.total(pools.base * pool.gold)[:, None]
    flat = Path(np.full_like(gold.ranks.kl, 0.5), np.broadcast_to(mean, gold.ranks.kl.shape), gold.ranks.kl)
    measures["plateau_win_rate"] = Measure.mean(flat.win_rate[:, -1])
    measures["plateau_kl"] = gold.measures["plateau_kl"]
    measures["plateau_ceiling"] = gold.measures["plateau_ceiling"]
    best_of = choice.by_chance(layout, pool.gold)
    return _assembled(setting, RANDOM, "baseline", measures, flat, flat, pools.base, best_of)


def _assembled(
    setting: _Setting,
    name: str,
    kind: Kind,
    measures: dict[str, Measure],
    path: Path,
    ranks: Path,
    chance: Floats,
    best_of: list[BestOf],
) -> RewardAudit:
    pool, layout = setting.pool, setting.layout
    measures = measures | choice.regret(layout, pool.gold, chance, pool.weights)
    for best in best_of:
        measures[f"best_of_gold@{best.n}"] = best.gold
        measures[f"best_of_win_rate@{best.n}"] = best.win_rate
    won, order = choice.winners(layout, chance, pool.sources)
    measures |= won
    estimates = estimated(measures)
    if path.heard.any():
        estimates |= frontier.read_off(path, setting.kls)
        estimates |= frontier.peak(path)
        estimates["misranked_tail"] = frontier.misranked_tail(ranks)
    by_gold = choice.chances(layout, pool.gold, pool.weights) if order else chance
    sources = [
        Source(
            pool.source_names[place],
            float(np.mean(pool.sources == place)),
            choice.share_of(layout, chance, pool.sources, place).estimate(),
            choice.share_of(layout, by_gold, pool.sources, place).estimate(),
        )
        for place in order[: choice.SOURCES_SHOWN]
    ]
    return RewardAudit(name, kind, estimates, measures, path, ranks, best_of, sources)
