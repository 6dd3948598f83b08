"""Records of a run -> refinements: the whole way of each prompt, and each proposal; and their differences."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Literal

import msgspec

from rubricate.domain.conversation import Pool
from rubricate.domain.identity import key_of
from rubricate.domain.record import PromptRecord, Standing
from rubricate.domain.rubric import Rubric, changes_between

ALIKE = 0.5
_WORD = re.compile(r"\w+")
_COMMON = set(
    re.findall(r"\w+", "a an and are as at be by for from has have in is it its of on or the that this")
)
_COMMON |= {"to", "with", "answer", "does", "explains", "includes", "mentions", "provides", "response"}
_COMMON |= {"should", "states"}

Decision = Literal["accepted", "refused", "whole"]


class Difference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One atomic difference: criteria that went, those that came in their place, and a change of weight.

    Either list may be empty, not both; `weights` are before and after where one criterion has two.
    """

    was: tuple[str, ...]
    now: tuple[str, ...]
    weights: tuple[float, float] | None = None

    @property
    def text(self) -> str:
        """In a line, for a reader who has nothing else."""
        parts = [f"was: {one_line(text)}" for text in self.was] + [
            f"now: {one_line(text)}" for text in self.now
        ]
        if self.weights is not None:
            before, after = self.weights
            parts.append(f"weight {before:g} -> {after:g}")
        how = "dropped" if not self.now else "added" if not self.was else "changed"
        return f"{how} | {' | '.join(parts)}"


class Refinement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From one rubric to another for one prompt: a proposal with the gate's decision, or initial -> final.

    `number` is that of the round, 0 for the whole. `standings` are those that the record holds under the
    rubric before and after; empty where it holds none.
    """

    prompt: str
    id: str
    decision: Decision
    number: int
    before: Rubric
    after: Rubric
    standings: tuple[tuple[Standing, ...], tuple[Standing, ...]] = ((), ())

    @property
    def key(self) -> str:
        """Content key: equal changes are sorted once."""
        return key_of("refinement", self.before.key, self.after.key)


def refinements_of(pool: Pool, record: PromptRecord) -> Iterator[Refinement]:
    """The proposals of a record's rounds in order, then the whole way, where there is one.

    A round whose proposal could not be read has none. The whole way ends at the final rubric, and is left out
    where that is the first one.
    """
    if record.initial is None or record.rubric is None:
        return
    prompt, current = pool.prompt.key, record.initial
    for place, played in enumerate(record.rounds):
        if played.proposed is None or played.decision == "failed":
            continue
        later: tuple[Standing, ...] = ()
        if played.decision == "accepted":
            rest = record.rounds[place + 1 :]
            later = rest[0].standings if rest else record.standings
        standings = (played.standings, later)
        yield Refinement(
            prompt, record.id, played.decision, played.number, current, played.proposed, standings
        )
        if played.decision == "accepted":
            current = played.proposed
    if record.rubric.key != record.initial.key:
        yield Refinement(prompt, record.id, "whole", 0, record.initial, record.rubric)


def differences(before: Rubric, after: Rubric) -> tuple[Difference, ...]:
    """The atomic differences, by the text of criteria: first what changed or came, in the order of `after`,
    then what went.

    A new criterion takes the place of the dropped one that it shares most words with, if these are at least
    half of the words of the shorter one; several that take the place of one are one difference, a split.
    """
    changes = changes_between(before, after)
    dropped = [change for change in changes if change.how == "dropped"]
    added = [change for change in changes if change.how == "added"]
    places: dict[str, list[str]] = defaultdict(list)
    alone = []
    for new in added:
        best = max(dropped, key=lambda old: overlap(old.text, new.text), default=None)
        if best is not None and overlap(best.text, new.text) >= ALIKE:
            places[best.text].append(new.text)
        else:
            alone.append(new.text)
    weight_before = {change.text: change.weight_before for change in dropped}
    weight_after = {change.text: change.weight_after for change in added}
    found, told = list[Difference](), set[str]()
    for change in changes:
        if change.how == "reweighted":
            assert change.weight_before is not None and change.weight_after is not None
            found.append(
                Difference((change.text,), (change.text,), (change.weight_before, change.weight_after))
            )
        elif change.how == "added" and change.text in alone:
            found.append(Difference((), (change.text,)))
        elif change.how == "added":
            old = next(text for text, news in places.items() if change.text in news)
            if old not in told:
                told.add(old)
                one, two = weight_before[old], weight_after[places[old][0]]
                is_single = len(places[old]) == 1 and one is not None and two is not None and one != two
                weights = (one, two) if is_single and one is not None and two is not None else None
                found.append(Difference((old,), tuple(places[old]), weights))
    found += [Difference((change.text,), ()) for change in dropped if change.text not in places]
    return tuple(found)


def overlap(one: str, two: str) -> float:
    """The shared words over the words of the shorter text, common ones left out; in [0, 1]."""
    first, second = content_words(one), content_words(two)
    return len(first & second) / min(len(first), len(second)) if first and second else 0.0


def content_words(text: str) -> set[str]:
    """The words of a text that are not all too common, in lower case."""
    return set(_WORD.findall(text.lower())) - _COMMON


def one_line(text: str) -> str:
    """The text with single spaces."""
    return " ".join(text.split())
