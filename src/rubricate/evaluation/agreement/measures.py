"""Agreement on yes or no: with labels, between raters, and of one rater with itself.

Each measure is a function of sums (last axis), so that `totals.estimated` can give it an interval; the
functions that make the sums stand beside it. Marks are +1 met, 0 unmet, -1 not judged.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rubricate.evaluation.totals import Floats

Marks = NDArray[np.int8]
MET, UNMET, UNJUDGED = 1, 0, -1


class Confusion(NamedTuple):
    """Columns of a table against labels, in this order."""

    true_met: int = 0
    false_unmet: int = 1
    false_met: int = 2
    true_unmet: int = 3


CELLS = Confusion()


def confusion(truth: Marks, said: Marks) -> Floats:
    """One row per item with a 1 in its cell, shape (items, 4); zeros where either is not judged."""
    cells = [
        (truth == MET) & (said == MET),
        (truth == MET) & (said == UNMET),
        (truth == UNMET) & (said == MET),
        (truth == UNMET) & (said == UNMET),
    ]
    return np.stack(cells, axis=1).astype(float)


def accuracy(sums: Floats) -> Floats:
    """Share of the items on which both say the same."""
    agreed: Floats = (sums[..., 0] + sums[..., 3]) / sums.sum(axis=-1)
    return agreed


def sensitivity(sums: Floats) -> Floats:
    """Share of "met" among the items whose label is true."""
    found: Floats = sums[..., 0] / (sums[..., 0] + sums[..., 1])
    return found


def specificity(sums: Floats) -> Floats:
    """Share of "unmet" among the items whose label is false."""
    found: Floats = sums[..., 3] / (sums[..., 2] + sums[..., 3])
    return found


def balanced_accuracy(sums: Floats) -> Floats:
    """Mean of sensitivity and specificity: 0.5 for a coin, whatever the share of true labels.

    Source: Brodersen et al. (2010), The balanced accuracy and its posterior distribution, ICPR, eq. 2.
    """
    return (sensitivity(sums) + specificity(sums)) / 2


def cohen_kappa(sums: Floats) -> Floats:
    """Agreement of two beyond what their own shares of "met" give by chance; 1 at most, 0 by chance.

    NaN when both always say one and the same: there is no chance to go beyond.

    Source: Cohen (1960), A coefficient of agreement for nominal scales, EPM 20, eq. 1.
    """
    n = sums.sum(axis=-1)
    first, second = (sums[..., 0] + sums[..., 1]) / n, (sums[..., 0] + sums[..., 2]) / n
    return _beyond(accuracy(sums), first * second + (1 - first) * (1 - second))


def tallies(ratings: Marks) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """How many raters said met, and how many unmet, of each item; `ratings` has shape (raters, items)."""
    return (ratings == MET).sum(axis=0), (ratings == UNMET).sum(axis=0)


def fleiss_sums(ratings: Marks) -> Floats:
    """Columns: agreeing share of the pairs of raters, 1, how many said met, how many raters; shape
    (items, 4). Zeros for an item that not every rater judged, as the measure wants them all."""
    met, unmet = tallies(ratings)
    raters = len(ratings)
    agreeing = (met * (met - 1) + unmet * (unmet - 1)) / max(1, raters * (raters - 1))
    complete = (met + unmet == raters) & (raters > 1)
    columns = np.stack([agreeing, np.ones_like(agreeing), met, np.full_like(agreeing, raters)], axis=1)
    sums: Floats = columns * complete[:, None]
    return sums


def fleiss_kappa(sums: Floats) -> Floats:
    """Agreement of several raters beyond chance, on the items that all of them judged.

    Source: Fleiss (1971), Measuring nominal scale agreement among many raters, Psych. Bulletin 76, eq. 1-8.
    """
    met = sums[..., 2] / sums[..., 3]
    return _beyond(mean_agreement(sums), met**2 + (1 - met) ** 2)


def mean_agreement(sums: Floats) -> Floats:
    """Share of agreeing pairs of raters, averaged over items: of the sums of `fleiss_sums`."""
    agreed: Floats = sums[..., 0] / sums[..., 1]
    return agreed


def alpha_sums(ratings: Marks) -> Floats:
    """Columns: the off-diagonal cell of the coincidence matrix, met, unmet; shape (items, 3).

    Zeros for an item with fewer than two judgements: nothing can be paired there. Missing ones just are not
    there, and each pair within an item of m judgements counts 1/(m - 1).
    """
    met, unmet = tallies(ratings)
    paired = met + unmet > 1
    apart = met * unmet / np.maximum(1, met + unmet - 1)
    sums: Floats = np.stack([apart, met, unmet], axis=1).astype(float) * paired[:, None]
    return sums


def krippendorff_alpha(sums: Floats) -> Floats:
    """1 - observed over expected disagreement, nominal, any number of raters, with values missing.

    NaN when all values are one and the same.

    Source: Krippendorff (2011), Computing Krippendorff's alpha-reliability, section C (nominal, missing
    data): alpha = 1 - (n - 1) o_01 / (n_0 n_1) for two categories.
    """
    apart, met, unmet = sums[..., 0], sums[..., 1], sums[..., 2]
    alpha: Floats = 1 - (met + unmet - 1) * apart / (met * unmet)
    return alpha


def majority(ratings: Marks) -> Marks:
    """What most of the judging raters say of each item; not judged where they are even, or none did."""
    met, unmet = tallies(ratings)
    return np.where(met > unmet, MET, np.where(unmet > met, UNMET, UNJUDGED)).astype(np.int8)


def _beyond(observed: Floats, by_chance: Floats) -> Floats:
    kappa: Floats = (observed - by_chance) / (1 - by_chance)
    return np.where(by_chance < 1, kappa, np.nan)
