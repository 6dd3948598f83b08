"""How the responses of one prompt stand under one rubric, as far as that is known and needed.

What is known costs nothing: verdicts of earlier rounds and runs, and those of programs. The rest is asked in
waves, each only of those who could still matter (domain/bounds.py, domain/top_ties.py), in one call for each
response with all that it lacks. Who cannot matter is not asked, and shows it: the verdicts that it lacks bear
a mark of their own, and it has no score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from rubricate.domain.bounds import Reach, next_wave, reach_of, tie_share_of_top
from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.judgement import Verdict, unjudged
from rubricate.domain.record import NOT_ASKED, Standing
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.domain.scoring import COVERAGE_FLOOR, coverage, ranked, tie_share, top_of
from rubricate.domain.selection import Policy
from rubricate.domain.top_ties import TopTies, may_be_top, top_ties
from rubricate.steps.asking import gathered
from rubricate.steps.crew import Crew
from rubricate.steps.roles import known_to

Coverage = Literal["top", "all"]
Scores = dict[str, float | None]
Verdicts = tuple[Verdict | None, ...]

_MARKS = {"met": "+", "unmet": "-", "unjudged": "?"}
_OPEN = unjudged("not asked")


class Field:
    """The responses of one prompt under one rubric, and what is known of each. Nobody has been asked yet."""

    def __init__(
        self, crew: Crew, prompt: Prompt, responses: Iterable[Response], rubric: Rubric, floor: float
    ):
        self.crew, self.prompt, self.rubric, self._floor = crew, prompt, rubric, floor
        self.responses = {response.key: response for response in responses}
        nothing: Verdicts = (None,) * len(rubric.criteria)
        self._verdicts = dict.fromkeys(self.responses, nothing)
        self._reaches = dict.fromkeys(self.responses, reach_of(rubric, nothing, floor))

    @property
    def reaches(self) -> Mapping[str, Reach]:
        """Where each score can still end, by response key."""
        return self._reaches

    @property
    def scores(self) -> Scores:
        """Score by response key: None where there is none, and where it is not known."""
        return {key: reach.score for key, reach in self._reaches.items()}

    @property
    def standings(self) -> tuple[Standing, ...]:
        """How they stand, best first, those without a score last."""
        return tuple(
            standing_of(key, self._verdicts[key], self.rubric, self._floor) for key in ranked(self.scores)
        )

    def is_settled(self, key: str) -> bool:
        """Whether all verdicts of a response are known."""
        return self._reaches[key].is_settled

    def take(self, key: str, verdicts: Verdicts) -> None:
        """Notes the verdicts of a response; those that are None stay open."""
        self._verdicts[key] = verdicts
        self._reaches[key] = reach_of(self.rubric, verdicts, self._floor)

    async def recall(self, keys: Iterable[str]) -> None:
        """Notes what is known of these without asking a model."""
        complete = list[str]()
        for key in keys:
            if self.is_settled(key):
                continue
            known = await known_to(self.crew.grader, self.prompt, self.responses[key], self.rubric.criteria)
            if None in known:
                self.take(key, known)
            else:
                complete.append(key)
        await ask(complete, self)  # costs no call, and is counted like any other reuse


async def stand(
    crew: Crew,
    prompt: Prompt,
    responses: Sequence[Response],
    rubric: Rubric,
    floor: float,
    policy: Policy | None = None,
) -> Field:
    """How the responses stand under the rubric: all, or, for a policy, those on whom its choice hangs."""
    field = Field(crew, prompt, responses, rubric, floor)
    if policy is None:
        await ask(field.responses, field)
        return field
    await field.recall(field.responses)
    while wave := next_wave(field.reaches, policy):
        await ask(wave, field)
    return field


async def score_all(final: Field, first: Field | None) -> None:
    """Grades everybody under the final rubric. Where the tie share of the top under the first one was left
    open, it is measured as well: in the same calls, so that it costs a few criteria."""
    is_open = first is not None and first.responses and tie_share_of_top(first.reaches) is None
    await ask(final.responses, *([final, first] if first is not None and is_open else [final]))


async def compare_top(before: Field, after: Field, coverage: Coverage) -> TopTies:
    """Whether the new rubric ties more of the old top; asks until that is certain, with `all` the whole top.

    The pair has been asked on the new rubric already. Without scores under the old rubric there is no top.
    """
    if not before.responses:
        return TopTies(no_more=True, share_after=tie_share(after.scores.values()))
    if coverage == "all":
        await ask([key for key in top_of(before.scores) if not after.is_settled(key)], after)
    else:
        await after.recall(may_be_top(before.reaches))
    while wave := (found := top_ties(before.reaches, after.reaches)).to_ask:
        await ask(wave, after, before)
    return found


async def ask(keys: Iterable[str], *fields: Field) -> None:
    """Grades the responses on all criteria of those fields that are not settled on them, all at once; one
    call for each response, and none where all is known."""
    wanted = {key: [field for field in fields if not field.is_settled(key)] for key in keys}
    graded = await gathered(_graded(key, lacking) for key, lacking in wanted.items())
    for (key, lacking), by_text in zip(wanted.items(), graded, strict=True):
        for field in lacking:
            field.take(key, tuple(by_text[criterion.text] for criterion in field.rubric.criteria))


async def _graded(key: str, fields: Sequence[Field]) -> dict[str, Verdict]:
    """The verdicts on a response by the text of the criterion."""
    by_text: dict[str, Criterion] = {}
    for field in fields:
        for criterion in field.rubric.criteria:
            by_text.setdefault(criterion.text, criterion)
    if not by_text:
        return {}
    crew, prompt, response = fields[0].crew, fields[0].prompt, fields[0].responses[key]
    verdicts = await crew.grader.grade(prompt, response, tuple(by_text.values()))
    return dict(zip(by_text, verdicts, strict=True))


def standing_of(response: str, verdicts: Verdicts, rubric: Rubric, floor: float = COVERAGE_FLOOR) -> Standing:
    """The standing that verdicts give: score, coverage, one mark per criterion, reasons. None: not asked."""
    by_program = "".join("x" if verdict and verdict.by == "check" else "." for verdict in verdicts)
    return Standing(
        response=response,
        score=reach_of(rubric, verdicts, floor).score,
        coverage=coverage(rubric, [verdict or _OPEN for verdict in verdicts]),
        marks="".join(_MARKS[verdict.outcome] if verdict else NOT_ASKED for verdict in verdicts),
        reasons={
            criterion.id: verdict.reason
            for criterion, verdict in zip(rubric.criteria, verdicts, strict=True)
            if verdict and verdict.outcome == "unjudged" and verdict.reason
        },
        by_program=by_program if "x" in by_program else "",
    )
