"""A worker by itself: what it is told and says, without a cluster around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rubricate.cluster.messages import Charter, Counts, Hello, Orders, Said, Stop, Task, decoded, encoded
from rubricate.cluster.worker import MONEY, Worker
from rubricate.domain.conversation import Pool, Prompt, Response
from rubricate.errors import DataError, RunError, RunStopped, SettingsError
from rubricate.settings.loading import load_settings
from rubricate.settings.terms import identity_of, prices_of
from tests.actor import a_text, play
from tests.fake_server import FakeServer
from tests.served import KEY

pytest.importorskip("ray")


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    """Somebody to ask."""
    async with FakeServer(play) as server:
        yield server


def charter(server: FakeServer, folder: Path, *overrides: str, identity: str | None = None) -> bytes:
    """What a worker is told at first."""
    settings = load_settings("iterative", ["api.structured_output=off", *overrides])
    return encoded(
        Charter(
            settings=settings,
            environment={"LITELLM_KEY": KEY, "LITELLM_BASE_URL": server.base_url},
            ledger=str(folder / "ledger.sqlite"),
            verdicts_up_to=0,
            prices=prices_of(settings),
            identity=identity or identity_of(settings),
        )
    )


def a_task(place: int = 0) -> Task:
    """A prompt with three responses."""
    responses = tuple(Response(a_text(f"{place} {n}"), f"m{n}") for n in range(3))
    return Task(place, Pool(Prompt.of_text(f"Tell me about {place}."), responses), None)


async def finished(worker: Worker, n: int) -> tuple[list[int], Counts, set[str]]:
    """Grants all that a worker wants until n prompts are finished: places, counts, lines it asked on."""
    places, lines, counts = list[int](), set[str](), Counts()
    async with asyncio.timeout(30):
        while len(places) < n:
            said = decoded(await worker.listen(), Said)
            assert said.stop is None
            counts = said.counts
            places += [done.place for done in said.finished]
            lines |= {want.line for want in said.wants}
            await worker.tell(encoded(Orders(granted=[want.number for want in said.wants])))
    return places, counts, lines


async def test_it_asks_nothing_without_a_permit(server, tmp_path):
    """Not one call before it is granted; then all of them, and the same again costs nothing."""
    worker = Worker()
    assert decoded(await worker.open(charter(server, tmp_path)), Hello).stop is None
    await worker.tell(encoded(Orders(tasks=[a_task()])))
    said = decoded(await worker.listen(), Said)
    assert (len(said.wants), server.n_requests) == (1, 0)
    await worker.tell(encoded(Orders(granted=[said.wants[0].number])))
    places, counts, lines = await finished(worker, 1)
    assert (places, counts.calls_paid, MONEY in lines) == ([0], server.n_requests, False)
    n_calls = server.n_requests
    await worker.open(charter(server, tmp_path))
    await worker.tell(encoded(Orders(tasks=[a_task()])))
    places, counts, _ = await finished(worker, 1)
    assert (places, counts.calls_paid, server.n_requests) == ([0], 0, n_calls)
    assert decoded(await worker.close(), Counts).calls_reused > 0


async def test_a_budget_is_a_line_of_its_own(server, tmp_path):
    """With a limit on calls each of them needs a permit of the budget, too."""
    worker = Worker()
    await worker.open(charter(server, tmp_path, "budget.max_calls=1000"))
    await worker.tell(encoded(Orders(tasks=[a_task(0), a_task(1)])))
    places, _, lines = await finished(worker, 2)
    assert (sorted(places), MONEY in lines) == ([0, 1], True)
    await worker.close()


async def test_opening_again_gives_up_what_was_in_hand(server, tmp_path):
    """After the run lost sight of a worker it starts afresh: nothing of before is said."""
    worker = Worker()
    await worker.open(charter(server, tmp_path))
    await worker.tell(encoded(Orders(tasks=[a_task(0)])))
    await worker.listen()
    await worker.open(charter(server, tmp_path))
    await worker.tell(encoded(Orders(tasks=[a_task(7)])))
    assert (await finished(worker, 1))[0] == [7]
    await worker.close()
    assert decoded(await worker.close(), Counts) == Counts()


async def test_another_version_is_no_worker(server, tmp_path):
    """Where the templates or the settings mean something else, it says so and does nothing."""
    hello = decoded(await Worker().open(charter(server, tmp_path, identity="another")), Hello)
    assert hello.stop is not None
    assert isinstance(hello.stop.error(), SettingsError)
    assert "another version" in hello.stop.why


async def test_a_ledger_that_cannot_be_used_is_said(server, tmp_path):
    """The line of the error, and not a traceback from another machine."""
    (tmp_path / "ledger.sqlite").write_bytes(b"no ledger at all" * 100)
    hello = decoded(await Worker().open(charter(server, tmp_path)), Hello)
    assert hello.stop is not None and "ledger.sqlite" in hello.stop.why


def test_errors_keep_what_the_command_tells_apart():
    """Stopped and resumable, the user's setting, or a run that cannot go on."""
    kinds = [RunStopped("a"), SettingsError("b"), RunError("c"), DataError("file", "d", line=3)]
    told = [decoded(encoded(Stop.of(error)), Stop).error() for error in kinds]
    assert [type(error) for error in told] == [RunStopped, SettingsError, RunError, RunError]
    assert [str(error) for error in told] == ["a", "b", "c", "file:3: d"]


def test_a_charter_shows_no_key():
    """Whoever prints one sees none."""
    settings = load_settings("iterative")
    shown = Charter(settings, {"LITELLM_KEY": KEY}, "l", 0, prices_of(settings), "identity")
    assert KEY not in repr(shown) + str(shown)
