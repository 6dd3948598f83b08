"""Two files of responses to the same prompts -> matches, and what a judge's preferences make of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.intervals import Estimate
from rubricate.errors import DataError
from rubricate.evaluation.judging.figures import JudgeFigures, judge_figures
from rubricate.evaluation.judging.length_control import LengthControlled, length_controlled
from rubricate.evaluation.judging.pairs import Pair
from rubricate.evaluation.judging.preferences import Judged
from rubricate.evaluation.totals import mean_over
from rubricate.runs.intake import entry_of
from rubricate.runs.rows import rows_of

By = Literal["prompt", "id"]


class Answers(msgspec.Struct):
    """The responses of one file to one prompt, in the order of the file; `lost` says why there are fewer."""

    prompt: Prompt
    responses: list[Response]
    lost: list[str]


class Matches(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pairs with the policy's response first; and, by reason, the ids of prompts that take no part."""

    pairs: tuple[Pair, ...]
    without: dict[str, tuple[str, ...]]
    surplus: int = 0


class WinRate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A policy against a reference. Every prompt weighs the same; intervals are over prompts.

    `win_rate` is wins + ties / 2 over the judged pairs; `wins`, `ties` and `losses` are shares of the judged
    pairs, `invalid` of all pairs. `longer` is the share of pairs in which the policy's response is the longer
    one, and `length_controlled` the win rate at equal length.
    """

    policy: str
    reference: str
    pairs: int
    prompts: int
    counts: dict[str, int]
    win_rate: Estimate | None
    wins: Estimate | None
    ties: Estimate | None
    losses: Estimate | None
    invalid: Estimate | None
    longer: Estimate | None
    length_controlled: LengthControlled | None
    judge: JudgeFigures
    without: dict[str, tuple[str, ...]]
    surplus: int


def read_answers(source: str, by: By = "prompt") -> dict[str, Answers]:
    """The responses of a file by the content key of their prompt, or by its id, without their reasoning.

    Unlike a pool it keeps equal texts: two equal draws of a policy are two draws.

    Raises:
        DataError: a row is malformed; with `by` id, two prompts of one id.
    """
    found: dict[str, Answers] = {}
    for row in rows_of(source):
        entry = entry_of(row)
        prompt = Prompt(entry.id, entry.messages)
        name = prompt.id if by == "id" else prompt.key
        answers = found.setdefault(name, Answers(prompt, [], []))
        if answers.prompt.key != prompt.key:
            raise row.error(f"{prompt.id!r} is another prompt earlier in this file", "id")
        answers.responses += entry.responses
        answers.lost += [note.why.partition(":")[0] for note in entry.set_aside if "prompt" not in note.what]
    if not found:
        raise DataError(source, "there is no row in it")
    return found


def matched(policy: str, reference: str, by: By = "prompt") -> Matches:
    """The matches of two files: the k-th response of one meets the k-th of the other, and a single response
    meets each of the other side.

    Prompts are joined by their content, or by their id; what has no partner, or no answer to be judged, is
    named by id and takes no part.

    Raises:
        DataError: a file is malformed, or no prompt is in both with an answer.
    """
    ours, theirs = read_answers(policy, by), read_answers(reference, by)
    pairs, without, surplus = list[Pair](), defaultdict[str, list[str]](list), 0
    for name, answers in ours.items():
        id = answers.prompt.id
        if name not in theirs:
            without["only in the policy's file"].append(id)
            continue
        sides = answers.responses, theirs[name].responses
        for side, whose in zip(sides, ("policy", "reference"), strict=True):
            if not side:
                without[f"no answer of the {whose}'s to be judged"].append(id)
        n = [len(side) for side in sides]
        if min(n) == 0:
            continue
        rounds = max(n) if min(n) == 1 else min(n)
        surplus += max(n) - rounds
        for k in range(rounds):
            one, two = (side[0 if len(side) == 1 else k] for side in sides)
            pairs.append(Pair(id, answers.prompt, one, two))
    without["only in the reference's file"] += [theirs[name].prompt.id for name in theirs if name not in ours]
    if not pairs and set(ours) & set(theirs):
        said = ", ".join(f"{why}: {len(ids)}" for why, ids in without.items() if ids)
        raise DataError(policy, f"no prompt has an answer on both sides ({said})")
    if not pairs:
        other = "id" if by == "prompt" else "prompt"
        raise DataError(reference, f"no prompt of it is in {policy}, joined by {by}; try --by {other}")
    return Matches(tuple(pairs), {why: tuple(ids) for why, ids in without.items() if ids}, surplus)


def win_rate(
    policy: str, reference: str, matches: Matches, lines: Sequence[Judged], seed: int = 0
) -> WinRate:
    """The figures of a judge's preferences, one for each pair of the matches, in their order.

    Source: Chasing the Tail, section 4.2 and appendix E, counts wins over judged pairs in one random order;
    with both orders there are ties, and each counts half.
    """
    pairs = list(zip(matches.pairs, lines, strict=True))
    won = {"first": 1.0, "tie": 0.5, "second": 0.0}
    judged = [(pair, line) for pair, line in pairs if line.winner != "unjudged"]
    per_prompt = Counter(line.prompt for _, line in judged)
    places = {key: place for place, key in enumerate(sorted(per_prompt))}
    controlled = length_controlled(
        [won[line.winner] for _, line in judged],
        [len(pair.first.text) - len(pair.second.text) for pair, _ in judged],
        [1 / per_prompt[line.prompt] for _, line in judged],
        [places[line.prompt] for _, line in judged],
    )
    winners = Counter(line.winner for line in lines)
    return WinRate(
        policy=policy,
        reference=reference,
        pairs=len(lines),
        prompts=len({line.prompt for line in lines}),
        counts={
            "wins": winners["first"],
            "ties": winners["tie"],
            "losses": winners["second"],
            "invalid": winners["unjudged"],
        },
        win_rate=_mean(judged, lambda pair, line: won[line.winner], seed),
        wins=_mean(judged, lambda pair, line: line.winner == "first", seed),
        ties=_mean(judged, lambda pair, line: line.winner == "tie", seed),
        losses=_mean(judged, lambda pair, line: line.winner == "second", seed),
        invalid=_mean(pairs, lambda pair, line: line.winner == "unjudged", seed),
        longer=_mean(pairs, lambda pair, line: len(pair.first.text) > len(pair.second.text), seed),
        length_controlled=controlled,
        judge=judge_figures(lines, seed),
        without=matches.without,
        surplus=matches.surplus,
    )


def _mean(
    pairs: Sequence[tuple[Pair, Judged]], value: Callable[[Pair, Judged], float], seed: int
) -> Estimate | None:
    """The mean over prompts of the mean over a prompt's pairs."""
    by_prompt = defaultdict[str, list[float]](list)
    for pair, line in pairs:
        by_prompt[line.prompt].append(float(value(pair, line)))
    return mean_over([sum(by_prompt[key]) / len(by_prompt[key]) for key in sorted(by_prompt)], seed)
