"""A win rate with the effect of length taken out, as AlpacaEval 2 does it, in two parameters."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rubricate.domain.intervals import Estimate, Z

Floats = NDArray[np.float64]
RIDGE = 1e-6
_STEPS = 200


class LengthControlled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`win_rate` at equal length, and `length_effect`: the log odds that one standard deviation of length, by
    tanh, adds. `n` of the win rate counts prompts."""

    win_rate: Estimate
    length_effect: float


def length_controlled(
    preferences: ArrayLike, differences: ArrayLike, weights: ArrayLike, prompts: ArrayLike
) -> LengthControlled | None:
    """The win rate at a length difference of 0.

    One entry for each judged pair: `preferences` in [0, 1] (win 1, tie 1/2), `differences` in characters, the
    policy's response less the reference's, `weights`, and the number of the prompt. Fits

        P(win) = sigmoid(theta + phi * tanh(difference / sd of the differences))

    and gives sigmoid(theta). Interval: the normal one of theta, its variance by the sandwich over prompts,
    mapped by the sigmoid; none for a single prompt. None without pairs. Where all pairs are won or all lost,
    nothing of length can be told: then it is 1 or 0, without an interval.

    Source: Dubois, Galambosi, Liang and Hashimoto (2024), Length-Controlled AlpacaEval, arXiv 2404.04475,
    section 3. Left out, and so not equal to their leaderboard: the term of each instruction's difficulty,
    which needs the preferences of many models, and with it the cross-validated regularisation; here a ridge
    of 1e-6 on phi alone keeps it finite where length separates wins from losses. Their preferences are
    probabilities of a judge, ours are wins, ties and losses in both orders.
    """
    y, difference, weight, prompt = (
        np.asarray(each, dtype=float) for each in (preferences, differences, weights, prompts)
    )
    n_prompts = len(np.unique(prompt))
    if not len(y):
        return None
    if np.all(y == y[0]) and y[0] in (0.0, 1.0):
        return LengthControlled(Estimate(float(y[0]), n_prompts, None, None), 0.0)
    spread = float(difference.std())
    term = np.tanh(difference / spread) if spread > 0 else np.zeros_like(difference)
    design = np.column_stack([np.ones_like(term), term])
    theta, bread = _fitted(design, y, weight)
    value = _sigmoid(theta[0])
    if n_prompts < 2:
        return LengthControlled(Estimate(value, n_prompts, None, None), float(theta[1]))
    residual = weight * (y - _sigmoids(design @ theta))
    _, places = np.unique(prompt, return_inverse=True)
    scores = np.zeros((n_prompts, 2))
    np.add.at(scores, places, residual[:, None] * design)
    variance = bread @ (scores.T @ scores) @ bread * n_prompts / (n_prompts - 1)
    half = Z * math.sqrt(max(0.0, float(variance[0, 0])))
    low, high = _sigmoid(theta[0] - half), _sigmoid(theta[0] + half)
    return LengthControlled(Estimate(value, n_prompts, low, high), float(theta[1]))


def _fitted(design: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """The coefficients by Newton's method with steps that never make it worse, and the inverse Hessian."""
    ridge = np.diag([0.0, RIDGE])
    theta: Floats = np.zeros(2)

    def loss(at: Floats) -> float:
        logits = design @ at
        likelihood = float((weight * (np.logaddexp(0.0, logits) - y * logits)).sum())
        return likelihood + float(at @ ridge @ at) / 2

    inverse: Floats = np.eye(2)
    for _ in range(_STEPS):
        p = _sigmoids(design @ theta)
        gradient = design.T @ (weight * (p - y)) + ridge @ theta
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + ridge
        inverse = np.asarray(np.linalg.pinv(hessian), dtype=float)
        step, size = inverse @ gradient, 1.0
        while size > 1e-8 and loss(theta - size * step) > loss(theta):
            size /= 2
        theta = theta - size * step
        if np.abs(size * step).max() < 1e-10:
            break
    return theta, inverse


def _sigmoid(x: float) -> float:
    return float(_sigmoids(np.array(x)))


def _sigmoids(x: Floats) -> Floats:
    out: Floats = np.exp(-np.logaddexp(0.0, -x))
    return out
