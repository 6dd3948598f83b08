"""A small stage for the loop: roles whose every word can be read off the texts, and that log what they do.

A response meets a criterion when the criterion's text is one of its words; `?word` in the response means
that the grader is silent on that word. So `Response("a b ?c")` meets a and b, leaves c unjudged, and misses
all else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rubricate.domain.conversation import Pool, Prompt, Response
from rubricate.domain.judgement import Preference, Verdict, unjudged
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.errors import RubricateError
from rubricate.steps.crew import Crew, RecallingGrader
from tests.builders import a_prompt, a_rubric

Written = Rubric | RubricateError | Callable[[Rubric, tuple[Response, Response]], Rubric]


@dataclass
class Stage:
    """The roles and their common log: ("propose",), ("grade", response, criteria), ("refine", pair), ..."""

    first: Rubric | RubricateError = field(default_factory=a_rubric)
    refinements: Sequence[Written] = ()
    prefers: Callable[[Response, Response], Preference] | None = None
    reuse: bool = True
    log: list[tuple[object, ...]] = field(default_factory=list)

    def crew(self) -> Crew:
        """A crew of these roles, with a memory of its own."""
        grader = _Grader(self.log)
        return Crew(
            _Proposer(self),
            RecallingGrader(grader, {}) if self.reuse else grader,
            None if self.prefers is None else _Judge(self.log, self.prefers),
        )

    @property
    def steps(self) -> list[str]:
        """What was done, in order, gradings of several responses counted as one."""
        told: list[str] = []
        for event in self.log:
            if not (event[0] == "grade" and told[-1:] == ["grade"]):
                told.append(str(event[0]))
        return told

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Every (response, criterion) that the grader was asked, in order."""
        return [
            (str(event[1]), text)
            for event in self.log
            if event[0] == "grade"
            for text in event[2]  # type: ignore[attr-defined]
        ]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The texts of the pairs that the proposer was shown, better first."""
        return [(str(event[1]), str(event[2])) for event in self.log if event[0] == "refine"]


@dataclass
class _Proposer:
    stage: Stage
    name: str = "a-proposer"
    n_refined: int = 0

    async def propose(self, prompt: Prompt) -> Rubric:
        self.stage.log.append(("propose",))
        if isinstance(self.stage.first, RubricateError):
            raise self.stage.first
        return self.stage.first

    async def refine(self, prompt: Prompt, rubric: Rubric, pair: tuple[Response, Response]) -> Rubric:
        self.stage.log.append(("refine", pair[0].text, pair[1].text))
        written = self.stage.refinements[min(self.n_refined, len(self.stage.refinements) - 1)]
        self.n_refined += 1
        if isinstance(written, RubricateError):
            raise written
        return written if isinstance(written, Rubric) else written(rubric, pair)


@dataclass
class _Grader:
    log: list[tuple[object, ...]]
    name: str = "a-grader"

    async def grade(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict, ...]:
        self.log.append(("grade", response.text, tuple(criterion.text for criterion in criteria)))
        return tuple(_verdict(response.text.split(), criterion.text) for criterion in criteria)


@dataclass
class _Judge:
    log: list[tuple[object, ...]]
    prefers: Callable[[Response, Response], Preference]
    name: str = "a-judge"

    async def compare(self, prompt: Prompt, first: Response, second: Response) -> Preference:
        self.log.append(("judge", first.text, second.text))
        return self.prefers(first, second)


def _verdict(words: Sequence[str], asked: str) -> Verdict:
    if f"?{asked}" in words:
        return unjudged("the grader said nothing on it", by="a-grader")
    return Verdict("met" if asked in words else "unmet", by="a-grader")


def pool_of(*texts: str) -> Pool:
    """A prompt with these responses, each from a generator of its own."""
    return Pool(a_prompt(), tuple(Response(text, f"m{place}") for place, text in enumerate(texts)))


def rubric_of(words: str | Iterable[str]) -> Rubric:
    """A rubric of criteria of weight 1; `word*3` gives another weight."""
    said = [word.partition("*") for word in (words.split() if isinstance(words, str) else words)]
    return a_rubric(*(f"{weight or 1}:{text}" for text, _, weight in said))


def adds(*words: str) -> Callable[[Rubric, tuple[Response, Response]], Rubric]:
    """A refinement that keeps all criteria and adds those of these that are new."""

    def written(rubric: Rubric, pair: tuple[Response, Response]) -> Rubric:
        known = {criterion.text for criterion in rubric.criteria}
        return rubric_of([*_listed(rubric), *(word for word in words if word not in known)])

    return written


def adds_what_the_better_has(rubric: Rubric, pair: tuple[Response, Response]) -> Rubric:
    """A refinement that adds the last word, by the alphabet, that only the first response has."""
    own = set(pair[0].text.split()) - set(pair[1].text.split()) - {c.text for c in rubric.criteria}
    return rubric_of([*_listed(rubric), max(own)])


def _listed(rubric: Rubric) -> list[str]:
    return [f"{criterion.text}*{criterion.weight:g}" for criterion in rubric.criteria]
