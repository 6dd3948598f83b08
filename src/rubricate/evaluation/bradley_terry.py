"""Pairwise verdicts -> strengths: Bradley-Terry with ties in Davidson's form, for many prompts at once.

P(i beats j) = p_i / D, P(tie) = nu sqrt(p_i p_j) / D, with D = p_i + p_j + nu sqrt(p_i p_j). Every item also
plays a stranger of strength 1, half a game won and half a game lost, which keeps the strength of one that
never lost finite.

Source: Bradley and Terry (1952), Biometrika 39; ties, Davidson (1970), On extending the Bradley-Terry
model to accommodate ties in paired comparison experiments, JASA 65; the fit by minorisation, Hunter
(2004), Annals of Statistics 32, with sqrt(p_i p_j) bounded by its tangent for ties, ours; the stranger as a
prior, Caron and Doucet (2012), JCGS 21; when strengths are finite without it, Ford (1957), American
Mathematical Monthly 64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rubricate.evaluation.scored import Floats, Indices, Mask

PRIOR = 0.5
"""Games won, and games lost, against the stranger."""

_ROUNDS, _CLOSE, _MOST_TIES = 20_000, 1e-10, 1e6


class Votes(NamedTuple):
    """Verdicts on pairs of items, shape (V,) each; a pair may come more than once."""

    a: Indices
    b: Indices
    wins_a: Floats
    wins_b: Floats
    ties: Floats


class Strengths(NamedTuple):
    """The fit, for items 0 to I - 1."""

    log: Floats
    """log p of each, shape (I,); comparable within a component only."""
    tie: float
    """nu: 0 where there are no ties; 1 means that equals tie one time in three."""
    component: Indices
    """Items that verdicts link, directly or through others, have one number: that of their first item."""
    is_separated: Mask
    """Of a component that falls into winners and losers, so that only the prior keeps its steps finite."""


def strengths(n_items: int, votes: Votes, prior: float = PRIOR) -> Strengths:
    """Fits the strengths of all items and one tie parameter.

    With prior 0 the fit is maximum likelihood, normalised to a mean log of 0 in each component; it runs off
    where `is_separated`. Cost: O(I + V) for each of some hundred steps. Steps end when no log strength moves
    by 1e-10.
    """
    a, b = votes.a, votes.b
    played = votes.wins_a + votes.wins_b + votes.ties
    won = _summed(a, votes.wins_a + votes.ties / 2, n_items) + prior
    won += _summed(b, votes.wins_b + votes.ties / 2, n_items)
    component, n_ties = _components(n_items, a, b), float(votes.ties.sum())
    log, tie = np.zeros(n_items), 1.0 if n_ties else 0.0
    active = won > prior if not prior else np.ones(n_items, dtype=bool)
    for _ in range(_ROUNDS):
        power = np.exp(log)
        both = np.sqrt(power[a] * power[b])
        share = played / (power[a] + power[b] + tie * both)
        cost = _summed(a, share * (1 + tie / 2 * both / power[a]), n_items) + 2 * prior / (power + 1)
        cost += _summed(b, share * (1 + tie / 2 * both / power[b]), n_items)
        following = np.where(
            active & (cost > 0), np.log(np.maximum(won, 1e-300) / np.maximum(cost, 1e-300)), log
        )
        if not prior:
            following = following - _mean_of(component, following)
        moved = float(np.max(np.abs(following - log), initial=0.0))
        log = following
        if n_ties:
            power = np.exp(log)
            both = np.sqrt(power[a] * power[b])
            rate = float(np.sum(played * both / (power[a] + power[b] + tie * both)))
            new_tie = min(n_ties / rate, _MOST_TIES)
            moved, tie = max(moved, abs(np.log(new_tie / tie))), new_tie
        if moved < _CLOSE:
            break
    return Strengths(log, tie, component, _separated(n_items, votes, component))


def _summed(items: Indices, values: Floats, n_items: int) -> Floats:
    total: Floats = np.bincount(items, values, n_items).astype(float)
    return total


def _components(n_items: int, a: Indices, b: Indices) -> Indices:
    label = np.arange(n_items)
    while True:
        lowest = np.minimum(label[a], label[b])
        following = label.copy()
        np.minimum.at(following, a, lowest)
        np.minimum.at(following, b, lowest)
        following = following[following]
        if np.array_equal(following, label):
            return label
        label = following


def _separated(n_items: int, votes: Votes, component: Indices) -> Mask:
    """Components without a chain of "did not lose to" from each item to each other."""
    tied = votes.ties > 0
    a_over_b, b_over_a = (votes.wins_a > 0) | tied, (votes.wins_b > 0) | tied
    above = np.concatenate([votes.a[a_over_b], votes.b[b_over_a]])
    below = np.concatenate([votes.b[a_over_b], votes.a[b_over_a]])
    root = np.arange(n_items) == component
    all_reached = _reached(root, above, below) & _reached(root, below, above)
    missed = np.bincount(component, ~all_reached, n_items)
    return np.asarray(missed[component] > 0)


def _reached(start: Mask, tails: Indices, heads: Indices) -> Mask:
    reached = start.copy()
    while True:
        new = heads[reached[tails] & ~reached[heads]]
        if not len(new):
            return reached
        reached[new] = True


def _mean_of(component: Indices, values: Floats) -> Floats:
    total, count = np.bincount(component, values), np.bincount(component)
    mean: Floats = total[component] / count[component]
    return mean
