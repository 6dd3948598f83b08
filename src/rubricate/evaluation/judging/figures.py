"""Preferences -> figures of the judge itself: consistency, position, ties, invalid, agreement with labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from rubricate.domain.intervals import Estimate
from rubricate.evaluation.judging.preferences import Judged
from rubricate.evaluation.totals import share_over

MOST_REASONS = 5
Count = tuple[float, float]
"""A numerator and a denominator."""


class JudgeFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be said of a judge by its preferences. Intervals are over prompts; `n` of each counts them.

    `decided`, `tied` and `invalid` add up to 1 over all pairs. A tie is a pair whose two orders disagree (or
    of equal scores, or of equal texts), invalid one without a readable answer to every order that was asked.
    `consistent`: of the pairs with both orders readable, the share in which they name the same response.
    `first_position`: of all readable answers, the share that names whatever stands first; 0.5 is no bias when
    both orders are asked. `accuracy`: of the pairs with a label that is no tie, the share won by who ought to
    win, all else wrong; `credited` gives half to ties and leaves out invalid pairs; `decided_accuracy` is
    over decided pairs alone.
    """

    judge: str
    pairs: int
    prompts: int
    counts: dict[str, int]
    decided: Estimate | None
    tied: Estimate | None
    invalid: Estimate | None
    consistent: Estimate | None
    first_position: Estimate | None
    labelled: int
    accuracy: Estimate | None
    credited: Estimate | None
    decided_accuracy: Estimate | None
    reasons: dict[str, int]


def judge_figures(lines: Sequence[Judged], seed: int = 0) -> JudgeFigures:
    """The figures of one judge's preferences."""
    winners = Counter(line.winner for line in lines)
    labelled = [line for line in lines if line.label in ("first", "second")]
    reasons = Counter(line.reason or "no reason given" for line in lines if line.winner == "unjudged")
    counts = {
        "decided": winners["first"] + winners["second"],
        "tied": winners["tie"],
        "invalid": winners["unjudged"],
        "invalid answers": sum(answer.better is None for line in lines for answer in line.answers),
        "answers": sum(len(line.answers) for line in lines),
        "labels that are ties": sum(line.label == "tie" for line in lines),
    }
    return JudgeFigures(
        judge=lines[0].judge if lines else "",
        pairs=len(lines),
        prompts=len({line.unit for line in lines}),
        counts=counts,
        decided=over_prompts(lines, lambda line: (line.winner in ("first", "second"), 1), seed),
        tied=over_prompts(lines, lambda line: (line.winner == "tie", 1), seed),
        invalid=over_prompts(lines, lambda line: (line.winner == "unjudged", 1), seed),
        consistent=over_prompts(lines, _consistent, seed),
        first_position=over_prompts(lines, _first, seed),
        labelled=len(labelled),
        accuracy=over_prompts(labelled, lambda line: (line.winner == line.label, 1), seed),
        credited=over_prompts(labelled, _credited, seed),
        decided_accuracy=over_prompts(
            labelled, lambda line: (line.winner == line.label, line.winner in ("first", "second")), seed
        ),
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:MOST_REASONS]),
    )


def over_prompts(lines: Iterable[Judged], count: Callable[[Judged], Count], seed: int = 0) -> Estimate | None:
    """A share of pairs with its interval over prompts; see `share_over`."""
    return share_over(((line.unit, *count(line)) for line in lines), seed)


def _consistent(line: Judged) -> Count:
    is_readable = len(line.answers) == 2 and all(answer.better for answer in line.answers)
    return (is_readable and line.winner != "tie", is_readable)


def _first(line: Judged) -> Count:
    readable = [answer for answer in line.answers if answer.better is not None]
    return sum(answer.better == 1 for answer in readable), len(readable)


def _credited(line: Judged) -> Count:
    credit = 1.0 if line.winner == line.label else 0.5 if line.winner == "tie" else 0.0
    return credit, line.winner != "unjudged"
