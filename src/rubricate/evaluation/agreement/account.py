"""The whole account of agreement: against labels, with oneself, between graders, calibration, batching."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import msgspec
import numpy as np
from numpy.typing import NDArray

from rubricate.domain.intervals import Estimate
from rubricate.domain.record import Spend
from rubricate.evaluation.agreement import measures
from rubricate.evaluation.agreement.against import ALL, Against, Batching, against_labels, difference
from rubricate.evaluation.agreement.calibration import BINS, Calibration, calibration
from rubricate.evaluation.agreement.items import Items
from rubricate.evaluation.agreement.measures import MET, UNJUDGED, Marks
from rubricate.evaluation.agreement.opinions import Opinion
from rubricate.evaluation.totals import estimated, per_prompt, share

_REASONS = 5


class WithItself(msgspec.Struct, frozen=True):
    """A grader over its k draws. `agreement` is the share of agreeing pairs of draws and `unanimous` that of
    items with one verdict throughout, both over the items that every draw judged (`n`)."""

    grader: str
    breakdown: str
    group: str
    draws: int
    n: int
    agreement: Estimate | None
    unanimous: Estimate | None
    fleiss_kappa: Estimate | None
    krippendorff_alpha: Estimate | None


class Between(msgspec.Struct, frozen=True):
    """Two graders on the items that both judged; of k draws the majority counts. `accuracy_difference` and
    `balanced_accuracy_difference` are the first's less the second's, on the same labelled items."""

    first: str
    second: str
    breakdown: str
    group: str
    n: int
    agreement: Estimate | None
    cohen_kappa: Estimate | None
    accuracy_difference: Estimate | None
    balanced_accuracy_difference: Estimate | None


class Panel(msgspec.Struct, frozen=True):
    """All graders together. Fleiss' kappa is over the items that all judged (`n_complete`), Krippendorff's
    alpha over those that at least two did (`n_paired`)."""

    graders: tuple[str, ...]
    n_complete: int
    n_paired: int
    fleiss_kappa: Estimate | None
    krippendorff_alpha: Estimate | None


class Told(msgspec.Struct, frozen=True):
    """What there is to know of one grader's verdicts before any figure."""

    grader: str
    draws: int
    verdicts: int
    unjudged: Estimate | None
    by_program: int
    absent: int
    failed: tuple[str, ...]
    foreign_rows: int
    reasons: dict[str, int]
    spend: Spend | None


class Account(msgspec.Struct, frozen=True):
    """Everything that `rubricate agree` measures; intervals are of 95%, over prompts."""

    responses: int
    prompts: int
    items: int
    labelled: int
    graders: tuple[Told, ...]
    against: tuple[Against, ...]
    with_itself: tuple[WithItself, ...]
    between: tuple[Between, ...]
    panel: Panel | None
    calibration: tuple[Calibration, ...]
    batching: tuple[Batching, ...] = ()


def account_of(
    items: Items, opinions: Sequence[Opinion], *, bins: int = BINS, batching: Sequence[Batching] = ()
) -> Account:
    """The account of some graders on the same items, in their order."""
    final = [measures.majority(opinion.marks) for opinion in opinions]
    parts = list(_parts(items))
    against = list[Against]()
    for opinion, settled in zip(opinions, final, strict=True):
        against.append(against_labels(opinion.name, items, opinion.marks, opinion.absent))
        if opinion.draws > 1:
            name = f"{opinion.name}, majority of {opinion.draws}"
            never: NDArray[np.bool_] = np.asarray(opinion.absent.all(axis=0, keepdims=True))
            against.append(against_labels(name, items, settled[None, :], never))
        against += [
            against_labels(opinion.name, items, opinion.marks, opinion.absent, group, within)
            for group, within in parts[1:]
        ]
    calibrated = (_calibration(items, opinion, bins) for opinion in opinions)
    names = [opinion.name for opinion in opinions]
    return Account(
        responses=len(items.entries),
        prompts=items.n_prompts,
        items=len(items),
        labelled=items.n_labelled,
        graders=tuple(_told(items, opinion) for opinion in opinions),
        against=tuple(found for found in against if items.n_labelled),
        with_itself=tuple(
            _with_itself(items, opinion, group, within)
            for opinion in opinions
            if opinion.draws > 1
            for group, within in parts
        ),
        between=tuple(
            _between(items, (names[one], names[other]), final[one], final[other], group, within)
            for one, other in combinations(range(len(opinions)), 2)
            for group, within in parts
        ),
        panel=_panel(items, names, np.stack(final)) if len(final) > 1 else None,
        calibration=tuple(found for found in calibrated if found is not None),
        batching=tuple(batching),
    )


def _parts(items: Items) -> Iterator[tuple[tuple[str, str], NDArray[np.bool_]]]:
    """All items, then every group of every breakdown: its names, and which items are in it."""
    yield ALL, np.ones(len(items), dtype=bool)
    for breakdown, groups in items.groups.items():
        column = np.asarray(groups)
        for group in _in_order(groups):
            yield (breakdown, group), column == group


def _told(items: Items, opinion: Opinion) -> Told:
    given = ~opinion.absent
    silent = (given & (opinion.marks == UNJUDGED)).sum(axis=0)
    counted = [per_prompt(items.prompts, part, items.n_prompts) for part in (silent, given.sum(axis=0))]
    common = sorted(opinion.reasons.items(), key=lambda reason: (-reason[1], reason[0]))
    return Told(
        grader=opinion.name,
        draws=opinion.draws,
        verdicts=int(given.sum()),
        unjudged=share(*counted),
        by_program=int(opinion.by_program.sum()),
        absent=int(opinion.absent.sum()),
        failed=opinion.failed,
        foreign_rows=opinion.foreign,
        reasons=dict(common[:_REASONS]),
        spend=opinion.spend,
    )


def _with_itself(
    items: Items, opinion: Opinion, group: tuple[str, str], within: NDArray[np.bool_]
) -> WithItself:
    marks = np.where(within, opinion.marks, UNJUDGED).astype(np.int8)
    fleiss = measures.fleiss_sums(marks)
    by_prompt = per_prompt(items.prompts, fleiss, items.n_prompts)
    n, one = int(by_prompt[:, 1].sum()), fleiss[:, 0] == 1
    alpha = per_prompt(items.prompts, measures.alpha_sums(marks), items.n_prompts)
    return WithItself(
        grader=opinion.name,
        breakdown=group[0],
        group=group[1],
        draws=opinion.draws,
        n=n,
        agreement=estimated(by_prompt, measures.mean_agreement, n),
        unanimous=share(per_prompt(items.prompts, one, items.n_prompts), by_prompt[:, 1]),
        fleiss_kappa=estimated(by_prompt, measures.fleiss_kappa, n),
        krippendorff_alpha=estimated(alpha, measures.krippendorff_alpha, n),
    )


def _between(
    items: Items,
    names: tuple[str, str],
    first: Marks,
    second: Marks,
    group: tuple[str, str],
    within: NDArray[np.bool_],
) -> Between:
    one, other = (np.where(within, marks, UNJUDGED).astype(np.int8) for marks in (first, second))
    by_prompt = per_prompt(items.prompts, measures.confusion(one, other), items.n_prompts)
    n = int(by_prompt.sum())
    return Between(
        first=names[0],
        second=names[1],
        breakdown=group[0],
        group=group[1],
        n=n,
        agreement=share(by_prompt[:, 0] + by_prompt[:, 3], by_prompt.sum(axis=1)),
        cohen_kappa=estimated(by_prompt, measures.cohen_kappa, n),
        accuracy_difference=difference(items, one, other, measures.accuracy),
        balanced_accuracy_difference=difference(items, one, other, measures.balanced_accuracy),
    )


def _panel(items: Items, names: Sequence[str], final: Marks) -> Panel:
    fleiss = per_prompt(items.prompts, measures.fleiss_sums(final), items.n_prompts)
    alpha = measures.alpha_sums(final)
    complete, paired = int(fleiss[:, 1].sum()), int(alpha[:, 1:].any(axis=1).sum())
    return Panel(
        graders=tuple(names),
        n_complete=complete,
        n_paired=paired,
        fleiss_kappa=estimated(fleiss, measures.fleiss_kappa, complete),
        krippendorff_alpha=estimated(
            per_prompt(items.prompts, alpha, items.n_prompts), measures.krippendorff_alpha, paired
        ),
    )


def _calibration(items: Items, opinion: Opinion, bins: int) -> Calibration | None:
    """Of the probabilities that the grader states; of the share of its draws that say met where it states
    none at all and draws more than once."""
    probability, source = opinion.probability, "as stated"
    if np.isnan(probability).all() and opinion.draws > 1:
        met, unmet = measures.tallies(opinion.marks)
        probability = np.where(met + unmet > 0, met / np.maximum(1, met + unmet), np.nan)
        source = f"share of {opinion.draws} draws"
    known = ~np.isnan(probability) & (items.truth != UNJUDGED)
    truth = items.truth[known] == MET
    return calibration(
        opinion.name, source, probability[known], truth, items.prompts[known], items.n_prompts, bins
    )


def _in_order(groups: Sequence[str]) -> list[str]:
    """The groups of a breakdown: by the first number in their names, then by name."""

    def place(name: str) -> tuple[float, str]:
        numbers = [
            word for word in name.replace("up to", "0").split() if word.lstrip("-").replace(".", "").isdigit()
        ]
        first = float(numbers[0]) if numbers else 0.0
        return (first, name)

    return sorted(set(groups), key=place)
