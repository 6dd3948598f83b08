"""Weights of criteria fitted on gold, always on other prompts than those they are used on.

A criterion's weight is a linear function of what is known of it without gold: its weight in the rubric, its
kind, its place, how many responses of its prompt meet it, whether a program can decide it. So what is learned
on some prompts can be used on others, whose criteria are other sentences. Two fits: logistic on preferences
(pairs of responses in the order of gold), and ridge on the gold itself.

Source: pairs as logistic regression on differences, Bradley and Terry (1952), Biometrika 39; ridge, Hoerl and
Kennard (1970), Technometrics 12; nested cross-validation so that the penalty is chosen without the fold it is
measured on, Varma and Simon (2006), BMC Bioinformatics 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rubricate.domain.identity import key_of
from rubricate.evaluation.aggregation.graded import Floats, GradedPool, Places

Method = Literal["logistic", "ridge"]

FEATURES = ("constant", "weight", "rule", "pitfall", "position", "pass rate", "contested", "by program")
FOLDS = 5
LEAST_PROMPTS = 10
_PENALTIES = (100.0, 10.0, 1.0, 0.1)
_ROUNDS = 30


@dataclass(frozen=True)
class FittedWeights:
    """Scores by response (NaN below the coverage floor), and the coefficient of each feature: its mean over
    the folds, of features scaled to unit spread. `n_prompts` and `n_pairs` are what folds learned from."""

    scores: Floats
    coefficients: dict[str, float]
    penalties: tuple[float, ...]
    n_prompts: int
    n_pairs: int


def fitted_weights(pool: GradedPool, method: Method) -> FittedWeights | str:
    """Scores under weights fitted by cross-validation over prompts, or a sentence on why there are none.

    Prompts are dealt to five folds by content key. The responses of a fold are scored with weights from the
    other folds, where the penalty too is chosen, so no gold score ever touches the scores of its own prompt.
    A score is the sum of the fitted weights of criteria that speak for the response, each negative weight
    turned around, over the sum of their absolute values: in [0, 1].
    """
    features = _features(pool)
    sums = _summed(pool, features)
    data = _Data.of(pool, sums, method)
    usable = np.unique(data.prompt)
    if len(usable) < LEAST_PROMPTS:
        return f"needs gold that differs within at least {LEAST_PROMPTS} prompts, and {len(usable)} have it"
    fold = _folds([pool.prompt_ids[prompt] for prompt in range(len(pool.prompt_ids))], FOLDS)
    scores, found, penalties = np.full(len(pool), np.nan), [], []
    for number in range(FOLDS):
        mine = fold[pool.prompt] == number
        if not mine.any():
            continue
        coefficients, scale, penalty = _learned(data.without(fold[data.prompt] == number), pool.prompt_ids)
        scores[mine] = _scored(pool, features @ (coefficients / scale))[mine]
        found.append(coefficients)
        penalties.append(penalty)
    mean = np.mean(found, axis=0).tolist()
    return FittedWeights(
        scores=np.where(pool.has_score, scores, np.nan),
        coefficients=dict(zip(FEATURES, mean, strict=True)),
        penalties=tuple(penalties),
        n_prompts=len(usable),
        n_pairs=len(data.prompt) if method == "logistic" else 0,
    )


@dataclass(frozen=True)
class _Data:
    """What is learned from: a row per pair or per response, its prompt, its target, its weight."""

    method: Method
    rows: Floats
    target: Floats
    prompt: Places
    weight: Floats

    @classmethod
    def of(cls, pool: GradedPool, sums: Floats, method: Method) -> _Data:
        """Pairs with the better response first, or responses less the mean of their prompt; every prompt
        weighs the same."""
        rows, target, prompts = list[Floats](), list[Floats](), list[Places]()
        usable = pool.has_score & ~np.isnan(pool.gold)
        order = np.argsort(pool.prompt, kind="stable")
        bounds = np.searchsorted(pool.prompt[order], np.arange(len(pool.prompt_ids) + 1))
        for number in range(len(pool.prompt_ids)):
            places = order[bounds[number] : bounds[number + 1]]
            places = places[usable[places]]
            gold = pool.gold[places]
            if len(places) < 2 or gold.max() == gold.min():
                continue
            if method == "ridge":
                rows.append(sums[places] - sums[places].mean(axis=0))
                target.append(gold - gold.mean())
            else:
                better, worse = np.nonzero(gold[:, None] > gold[None, :])
                rows.append(sums[places[better]] - sums[places[worse]])
                target.append(np.ones(len(better)))
            prompts.append(np.full(len(rows[-1]), number, dtype=np.intp))
        if not rows:
            empty = np.zeros(0)
            return cls(method, np.zeros((0, len(FEATURES))), empty, np.zeros(0, dtype=np.intp), empty)
        prompt = np.concatenate(prompts)
        sizes = np.bincount(prompt)
        return cls(method, np.concatenate(rows), np.concatenate(target), prompt, 1 / sizes[prompt])

    def without(self, left_out: NDArray[np.bool_]) -> _Data:
        """The rows of the other prompts."""
        kept = ~left_out
        return _Data(self.method, self.rows[kept], self.target[kept], self.prompt[kept], self.weight[kept])


def _learned(data: _Data, prompt_ids: Sequence[str]) -> tuple[Floats, Floats, float]:
    """Coefficients on scaled features, the scale, and the penalty that did best within these very rows."""
    scale = np.sqrt((data.weight[:, None] * data.rows**2).sum(axis=0) / data.weight.sum())
    scale = np.where(scale > 0, scale, 1.0)
    scaled = _Data(data.method, data.rows / scale, data.target, data.prompt, data.weight)
    solve: Callable[[_Data, float], Floats] = _logistic if data.method == "logistic" else _ridge
    there = np.unique(data.prompt)
    fold_of_prompt = np.full(int(there.max()) + 1, -1)
    fold_of_prompt[there] = _folds([prompt_ids[prompt] for prompt in there.tolist()], FOLDS - 1)
    inner, losses = fold_of_prompt[data.prompt], []
    for penalty in _PENALTIES:
        loss = 0.0
        for number in range(FOLDS - 1):
            held_out = scaled.without(inner != number)
            loss += _loss(held_out, solve(scaled.without(inner == number), penalty))
        losses.append(loss)
    best = _PENALTIES[int(np.argmin(losses))]  # of equals the first, which is the strongest
    return solve(scaled, best), scale, best


def _logistic(data: _Data, penalty: float) -> Floats:
    """Newton's method; no intercept, since a pair has no first side of its own."""
    found = np.zeros(data.rows.shape[1])
    for _ in range(_ROUNDS):
        chance = 1 / (1 + np.exp(-(data.rows @ found)))
        slope = data.rows.T @ (data.weight * (1 - chance)) - penalty * found
        bend = (data.rows * (data.weight * chance * (1 - chance))[:, None]).T @ data.rows
        step = np.linalg.solve(bend + penalty * np.eye(len(found)), slope)
        found = np.asarray(found + step, dtype=float)
        if np.abs(step).max() < 1e-9:
            break
    return found


def _ridge(data: _Data, penalty: float) -> Floats:
    weighted = data.rows * data.weight[:, None]
    bend = weighted.T @ data.rows + penalty * np.eye(data.rows.shape[1])
    return np.asarray(np.linalg.solve(bend, weighted.T @ data.target), dtype=float)


def _loss(data: _Data, found: Floats) -> float:
    said = data.rows @ found
    if data.method == "logistic":
        return float((data.weight * np.logaddexp(0, -said)).sum())
    return float((data.weight * (data.target - said) ** 2).sum())


def _features(pool: GradedPool) -> Floats:
    """One row per verdict, columns as in `FEATURES`; pass rates are within the prompt, of these verdicts."""
    seen = pool.observed
    pair = pool.prompt[seen.response] * pool.n_items + seen.item
    _, place = np.unique(pair, return_inverse=True)
    rate = (np.bincount(place, seen.good) / np.bincount(place))[place]
    heaviest = np.zeros(len(pool))
    np.maximum.at(heaviest, seen.response, seen.weight)
    kinds = np.array(seen.kind)
    return np.stack(
        [
            np.ones(len(seen.good)),
            seen.weight / heaviest[seen.response],
            (kinds == "rule").astype(float),
            (kinds == "pitfall").astype(float),
            seen.position,
            rate,
            4 * rate * (1 - rate),
            seen.decidable,
        ],
        axis=1,
    )


def _summed(pool: GradedPool, features: Floats) -> Floats:
    """Per response the mean over its verdicts of features where the criterion speaks for it."""
    seen, n = pool.observed, len(pool)
    judged = np.maximum(1, np.bincount(seen.response, minlength=n))
    columns = [np.bincount(seen.response, seen.good * column, n) / judged for column in features.T]
    return np.stack(columns, axis=1)


def _scored(pool: GradedPool, weight: Floats) -> Floats:
    """Scores under one weight per verdict; 0.5 where all weights of a response are 0."""
    seen, n = pool.observed, len(pool)
    speaks = np.where(weight >= 0, seen.good, 1 - seen.good) * np.abs(weight)
    total = np.bincount(seen.response, np.abs(weight), n)
    summed = np.bincount(seen.response, speaks, n)
    return np.where(total > 0, summed / np.where(total > 0, total, 1.0), 0.5)


def _folds(ids: Sequence[str], n: int) -> Places:
    """The fold of each prompt: dealt out in the order of content keys, so that folds are even in size and no
    order of a file decides."""
    order = sorted(range(len(ids)), key=lambda place: key_of("fold", ids[place]))
    fold = np.zeros(len(ids), dtype=np.intp)
    fold[order] = np.arange(len(ids)) % n
    return fold
