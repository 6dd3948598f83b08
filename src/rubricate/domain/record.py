"""What became of one prompt: the rounds it went through, its final rubric, and what that took.

These records are lines of the journal; reports and exports read them. They hold keys of responses, not
their texts (those stand in the run folder's `pool.jsonl`, in the same order of prompts).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from rubricate.domain.conversation import SetAside
from rubricate.domain.rubric import Rubric

State = Literal["refined", "kept", "failed"]
Decision = Literal["accepted", "refused", "failed"]
Step = Literal["propose", "grade", "refine", "judge", "sample"]

NOT_ASKED = "_"
"""The mark of a criterion that nobody was asked about, since it could not matter. It is not unjudged."""


class Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one response stands under one rubric.

    `marks` has one character per criterion in rubric order: `+` met, `-` unmet, `?` unjudged, `_` not asked.
    `score` in [0, 1], None below the coverage floor, and None where some criterion was not asked; `coverage`
    is the judged share of the weight.
    `reasons` says why a criterion is unjudged, by criterion id. `by_program` marks with `x` the criteria
    that a program decided, else `.`; empty when none was.
    """

    response: str
    score: float | None
    coverage: float
    marks: str
    reasons: dict[str, str] = {}
    by_program: str = ""

    @property
    def is_asked(self) -> bool:
        """Whether every criterion has a verdict, or was asked and got none."""
        return NOT_ASKED not in self.marks


class Round(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One round: the standings, the pair, the proposed rubric, and whether the gate let it in.

    `number` counts from 1. `standings` are of the responses still in play, best first, under the rubric
    that the round began with (`before`, its content key). `pair` holds two response keys, better first,
    `pair_scores_*` their scores before and after. `tie_share_*` is the share of tied pairs among the top
    under the old and the new rubric, over the same responses; None where it is not measured, since the
    decision did not hang on it. `proposed` is the new rubric, also when it was refused; None when none could
    be read. `why` is a sentence.
    """

    number: int
    before: str
    standings: tuple[Standing, ...]
    pair: tuple[str, str]
    decision: Decision
    why: str
    proposed: Rubric | None = None
    pair_scores_before: tuple[float | None, float | None] = (None, None)
    pair_scores_after: tuple[float | None, float | None] = (None, None)
    tie_share_before: float | None = None
    tie_share_after: float | None = None


class Spend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the replies of one step took, whether they were paid now or came from the ledger.

    `cost_usd` is None when the price of the model is not known. `verdicts_*` count criteria of responses
    (grading only): asked of a model, reused from earlier verdicts, decided by a program, left unjudged.
    `repaired` counts replies that were read only after a repair of their JSON.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = None
    verdicts_asked: int = 0
    verdicts_reused: int = 0
    verdicts_by_program: int = 0
    verdicts_unjudged: int = 0
    repaired: int = 0


class PromptRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of one prompt, in exactly one state: refined, kept or failed, and why.

    `key` is the content key of pool and settings: a record is found again only under the same of both.
    `initial` is the first rubric, `rubric` the last accepted one (both None when none was ever had).
    `standings` are of the final rubric on the whole pool, best first; empty when `workflow.score_final`
    is off. `tie_share_before` is the share of tied pairs among the top under the initial rubric,
    `tie_share_after` the same under the final rubric over the whole pool; None when not measured.
    """

    key: str
    id: str
    prompt: str
    state: State
    why: str
    initial: Rubric | None = None
    rubric: Rubric | None = None
    rounds: tuple[Round, ...] = ()
    standings: tuple[Standing, ...] = ()
    tie_share_before: float | None = None
    tie_share_after: float | None = None
    set_aside: tuple[SetAside, ...] = ()
    spend: dict[Step, Spend] = {}
