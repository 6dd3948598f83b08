"""The roles as played by models behind a chat, and the two graders that stand around another one.

RecallingGrader   what is known is not asked again
CheckedGrader     what a program can decide is not asked at all
ModelGrader       the rest is asked of the model
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from rubricate.domain.checks import decide, is_decidable
from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.identity import key_of
from rubricate.domain.judgement import Answer, Preference, Verdict
from rubricate.domain.record import Step
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.llm.chat import Chat
from rubricate.steps.asking import Heard, Manner, gathered, template, unheard
from rubricate.steps.compare import Order, answers, compare
from rubricate.steps.grade import grade
from rubricate.steps.propose import propose
from rubricate.steps.refine import refine
from rubricate.steps.roles import Grader, Judge, Proposer, known_to


def _nothing() -> None:
    """Nobody counts."""


@dataclass(frozen=True)
class ModelProposer:
    """A proposer that is a model."""

    chat: Chat
    refine_chat: Chat
    manner: Manner
    seed: int = 0
    pitfalls: bool = False
    repaired: Callable[[Step], None] = field(default=lambda step: None)
    heard: Heard = unheard

    @property
    def name(self) -> str:
        """The model."""
        return self.manner.model

    async def propose(self, prompt: Prompt) -> Rubric:
        """See `steps.propose`."""
        return await propose(
            self.chat,
            self.manner,
            prompt,
            pitfalls=self.pitfalls,
            repaired=lambda: self.repaired("propose"),
            heard=self.heard,
        )

    async def refine(self, prompt: Prompt, rubric: Rubric, pair: tuple[Response, Response]) -> Rubric:
        """See `steps.refine`."""
        return await refine(
            self.refine_chat,
            self.manner,
            prompt,
            rubric,
            pair,
            seed=self.seed,
            pitfalls=self.pitfalls,
            repaired=lambda: self.repaired("refine"),
            heard=self.heard,
        )


@dataclass(frozen=True)
class ModelGrader:
    """A grader that is a model. `criteria_per_call` bounds how many criteria one call asks; None: all."""

    chat: Chat
    manner: Manner
    criteria_per_call: int | None = None
    repaired: Callable[[], None] = _nothing
    heard: Heard = unheard

    @cached_property
    def name(self) -> str:
        """Model and a digest of all that shapes its verdicts: template and sampling."""
        return f"{self.manner.model}#{key_of('manner', template('grade'), self.manner)[:8]}"

    async def grade(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict, ...]:
        """See `steps.grade`; one call for each chunk of criteria."""
        size = self.criteria_per_call or len(criteria) or 1
        chunks = [criteria[start : start + size] for start in range(0, max(1, len(criteria)), size)]
        gradings = (
            grade(self.chat, self.manner, prompt, response, chunk, repaired=self.repaired, heard=self.heard)
            for chunk in chunks
        )
        if len(chunks) == 1:
            return await next(gradings)
        parts = await gathered(gradings)
        return tuple(verdict for part in parts for verdict in part)


@dataclass(frozen=True)
class ModelJudge:
    """A judge that is a model."""

    chat: Chat
    manner: Manner
    heard: Heard = unheard

    @property
    def name(self) -> str:
        """The model."""
        return self.manner.model

    async def compare(self, prompt: Prompt, first: Response, second: Response) -> Preference:
        """See `steps.compare`."""
        return await compare(self.chat, self.manner, prompt, first, second, heard=self.heard)

    async def answers(
        self, prompt: Prompt, first: Response, second: Response, order: Order = "both", seed: int = 0
    ) -> tuple[Answer, ...]:
        """See `steps.compare.answers`."""
        return await answers(
            self.chat, self.manner, prompt, first, second, order=order, seed=seed, heard=self.heard
        )


@dataclass(frozen=True)
class CountedGrader:
    """A grader around another, model or engine, that tells how many verdicts it was asked for, and how many
    of them it did not give."""

    inner: Grader
    asked: Callable[[int, int], None]

    @property
    def name(self) -> str:
        """The inner grader's."""
        return self.inner.name

    async def grade(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict, ...]:
        """The verdicts of the inner grader."""
        verdicts = await self.inner.grade(prompt, response, criteria)
        self.asked(len(verdicts), sum(not verdict.is_judged for verdict in verdicts))
        return verdicts

    async def known(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict | None, ...]:
        """What the inner grader knows."""
        return await known_to(self.inner, prompt, response, criteria)


@dataclass(frozen=True)
class CheckedGrader:
    """A grader around another: a criterion that a program can decide is never sent to a model."""

    inner: Grader
    decided: Callable[[int], None] = field(default=lambda n: None)

    @property
    def name(self) -> str:
        """The inner grader's: a program's verdict is the same for all."""
        return self.inner.name

    async def grade(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict, ...]:
        """One verdict per criterion, by program where it can be, by the inner grader where not."""
        known = _by_program(prompt, response, criteria)
        self.decided(len(known))
        return await _completed(self.inner, prompt, response, criteria, known)

    async def known(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict | None, ...]:
        """What a program decides, and what the inner grader knows of the rest."""
        return await _known_with(
            self.inner, prompt, response, criteria, _by_program(prompt, response, criteria)
        )


@dataclass(frozen=True)
class RecallingGrader:
    """A grader around another: what it said of a response and a criterion before is not asked again.

    `memory` holds the verdicts of this prompt's own rounds, in a trainer those of the latest steps.
    `recorded` looks up verdicts of earlier runs by key, all at once; it must give the same answers for the
    whole run (see llm/ledger.py, watermark), so no key is looked up twice (`absent` holds those that it
    lacks). Unjudged is no verdict: it is asked again together with whatever is new.
    """

    inner: Grader
    memory: MutableMapping[str, Verdict]
    recorded: Callable[[Sequence[str]], Awaitable[Mapping[str, Verdict]]] | None = None
    reused: Callable[[int], None] = field(default=lambda n: None)
    absent: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The inner grader's."""
        return self.inner.name

    async def grade(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict, ...]:
        """One verdict per criterion; only what is not known yet is asked of the inner grader."""
        keys = verdict_keys(self.name, prompt, response, criteria)
        known = await self._remembered(keys)
        self.reused(len(known))
        verdicts = await _completed(self.inner, prompt, response, criteria, known)
        self.memory.update(
            {key: verdict for key, verdict in zip(keys, verdicts, strict=True) if verdict.is_judged}
        )
        return verdicts

    async def known(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict | None, ...]:
        """What was said before, in this run or an earlier one; of the rest, what the inner grader knows."""
        remembered = await self._remembered(verdict_keys(self.name, prompt, response, criteria))
        return await _known_with(self.inner, prompt, response, criteria, remembered)

    async def _remembered(self, keys: Sequence[str]) -> dict[int, Verdict]:
        new = [key for key in keys if key not in self.memory and key not in self.absent]
        if new and self.recorded is not None:
            self.memory.update(await self.recorded(new))
            self.absent.update(key for key in new if key not in self.memory)
        return {place: self.memory[key] for place, key in enumerate(keys) if key in self.memory}


def verdict_keys(grader: str, prompt: Prompt, response: Response, criteria: Sequence[Criterion]) -> list[str]:
    """Content keys of verdicts: grader (with its parameters and template), prompt, text and criterion."""
    about = key_of("about", grader, prompt.key, response.text_key)
    return [_verdict_key(about, criterion.text) for criterion in criteria]


@lru_cache(maxsize=8192)
def _verdict_key(about: str, criterion: str) -> str:
    """Remembered, since a pool is looked up in full on every round, and little of it is new."""
    return key_of("verdict", about, criterion)


async def _completed(
    inner: Grader,
    prompt: Prompt,
    response: Response,
    criteria: Sequence[Criterion],
    known: dict[int, Verdict],
) -> tuple[Verdict, ...]:
    """The known verdicts by place, and the inner grader's for all other places."""
    open_places = [place for place in range(len(criteria)) if place not in known]
    if open_places:
        asked = [criteria[place] for place in open_places]
        known = known | dict(zip(open_places, await inner.grade(prompt, response, asked), strict=True))
    return tuple(known[place] for place in range(len(criteria)))


async def _known_with(
    inner: Grader,
    prompt: Prompt,
    response: Response,
    criteria: Sequence[Criterion],
    known: dict[int, Verdict],
) -> tuple[Verdict | None, ...]:
    """The known verdicts by place, and what the inner grader knows of all other places."""
    places = [place for place in range(len(criteria)) if place not in known]
    if not places:
        return tuple(known[place] for place in range(len(criteria)))
    others = await known_to(inner, prompt, response, [criteria[place] for place in places])
    by_place = known | dict(zip(places, others, strict=True))
    return tuple(by_place[place] for place in range(len(criteria)))


def _by_program(prompt: Prompt, response: Response, criteria: Sequence[Criterion]) -> dict[int, Verdict]:
    """The verdicts that a program gives, by place."""
    known: dict[int, Verdict] = {}
    for place, criterion in enumerate(criteria):
        met = decide(criterion.text, prompt.text, response.text) if is_decidable(criterion.text) else None
        if met is not None:
            known[place] = Verdict("met" if met else "unmet", by="check")
    return known


@dataclass(frozen=True)
class Crew:
    """Who plays which role for one prompt."""

    proposer: Proposer
    grader: Grader
    judge: Judge | None = None
