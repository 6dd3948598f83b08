"""One interface of cases for every benchmark: a prompt, its responses, and which ought to beat which.

A pair is one contest of two; best of n is one contest of the best against all others; a 3 x 3 style matrix
is nine contests over six responses; a graded list has a contest for each pair of different grades. A case
without contests is scored by points (HealthBench): its figure is the score itself.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from rubricate.domain.conversation import Prompt
from rubricate.domain.rubric import Rubric

Kind = Literal["pair", "best_of_n", "styles", "graded", "points"]


class Contest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Responses that ought to beat others, each of the first each of the second.

    Both are places in `Case.responses`. `groups` names the subsets that the contest counts for, beside those
    of its case.
    """

    better: tuple[int, ...]
    worse: tuple[int, ...]
    groups: tuple[str, ...] = ()


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a benchmark.

    `responses` are in the order of the file; what scores them never sees that order, nor `generators`, nor
    the `id`. `rubric` is what the benchmark itself grades by, if it does.
    """

    id: str
    prompt: Prompt
    kind: Kind
    responses: tuple[str, ...]
    contests: tuple[Contest, ...] = ()
    groups: tuple[str, ...] = ()
    rubric: Rubric | None = None
    cluster: str = ""
    generators: tuple[str | None, ...] = ()
    gold: tuple[float | None, ...] = ()


def cluster_of(case: Case) -> str:
    """What a case is drawn with again for its interval: its prompt, or what its file calls the prompt where
    several have one text (an article that is left out)."""
    return case.cluster or case.prompt.key


class Benchmark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cases of a file, the shape that it came in, what in it could not be used, with the count, and how
    many cases repeat an earlier one."""

    shape: str
    cases: tuple[Case, ...]
    left_out: dict[str, int] = {}
    repeated: int = 0


ALL = "all"
"""The group of everything."""


def contest_groups(case: Case, contest: Contest) -> tuple[str, ...]:
    """All groups that a contest counts for, `all` first, each once."""
    return tuple(dict.fromkeys((ALL, *case.groups, *contest.groups)))
