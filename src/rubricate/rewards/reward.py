"""A rubric and a grader as the reward of a trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any

from rubricate.domain.aggregation import RULES
from rubricate.domain.conversation import Prompt
from rubricate.domain.guarantee import guaranteed
from rubricate.domain.identity import key_of
from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Rubric
from rubricate.domain.scoring import COVERAGE_FLOOR
from rubricate.errors import DataError, SettingsError
from rubricate.rewards.batch.graded import Batch
from rubricate.rewards.batch.grading import Grading, Item
from rubricate.rewards.batch.rubrics import BATCH, Given, NoRubrics, Rubrics, Unseen, only_rubrics
from rubricate.rewards.batch.settling import settled, tallied
from rubricate.rewards.batch.texts import MAX_CHARS, Unreadable, completion_of, prompt_of
from rubricate.rewards.door import Door
from rubricate.rewards.measures.tally import Tally
from rubricate.rewards.options import Options
from rubricate.rewards.panel import Panel

PLAIN = Options()


class RubricReward:
    """Prompts and completions -> rewards in [0, 1] or None, in input order.

    `opening` gives the panel of models on the loop that will use it; `settings.reward.rubric_reward` makes
    one from settings. `given` are the rubrics that are there already, `unseen` says what happens to prompts
    without one. `rule` names an aggregation of `domain.aggregation.RULES`. `read_column` reads what a dataset
    column holds as a rubric.

    A reward is the score that is guaranteed: what the grader left out counts against the completion, and
    where more than 1 - `floor` hangs on it there is no reward (`domain.guarantee`). So no text gains by
    upsetting the grader. Texts that cannot be graded (empty, over `max_chars`, not text) get None and cost
    nothing.

    Equal completions of a prompt are graded once; what was graded is remembered, and the ledger behind the
    panel remembers it across processes. All work is done on one loop on a thread of its own: `score` and
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
    ):
        if rule not in RULES:
            raise SettingsError(f"no rule {rule!r}; there are {', '.join(RULES)}")
        if not 0 <= floor <= 1:
            raise SettingsError(f"the coverage floor is {floor}; it is a share between 0 and 1")
        if unseen not in ("make", "skip", "fail"):
            raise SettingsError(f"unseen is {unseen!r}; it is 'make', 'skip' or 'fail'")
        self.options, self.rule, self.floor, self.max_chars = options, rule, floor, max_chars
        self.unseen = unseen
        self._rubrics = Rubrics(given or NoRubrics(), unseen, read_column)
        self._grading = Grading(self._rubrics, options)
        self._door = Door(opening)
        self._steps = 0
        self.totals = Tally()
        """All batches that were graded for training, added up."""

    def score(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        rubrics: Sequence[Any] | None = None,
        *,
        step: int | None = None,
    ) -> list[float | None]:
        """The rewards; see `grade`."""
        return self.grade(prompts, completions, rubrics, step=step).rewards

    async def ascore(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        rubrics: Sequence[Any] | None = None,
        *,
        step: int | None = None,
    ) -> list[float | None]:
        """The rewards; see `grade`."""
        return (await self.agrade(prompts, completions, rubrics, step=step)).rewards

    def grade(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        rubrics: Sequence[Any] | None = None,
        *,
        step: int | None = None,
        evaluation: bool = False,
    ) -> Batch:
        """All that is known of a batch; completions of one prompt are compared with each other.

        Prompts and completions are texts or lists of messages, one prompt for each completion. `rubrics` are
        those of a dataset column; where a row has none, the given ones hold. `step` is what options are drawn
        for; without it batches are counted. With `evaluation` no option is on and `totals` stay as they are.

        Raises:
            DataError: lengths that differ, a single text in place of a list, a rubric that is none, and under
                unseen='fail' a prompt without a rubric.
            AccountError, RunStopped: nothing can be asked any more. Any other failure of a model is None.
            SettingsError: on opening, what the panel lacks.
        """
        items, step = self._begin(prompts, completions, rubrics, step, evaluation)
        return self._door.wait(lambda panel: self._graded(panel, items, step, evaluation))

    async def agrade(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        rubrics: Sequence[Any] | None = None,
        *,
        step: int | None = None,
        evaluation: bool = False,
    ) -> Batch:
        """As `grade`, awaited."""
        items, step = self._begin(prompts, completions, rubrics, step, evaluation)
        return await self._door.through(lambda panel: self._graded(panel, items, step, evaluation))

    def prefer(self, prompts: Sequence[Any], pairs: Sequence[Sequence[Any]]) -> list[int]:
        """For each prompt the place, 0 or 1, of the better of two completions, -1 where they tie or one is
        not judged: what a judge of pairs gives. By the human score: no option is on.

        Raises:
            DataError: as `grade`; also when a pair is none.
        """
        if any(len(pair) != 2 for pair in pairs) or len(pairs) != len(prompts):
            raise DataError(BATCH, f"{len(prompts)} prompts need as many pairs of completions")
        twice = [prompt for prompt in prompts for _ in range(2)]
        scores = self.grade(twice, [text for pair in pairs for text in pair], evaluation=True).scores
        return [_better(*scores[at : at + 2]) for at in range(0, len(scores), 2)]

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
        self._door.close()

    def __enter__(self) -> RubricReward:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        column: Sequence[Any] | None,
        step: int | None,
        evaluation: bool,
    ) -> tuple[list[Item | Unreadable], int]:
        """The batch, read; in the thread of whoever calls, so that mistakes are told there."""
        for name, values in (("prompts", prompts), ("completions", completions), ("rubrics", column or [])):
            if isinstance(values, str | bytes) or not isinstance(values, Sequence):
                raise DataError(
                    BATCH, f"{name} are a list with one entry for each completion, not {_kind(values)}"
                )
        if len(prompts) != len(completions):
            raise DataError(
                BATCH, f"{len(prompts)} prompts and {len(completions)} completions: give one for each"
            )
        if column is not None and len(column) != len(completions):
            raise DataError(
                BATCH, f"{len(column)} rubrics for {len(completions)} completions: give one for each"
            )
        if not evaluation:
            step = self._steps if step is None else step
            self._steps = step + 1
        known: dict[int, Prompt | Unreadable] = {}
        items: list[Item | Unreadable] = []
        for row, (asked, said) in enumerate(zip(prompts, completions, strict=True)):
            if id(asked) not in known:  # trainers repeat one object for all completions of a group
                known[id(asked)] = prompt_of(asked, self.max_chars)
            prompt = known[id(asked)]
            text = completion_of(said, self.max_chars)
            own = self._rubrics.in_column(column[row], row) if column is not None else None
            if isinstance(prompt, Unreadable) or isinstance(text, Unreadable):
                items.append(prompt if isinstance(prompt, Unreadable) else text)  # type: ignore[arg-type]
            else:
                items.append(Item(prompt, text, own))
        return items, step or 0

    async def _graded(
        self, panel: Panel, items: Sequence[Item | Unreadable], step: int, evaluation: bool
    ) -> Batch:
        """On the door's loop to the end, so that no two threads add to the totals."""
        found = await self._grading.of(panel, items)
        options = PLAIN if evaluation else self.options
        graded, groups = settled(items, found, self._worth, options, step)
        tally = Tally()
        tallied([tally] if evaluation else [tally, self.totals], graded, groups, self._worth)
        return Batch(graded, tally, step)

    def _worth(self, rubric: Rubric, verdicts: Sequence[Verdict]) -> float | None:
        return guaranteed(RULES[self.rule], rubric, verdicts, self.floor)


def _better(first: float | None, second: float | None) -> int:
    if first is None or second is None or first == second:
        return -1
    return 0 if first > second else 1


def _kind(value: object) -> str:
    return "a single text" if isinstance(value, str | bytes) else type(value).__name__
