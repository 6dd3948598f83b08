"""Completions -> verdicts: each different one asked once, verdict by verdict, and remembered as long as there
is room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.identity import chance_of, key_of
from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.errors import AccountError, ChatError, SettingsError
from rubricate.rewards.batch.once import Once, Recent, Turns
from rubricate.rewards.batch.rubrics import Rubrics
from rubricate.rewards.batch.texts import Unreadable
from rubricate.rewards.batch.versions import Versions
from rubricate.rewards.options import Options
from rubricate.rewards.panel import Panel
from rubricate.steps.asking import gathered
from rubricate.steps.crew import RecallingGrader, verdict_keys
from rubricate.steps.roles import Grader

_REMEMBERED = 200_000
"""Verdicts kept in memory, some 200 bytes each; what falls out is in the ledger, if there is one."""


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
    """Grades batches on whatever loop it is called; all batches of one reward on the same.

    A verdict is remembered by grader, prompt, text and criterion, as the rounds of a run remember it
    (`steps.crew.verdict_keys`): when a rubric changes, only the criteria that are new are asked.
    """

    def __init__(self, rubrics: Rubrics, options: Options, versions: Versions | None = None):
        self._rubrics, self._options, self._versions = rubrics, options, versions
        self._memory: Recent[Verdict] = Recent(_REMEMBERED)
        self._under_way: Once[Verdicts] = Once(0)
        self._turns = Turns()
        self._is_filled = versions is None

    def __getstate__(self) -> dict[str, Any]:
        return {"rubrics": self._rubrics, "options": self._options, "versions": self._versions}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # as if it were made here

    def recalling(self, grader: Grader) -> RecallingGrader:
        """A grader around this one that shares what is remembered here."""
        return RecallingGrader(grader, self._memory)

    def recall(self, grader: str, prompt: Prompt, text: str, said: Mapping[Criterion, Verdict]) -> None:
        """Notes what was said of a text in an earlier life of the training."""
        keys = verdict_keys(grader, prompt, Response(text), list(said))
        for key, verdict in zip(keys, said.values(), strict=True):
            if verdict.is_judged:
                self._memory[key] = verdict

    async def of(
        self,
        panel: Panel,
        items: Sequence[Item | Unreadable],
        step: int | None = None,
        *,
        evaluation: bool = False,
    ) -> list[Found]:
        """What was said of each item, in order, by the rubrics as they stand at this step (None: now). All
        rubrics are there before the first question is asked, so that a prompt without one costs nothing.

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
        if self._versions is not None:
            self._opened(self._versions, panel.grader.name)
        found = await gathered(
            self._rubrics.of(prompt, panel.proposer, self._versions) for prompt in prompts.values()
        )
        by_prompt = dict(zip(prompts, found, strict=True))
        rubrics = [
            item if isinstance(item, Unreadable) else item.rubric or by_prompt[item.prompt.key]
            for item in items
        ]
        if self._versions is not None:
            rubrics = [
                self._versions.at(item.prompt, rubric, step, evaluation=evaluation)
                if isinstance(item, Item) and isinstance(rubric, Rubric)
                else rubric
                for item, rubric in zip(items, rubrics, strict=True)
            ]
        return await gathered(
            self._item(panel, item, rubric) for item, rubric in zip(items, rubrics, strict=True)
        )

    def _opened(self, versions: Versions, grader: str) -> None:
        versions.open(grader)
        if not self._is_filled:
            for seen in versions.seen(_REMEMBERED):
                self.recall(grader, seen.prompt, seen.text, seen.said)
            self._is_filled = True

    async def _item(self, panel: Panel, item: Item | Unreadable, rubric: Rubric | Unreadable) -> Found:
        if isinstance(item, Unreadable):
            return Found(None, why=item.why)
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
        about = key_of("grading", grader.name, item.prompt.key, item.text)

        async def asked() -> Verdicts:
            async with self._turns.of(about):
                return await self.recalling(grader).grade(item.prompt, Response(item.text), rubric.criteria)

        return await self._under_way.of(key_of("by", about, rubric.key), asked)
