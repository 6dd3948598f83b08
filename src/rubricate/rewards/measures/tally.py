"""Groups added up: the figures of one batch, or of all batches of a training."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import comb

from rubricate.domain.intervals import Clusters, Estimate, rate
from rubricate.rewards.measures.groups import Group, Standing, tied_pairs

_REASONS, _OTHER = 200, "another reason"
"""Texts of failures are without end; a training is long."""


@dataclass
class Course:
    """One criterion over many groups. `groups` are those with at least two verdicts on it."""

    met: int = 0
    judged: int = 0
    unjudged: int = 0
    groups: int = 0
    varied: int = 0
    unpaid: int = 0
    spreads: float = 0.0

    def add(self, standing: Standing) -> None:
        """One more group."""
        self.met += standing.met
        self.judged += standing.judged
        self.unjudged += standing.unjudged
        if standing.spread is not None:
            self.groups += 1
            self.varied += bool(standing.varies)
            self.spreads += standing.spread
            self.unpaid += bool(standing.varies) and (standing.suppressed or not standing.counts)

    @property
    def spread(self) -> float | None:
        """Mean of 4 p (1 - p) over the groups, in [0, 1]."""
        return self.spreads / self.groups if self.groups else None

    @property
    def never_varies(self) -> bool:
        """Whether it has said the same of all completions of a prompt wherever it could say anything else."""
        return self.groups > 0 and self.varied == 0

    @property
    def is_suppressed(self) -> bool:
        """Whether it varied, and no reward ever followed it: left out, or hidden by a gate or the clipping in
        every group in which it varied."""
        return 0 < self.varied == self.unpaid


@dataclass
class Tally:
    """What happened to completions, groups and criteria. Rates have n and a 95% interval.

    `why` counts the completions without a reward by reason. Criteria stand by prompt key and text.
    """

    n: int = 0
    judged: int = 0
    why: Counter[str] = field(default_factory=Counter)
    criteria: dict[tuple[str, str], Course] = field(default_factory=lambda: defaultdict(Course))
    _sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _counts: Counter[str] = field(default_factory=Counter)
    _silence: Clusters = field(default_factory=Clusters)
    _ties: Clusters = field(default_factory=Clusters)

    def add_completion(self, reward: float | None, why: str | None, **beside: float | None) -> None:
        """One completion; `beside` are its other figures by name, whose means are kept."""
        self.n += 1
        self.judged += reward is not None
        if reward is None:
            reason = why or "no reason given"
            self.why[reason if reason in self.why or len(self.why) < _REASONS else _OTHER] += 1
        for name, value in {"reward": reward, **beside}.items():
            if value is not None:
                self._sums[name] += value
                self._counts[name] += 1

    def add_prompt(self, unjudged: int, n: int) -> None:
        """All completions of one prompt: how many of them have no reward."""
        self._silence.add(unjudged, n)

    def add_group(self, prompt_key: str, group: Group, standings: dict[str, Standing]) -> None:
        """One group with the standing of its criteria."""
        self.add_rewards(group.judged)
        for text, standing in standings.items():
            self.criteria[prompt_key, text].add(standing)

    def add_rewards(self, rewards: Sequence[float]) -> None:
        """The rewards that the completions of one prompt have."""
        self._ties.add(tied_pairs(rewards), comb(len(rewards), 2))
        if len(rewards) > 1:
            self._counts["groups"] += 1
            self._counts["groups_without_spread"] += len(set(rewards)) == 1

    @property
    def unjudged(self) -> Estimate | None:
        """Share of the completions without a reward; the interval is over prompts."""
        return self._silence.rate()

    @property
    def ties(self) -> Estimate | None:
        """Share of the pairs of one group that have equal rewards; the interval is over groups."""
        return self._ties.rate()

    @property
    def without_spread(self) -> Estimate | None:
        """Share of the groups of two rewards or more in which all are equal: no advantage in any."""
        return rate(self._counts["groups_without_spread"], self._counts["groups"])

    @property
    def never_varying(self) -> list[tuple[str, str]]:
        """Prompt key and text of the criteria that never varied within a group."""
        return [where for where, course in self.criteria.items() if course.never_varies]

    @property
    def suppressed(self) -> list[tuple[str, str]]:
        """Prompt key and text of the criteria that varied, and that no reward followed."""
        return [where for where, course in self.criteria.items() if course.is_suppressed]

    def mean(self, name: str) -> float | None:
        """The mean of one of the figures of completions."""
        return self._sums[name] / self._counts[name] if self._counts[name] else None

    def metrics(self) -> dict[str, float]:
        """All of it by name, as a trainer logs it; what is not defined is left out."""
        known = [course for course in self.criteria.values() if course.groups]
        spreads = [course.spread for course in known if course.spread is not None]
        named: dict[str, float | None] = {
            "completions": float(self.n),
            "unjudged_rate": _value(self.unjudged),
            "tie_share": _value(self.ties),
            "groups": float(self._counts["groups"]),
            "zero_advantage_groups": _value(self.without_spread),
            "criteria": float(len(known)),
            "criteria_spread": _mean(spreads),
            "criteria_never_varying": _mean([course.never_varies for course in known]),
            "criteria_suppressed": _mean([course.is_suppressed for course in known]),
            "criteria_unjudged_rate": _share(
                sum(course.unjudged for course in self.criteria.values()),
                sum(course.unjudged + course.judged for course in self.criteria.values()),
            ),
            **{name: self.mean(name) for name in sorted(self._sums)},
        }
        return {name: float(value) for name, value in named.items() if value is not None}


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return sum(known) / len(known) if known else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
