"""Two rewards on the same prompts: what one has more than the other, with the interval of the difference."""

from __future__ import annotations

import difflib

from rubricate.domain.intervals import Estimate
from rubricate.errors import SettingsError
from rubricate.evaluation.audit.auditing import Audit, RewardAudit
from rubricate.evaluation.audit.measures.frontier import paths_apart


def compared(audit: Audit, one: str, other: str) -> dict[str, Estimate | None]:
    """Metric by metric `one` less `other`, paired: every resample has the same prompts for both.

    A metric that is a ratio over prompts is compared on the prompts where both have one; the path at each KL
    on the prompts that both judge. Peaks and ends of paths are not compared. None where a side has none.

    Source: the paired bootstrap, Efron and Tibshirani (1993), section 8; `resampling.difference`.

    Raises:
        SettingsError: the audit has no reward of that name; the nearest is named.
    """
    a, b = _named(audit, one), _named(audit, other)
    result: dict[str, Estimate | None] = {
        metric: measure.less(b.measures[metric])
        for metric, measure in a.measures.items()
        if metric in b.measures
    }
    kls = tuple(float(metric.partition("@")[2]) for metric in a.estimates if metric.startswith("win_rate@"))
    if kls:
        result |= paths_apart(a.path, b.path, kls)
    return result


def _named(audit: Audit, name: str) -> RewardAudit:
    reward = audit.reward(name)
    if reward is None:
        names = [reward.name for reward in audit.rewards]
        near = difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"
        raise SettingsError(f"--compare: no reward is called {name}{hint}")
    return reward
