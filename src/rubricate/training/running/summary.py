"""A training in numbers: from its log and its sessions, so that a resumed one is counted whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from rubricate.domain.intervals import Clusters, mean
from rubricate.training.recipes.grpo import GrpoRecipe
from rubricate.training.running.folder import LEFT_OUT, POLICY, read_log, read_sessions

_FIGURES = ("reward", "kl", "loss", "entropy", "completions/mean_length", "rewards/margins", "eval_loss")


def summary_of(folder: Path, model: str, recipe: Any, n_rows: int) -> dict[str, Any]:
    """What summary.json holds.

    Of a figure `first` and `last` are its means over the first and the last tenth of the logged steps, with
    95% intervals over steps. `unjudged`, `zero_advantage_groups` and `tie_share` are over the whole training.
    `sessions` are the stretches that ended by themselves; one that was killed leaves none.
    """
    log = [line for line in read_log(folder) if "step" in line]
    steps = max((int(line["step"]) for line in log), default=0)
    found: dict[str, Any] = {"model": model, "steps": steps, "rows": n_rows}
    found["left_out"] = msgspec.json.decode((folder / LEFT_OUT).read_bytes())["reasons"]
    if isinstance(recipe, GrpoRecipe):
        found["rollouts"] = recipe.batches().rollouts_in(steps)
    for name in _FIGURES:
        values = [float(line[name]) for line in log if isinstance(line.get(name), int | float)]
        if values:
            tenth = max(1, len(values) // 10)
            found[name] = {
                "first": sum(values[:tenth]) / tenth,
                "last": sum(values[-tenth:]) / tenth,
                "last_interval": _interval(values[-tenth:]),
                "steps": len(values),
            }
    unjudged = _unjudged(log)
    if unjudged is not None:
        found["unjudged"] = unjudged
    for name in ("zero_advantage_groups", "tie_share"):
        values = [float(line[f"rubric/{name}"]) for line in log if f"rubric/{name}" in line]
        if values:
            found[name] = {"mean": sum(values) / len(values), "steps": len(values)}
    found["sessions"] = read_sessions(folder)
    found["policy"] = POLICY
    return found


def _interval(values: Sequence[float]) -> list[float | None] | None:
    estimate = mean(values) if len(values) > 1 else None
    return None if estimate is None else [estimate.low, estimate.high]


def _unjudged(log: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The share of completions without a reward; each line of the log is a cluster, of as many completions as
    its steps graded."""
    clusters, before = Clusters(), 0
    for line in log:
        if "rubric/unjudged_rate" not in line:
            continue
        steps = max(1, int(line["step"]) - before)
        before = int(line["step"])
        n = round(line["rubric/completions"] * steps)
        clusters.add(min(n, round(line["rubric/unjudged_rate"] * n)), n)
    estimate = clusters.rate()
    return None if estimate is None else msgspec.to_builtins(estimate)
