"""A rubric and a grader as the reward of a trainer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from rubricate.domain.aggregation import RULES
from rubricate.domain.guarantee import guaranteed
from rubricate.domain.identity import key_of
from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Rubric
from rubricate.domain.scoring import COVERAGE_FLOOR
from rubricate.errors import SettingsError
from rubricate.rewards.batch.graded import Batch
from rubricate.rewards.batch.grading import Grading, Item
from rubricate.rewards.batch.rubrics import Given, NoRubrics, Rubrics, Unseen, only_rubrics
from rubricate.rewards.batch.settling import settled, tallied
from rubricate.rewards.batch.texts import MAX_CHARS, Unreadable, texts_of
from rubricate.rewards.batch.versions import Versions
from rubricate.rewards.doored import PLAIN, DooredReward
from rubricate.rewards.measures.tally import Tally
from rubricate.rewards.options import Options
from rubricate.rewards.panel import Panel
from rubricate.steps.crew import RecallingGrader

Result = TypeVar("Result")


class RubricReward(DooredReward[Panel, "Item | Unreadable"]):
    """Prompts and completions -> rewards in [0, 1] or None, in input order.

    `opening` gives the panel of models on the loop that will use it; `settings.reward.rubric_reward` makes
    one from settings. `given` are the rubrics that are there already, `unseen` says what happens to prompts
    without one. `rule` names an aggregation of `domain.aggregation.RULES`. `read_column` reads what a dataset
    column holds as a rubric. With `versions` rubrics may change while the policy is trained
    (`training.online`): those of the step count, and an evaluation sees all that ever counted.

    A reward is the score that is guaranteed: what the grader left out counts against the completion, and
    where more than 1 - `floor` hangs on it there is no reward (`domain.guarantee`). So no text gains by
    upsetting the grader. Texts that cannot be graded (empty, over `max_chars`, not text) get None and cost
    nothing.

    Equal completions of a prompt are graded once; verdicts are remembered by text and criterion, so that a
    rubric that changes costs what is new in it, and the ledger behind the panel remembers replies across
    processes. All work is done on one loop on a thread of its own: `score` and
    `grade` wait for it from anywhere, also from within a running loop, `ascore` and `agrade` are awaited on
    any loop. Pickles without what is open.

    Raises:
        SettingsError: no such rule; `floor` out of range.
    """

    def __init__(
        self,
        opening: Callable[[], AbstractAsyncContextManager[Panel]],
        given: Given | None = None,
        *,
        unseen: Unseen = "fail",
        rule: str = "weighted_mean",
        floor: float = COVERAGE_FLOOR,
        options: Options = PLAIN,
        max_chars: int = MAX_CHARS,
        read_column: Callable[[Any], Rubric] = only_rubrics,
        versions: Versions | None = None,
    ):
        if rule not in RULES:
            raise SettingsError(f"no rule {rule!r}; there are {', '.join(RULES)}")
        if not 0 <= floor <= 1:
            raise SettingsError(f"the coverage floor is {floor}; it is a share between 0 and 1")
        if unseen not in ("make", "skip", "fail"):
            raise SettingsError(f"unseen is {unseen!r}; it is 'make', 'skip' or 'fail'")
        super().__init__(opening, options=options, max_chars=max_chars)
        self.rule, self.floor, self.unseen = rule, floor, unseen
        self._rubrics = Rubrics(given or NoRubrics(), unseen, read_column)
        self.versions = versions
        if versions is not None:
            versions.bind(rule, floor, options)
        self._grading = Grading(self._rubrics, options, versions)

    def grade_as_of(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        rubrics: Sequence[Any] | None = None,
        *,
        step: int,
    ) -> Batch:
        """The batch that `grade` gives at a step, options and rubrics of that step included, without counting
        it: no totals, no step, nothing told to `versions`. Raises as `grade`."""
        items, _ = self._begin(prompts, completions, rubrics, step, True)
        return self._door.wait(lambda panel: self._settled(panel, items, step, self.options))

    def inside(self, work: Callable[[Panel, RecallingGrader], Coroutine[Any, Any, Result]]) -> Result:
        """What work gives that asks the same panel, on the reward's own loop, waited for; the grader that it
        is handed remembers what this reward remembers."""
        return self._door.wait(lambda panel: work(panel, self._grading.recalling(panel.grader)))

    async def ainside(self, work: Callable[[Panel, RecallingGrader], Coroutine[Any, Any, Result]]) -> Result:
        """As `inside`, awaited."""
        return await self._door.through(lambda panel: work(panel, self._grading.recalling(panel.grader)))

    def on_this_loop(self) -> AbstractAsyncContextManager[None]:
        """Until the block ends all is done on the loop that runs it, as a server wants it: no thread stands
        between a request and its grading.

        Raises:
            RunError: on entering, when the reward is open already.
        """
        return self._door.here()

    async def identity(self) -> str:
        """Content key of what decides a reward besides the rubrics that were given: who grades, proposes and
        looks again, and by which rule, floor and options. Opens the panel and asks nobody.

        Raises:
            SettingsError: what the panel lacks.
        """
        return await self._door.through(self._identity)

    async def _identity(self, panel: Panel) -> str:
        names = [player and player.name for player in (panel.grader, panel.proposer, panel.second)]
        return key_of("reward", names, self.rule, self.floor, self.options, self.unseen, self.max_chars)

    def close(self) -> None:
        """Closes sessions and ledger; the next batch opens them again."""
        super().close()
        if self.versions is not None:
            self.versions.close()

    def _counts(self) -> bool:
        return self.versions is None

    def _rows(
        self, prompts: Sequence[Any], completions: Sequence[Any], column: Sequence[Any] | None
    ) -> list[Item | Unreadable]:
        texts = texts_of(prompts, completions, self.max_chars)
        own = [
            None if column is None else self._rubrics.in_column(column[row], row) for row in range(len(texts))
        ]
        return [
            text if isinstance(text, Unreadable) else Item(*text, rubric)
            for text, rubric in zip(texts, own, strict=True)
        ]

    async def _graded(
        self, opened: Panel, rows: Sequence[Item | Unreadable], step: int | None, evaluation: bool
    ) -> Batch:
        if evaluation:
            return await self._settled(opened, rows, step, PLAIN, evaluation=True)
        if step is None and self.versions is not None:
            self.versions.open(opened.grader.name)
            step = self.versions.now()
        news = {} if self.versions is None else self.versions.news()
        batch = await self._settled(opened, rows, step, self.options, [self.totals], news)
        if self.versions is not None:
            self.versions.saw(batch)
        return batch

    async def _settled(
        self,
        panel: Panel,
        items: Sequence[Item | Unreadable],
        step: int | None,
        options: Options,
        totals: Sequence[Tally] = (),
        news: Mapping[str, float] | None = None,
        *,
        evaluation: bool = False,
    ) -> Batch:
        found = await self._grading.of(panel, items, step, evaluation=evaluation)
        graded, groups = settled(items, found, self._worth, options, step or 0)
        tally = Tally()
        tallied([tally, *totals], graded, groups, self._worth)
        return Batch(graded, tally, step or 0, news or {})

    def _worth(self, rubric: Rubric, verdicts: Sequence[Verdict]) -> float | None:
        return guaranteed(RULES[self.rule], rubric, verdicts, self.floor)
