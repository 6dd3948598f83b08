"""Gradings and a judge's preferences -> how far the rubrics prefer what the judge prefers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rubricate.domain.intervals import Estimate
from rubricate.domain.judgement import Preference, Side
from rubricate.errors import DataError
from rubricate.evaluation.alignment.definitions import alignment_credit, paper_correct, paper_outcome
from rubricate.evaluation.alignment.gradings import Gradings
from rubricate.evaluation.judging.figures import JudgeFigures, judge_figures, over_prompts
from rubricate.evaluation.judging.pairs import Pair
from rubricate.evaluation.judging.preferences import Judged, judged


class Alignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rubrics against a judge, over the pairs that the judge decided. Intervals are over prompts.

    `counts` says what became of all pairs: `decided` by the judge and graded at all (the rest of this record
    is over these), `judge tied`, `judge invalid`, `not graded` (the file has no grading of a side). Of the
    decided ones `first`, `second`, `tie`, `no majority` say what the rubric prefers, and `ungraded` that
    every grading of a side failed.

    `paper_accuracy`: the majority of the gradings is the judge's preference, everything else wrong.
    `alignment`: half credit for equal scores and for no majority; over pairs that have a grading.
    `tied`: the share of pairs that the majority ties. `untied_accuracy`: over pairs that it decides.
    """

    gradings: str
    judge: JudgeFigures
    draws: tuple[int, int]
    counts: dict[str, int]
    prompts: int
    paper_accuracy: Estimate | None
    alignment: Estimate | None
    tied: Estimate | None
    untied_accuracy: Estimate | None


def align(lines: Sequence[Judged], gradings: Gradings, seed: int = 0) -> Alignment:
    """How far the gradings agree with the preferences.

    A judge that was asked in both orders has ties where they disagree; they are no truth to be held against,
    and stand apart, as its invalid answers do. The paper asked one order, so that it had none.

    Raises:
        DataError: no pair is both decided and graded.
    """
    counts = dict.fromkeys(
        (
            "decided",
            "judge tied",
            "judge invalid",
            "not graded",
            "first",
            "second",
            "tie",
            "no majority",
            "ungraded",
        ),
        0,
    )
    used, right, credit, outcomes, draws = list[Judged](), {}, {}, {}, set[int]()
    for line in lines:
        if line.winner not in ("first", "second"):
            counts["judge tied" if line.winner == "tie" else "judge invalid"] += 1
            continue
        sides = gradings.of(line)
        if sides is None:
            counts["not graded"] += 1
            continue
        winner: Side = "first" if line.winner == "first" else "second"
        outcome, points = paper_outcome(*sides), alignment_credit(*sides, winner)
        counts["decided"] += 1
        counts["ungraded" if points is None else outcome or "no majority"] += 1
        draws.add(min(map(len, sides)))
        used.append(line)
        outcomes[line.key], credit[line.key] = outcome, points
        right[line.key] = paper_correct(outcome, winner)
    if not used:
        said = ", ".join(f"{name}: {n}" for name, n in counts.items() if n)
        raise DataError(gradings.name, f"no pair is both decided by the judge and graded here ({said})")
    return Alignment(
        gradings=gradings.name,
        judge=judge_figures(lines, seed),
        draws=(min(draws), max(draws)),
        counts=counts,
        prompts=len({line.unit for line in used}),
        paper_accuracy=over_prompts(used, lambda line: (right[line.key], 1), seed),
        alignment=over_prompts(
            used, lambda line: (credit[line.key] or 0.0, credit[line.key] is not None), seed
        ),
        tied=over_prompts(used, lambda line: (outcomes[line.key] == "tie", 1), seed),
        untied_accuracy=over_prompts(
            used, lambda line: (right[line.key], outcomes[line.key] in ("first", "second")), seed
        ),
    )


def labels_as_preferences(pairs: Sequence[Pair], source: str) -> list[Judged]:
    """The labels of a file of pairs, as if a judge had said them."""
    lines = []
    for pair in pairs:
        said = (
            Preference(pair.label) if pair.label else Preference("unjudged", "the file has no label for it")
        )
        lines.append(judged(msgspec.structs.replace(pair, label=None), said, f"labels of {source}"))
    return lines
