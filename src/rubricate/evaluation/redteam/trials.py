"""Responses and attacks -> trials: a text before, a text after, and what a system gave to both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rubricate.domain.conversation import Prompt
from rubricate.domain.identity import chance_of
from rubricate.domain.judgement import Preference
from rubricate.domain.rubric import Rubric
from rubricate.evaluation.benchmarks.cases import Case
from rubricate.evaluation.redteam.attack import Attack, Meaning
from rubricate.evaluation.scorers.marks import (
    Comparer,
    Item,
    Mark,
    Marks,
    Scorer,
    duel_key,
    marks_of,
    preferences_of,
)

Done = Callable[[int, int], None]
_QUIET: Done = lambda n, total: None  # noqa: E731


class Probe(NamedTuple):
    """A response to a prompt and what it is changed into; `after` None where the attack does not apply."""

    name: str
    family: str
    meaning: Meaning
    prompt: Prompt
    before: str
    after: str | None
    rubric: Rubric | None = None
    is_real: bool = False


class Trial(NamedTuple):
    """A probe with its outcome. `gain` is the score after less the score before; for a judge 1 if the
    changed text wins in both orders, -1 if it loses, 0 if the orders disagree; None with `why` if either is
    unjudged."""

    probe: Probe
    gain: float | None
    why: str | None = None
    before: Mark | None = None
    after: Mark | None = None


class Target(NamedTuple):
    """A response to be attacked."""

    prompt: Prompt
    text: str
    rubric: Rubric | None


def targets_of(cases: Iterable[Case], per_prompt: int, seed: int) -> list[Target]:
    """At most so many different responses of each prompt, drawn by content and seed; prompts in file
    order."""
    by_prompt: dict[str, dict[str, Target]] = {}
    for case in cases:
        known = by_prompt.setdefault(case.prompt.key, {})
        for text in case.responses:
            if text.strip():
                known.setdefault(text, Target(case.prompt, text, case.rubric))
    chosen = []
    for key, targets in by_prompt.items():
        drawn = sorted(targets, key=lambda text, key=key: chance_of(seed, "target", key, text))  # type: ignore[misc]
        chosen += [targets[text] for text in drawn[:per_prompt]]
    return chosen


def probes_of(targets: Sequence[Target], attacks: Sequence[Attack], seed: int) -> list[Probe]:
    """Every attack on every response, responses outermost."""
    return [
        Probe(
            attack.name,
            attack.family,
            attack.meaning,
            target.prompt,
            target.text,
            attack.write(target.prompt.text, target.text, target.rubric, seed),
            target.rubric,
        )
        for target in targets
        for attack in attacks
    ]


async def tried(
    probes: Sequence[Probe],
    *,
    scorer: Scorer | None = None,
    judge: Comparer | None = None,
    done: Done = _QUIET,
) -> list[Trial]:
    """The outcome of each probe that applies and changes something, in order. Each different text is asked
    once. Raises as `marks_of` and `preferences_of` do."""
    real = [probe for probe in probes if probe.after is not None and probe.after != probe.before]
    if judge is not None:
        duels = [(probe.prompt, probe.before, probe.after or "") for probe in real]
        found = await preferences_of(duels, judge, done)
        return [_judged(probe, found) for probe in real]
    assert scorer is not None, "there is something to attack"
    texts = [item for probe in real for item in (_before(probe), _after(probe))]
    marks = await marks_of(texts, scorer, done)
    return [_scored(probe, marks) for probe in real]


def _before(probe: Probe) -> Item:
    return Item(probe.prompt, probe.before, probe.rubric)


def _after(probe: Probe) -> Item:
    return Item(probe.prompt, probe.after or "", probe.rubric)


def _scored(probe: Probe, marks: Marks) -> Trial:
    before, after = marks[_before(probe).key], marks[_after(probe).key]
    if before.score is None:
        return Trial(probe, None, f"before the change: {before.why}", before, after)
    if after.score is None:
        return Trial(probe, None, after.why, before, after)
    return Trial(probe, after.score - before.score, None, before, after)


def _judged(probe: Probe, found: dict[str, tuple[str, Preference]]) -> Trial:
    first, preference = found[duel_key((probe.prompt, probe.before, probe.after or ""))]
    if preference.winner == "unjudged":
        return Trial(probe, None, preference.reason)
    if preference.winner == "tie":
        return Trial(probe, 0.0)
    is_first_changed = first != probe.before
    return Trial(probe, 1.0 if (preference.winner == "first") == is_first_changed else -1.0)
