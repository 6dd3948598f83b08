"""Refinements and criteria -> their kinds: by a model that is asked, or by word cues. Silence is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from rubricate.errors import AccountError, ChatError, ReplyError
from rubricate.evaluation.kinds import cues
from rubricate.evaluation.kinds.refinements import Difference, Refinement, differences, one_line
from rubricate.evaluation.kinds.vocabulary import GROUPS, TYPES
from rubricate.llm.chat import Chat
from rubricate.steps.asking import Manner, gathered
from rubricate.steps.classify import classify

AT_ONCE = 20
"""Items of one question: a rubric has up to 37 criteria, and long lists are answered worse."""

_CHANGES = (
    "Rubrics for grading responses were refined. Each item is one difference between a rubric and the one "
    "that replaced it: criteria that were there before (was), criteria that took their place (now), weights."
)
_CRITERIA = (
    "Each item is a criterion by which responses to a prompt are graded. What does a response need to be "
    "able to do to meet it?"
)


class Sorted(msgspec.Struct):
    """What was sorted. `types` by the key of a refinement: one tuple for each of its differences; `groups` by
    the text of a criterion. None: unclassified, whether since nobody answered or since nothing fitted;
    `reasons` counts why."""

    types: dict[str, tuple[tuple[str, ...], ...] | None]
    groups: dict[str, str | None]
    reasons: dict[str, int]


class Sorter(Protocol):
    """Finds kinds."""

    @property
    def name(self) -> str:
        """Who sorts."""
        ...

    async def types(self, changes: Sequence[Difference]) -> tuple[tuple[str, ...], ...]:
        """The types of each difference. Raises ReplyError, ChatError."""
        ...

    async def groups(self, criteria: Sequence[str]) -> tuple[str | None, ...]:
        """The group of each criterion. Raises ReplyError, ChatError."""
        ...


class CueSorter:
    """By word cues; see `evaluation.kinds.cues`."""

    name = "word cues"

    async def types(self, changes: Sequence[Difference]) -> tuple[tuple[str, ...], ...]:
        """At once."""
        return tuple(cues.types_of(change) for change in changes)

    async def groups(self, criteria: Sequence[str]) -> tuple[str | None, ...]:
        """At once."""
        return tuple(cues.group_of(criterion) for criterion in criteria)


class ModelSorter:
    """A model that is asked: one call for up to 20 items."""

    def __init__(self, chat: Chat, manner: Manner):
        self._chat, self._manner = chat, manner

    @property
    def name(self) -> str:
        """The model."""
        return self._manner.model

    async def types(self, changes: Sequence[Difference]) -> tuple[tuple[str, ...], ...]:
        """See `steps.classify`."""
        return await self._asked(_CHANGES, TYPES, [change.text for change in changes])

    async def groups(self, criteria: Sequence[str]) -> tuple[str | None, ...]:
        """See `steps.classify`."""
        texts = [one_line(criterion) for criterion in criteria]
        found = await self._asked(_CRITERIA, GROUPS, texts, most=1)
        return tuple(kinds[0] if kinds else None for kinds in found)

    async def _asked(
        self, task: str, kinds: Mapping[str, str], items: Sequence[str], most: int | None = None
    ) -> tuple[tuple[str, ...], ...]:
        parts = [items[at : at + AT_ONCE] for at in range(0, len(items), AT_ONCE)]
        found = await gathered(
            classify(self._chat, self._manner, task, kinds, part, most=most) for part in parts
        )
        return tuple(kinds_of_item for part in found for kinds_of_item in part)


async def sort_all(
    refinements: Iterable[Refinement],
    rubrics: Iterable[Sequence[str]],
    sorter: Sorter,
    *,
    in_flight: int = 32,
    done: Callable[[int, int], None] = lambda n, total: None,
) -> Sorted:
    """The kinds of every different refinement, and of every different criterion, which are asked rubric by
    rubric.

    A call that fails, and a reply that cannot be read, leave what they were about unclassified.

    Raises:
        RunStopped: the budget is spent or the endpoint is gone; what was answered is in the ledger.
        AccountError: the key or the model is wrong.
    """
    by_key = {refinement.key: refinement for refinement in refinements}
    found, reasons = Sorted({}, {}, {}), Counter[str]()
    lists = list[list[str]]()
    seen = set[str]()
    for criteria in rubrics:
        new = [text for text in dict.fromkeys(criteria) if text not in seen]
        seen.update(new)
        lists += [new] if new else []
    slots, total = asyncio.Semaphore(in_flight), len(by_key) + len(lists)
    finished = 0

    async def of_refinement(key: str) -> None:
        changes = differences(by_key[key].before, by_key[key].after)
        try:
            async with slots:
                types = await sorter.types(changes)
        except AccountError:
            raise
        except (ReplyError, ChatError) as failure:
            found.types[key] = None
            reasons[str(failure)] += 1
        else:
            found.types[key] = types
        step()

    async def of_criteria(criteria: list[str]) -> None:
        try:
            async with slots:
                groups = await sorter.groups(criteria)
        except AccountError:
            raise
        except (ReplyError, ChatError) as failure:
            found.groups.update(dict.fromkeys(criteria))
            reasons[str(failure)] += 1
        else:
            found.groups.update(zip(criteria, groups, strict=True))
        step()

    def step() -> None:
        nonlocal finished
        finished += 1
        done(finished, total)

    await gathered([*map(of_refinement, sorted(by_key)), *map(of_criteria, lists)])
    found.reasons = dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    return found
