"""A grader against the labels, and two ways of asking it against each other."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from rubricate.domain.intervals import Estimate
from rubricate.domain.record import Spend
from rubricate.evaluation.agreement import measures
from rubricate.evaluation.agreement.items import Items
from rubricate.evaluation.agreement.measures import UNJUDGED, Marks
from rubricate.evaluation.agreement.opinions import Opinion
from rubricate.evaluation.totals import Floats, Statistic, estimated, per_prompt, share

ALL = ("all", "all")


class Against(msgspec.Struct, frozen=True):
    """One grader against the labels, over all items or one group of a breakdown.

    `n` counts verdicts that are judged and have a label (every draw counts), `prompts` their prompts.
    `unjudged` is the share of the labelled verdicts that the grader left open; they are in no other figure.
    `true_labels` is the share of true labels: what "met" throughout would reach in accuracy.
    """

    grader: str
    breakdown: str
    group: str
    n: int
    prompts: int
    unjudged: Estimate | None
    true_labels: Estimate | None
    accuracy: Estimate | None
    balanced_accuracy: Estimate | None
    sensitivity: Estimate | None
    specificity: Estimate | None
    cohen_kappa: Estimate | None
    krippendorff_alpha: Estimate | None


class Batching(msgspec.Struct, frozen=True):
    """All criteria of a response in one call against one by one, on the same items.

    Only items that a model was asked for, of responses with at least two of them: elsewhere the two are the
    same question. Differences are one by one less all at once.
    """

    grader: str
    n: int
    all_at_once: Against
    one_by_one: Against
    agreement: Estimate | None
    accuracy_difference: Estimate | None
    balanced_accuracy_difference: Estimate | None
    spend_all_at_once: Spend | None
    spend_one_by_one: Spend | None


def against_labels(
    name: str,
    items: Items,
    marks: Marks,
    absent: NDArray[np.bool_],
    group: tuple[str, str] = ALL,
    within: NDArray[np.bool_] | None = None,
) -> Against:
    """Verdicts, shape (draws, items), against the labels, over all items or those `within` a group."""
    chosen = items.truth != UNJUDGED
    if within is not None:
        chosen = chosen & within
    given = ~absent & chosen
    counted = [np.where(row, mark, UNJUDGED) for row, mark in zip(given, marks, strict=True)]
    cells = np.sum([measures.confusion(items.truth, row) for row in counted], axis=0)
    by_prompt = per_prompt(items.prompts, cells, items.n_prompts)
    n = int(by_prompt.sum())
    silent = (given & (marks == UNJUDGED)).sum(axis=0)
    paired = np.sum([measures.alpha_sums(np.stack([items.truth, row])) for row in counted], axis=0)
    met, missed, wrong, right = by_prompt.T
    return Against(
        grader=name,
        breakdown=group[0],
        group=group[1],
        n=n,
        prompts=int(by_prompt.any(axis=1).sum()),
        unjudged=share(
            *(per_prompt(items.prompts, part, items.n_prompts) for part in (silent, given.sum(axis=0)))
        ),
        true_labels=share(met + missed, by_prompt.sum(axis=1)),
        accuracy=share(met + right, by_prompt.sum(axis=1)),
        balanced_accuracy=estimated(by_prompt, measures.balanced_accuracy, n),
        sensitivity=share(met, met + missed),
        specificity=share(right, wrong + right),
        cohen_kappa=estimated(by_prompt, measures.cohen_kappa, n),
        krippendorff_alpha=estimated(
            per_prompt(items.prompts, paired, items.n_prompts), measures.krippendorff_alpha, n
        ),
    )


def batching_of(items: Items, at_once: Opinion, one_by_one: Opinion, asked: NDArray[np.bool_]) -> Batching:
    """The batching effect of one grader, first draws only; `asked` says which items a model was asked for."""
    several = np.bincount(items.cases, asked, len(items.entries))[items.cases] > 1
    chosen = asked & several
    both = (at_once.marks[0] != UNJUDGED) & (one_by_one.marks[0] != UNJUDGED) & chosen
    first, second = (np.where(both, opinion.marks[0], UNJUDGED) for opinion in (at_once, one_by_one))
    name = at_once.name
    sides = [
        against_labels(f"{name}, {how}", items, opinion.marks[:1], opinion.absent[:1], within=chosen)
        for how, opinion in (("all at once", at_once), ("one by one", one_by_one))
    ]
    pair = measures.confusion(first, second)
    by_prompt = per_prompt(items.prompts, pair, items.n_prompts)
    return Batching(
        grader=name,
        n=int(by_prompt.sum()),
        all_at_once=sides[0],
        one_by_one=sides[1],
        agreement=share(by_prompt[:, 0] + by_prompt[:, 3], by_prompt.sum(axis=1)),
        accuracy_difference=difference(items, second, first, measures.accuracy),
        balanced_accuracy_difference=difference(items, second, first, measures.balanced_accuracy),
        spend_all_at_once=at_once.spend,
        spend_one_by_one=one_by_one.spend,
    )


def difference(items: Items, one: Marks, other: Marks, statistic: Statistic) -> Estimate | None:
    """A statistic against the labels of the one less that of the other, on the items that both judged."""
    both = (one != UNJUDGED) & (other != UNJUDGED)
    sides = [measures.confusion(items.truth, np.where(both, marks, UNJUDGED)) for marks in (one, other)]
    by_prompt = per_prompt(items.prompts, np.concatenate(sides, axis=1), items.n_prompts)

    def apart(sums: Floats) -> Floats:
        return statistic(sums[..., :4]) - statistic(sums[..., 4:])

    return estimated(by_prompt, apart, int(by_prompt[:, :4].sum()))
