"""A graded pool -> its scores under every rule, each with a word on what stands behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from rubricate.domain.aggregation import RULES, critical_veto
from rubricate.errors import SettingsError
from rubricate.evaluation.aggregation.fitted import Method, fitted_weights
from rubricate.evaluation.aggregation.graded import Floats, GradedPool
from rubricate.evaluation.aggregation.item_response import item_response

BASE = "weighted_mean"
FITTED: dict[str, Method] = {"fitted_preferences": "logistic", "fitted_gold": "ridge"}
_DIGITS = 12  # equal verdicts are to tie, in whatever order they were summed
NAMES = (*RULES, "item_response", *FITTED)


@dataclass(frozen=True)
class RuleScores:
    """Scores under one rule in [0, 1], by response, NaN below the coverage floor; None with a `note` on why
    where the pool has not what the rule needs. `parameters` are what a fit found."""

    rule: str
    scores: Floats | None
    note: str = ""
    parameters: dict[str, float] = field(default_factory=dict)


def scores_under(rule: str, pool: GradedPool) -> RuleScores:
    """The scores of a pool under one of `NAMES`.

    Raises:
        SettingsError: there is no such rule.
    """
    if rule in FITTED:
        return _fitted(rule, pool)
    if rule == "item_response":
        return _item_response(pool)
    if rule not in RULES:
        raise SettingsError(f"--rule: no rule {rule!r}; there are {', '.join(NAMES)}")
    if rule == "probability_weighted" and not pool.has_probabilities:
        return RuleScores(rule, None, "no verdict has a probability or votes")
    scores = np.full(len(pool), np.nan)
    for place, (rubric, verdicts, flagged) in enumerate(
        zip(pool.rubrics, pool.verdicts, pool.flagged, strict=True)
    ):
        of_one: Callable[..., float | None] = RULES[rule]
        if rule == "critical_veto":
            of_one = partial(critical_veto, flagged=flagged)
        value = of_one(rubric, verdicts, pool.floor)
        scores[place] = np.nan if value is None else value
    return RuleScores(rule, scores)


def all_scores(pool: GradedPool) -> tuple[RuleScores, ...]:
    """The scores under every rule, the weighted mean first; a rule that changes nothing here says so."""
    found = [scores_under(rule, pool) for rule in NAMES]
    base = found[0].scores
    assert base is not None, "the weighted mean needs nothing"
    for place, other in enumerate(found[1:], 1):
        if other.scores is not None and np.array_equal(other.scores, base, equal_nan=True):
            found[place] = RuleScores(other.rule, other.scores, "the same scores as the weighted mean here")
    return tuple(found)


def _fitted(rule: str, pool: GradedPool) -> RuleScores:
    fitted = fitted_weights(pool, FITTED[rule])
    if isinstance(fitted, str):
        return RuleScores(rule, None, fitted)
    learned = f"{fitted.n_pairs:,} pairs of " if fitted.n_pairs else ""
    note = (
        f"weights from other prompts, by five-fold cross-validation on {learned}{fitted.n_prompts:,} prompts"
    )
    return RuleScores(rule, fitted.scores.round(_DIGITS), note, fitted.coefficients)


def _item_response(pool: GradedPool) -> RuleScores:
    if not len(pool.observed.good):
        return RuleScores("item_response", None, "no verdict is judged")
    scores, fitted = item_response(pool)
    seen = np.bincount(pool.observed.item, minlength=pool.n_items)
    prompts_of_item = np.unique(
        np.stack([pool.observed.item, pool.prompt[pool.observed.response]], axis=1), axis=0
    )
    recurring = int((np.bincount(prompts_of_item[:, 0], minlength=pool.n_items) > 1).sum())
    rest = "" if fitted.converged else ", not at rest"
    note = (
        f"2PL, {recurring:,} of {int((seen > 0).sum()):,} criteria recur; EM in {fitted.rounds} rounds{rest}"
    )
    found = {
        "discrimination, median": float(np.median(fitted.discrimination[seen > 0])),
        "difficulty, median": float(np.median(fitted.difficulty[seen > 0])),
        "deviation of quality, mean": float(fitted.spread.mean()),
    }
    return RuleScores("item_response", scores.round(_DIGITS), note, found)
