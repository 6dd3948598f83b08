"""A refresh in figures, as a trainer logs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rubricate.training.online.files.records import Played, Version

_REASONS = (
    ("the proposer changed nothing", "unchanged"),
    ("the pair could not be judged", "unjudged"),
    ("the new rubric ties the pair", "ties_pair"),
    ("ties more of the top", "ties_more"),
    ("the judge has no clear preference", "no_preference"),
    ("separates the pair against", "against_judge"),
)
"""How the sentences of the gate begin (runs/refinement.py), and what they are called in figures."""


def figures_of(versions: Sequence[Version], calls: Mapping[str, int]) -> dict[str, float]:
    """Counts over all prompts of a refresh, and means where the name says so; all as `online/...`.

    `refused_...` are refusals by reason; `tie_share_before` and `tie_share_after` the mean shares of tied
    pairs among the top of the rounds in which both were measured, `tie_shares` their number.
    """
    played = [one for version in versions for one in version.played]
    decided = Counter(one.decision for one in played)
    refused = Counter(reason_of(one) for one in played if one.decision == "refused")
    ties = [
        (one.tie_share_before, one.tie_share_after)
        for one in played
        if one.tie_share_before is not None and one.tie_share_after is not None
    ]
    named: dict[str, float | None] = {
        "prompts": len(versions),
        "changed": sum(version.is_new for version in versions),
        "pairs": len(played),
        "accepted": decided["accepted"],
        "refused": decided["refused"],
        **{f"refused_{name}": n for name, n in sorted(refused.items())},
        "failed": decided["failed"] + sum(version.failed for version in versions),
        "added": sum(len(version.added) for version in versions),
        "merged": sum(len(one.same) for one in played),
        "returned": sum(len(version.returned) for version in versions),
        "retired": sum(len(version.newly_retired) for version in versions),
        "active_mean": _mean([len(version.rubric.criteria) for version in versions]),
        "kept_for_evaluation_mean": _mean([len(version.retired) for version in versions]),
        "tie_shares": len(ties),
        "tie_share_before": _mean([before for before, _ in ties]),
        "tie_share_after": _mean([after for _, after in ties]),
        **{name: calls.get(name, 0) for name in ("proposals", "gradings", "comparisons")},
    }
    return {f"online/{name}": float(value) for name, value in named.items() if value is not None}


def reason_of(played: Played) -> str:
    """Why a pair was refused, in a word."""
    return next((name for begin, name in _REASONS if played.why.startswith(begin)), "another_reason")


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
