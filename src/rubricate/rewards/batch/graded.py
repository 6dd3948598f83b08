"""What a completion got, with everything that it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from rubricate.domain.aggregation import probability_of
from rubricate.domain.conversation import Prompt
from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Rubric
from rubricate.rewards.measures.tally import Tally


class Graded(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One completion of a batch. `reward` in [0, 1] by a rubric, any number by a learned model that is not
    squashed; or None and `why` not. What follows `text` is of rubrics alone.

    score      by the whole rubric with its human weights, as an evaluation sees it; the reward is another
               number only where options are on
    rubric     the whole rubric, `verdicts` one for each of its criteria, in order
    counted    the rubric as it counted in this step, with the weights that it had there
    canary     the score by the criteria that never count, None without any
    second     the score that the second grader gives, by the whole rubric; None where it did not look
    """

    reward: float | None
    why: str | None = None
    score: float | None = None
    prompt: Prompt | None = None
    text: str | None = None
    rubric: Rubric | None = None
    verdicts: tuple[Verdict, ...] = ()
    counted: Rubric | None = None
    canary: float | None = None
    second: float | None = None

    @property
    def vector(self) -> dict[str, float | None]:
        """What each criterion is worth here, by its text, in rubric order: 1 when all is well, for a pitfall
        when it did not happen; a probability where the grader gives one; None where it is unjudged."""
        if self.rubric is None or not self.verdicts:
            return {}
        worth: dict[str, float | None] = {}
        for criterion, verdict in zip(self.rubric.criteria, self.verdicts, strict=True):
            met = probability_of(verdict) if verdict.is_judged else None
            worth[criterion.text] = met if met is None or criterion.weight > 0 else 1 - met
        return worth


@dataclass(frozen=True)
class Batch:
    """What a call to the reward gives: one `Graded` for each completion, in input order.

    `step` is the one that the options were drawn for. `news` are figures of what changed before this batch
    (`training.online`), to be logged with it under their own names.
    """

    graded: Sequence[Graded]
    tally: Tally
    step: int = 0
    news: Mapping[str, float] = field(default_factory=dict)

    @property
    def rewards(self) -> list[float | None]:
        """The rewards in input order."""
        return [one.reward for one in self.graded]

    @property
    def scores(self) -> list[float | None]:
        """The scores by whole rubrics with human weights, in input order."""
        return [one.score for one in self.graded]

    @property
    def vectors(self) -> list[dict[str, float | None]]:
        """What each criterion is worth, completion by completion."""
        return [one.vector for one in self.graded]

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The figures of the batch by name, those that are defined for it; see `Tally.metrics`."""
        return self.tally.metrics()
