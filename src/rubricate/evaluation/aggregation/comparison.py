"""Every rule on the same verdicts through the audit: which is best at the tail, and is that beyond chance?"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from rubricate.domain.intervals import Estimate
from rubricate.errors import DataError, SettingsError
from rubricate.evaluation.aggregation.graded import Floats, GradedPool
from rubricate.evaluation.aggregation.scores import BASE, RuleScores, all_scores
from rubricate.evaluation.audit.auditing import Audit, RewardAudit, audit
from rubricate.evaluation.audit.measures.frontier import paths_apart
from rubricate.evaluation.scored import ScoredPool, grouped

METRIC = "tail_accuracy_half@25%"
"""What decides: accuracy within the best quarter by gold, ties as one half. With ties as wrong a rule would
gain by breaking ties by chance."""

SHOWN = (
    "pair_accuracy_half",
    "tail_accuracy_half@25%",
    "tail_accuracy@25%",
    "tail_ties@25%",
    "regret",
    "win_rate@1",
)


COMPARED = (
    *(name for name in SHOWN if "@1" not in name),
    *(f"tail_accuracy_half@{share}%" for share in (10, 50, 100)),
    "pair_accuracy",
    "pair_ties",
    "kendall_tau",
    "tie_share_top@4",
)
"""Metrics with a paired difference, beside the decisive one, and win rate and gold reward at each KL."""


class RuleAccount(msgspec.Struct, frozen=True):
    """What one rule, or a baseline, is worth on the pool.

    `metrics` are those of the audit by name; `differences` those of `COMPARED` less the weighted mean's, on
    the same prompts, paired. A rule that could not be had has neither, and its `note` says why.
    """

    rule: str
    is_baseline: bool
    note: str
    metrics: dict[str, Estimate | None]
    differences: dict[str, Estimate | None]
    parameters: dict[str, float]


class Comparison(msgspec.Struct, frozen=True):
    """All rules on one pool. `best` is the rule with the highest `metric`, the weighted mean among equals;
    `beyond` the rules whose difference to the weighted mean is beyond its 95% interval; `closing` says it."""

    metric: str
    prompts: int
    responses: int
    scored: int
    notes: tuple[str, ...]
    rules: tuple[RuleAccount, ...]
    best: str | None
    beyond: tuple[str, ...]
    closing: str


def compared(pool: GradedPool, source: str, metric: str = METRIC) -> Comparison:
    """Audits all rules on the same verdicts, beside the baselines.

    Responses below the coverage floor have no score under any rule; those without gold take no part in the
    audit, nor do prompts with fewer than two; all are counted.

    Raises:
        DataError: there is no gold, no prompt with two responses, or nothing that differs in gold.
        SettingsError: there is no such metric.
    """
    _must_compare(pool, source)
    scores = all_scores(pool)
    audited = audit(_scored_pool(pool, scores), origin=source)
    base = audited.reward(BASE)
    assert base is not None, "it was among the proxies"
    known = [name for name in base.estimates if name in base.measures or _is_on_path(name)]
    if metric not in known:
        raise SettingsError(f"--metric: no metric {metric!r} with a difference; there are {', '.join(known)}")
    accounts = [_account(audited, found, base, metric) for found in scores]
    rated = [(account.rule, account.metrics.get(metric)) for account in accounts]
    values = {rule: estimate.value for rule, estimate in rated if estimate is not None}
    sign = -1 if any(word in metric for word in ("regret", "tie", "unjudged")) else 1  # less is better
    best = max(values, key=lambda rule: sign * values[rule]) if values else None
    if best is not None and values.get(BASE) == values[best]:
        best = BASE
    others = [account for account in accounts if account.rule != BASE and account.metrics]
    beyond = [account.rule for account in others if is_beyond(account.differences.get(metric))]
    return Comparison(
        metric=metric,
        prompts=audited.n_prompts,
        responses=audited.n_responses,
        scored=int(pool.has_score.sum()),
        notes=audited.notes,
        rules=(*accounts, *(_baseline(reward) for reward in audited.rewards if reward.kind == "baseline")),
        best=best,
        beyond=tuple(beyond),
        closing=closing_of(metric, accounts, best, beyond),
    )


def _must_compare(pool: GradedPool, source: str) -> None:
    """What an audit would refuse as well, in the words of a file of verdicts."""
    known = ~np.isnan(pool.gold)
    if not known.any():
        raise DataError(
            source,
            "empty in every row: a comparison needs gold (`gold` or `reference_score`); a run has it "
            "when its pool had",
            field="gold",
        )
    if np.bincount(pool.prompt[known]).max() < 2:
        problem = "each prompt has one response with gold, so that there is nothing to compare it with"
        raise DataError(source, problem, field="prompt_id")


def _is_on_path(name: str) -> bool:
    return name.startswith(("win_rate@", "gold_reward@"))


def is_beyond(difference: Estimate | None) -> bool:
    """Whether a difference is beyond its interval: that does not hold 0."""
    if difference is None or difference.low is None or difference.high is None:
        return False
    return difference.low > 0 or difference.high < 0


def closing_of(metric: str, accounts: Sequence[RuleAccount], best: str | None, beyond: Sequence[str]) -> str:
    """The sentence on what may be said at the end, and no more."""
    n = sum(account.rule != BASE and bool(account.metrics) for account in accounts)
    if best is None:
        return (
            f"nothing can be said: {metric} cannot be measured on this pool; with few responses per prompt a "
            "wider share can (--metric tail_accuracy_half@50%, or pair_accuracy_half)"
        )
    if not beyond:
        return (
            f"no difference is beyond its interval: of {n} rules none is shown to be better or worse than "
            f"the weighted mean in {metric}"
        )
    by_rule = {account.rule: account.differences.get(metric) for account in accounts}
    told = [f"{rule} {_signed(by_rule[rule])}" for rule in beyond]
    return (
        f"beyond its interval against the weighted mean in {metric}: {', '.join(told)}; "
        f"of {n} comparisons one in twenty is so by chance alone"
    )


def _signed(estimate: Estimate | None) -> str:
    assert estimate is not None and estimate.low is not None and estimate.high is not None
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def _account(audited: Audit, found: RuleScores, base: RewardAudit, metric: str) -> RuleAccount:
    reward = audited.reward(found.rule) if found.scores is not None else None
    if reward is None:
        return RuleAccount(found.rule, False, found.note, {}, {}, {})
    differences = {} if found.rule == BASE else _differences(reward, base, metric)
    return RuleAccount(found.rule, False, found.note, reward.estimates, differences, found.parameters)


def _differences(reward: RewardAudit, base: RewardAudit, metric: str) -> dict[str, Estimate | None]:
    wanted = dict.fromkeys((*COMPARED, metric))
    shared = [name for name in wanted if name in reward.measures and name in base.measures]
    apart = {name: reward.measures[name].less(base.measures[name]) for name in shared}
    return apart | paths_apart(reward.path, base.path)


def _baseline(reward: RewardAudit) -> RuleAccount:
    return RuleAccount(reward.name, True, "", reward.estimates, {}, {})


def _scored_pool(pool: GradedPool, scores: Sequence[RuleScores]) -> ScoredPool:
    names = sorted({entry.generator for entry in pool.entries if entry.generator is not None})
    place = {name: number for number, name in enumerate(names)}
    proxies: dict[str, Floats] = {found.rule: found.scores for found in scores if found.scores is not None}
    return grouped(
        pool.prompt_ids,
        pool.prompt,
        gold=pool.gold,
        proxies=proxies,
        lengths=np.array([len(entry.response) for entry in pool.entries], dtype=float),
        sources=[-1 if entry.generator is None else place[entry.generator] for entry in pool.entries],
        source_names=names,
    )
