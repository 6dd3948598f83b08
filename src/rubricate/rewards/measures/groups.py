"""The completions of one prompt beside each other: what a trainer that compares them can learn from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import comb

import msgspec

from rubricate.domain.guarantee import turned
from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Rubric

Reward = Callable[[Rubric, Sequence[Verdict]], float | None]


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A completion that was graded: its reward, and its verdicts on the criteria of the rubric in order."""

    reward: float | None
    verdicts: tuple[Verdict, ...]


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Completions of one prompt by one rubric; `counted` is the rubric with the weights of the step."""

    rubric: Rubric
    counted: Rubric
    members: tuple[Member, ...]

    @property
    def judged(self) -> list[float]:
        """The rewards that are there."""
        return [member.reward for member in self.members if member.reward is not None]


def tied_pairs(rewards: Sequence[float]) -> int:
    """How many pairs of these are equal."""
    return sum(comb(size, 2) for size in Counter(rewards).values())


class Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one criterion fared in one group."""

    met: int
    judged: int
    unjudged: int
    counts: bool
    suppressed: bool

    @property
    def varies(self) -> bool | None:
        """Whether some completions meet it and some do not; None for fewer than two verdicts."""
        return None if self.judged < 2 else 0 < self.met < self.judged

    @property
    def spread(self) -> float | None:
        """4 p (1 - p) for the share p of met, in [0, 1]; None for fewer than two verdicts."""
        return None if self.judged < 2 else 4 * self.met * (self.judged - self.met) / self.judged**2


def standing_of(group: Group, reward: Reward) -> dict[str, Standing]:
    """How each criterion of the rubric fared, by its text.

    A criterion is suppressed when it varies and counts, and no reward of the group would be another if its
    verdict were turned round: a gate or the clipping at 0 and 1 hides it, and the trainer never sees what it
    says.
    """
    place = {criterion.text: number for number, criterion in enumerate(group.rubric.criteria)}
    counted = [place[criterion.text] for criterion in group.counted.criteria]
    found = {}
    for number, criterion in enumerate(group.rubric.criteria):
        said = [member.verdicts[number] for member in group.members]
        judged = [verdict for verdict in said if verdict.is_judged]
        met = sum(verdict.outcome == "met" for verdict in judged)
        counts = number in counted
        hidden = counts and 0 < met < len(judged) and _is_hidden(group, number, counted, reward)
        found[criterion.text] = Standing(met, len(judged), len(said) - len(judged), counts, hidden)
    return found


def _is_hidden(group: Group, number: int, counted: Sequence[int], reward: Reward) -> bool:
    is_seen = False
    for member in group.members:
        if member.reward is None or not member.verdicts[number].is_judged:
            continue
        is_seen = True
        otherwise = [
            turned(member.verdicts[place]) if place == number else member.verdicts[place] for place in counted
        ]
        if reward(group.counted, otherwise) != member.reward:
            return False
    return is_seen
