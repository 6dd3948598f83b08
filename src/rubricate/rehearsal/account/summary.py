"""All that a rehearsal says, as one record, and in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from rubricate.domain.intervals import Estimate
from rubricate.rehearsal.account.curves import (
    Comparison,
    Row,
    Runs,
    Standing,
    compared,
    rows_of,
    standings_of,
    verdict,
)
from rubricate.rehearsal.account.prediction import Agreement, agreements
from rubricate.rehearsal.ascent.runs import Row as PoolRow
from rubricate.rehearsal.ascent.runs import Terms

NAMES = {
    "gold": "gold",
    "bt": "BT, off-policy pairs",
    "initial": "rubric, prompt only",
    "refined": "rubric, refined",
}
PAIRS = (("refined", "initial"), ("refined", "bt"), ("gold", "refined"))
"""What is set against what."""


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What came of a rehearsal; `missing` are runs that are not done yet, as reward and seed."""

    terms: Terms
    seeds: tuple[int, ...]
    missing: tuple[tuple[str, int], ...]
    rows: list[Row]
    standings: list[Standing]
    comparisons: list[Comparison]
    agreements: list[Agreement]


def account_of(
    terms: Terms,
    runs: Runs,
    pools: Mapping[int, Sequence[PoolRow]],
    missing: Sequence[tuple[str, int]] = (),
) -> Account:
    """The account of the runs that are done."""
    pairs = [compared(runs, one, other) for one, other in PAIRS]
    return Account(
        terms=terms,
        seeds=tuple(sorted({seed for _, seed in runs})),
        missing=tuple(missing),
        rows=rows_of(runs),
        standings=standings_of(runs),
        comparisons=[pair for pair in pairs if pair is not None],
        agreements=agreements(runs, pools),
    )


def readings(account: Account) -> Iterator[str]:
    """What may be read from it, each sentence by its interval."""
    for standing in account.standings:
        turned = verdict(standing.lost)
        said = {
            "yes": f"turns at step {standing.step.value:.0f} and loses",
            "no": "rises to the end:",
            "unclear": "shows no turn beyond its interval:",
        }[turned]
        yield f"{NAMES[standing.reward]}: gold {said} {points(standing.lost)} from its peak to the last step."
    for pair in account.comparisons:
        if (pair.one, pair.other) != ("refined", "initial"):
            continue
        later, loses, ends = verdict(pair.step), verdict(pair.lost), verdict(pair.last)
        yield (
            f"Does refining delay over-optimisation? Turns later: {later} ({signed(pair.step, 0)} steps). "
            f"Loses less after its peak: {_turned(loses)} ({points(pair.lost, sign=True)}). "
            f"Ends higher: {ends} ({points(pair.last, sign=True)})."
        )
    for reward in dict.fromkeys(entry.reward for entry in account.agreements):
        entries = [entry for entry in account.agreements if entry.reward == reward]
        worst = max(entries, key=lambda entry: abs(entry.error.value))
        yield (
            f"{NAMES[reward]}: training against the audit's prediction, furthest apart at KL {worst.kl:g}: "
            f"{points(worst.error, sign=True)}."
        )


def _turned(said: str) -> str:
    """Less is good here."""
    return {"yes": "no", "no": "yes"}.get(said, said)


def points(estimate: Estimate, *, sign: bool = False) -> str:
    """`12.3 points [8.1, 16.5]`."""
    return f"{shown(estimate, 100, 1, sign)} points" if estimate.low is None else _inside(
        shown(estimate, 100, 1, sign), " points"
    )  # fmt: skip


def signed(estimate: Estimate, digits: int) -> str:
    """`+12 [8, 16]`."""
    return shown(estimate, 1, digits, True)


def shown(estimate: Estimate | None, scale: float = 1.0, digits: int = 1, sign: bool = False) -> str:
    """`54.1 [52.0, 56.3]`; a dash for what was not measured."""
    if estimate is None:
        return "–"
    plus = "+" if sign else ""
    said = f"{scale * estimate.value:{plus}.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return said
    low, high = (f"{scale * end:{plus}.{digits}f}" for end in (estimate.low, estimate.high))
    return f"{said} [{low}, {high}]"


def _inside(text: str, unit: str) -> str:
    value, _, rest = text.partition(" ")
    return f"{value}{unit} {rest}"
