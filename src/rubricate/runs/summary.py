"""A run in numbers: one pass over the journal, a few numbers kept per prompt.

Nothing here depends on time or on what was paid in which session: a run that was broken and resumed has
the same summary as the unbroken one. What one session did stands apart, under `session`.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, get_args

import msgspec

from rubricate.domain.conversation import SetAside
from rubricate.domain.intervals import Clusters, Estimate, mean, rate
from rubricate.domain.record import NOT_ASKED, PromptRecord, Round, Spend, State, Step
from rubricate.domain.rubric import Rubric

LISTED = 200
"""How many failed prompts, and how many things set aside, are named; the rest is counted."""

REASONS = 10
"""How many of the most common reasons are told for each state."""

DISTINCT_REASONS = 1_000
"""How many different reasons are told apart; past that, new ones are counted together."""


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many prompts (or things set aside) have one reason."""

    why: str
    n: int


class Reasons(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The most common reasons, most common first, and how many had another one."""

    common: tuple[Reason, ...] = ()
    others: int = 0


class FailedPrompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prompt that failed, and why."""

    id: str
    why: str


class Shift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mean over prompts before and after, over the same prompts, and the mean of the differences."""

    before: Estimate
    after: Estimate
    change: Estimate


class RoundSummary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One round over all prompts that played it.

    `criteria` and `tie_share` compare the rubric in force before the round with the one in force after
    it: where a proposal was not accepted, these are one and the same. The tie share is that of the top of the
    responses still in play; None where it was left open for some prompt (`grade.coverage`), since the others
    are no fair sample. Of the `responses` in play, summed over prompts, `responses_not_asked` lacked verdicts
    that could not matter.
    """

    number: int
    prompts: int
    accepted: int
    refused: int
    failed: int
    accepted_share: Estimate
    criteria: Shift
    tie_share: Shift | None
    responses: int = 0
    responses_not_asked: int = 0


class Summary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of all prompts of a run.

    `reasons` tells why prompts were kept or failed. `criteria` is the number of criteria in the first and
    in the final rubric; `tie_share` the share of tied pairs among the top of the pool under the same two,
    over the prompts where both were measured. `unjudged` is the share of criteria times responses without
    a verdict in the final standings, and `unjudged_reasons` says why; `responses_without_score` of the
    `responses_graded` fell below the coverage floor for it. What was not asked (`grade.coverage`) is in none
    of these. Where a part of the cost is not known, the cost is None.
    """

    prompts: int
    by_state: dict[State, int]
    reasons: dict[State, Reasons]
    refined_share: Estimate | None
    failed: tuple[FailedPrompt, ...]
    failed_not_listed: int
    criteria: Shift | None
    tie_share: Shift | None
    rounds: tuple[RoundSummary, ...]
    unjudged: Estimate | None
    unjudged_reasons: Reasons
    responses_graded: int
    responses_without_score: int
    spend: dict[Step, Spend]
    total: Spend
    set_aside_total: int
    set_aside_reasons: Reasons
    set_aside: tuple[SetAside, ...]
    set_aside_not_listed: int
    session: dict[str, Any] | None = None


def summarize(records: Iterable[PromptRecord]) -> Summary:
    """The summary of a run, in one pass over its records in input order."""
    tally = _Tally()
    for record in records:
        tally.add(record)
    return tally.summary()


def summary_json(summary: Summary) -> bytes:
    """The summary as indented JSON with a line end: the same bytes for the same summary."""
    return msgspec.json.format(msgspec.json.encode(summary, order="deterministic"), indent=2) + b"\n"


class _Tally:
    def __init__(self) -> None:
        self.states: Counter[State] = Counter()
        self.reasons: dict[State, _ReasonCount] = {"kept": _ReasonCount(), "failed": _ReasonCount()}
        self.failed: list[FailedPrompt] = []
        self.set_aside: list[SetAside] = []
        self.set_aside_reasons = _ReasonCount()
        self.criteria, self.tie_share = _Pairs(), _Pairs()
        self.rounds: dict[int, _RoundTally] = defaultdict(_RoundTally)
        self.unjudged, self.unjudged_reasons = Clusters(), _ReasonCount()
        self.responses = self.without_score = 0
        self.spend: dict[Step, _SpendTally] = defaultdict(_SpendTally)

    def add(self, record: PromptRecord) -> None:
        self.states[record.state] += 1
        if record.state in self.reasons:
            self.reasons[record.state].add(record.why)
        if record.state == "failed" and len(self.failed) < LISTED:
            self.failed.append(FailedPrompt(record.id, record.why))
        for thing in record.set_aside:
            self.set_aside_reasons.add(thing.why)
            if len(self.set_aside) < LISTED:
                self.set_aside.append(thing)
        if record.initial is not None and record.rubric is not None:
            self.criteria.add(len(record.initial.criteria), len(record.rubric.criteria))
        self.tie_share.add(record.tie_share_before, record.tie_share_after)
        self._add_standings(record)
        self._add_rounds(record)
        for step, spend in record.spend.items():
            self.spend[step].add(spend)

    def _add_standings(self, record: PromptRecord) -> None:
        asked = [standing for standing in record.standings if standing.is_asked]
        self.responses += len(asked)
        self.without_score += sum(standing.score is None for standing in asked)
        self.unjudged.add(
            sum(standing.marks.count("?") for standing in record.standings),
            sum(len(standing.marks) - standing.marks.count(NOT_ASKED) for standing in record.standings),
        )
        for standing in record.standings:
            for reason in standing.reasons.values():
                self.unjudged_reasons.add(reason)

    def _add_rounds(self, record: PromptRecord) -> None:
        rubric_by_key = rubrics_of(record)
        for round in record.rounds:
            self.rounds[round.number].add(round, rubric_by_key[round.before])

    def summary(self) -> Summary:
        prompts = self.states.total()
        spend = {step: self.spend[step].total() for step in sorted(self.spend)}
        return Summary(
            prompts=prompts,
            by_state={state: self.states[state] for state in get_args(State)},
            reasons={state: count.reasons() for state, count in self.reasons.items()},
            refined_share=rate(self.states["refined"], prompts),
            failed=tuple(self.failed),
            failed_not_listed=self.states["failed"] - len(self.failed),
            criteria=self.criteria.shift(),
            tie_share=self.tie_share.shift(),
            rounds=tuple(self.rounds[number].summary(number) for number in sorted(self.rounds)),
            unjudged=self.unjudged.rate(),
            unjudged_reasons=self.unjudged_reasons.reasons(),
            responses_graded=self.responses,
            responses_without_score=self.without_score,
            spend=spend,
            total=_SpendTally.of(spend.values()).total(),
            set_aside_total=self.set_aside_reasons.total,
            set_aside_reasons=self.set_aside_reasons.reasons(),
            set_aside=tuple(self.set_aside),
            set_aside_not_listed=self.set_aside_reasons.total - len(self.set_aside),
        )


def rubrics_of(record: PromptRecord) -> dict[str, Rubric]:
    """Every rubric that a prompt had or was proposed, by content key."""
    had = [record.initial, *(round.proposed for round in record.rounds), record.rubric]
    return {rubric.key: rubric for rubric in had if rubric is not None}


class _Pairs:
    """A number before and after, for each prompt that has both: sixteen bytes a prompt."""

    def __init__(self) -> None:
        self.before, self.after = array("d"), array("d")

    def add(self, before: float | None, after: float | None) -> None:
        if before is not None and after is not None:
            self.before.append(before)
            self.after.append(after)

    def shift(self) -> Shift | None:
        change = array("d", (b - a for a, b in zip(self.before, self.after, strict=True)))
        before, after, changed = mean(self.before), mean(self.after), mean(change)
        if before is None or after is None or changed is None:
            return None
        return Shift(before, after, changed)


class _RoundTally:
    def __init__(self) -> None:
        self.decisions: Counter[str] = Counter()
        self.criteria, self.tie_share = _Pairs(), _Pairs()
        self.responses = self.not_asked = self.left_open = 0

    def add(self, round: Round, before: Rubric) -> None:
        self.decisions[round.decision] += 1
        self.responses += len(round.standings)
        self.not_asked += sum(not standing.is_asked for standing in round.standings)
        accepted = round.proposed if round.decision == "accepted" else None
        tie_share_after = round.tie_share_before if accepted is None else round.tie_share_after
        if any(not standing.is_asked for standing in round.standings):
            self.left_open += round.tie_share_before is None or tie_share_after is None
        elif round.tie_share_before is not None:
            self.left_open += tie_share_after is None
        self.criteria.add(len(before.criteria), len((accepted or before).criteria))
        self.tie_share.add(round.tie_share_before, tie_share_after)

    def summary(self, number: int) -> RoundSummary:
        prompts = self.decisions.total()
        accepted_share, criteria = rate(self.decisions["accepted"], prompts), self.criteria.shift()
        assert accepted_share is not None and criteria is not None, "a round is there because a prompt played"
        return RoundSummary(
            number=number,
            prompts=prompts,
            accepted=self.decisions["accepted"],
            refused=self.decisions["refused"],
            failed=self.decisions["failed"],
            accepted_share=accepted_share,
            criteria=criteria,
            tie_share=None if self.left_open else self.tie_share.shift(),
            responses=self.responses,
            responses_not_asked=self.not_asked,
        )


class _ReasonCount:
    """Counts reasons. Each may hold an id or a number of its own, so how many are told apart is bounded."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.beyond = 0

    @property
    def total(self) -> int:
        return self.count.total() + self.beyond

    def add(self, why: str) -> None:
        if why in self.count or len(self.count) < DISTINCT_REASONS:
            self.count[why] += 1
        else:
            self.beyond += 1

    def reasons(self) -> Reasons:
        order = sorted(self.count.items(), key=lambda item: (-item[1], item[0]))
        common = tuple(Reason(why, n) for why, n in order[:REASONS])
        return Reasons(common, self.total - sum(reason.n for reason in common))


class _SpendTally:
    """Adds spends up. The cost is known only if that of every part with calls is."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.costs = array("d")
        self.is_priced = True

    @classmethod
    def of(cls, spends: Iterable[Spend]) -> _SpendTally:
        tally = cls()
        for spend in spends:
            tally.add(spend)
        return tally

    def add(self, spend: Spend) -> None:
        counts = msgspec.structs.asdict(spend)
        cost = counts.pop("cost_usd")
        self.counts.update(counts)
        if cost is not None:
            self.costs.append(cost)
        elif spend.calls:
            self.is_priced = False

    def total(self) -> Spend:
        return Spend(cost_usd=math.fsum(self.costs) if self.is_priced else None, **self.counts)
