"""Is a probability of "met" what it says? Brier score with its parts, calibration error, reliability bins."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from rubricate.domain.intervals import Estimate
from rubricate.evaluation.totals import Floats, estimated, per_prompt, share

BINS = 10


class Bin(msgspec.Struct, frozen=True):
    """One bin of the reliability plot: probabilities from `low` to `high` (the last one closed), how many,
    their mean, and the share of true labels among them."""

    low: float
    high: float
    n: int
    mean_probability: float
    met: Estimate


class Calibration(msgspec.Struct, frozen=True):
    """How the probabilities of one grader fit the labels.

    brier = reliability - resolution + uncertainty + within. `source` says where the probabilities are from.
    """

    grader: str
    source: str
    n_bins: int
    n: int
    prompts: int
    brier: Estimate
    reliability: float
    resolution: float
    uncertainty: float
    within: float
    ece: Estimate | None
    bins: tuple[Bin, ...]


def calibration(
    grader: str,
    source: str,
    probability: Floats,
    truth: NDArray[np.bool_],
    prompts: NDArray[np.intp],
    n_prompts: int,
    n_bins: int = BINS,
) -> Calibration | None:
    """Brier score and calibration error of probabilities in [0, 1] against true or false labels, shape
    (items,), with intervals over prompts; None for no items.

    Bins are of equal width. The expected calibration error (the mean over items of the gap between mean
    probability and share of true labels in an item's bin) is biased upwards on few items: the gap of a bin
    is an absolute value.

    Source: Brier (1950), Verification of forecasts expressed in terms of probability, Monthly Weather Review
    78; its parts, Murphy (1973), A new vector partition of the probability score, JAM 12; what bins leave
    over (`within`), Stephenson, Coelho and Jolliffe (2008), Weather and Forecasting 23, eq. 5; the
    calibration error, Naeini, Cooper and Hauskrecht (2015), AAAI, and Guo et al. (2017), arXiv 1706.04599,
    eq. 3.
    """
    n = len(probability)
    if not n:
        return None
    label = truth.astype(float)
    place = np.minimum((probability * n_bins).astype(int), n_bins - 1)
    squared = per_prompt(prompts, (probability - label) ** 2, n_prompts)
    ones = per_prompt(prompts, np.ones(n), n_prompts)
    brier = estimated(np.stack([squared, ones], axis=1), lambda sums: sums[..., 0] / sums[..., 1], n)
    assert brier is not None, "there are items"
    one_hot = np.zeros((n, n_bins))
    one_hot[np.arange(n), place] = 1
    columns = np.concatenate([one_hot, one_hot * probability[:, None], one_hot * label[:, None]], axis=1)
    by_prompt = per_prompt(prompts, columns, n_prompts)
    sums = by_prompt.sum(axis=0)
    counted, said, met = np.split(sums, 3)
    base, used = label.mean(), counted > 0
    gap = np.where(used, (said - met) / np.maximum(counted, 1), 0)
    spread = np.where(used, met / np.maximum(counted, 1) - base, 0)
    reliability, resolution = (float((counted * part**2).sum() / n) for part in (gap, spread))
    uncertainty = float(base * (1 - base))
    return Calibration(
        grader=grader,
        source=source,
        n_bins=n_bins,
        n=n,
        prompts=int((ones > 0).sum()),
        brier=brier,
        reliability=reliability,
        resolution=resolution,
        uncertainty=uncertainty,
        within=brier.value - (reliability - resolution + uncertainty),
        ece=estimated(by_prompt, _expected_error, n),
        bins=tuple(_bins(by_prompt, n_bins)),
    )


def _expected_error(sums: Floats) -> Floats:
    counted, said, met = np.split(sums, 3, axis=-1)
    error: Floats = np.abs(said - met).sum(axis=-1) / counted.sum(axis=-1)
    return error


def _bins(by_prompt: Floats, n_bins: int) -> list[Bin]:
    counted, said, met = np.split(by_prompt, 3, axis=1)
    found = []
    for place in range(n_bins):
        rate = share(met[:, place], counted[:, place])
        if rate is not None:
            mean = float(said[:, place].sum() / rate.n)
            found.append(Bin(place / n_bins, (place + 1) / n_bins, rate.n, mean, rate))
    return found
