"""The lines of the two kinds of files in the folder of a training whose rubrics change.

rubrics_online.jsonl       one writer: who refreshes. What the rubrics were, from which step on, and why
graded_online-N.jsonl      one writer each: a process that gives rewards. What was graded, and what was said
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from rubricate.domain.conversation import Prompt
from rubricate.domain.judgement import Verdict
from rubricate.domain.record import Decision
from rubricate.domain.rubric import Rubric
from rubricate.training.online.rules import OnlineRules
from rubricate.training.online.turns.criteria import Retired

FORMAT = 1
Between = Literal["current", "reference"]


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="line", tag="head"):
    """The training that a folder belongs to: who grades, how rewards are made, how rubrics change."""

    grader: str
    rule: str
    floor: float
    options: dict[str, Any]
    rules: OnlineRules
    format: int = FORMAT


class Played(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One pair that was compared: two of the current policy's completions, or the best of these and the best
    of the reference. `pair` are response keys, better first, `before` and `proposed` the content keys of the
    old and the new rubric; `same` are proposed texts that were merged, each with the text that stays."""

    between: Between
    pair: tuple[str, str]
    before: str
    decision: Decision
    why: str
    proposed: str | None = None
    same: tuple[tuple[str, str], ...] = ()
    scores_before: tuple[float | None, float | None] = (None, None)
    scores_after: tuple[float | None, float | None] = (None, None)
    tie_share_before: float | None = None
    tie_share_after: float | None = None


class Version(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="line",
    tag="version",
):
    """What a refresh made of the rubric of one prompt, also when that is nothing.

    `rubric` counts from `step` on, `retired` are kept beside it for evaluations. `since` says from which step
    on a criterion has counted, by text, where that is not the beginning. `is_new`: it is another rubric than
    before, and its version number is its own. `why` is a sentence; `failed`: a call failed for good, and
    everything is as it was.
    """

    prompt: str
    step: int
    rubric: Rubric
    is_new: bool
    why: str
    retired: tuple[Retired, ...] = ()
    since: dict[str, int] = {}
    played: tuple[Played, ...] = ()
    added: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    newly_retired: tuple[str, ...] = ()
    failed: bool = False


class Refreshed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="line", tag="refreshed"):
    """The end of a refresh, without which its versions do not count, and its figures."""

    step: int
    figures: dict[str, float]


class Resumed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="line", tag="resumed"):
    """The training went back to a step: what was graded at this step or later, and versions that count from
    later steps, belong to a life that is over."""

    step: int


class Met(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="line", tag="prompt"):
    """A prompt that came up for the first time, with the rubric that it began with."""

    prompt: Prompt
    rubric: Rubric


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One completion: its place in the batch, its text, and the verdicts in the order of the rubric."""

    at: int
    text: str
    said: tuple[Verdict, ...]


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="line", tag="group"):
    """Completions of one prompt in one batch, graded on version `version` of its rubric."""

    prompt: str
    step: int
    version: int
    rows: tuple[Row, ...]


class Silent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A completion that was not graded: its place, why, and where they could be read the key of its prompt
    and its text."""

    at: int
    why: str
    prompt: str | None = None
    text: str | None = None


class Done(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="line", tag="done"):
    """The end of a batch of `n` completions; `life` counts how often the training had been resumed."""

    step: int
    life: int
    n: int
    silent: tuple[Silent, ...] = ()


class Learnt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="line", tag="learnt"):
    """What a refresh was told of a text that no reward was given for: verdicts by text of the criterion."""

    prompt: str
    text: str
    said: dict[str, Verdict]


RubricLine = Head | Version | Learnt | Refreshed | Resumed
GradedLine = Met | Group | Done
