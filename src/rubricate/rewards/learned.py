"""A learned model as the reward of a trainer."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol

from rubricate.domain.conversation import Prompt
from rubricate.domain.identity import key_of
from rubricate.reward_model.scoring import Score
from rubricate.rewards.batch.graded import Batch, Graded
from rubricate.rewards.batch.texts import MAX_CHARS, Unreadable, texts_of
from rubricate.rewards.doored import DooredReward
from rubricate.rewards.measures.tally import Tally

Asked = tuple[Prompt, str]
_AT_ONCE = 256
"""Texts that are handed to the model together; who comes meanwhile waits for no more than these."""


class Model(Protocol):
    """What scores texts; `reward_model.scoring.RewardModel` is one."""

    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        """One score for each, in their order."""
        ...


class LearnedReward(DooredReward["_Desk", "Asked | Unreadable"]):
    """Prompts and completions -> the scores of a reward model, in input order.

    `load` gives the model, in a thread, when the first batch comes. A reward is the model's logit: any real
    number, whose differences mean something and whose zero does not. With `squash` it is 1 / (1 + exp(-x))
    in (0, 1): the same order, for trainers and servers that want bounds, with less and less difference at
    the ends. Texts that cannot be scored (empty, over `max_chars`, not text, nothing behind the reasoning)
    get None with the reason, as of `RubricReward`; reasoning is left out of what the model reads. What a row
    of a batch has as its rubric is not looked at.

    Equal texts that wait together are scored once. The model works in a thread, on all that came while it
    was busy; the loop is free meanwhile. Pickles without the model, and a copy loads its own.
    """

    def __init__(self, load: Callable[[], Model], *, squash: bool = False, max_chars: int = MAX_CHARS):
        super().__init__(partial(_desk, load), max_chars=max_chars)
        self.squash = squash

    def _rows(
        self, prompts: Sequence[Any], completions: Sequence[Any], column: Sequence[Any] | None
    ) -> list[Asked | Unreadable]:
        return texts_of(prompts, completions, self.max_chars)

    async def _graded(
        self, opened: _Desk, rows: Sequence[Asked | Unreadable], step: int | None, evaluation: bool
    ) -> Batch:
        readable = [text for text in rows if not isinstance(text, Unreadable)]
        scores = iter(await opened.scores(readable))
        graded = []
        for text in rows:
            if isinstance(text, Unreadable):
                graded.append(Graded(reward=None, why=text.why))
                continue
            said = next(scores)
            value = said.value if said.value is None or not self.squash else _squashed(said.value)
            graded.append(Graded(reward=value, why=said.why, score=value, prompt=text[0], text=text[1]))
        tally = Tally()
        for each in [tally] if evaluation else [tally, self.totals]:
            _add(each, graded)
        return Batch(graded, tally, step or 0)


def _squashed(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


def _add(tally: Tally, graded: Sequence[Graded]) -> None:
    groups: dict[str, list[Graded]] = defaultdict(list)
    for row, one in enumerate(graded):
        tally.add_completion(one.reward, one.why, score=one.score)
        groups[one.prompt.key if one.prompt is not None else f"row {row}"].append(one)
    for group in groups.values():
        rewards = [one.reward for one in group if one.reward is not None]
        tally.add_prompt(len(group) - len(rewards), len(group))
        tally.add_rewards(rewards)


class _Desk:
    """Where texts wait for the model. Belongs to one loop; the model to one thread at a time."""

    def __init__(self, model: Model):
        self._model = model
        self._waiting: dict[str, Asked] = {}
        self._promised: dict[str, asyncio.Future[Score]] = {}
        self._at_work: asyncio.Task[None] | None = None

    async def scores(self, asked: Sequence[Asked]) -> list[Score]:
        """One score for each text, in order."""
        promises = [self._promise(text) for text in asked]
        if self._waiting and (self._at_work is None or self._at_work.done()):
            self._at_work = asyncio.create_task(self._work())
        return [await asyncio.shield(promise) for promise in promises]

    def _promise(self, text: Asked) -> asyncio.Future[Score]:
        key = key_of("text to score", text[0].key, text[1])
        if key not in self._promised:
            self._waiting[key] = text
            self._promised[key] = asyncio.get_running_loop().create_future()
        return self._promised[key]

    async def _work(self) -> None:
        while self._waiting:
            keys = list(self._waiting)[:_AT_ONCE]
            texts = [self._waiting.pop(key) for key in keys]
            promises = [self._promised[key] for key in keys]
            try:
                scores = await asyncio.to_thread(self._model.scores, texts)
            except BaseException as failure:
                for promise in promises:
                    if isinstance(failure, Exception):
                        promise.set_exception(failure)
                        promise.exception()  # whoever asked may be gone, and nobody else looks
                    else:
                        promise.cancel()
                if not isinstance(failure, Exception):
                    raise
            else:
                for promise, score in zip(promises, scores, strict=True):
                    promise.set_result(score)
            finally:
                for key in keys:
                    del self._promised[key]


@asynccontextmanager
async def _desk(load: Callable[[], Model]) -> AsyncIterator[_Desk]:
    yield _Desk(await asyncio.to_thread(load))
