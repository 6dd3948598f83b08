"""Who is asked for a reward."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from rubricate.steps.crew import CheckedGrader
from rubricate.steps.roles import Grader, Judge, Proposer


@dataclass(frozen=True)
class Panel:
    """The grader; the proposer of rubrics for unseen prompts and of their refinements, a second grader that
    is never paid for, and a judge of refinements, where there are such. Belongs to the loop on which it was
    opened."""

    grader: Grader
    proposer: Proposer | None = None
    second: Grader | None = None
    judge: Judge | None = None


def panel_of(
    grader: Grader,
    proposer: Proposer | None = None,
    second: Grader | None = None,
    judge: Judge | None = None,
) -> Callable[[], AbstractAsyncContextManager[Panel]]:
    """An opening for players that need none, such as the offline engine: criteria that a program can decide
    are decided by one, all others by the grader."""
    return partial(_standing, grader, proposer, second, judge)


@asynccontextmanager
async def _standing(
    grader: Grader, proposer: Proposer | None, second: Grader | None, judge: Judge | None
) -> AsyncIterator[Panel]:
    yield Panel(CheckedGrader(grader), proposer, None if second is None else CheckedGrader(second), judge)
