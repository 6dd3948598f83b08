"""A role outside of a run: the same lines, ledger and budget; the offline engine opens nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rubricate.errors import RunStopped, SettingsError
from rubricate.settings.loading import load_settings
from rubricate.settings.roles import opened_roles
from rubricate.settings.secrets import environment
from tests.builders import a_prompt, a_response, a_rubric, marks_of
from tests.served import QUICK, Served

CRITERIA = a_rubric("3:names the daily maximum", "1:names a risk").criteria


def roles(*overrides: str, **how: Any) -> Any:
    return opened_roles(load_settings("iterative", overrides), environment(), say=lambda line: None, **how)


def test_offline_opens_nothing(desk):
    """Nobody is asked, so nothing is written: no ledger, no folder."""

    async def graded() -> int:
        async with roles("models.verifier=offline", "models.rubric_generator=offline") as opened:
            rubric = await (await opened.proposer()).propose(a_prompt())
            verdicts = await (await opened.grader()).grade(a_prompt(), a_response(), rubric.criteria)
            assert opened.n_paid == 0
            return len(verdicts) - len(rubric.criteria)

    assert asyncio.run(graded()) == 0
    assert list(Path().iterdir()) == []


def test_what_was_paid_is_not_paid_again(desk):
    """The second time the ledger answers, and the verdicts are the same."""

    async def graded() -> tuple[str, int, int]:
        async with roles(*QUICK, "models.verifier=m") as opened:
            grader = await opened.grader()
            verdicts = await grader.grade(a_prompt(), a_response(), CRITERIA)
            return marks_of(verdicts), opened.n_paid, opened.n_reused

    with Served() as server:
        desk.ask(server)
        marks, paid, reused = asyncio.run(graded())
        again = asyncio.run(graded())
    assert paid > 0 and reused == 0
    assert again == (marks, 0, paid)


def test_a_judge_and_another_grader_at_the_same_endpoint(desk):
    """Models beside those of the settings are asked by their names."""

    async def asked() -> None:
        async with roles(*QUICK, "models.verifier=m", models=("other", "judge")) as opened:
            await (await opened.grader("other")).grade(a_prompt(), a_response(), CRITERIA)
            await (await opened.judge("judge")).compare(a_prompt(), a_response("a"), a_response("b"))

    with Served() as server:
        desk.ask(server)
        asyncio.run(asked())
        models = [request["model"] for request in server.requests]
    assert models[0] == "other" and models[-1] == "judge"
    assert set(models) == {"other", "judge"}


def test_the_budget_holds(desk):
    """A limit on calls stops before the call; a limit on cost needs a price that is known."""

    async def graded() -> None:
        async with roles(*QUICK, "models.verifier=m", "budget.max_calls=0") as opened:
            await (await opened.grader()).grade(a_prompt(), a_response(), CRITERIA)

    async def judged() -> None:
        async with roles("models.verifier=offline", "budget.max_cost_usd=1", models=("unheard-of",)):
            pass

    with Served() as server:
        desk.ask(server)
        with pytest.raises(RunStopped):
            asyncio.run(graded())
        with pytest.raises(SettingsError, match="unheard-of"):
            asyncio.run(judged())
        assert server.requests == []
