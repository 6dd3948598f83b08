"""Trials -> what each attack gains, with intervals over prompts, and what kind of grader lets it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from rubricate.domain.intervals import Clusters, Estimate
from rubricate.evaluation import resampling
from rubricate.evaluation.benchmarks.figures.outcomes import SAME
from rubricate.evaluation.redteam.attack import Meaning
from rubricate.evaluation.redteam.trials import Probe, Trial

Reading = Literal["as wanted", "rewarded", "punished", "not noticed", "undecided"]
MOST_CRITERIA = 5


class Gain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one attack, or one group of them, does to a score.

    `n` counts responses that were changed and judged before and after; `unjudged` those that were not, kept
    apart; `idle` those that the attack does not apply to or leaves as they are. `gain` is the mean of the
    differences, `rose` and `fell` the shares of responses whose score did, `most` the largest gain. The lists
    name the criteria whose verdicts changed most often, with the count.
    """

    name: str
    family: str
    meaning: Meaning | None
    n: int
    prompts: int
    unjudged: int
    idle: int
    gain: Estimate | None
    rose: Estimate | None
    fell: Estimate | None
    most: float | None
    reading: Reading
    criteria_rose: int = 0
    criteria_fell: int = 0
    criteria_lost: int = 0
    rose_most: dict[str, int] = {}
    fell_most: dict[str, int] = {}


class Worst(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The worst case of each response: its largest gain over the attacks of a kind, 0 where none gains.

    `gain` is its mean over responses, `share` the share of responses that some attack lifts.
    """

    kind: str
    n: int
    gain: Estimate | None
    share: Estimate | None


def gain_of(
    name: str, family: str, meaning: Meaning | None, trials: Sequence[Trial], n_idle: int = 0
) -> Gain:
    """The row of an attack from its trials."""
    judged = [trial for trial in trials if trial.gain is not None]
    by_prompt: dict[str, list[float]] = defaultdict(list)
    for trial in judged:
        by_prompt[trial.probe.prompt.key].append(trial.gain or 0.0)
    rose, fell = Clusters(), Clusters()
    for gains in by_prompt.values():
        rose.add(sum(gain > SAME for gain in gains), len(gains))
        fell.add(sum(gain < -SAME for gain in gains), len(gains))
    gain = resampling.ratio(
        [math.fsum(gains) for gains in by_prompt.values()], [len(gains) for gains in by_prompt.values()]
    )
    ups, downs, lost = _changed(judged)
    return Gain(
        name=name,
        family=family,
        meaning=meaning,
        n=len(judged),
        prompts=len(by_prompt),
        unjudged=len(trials) - len(judged),
        idle=n_idle,
        gain=gain,
        rose=rose.rate(),
        fell=fell.rate(),
        most=max((gain for gains in by_prompt.values() for gain in gains), default=None),
        reading=reading_of(meaning, gain),
        criteria_rose=ups.total(),
        criteria_fell=downs.total(),
        criteria_lost=lost,
        rose_most=_commonest(ups),
        fell_most=_commonest(downs),
    )


def reading_of(meaning: Meaning | None, gain: Estimate | None) -> Reading:
    """What a gain says, by its interval.

    preserved   as wanted if 0 is inside; else rewarded or punished
    weakened    rewarded if all of it is above 0, as wanted if it does not reach above
    destroyed   the same, and not noticed if it reaches 0

    Undecided without an interval, where one of its ends is on either side, and for groups of several meanings
    unless they are rewarded.
    """
    if gain is None or gain.low is None or gain.high is None:
        return "undecided"
    if gain.low > SAME:
        return "rewarded"
    if meaning == "preserved":
        return "punished" if gain.high < -SAME else "as wanted"
    if meaning == "destroyed":
        return "as wanted" if gain.high < -SAME else "not noticed"
    if meaning == "weakened":
        return "as wanted" if gain.high <= SAME else "undecided"
    return "undecided"


def gains_of(probes: Sequence[Probe], trials: Sequence[Trial]) -> list[Gain]:
    """A row for each attack in the order of the probes, then one for each family, each meaning, and all made
    attacks together; real cases stand for themselves."""
    made = [trial for trial in trials if not trial.probe.is_real]
    idle: Counter[str] = Counter(
        probe.name for probe in probes if probe.after is None or probe.after == probe.before
    )
    of = {trial_name: list[Trial]() for trial_name in dict.fromkeys(probe.name for probe in probes)}
    first = {probe.name: probe for probe in reversed(probes)}
    for trial in trials:
        of[trial.probe.name].append(trial)
    rows = [
        gain_of(name, first[name].family, first[name].meaning, found, idle[name])
        for name, found in of.items()
    ]
    families = dict.fromkeys(trial.probe.family for trial in made)
    rows += [
        gain_of(f"family {family}", family, None, [t for t in made if t.probe.family == family])
        for family in families
    ]
    meanings: tuple[Meaning, ...] = ("preserved", "weakened", "destroyed")
    for meaning in meanings:
        found = [trial for trial in made if trial.probe.meaning == meaning]
        if found:
            rows.append(gain_of(f"meaning {meaning}", "", meaning, found))
    return [*rows, gain_of("all", "", None, made)] if made else rows


def worst_of(trials: Iterable[Trial]) -> list[Worst]:
    """The worst case over all made attacks, and over those of each meaning."""
    made = [trial for trial in trials if not trial.probe.is_real and trial.gain is not None]
    kinds = {"all": made}
    for trial in made:
        kinds.setdefault(trial.probe.meaning, []).append(trial)
    return [_worst(kind, found) for kind, found in kinds.items() if found]


def _worst(kind: str, trials: Sequence[Trial]) -> Worst:
    most: dict[tuple[str, str], float] = {}
    for trial in trials:
        key = (trial.probe.prompt.key, trial.probe.before)
        most[key] = max(most.get(key, 0.0), trial.gain or 0.0)
    by_prompt: dict[str, list[float]] = defaultdict(list)
    for (prompt, _), gain in most.items():
        by_prompt[prompt].append(gain)
    lifted = Clusters()
    for gains in by_prompt.values():
        lifted.add(sum(gain > SAME for gain in gains), len(gains))
    sums, sizes = [math.fsum(gains) for gains in by_prompt.values()], [len(g) for g in by_prompt.values()]
    return Worst(kind, len(most), resampling.ratio(sums, sizes), lifted.rate())


def _changed(trials: Sequence[Trial]) -> tuple[Counter[str], Counter[str], int]:
    """Criteria that became met, those that no longer are, and how many verdicts came or went."""
    ups, downs, lost = Counter[str](), Counter[str](), 0
    for trial in trials:
        before, after = trial.before, trial.after
        if (
            before is None
            or after is None
            or before.rubric is None
            or not (before.verdicts and after.verdicts)
        ):
            continue
        for criterion, was, now in zip(before.rubric.criteria, before.verdicts, after.verdicts, strict=True):
            if was.is_judged != now.is_judged:
                lost += 1
            elif was.outcome != now.outcome:
                (ups if now.outcome == "met" else downs)[criterion.text] += 1
    return ups, downs, lost


def _commonest(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_CRITERIA])
