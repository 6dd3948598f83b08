"""Completions -> verdicts: each different one asked once, and remembered as long as there is room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.identity import chance_of, key_of
from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Rubric
from rubricate.errors import AccountError, ChatError, SettingsError
from rubricate.rewards.batch.once import Once
from rubricate.rewards.batch.rubrics import Rubrics
from rubricate.rewards.batch.texts import Unreadable
from rubricate.rewards.options import Options
from rubricate.rewards.panel import Panel
from rubricate.steps.asking import gathered
from rubricate.steps.roles import Grader

_REMEMBERED = 20_000
"""Gradings kept in memory, some 2 kB each; what falls out is in the ledger, if there is one."""


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A completion that can be graded; `rubric` is that of its row, if it has one."""

    prompt: Prompt
    text: str
    rubric: Rubric | None = None


class Found(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the grader said of one item, or `why` it said nothing; `second` is what the second grader said."""

    rubric: Rubric | None
    verdicts: tuple[Verdict, ...] = ()
    why: str | None = None
    second: tuple[Verdict, ...] = ()


Verdicts = tuple[Verdict, ...]


class Grading:
    """Grades batches on whatever loop it is called; all batches of one reward on the same."""

    def __init__(self, rubrics: Rubrics, options: Options):
        self._rubrics, self._options = rubrics, options
        self._verdicts_of: Once[Verdicts] = Once(_REMEMBERED, _is_complete)

    def __getstate__(self) -> dict[str, Any]:
        return {"rubrics": self._rubrics, "options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # as if it were made here

    async def of(self, panel: Panel, items: Sequence[Item | Unreadable]) -> list[Found]:
        """What was said of each item, in order. All rubrics are there before the first question is asked, so
        that a prompt without one costs nothing.

        Raises:
            DataError: a prompt has no rubric, and the policy is to fail.
            AccountError, RunStopped: nothing can be asked any more.
            SettingsError: the panel lacks somebody who is needed.
        """
        if self._rubrics.unseen == "make" and panel.proposer is None:
            raise SettingsError("unseen='make' needs a proposer, and the panel has none")
        if self._options.second_look > 0 and panel.second is None:
            raise SettingsError("second_look needs a second grader, and the panel has none")
        prompts = {
            item.prompt.key: item.prompt for item in items if isinstance(item, Item) and item.rubric is None
        }
        found = await gathered(self._rubrics.of(prompt, panel.proposer) for prompt in prompts.values())
        by_prompt = dict(zip(prompts, found, strict=True))
        return await gathered(self._item(panel, item, by_prompt) for item in items)

    async def _item(
        self, panel: Panel, item: Item | Unreadable, by_prompt: dict[str, Rubric | Unreadable]
    ) -> Found:
        if isinstance(item, Unreadable):
            return Found(None, why=item.why)
        rubric = item.rubric or by_prompt[item.prompt.key]
        if isinstance(rubric, Unreadable):
            return Found(None, why=rubric.why)
        try:
            verdicts = await self._verdicts(panel.grader, item, rubric)
        except AccountError:
            raise
        except ChatError as failure:
            return Found(rubric, why=f"the grader gave no answer: {failure}")
        return Found(rubric, verdicts, second=await self._second(panel, item, rubric))

    async def _second(self, panel: Panel, item: Item, rubric: Rubric) -> Verdicts:
        """The second grader's verdicts where it looks; which completions those are follows from content."""
        share = self._options.second_look
        if panel.second is None or share <= 0:
            return ()
        if chance_of(self._options.seed, "second look", item.prompt.key, item.text) >= share:
            return ()
        try:
            return await self._verdicts(panel.second, item, rubric)
        except AccountError:
            raise
        except ChatError:  # the figure is kept over those that it did see
            return ()

    async def _verdicts(self, grader: Grader, item: Item, rubric: Rubric) -> Verdicts:
        async def asked() -> Verdicts:
            return await grader.grade(item.prompt, Response(item.text), rubric.criteria)

        key = key_of("grading", grader.name, item.prompt.key, rubric.key, item.text)
        return await self._verdicts_of.of(key, asked)


def _is_complete(verdicts: Verdicts) -> bool:
    """What is missing may be there the next time."""
    return all(verdict.is_judged for verdict in verdicts)
