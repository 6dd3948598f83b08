"""Verdicts -> rewards: which criteria count in this step, what each completion is sure of, and the tally."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Rubric
from rubricate.rewards.batch.graded import Graded
from rubricate.rewards.batch.grading import Found, Item
from rubricate.rewards.batch.texts import Unreadable
from rubricate.rewards.measures.groups import Group, Member, standing_of
from rubricate.rewards.measures.tally import Tally
from rubricate.rewards.options import Options, canaries_of, dropped_of, weighed

Worth = Callable[[Rubric, Sequence[Verdict]], float | None]
Groups = list[tuple[str, Group]]
"""Groups with the key of their prompt."""


def settled(
    items: Sequence[Item | Unreadable], found: Sequence[Found], worth: Worth, options: Options, step: int
) -> tuple[list[Graded], Groups]:
    """Each item with its reward, in order, and the groups that were compared: items of one prompt and one
    rubric, in order of first appearance."""
    graded = [_unsettled(item, one) for item, one in zip(items, found, strict=True)]
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, one in enumerate(graded):
        if one.prompt is not None and one.rubric is not None and one.verdicts:
            places[one.prompt.key, one.rubric.key].append(place)
    groups: Groups = []
    for (prompt_key, _), inside in places.items():
        rubric = found[inside[0]].rubric
        assert rubric is not None, "only what has a rubric is in a group"
        said = [found[place].verdicts for place in inside]
        canaries = canaries_of(rubric, prompt_key, options)
        counted = _counted(rubric, prompt_key, said, canaries, options, step)
        held_out = _only(rubric, canaries)
        for place in inside:
            graded[place] = _settled(graded[place], found[place], worth, counted, held_out)
        members = tuple(Member(graded[place].reward, graded[place].verdicts) for place in inside)
        groups.append((prompt_key, Group(rubric, counted, members)))
    return graded, groups


def tallied(tallies: Sequence[Tally], graded: Sequence[Graded], groups: Groups, worth: Worth) -> None:
    """Adds a batch to tallies."""
    silent: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for place, one in enumerate(graded):
        counts = silent[one.prompt.key if one.prompt is not None else f"row {place}"]
        counts[0] += one.reward is None
        counts[1] += 1
        beside = {
            "score": one.score,
            "canary": one.canary,
            "second": one.second,
            "score_over_second": _above(one.score, one.second),
            "reward_over_canary": _above(one.reward, one.canary),
        }
        for tally in tallies:
            tally.add_completion(one.reward, one.why, **beside)
    for tally in tallies:
        for unjudged, n in silent.values():
            tally.add_prompt(unjudged, n)
    for prompt_key, group in groups:
        standings = standing_of(group, worth)
        for tally in tallies:
            tally.add_group(prompt_key, group, standings)


def _above(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _unsettled(item: Item | Unreadable, found: Found) -> Graded:
    if isinstance(item, Unreadable):
        return Graded(reward=None, why=item.why)
    return Graded(
        reward=None,
        why=found.why,
        prompt=item.prompt,
        text=item.text,
        rubric=found.rubric,
        verdicts=found.verdicts,
    )


def _settled(one: Graded, found: Found, worth: Worth, counted: Rubric, held_out: Rubric | None) -> Graded:
    rubric = found.rubric
    assert rubric is not None, "only what has a rubric is settled"
    reward = worth(counted, _of(counted, rubric, found.verdicts))
    silent = next((verdict.reason for verdict in found.verdicts if not verdict.is_judged), None)
    return Graded(
        reward=reward,
        why=f"too few verdicts: {silent}" if reward is None else None,
        score=worth(rubric, found.verdicts),
        prompt=one.prompt,
        text=one.text,
        rubric=rubric,
        verdicts=found.verdicts,
        counted=counted,
        canary=worth(held_out, _of(held_out, rubric, found.verdicts)) if held_out is not None else None,
        second=worth(rubric, found.second) if found.second else None,
    )


def _counted(
    rubric: Rubric,
    prompt_key: str,
    said: Sequence[Sequence[Verdict]],
    canaries: frozenset[str],
    options: Options,
    step: int,
) -> Rubric:
    """The rubric as it counts. Where no criterion with a positive weight varies, human weights hold: there is
    nothing to follow."""
    if options.are_off:
        return rubric
    left_out = canaries | dropped_of(rubric, prompt_key, step, options)
    spread = _spread(rubric, said) if options.reweight > 0 else {}
    return weighed(rubric, left_out, spread, options.reweight) or weighed(rubric, left_out, {}) or rubric


def _spread(rubric: Rubric, said: Sequence[Sequence[Verdict]]) -> dict[str, float]:
    spread = {}
    for place, criterion in enumerate(rubric.criteria):
        judged = [verdicts[place] for verdicts in said if verdicts[place].is_judged]
        if len(judged) > 1:
            met = sum(verdict.outcome == "met" for verdict in judged)
            spread[criterion.id] = 4 * met * (len(judged) - met) / len(judged) ** 2
    return spread


def _only(rubric: Rubric, ids: frozenset[str]) -> Rubric | None:
    """The criteria of these ids as a rubric; None where they make none."""
    return (
        weighed(rubric, frozenset(criterion.id for criterion in rubric.criteria) - ids, {}) if ids else None
    )


def _of(part: Rubric, rubric: Rubric, verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts on the criteria of a part of the rubric."""
    if part is rubric:
        return list(verdicts)
    by_text = {criterion.text: verdict for criterion, verdict in zip(rubric.criteria, verdicts, strict=True)}
    return [by_text[criterion.text] for criterion in part.criteria]
