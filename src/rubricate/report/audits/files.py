"""An audit as JSON and as CSV: every metric of every reward, curves, sources, comparisons and gates."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rubricate.domain.intervals import Estimate
from rubricate.evaluation.audit.auditing import Audit, RewardAudit
from rubricate.evaluation.audit.gates import Passed
from rubricate.evaluation.audit.measures.frontier import Path

Differences = Mapping[tuple[str, str], Mapping[str, Estimate | None]]


def as_json(audit: Audit, source: str, differences: Differences, gates: Sequence[Passed]) -> str:
    """One object; see docs/audit.md. Equal audits give equal bytes."""
    low, middle, high = audit.sizes
    document = {
        "source": source,
        "prompts": audit.n_prompts,
        "responses": audit.n_responses,
        "pairs": audit.n_pairs,
        "responses_per_prompt": {"least": low, "median": middle, "most": high},
        "notes": list(audit.notes),
        "gold": {
            "column": audit.gold_name,
            "uniform_distance": _number(audit.gold.distance),
            "uniform_distance_if_uniform": _finite(audit.gold.distance_if_uniform),
            "tie_share": _number(audit.gold.tie_share),
            "win_rate_of_perfect_ranking": [row._asdict() for row in audit.gold.at_kl],
        },
        "rewards": [_reward(reward) for reward in audit.rewards],
        "comparisons": [
            {"one": one, "other": other, "metrics": {name: _number(found) for name, found in metrics.items()}}
            for (one, other), metrics in differences.items()
        ],
        "gates": [
            {"gate": passed.gate.text, "reward": passed.reward, "held": passed.is_held, "line": passed.line}
            for passed in gates
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def as_csv(audit: Audit, differences: Differences) -> str:
    """One line a reward and metric: `reward,kind,metric,value,low,high,n`; empty where nothing was measured.

    A comparison has the kind `difference` and both names, such as `a less b`. What a spreadsheet would take
    for a formula in a name is set behind an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["reward", "kind", "metric", "value", "low", "high", "n"])
    for reward in audit.rewards:
        for metric, found in reward.estimates.items():
            writer.writerow([_safe(reward.name), reward.kind, metric, *_cells(found)])
    for (one, other), metrics in differences.items():
        for metric, found in metrics.items():
            writer.writerow([_safe(f"{one} less {other}"), "difference", metric, *_cells(found)])
    return text.getvalue()


def _reward(reward: RewardAudit) -> dict[str, Any]:
    return {
        "name": reward.name,
        "kind": reward.kind,
        "metrics": {metric: _number(found) for metric, found in reward.estimates.items()},
        "frontier": _path(reward.path),
        "rank_frontier": _path(reward.ranks),
        "best_of_n": [
            {
                "n": best.n,
                "gold": _number(best.gold.estimate()),
                "win_rate": _number(best.win_rate.estimate()),
                "spread_over_candidates": best.spread,
            }
            for best in reward.best_of
        ],
        "sources": [
            {
                "name": source.name,
                "share_of_responses": source.pool,
                "share_of_wins": _number(source.proxy),
                "share_of_gold_wins": _number(source.gold),
            }
            for source in reward.sources
        ],
    }


def _path(path: Path) -> dict[str, list[float]] | None:
    if not path.heard.any():
        return None
    kl, win_rate, gold = path.means()
    return {"kl": kl.tolist(), "win_rate": win_rate.tolist(), "gold": gold.tolist()}


def _number(found: Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"value": found.value, "n": found.n, "low": found.low, "high": found.high}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cells(found: Estimate | None) -> list[str]:
    if found is None:
        return ["", "", "", ""]
    ends = ["" if end is None else f"{end:.10g}" for end in (found.low, found.high)]
    return [f"{found.value:.10g}", *ends, str(found.n)]


def _safe(name: str) -> str:
    return f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name
