"""A worker: the refinement of one prompt, many at a time, in a process of the cluster.

It opens the plant of the run as the run itself would, but for the limits of the account: every call waits
for a permit of whoever hands out the prompts. It keeps paid replies and verdicts in the shared ledger, and
nothing of its own: when it dies, what it was working on is handed to another one, and replays.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rubricate.cluster.messages import (
    Charter,
    Counts,
    Finished,
    Hello,
    Orders,
    Said,
    Stop,
    Task,
    decoded,
    encoded,
)
from rubricate.domain.conversation import Pool
from rubricate.errors import RubricateError, SettingsError
from rubricate.llm.budget import Budget, BudgetChat
from rubricate.llm.chat import Chat
from rubricate.llm.leases import Desk, Done, LeasedChat, Want
from rubricate.llm.store import Place
from rubricate.runs.pipeline import finish
from rubricate.settings.opening import Opened, opened
from rubricate.settings.terms import identity_of

MONEY = "the budget"
"""The line of the limit that all endpoints share. No endpoint is called so."""


@dataclass
class LeasedLimits:
    """The limits of the account, kept by the lender; the budget here only counts."""

    desk: Desk
    budget: Budget
    has_budget: bool

    def paced(self, inner: Chat, line: str) -> Chat:
        """With a permit for each try."""
        return LeasedChat(inner, self.desk, line)

    def paid(self, inner: Chat, *, by_batch: bool = False) -> Chat:
        """Counted, and with a permit for each call where the run has a limit."""
        counted = BudgetChat(inner, self.budget, by_batch=by_batch)
        return LeasedChat(counted, self.desk, MONEY) if self.has_budget else counted


class Worker:
    """What Ray runs, one in a process. Each method takes and gives bytes (cluster/messages.py).

    `open` may come again, after the run lost sight of this worker: what was going on then is given up.
    """

    def __init__(self) -> None:
        self._bench: _Bench | None = None

    async def open(self, charter: bytes) -> bytes:
        """Makes ready for a run."""
        await self._leave()
        pid, address = os.getpid(), _address()
        try:
            self._bench = await _Bench.opened(decoded(charter, Charter))
        except RubricateError as error:
            return encoded(Hello(pid, address, Stop.of(error)))
        return encoded(Hello(pid, address))

    async def tell(self, orders: bytes) -> None:
        """Takes prompts and permits."""
        if self._bench is not None:
            self._bench.take(decoded(orders, Orders))

    async def listen(self) -> bytes:
        """What there is to say, as soon as there is something."""
        assert self._bench is not None, "a worker is opened first"
        return encoded(await self._bench.said())

    async def close(self) -> bytes:
        """Gives up what is going on, and keeps what is paid; what it took in all."""
        return encoded(await self._leave())

    async def _leave(self) -> Counts:
        bench, self._bench = self._bench, None
        return Counts() if bench is None else await bench.close()


class _Bench:
    """The prompts in hand, and what there is to say of them."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._plant: Opened | None = None
        self._desk = Desk(self._note)
        self._tasks: set[asyncio.Task[None]] = set()
        self._said, self._news = Said(), asyncio.Event()
        self._bug: BaseException | None = None

    @classmethod
    async def opened(cls, charter: Charter) -> _Bench:
        """A bench with everything open.

        Raises:
            SettingsError: this machine has another version of rubricate.
            RubricateError: as `settings.opening.opened`.
        """
        settings = charter.settings
        if identity_of(settings) != charter.identity:
            raise SettingsError(
                f"the rubricate on {_address()} is another version than the one that started the run: "
                "install the same on all machines, or run with engine=local"
            )
        bench = cls()
        budget = settings.budget
        has_budget = budget.max_calls is not None or budget.max_cost_usd is not None
        limits: Callable[[Budget], LeasedLimits] = lambda own: LeasedLimits(bench._desk, own, has_budget)  # noqa: E731
        bench._plant = await bench._stack.enter_async_context(
            opened(
                settings,
                charter.environment,
                Path(),
                place=Place.parse(charter.ledger).with_access(charter.environment),
                verdicts_up_to=charter.verdicts_up_to,
                say=lambda line: None,
                prices=charter.prices,
                limits=limits,
            )
        )
        return bench

    def take(self, orders: Orders) -> None:
        """Begins with the prompts, and lets the calls go that have their permits."""
        for number in orders.granted:
            self._desk.grant(number)
        for task in orders.tasks:
            self._begin(self._refine(task))

    async def said(self) -> Said:
        """What there is to say, as soon as there is something.

        Raises:
            BaseException: a bug of ours in a prompt's task, as it is.
        """
        await self._news.wait()
        self._news.clear()
        if self._bug is not None:
            raise self._bug
        said, self._said = self._said, Said()
        said.counts = self._counts()
        return said

    async def close(self) -> Counts:
        """Ends all tasks, and closes what is open: the ledger writes what is paid."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        counts = self._counts()
        await self._stack.aclose()
        return counts

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._bug = bug
            self._news.set()

    async def _refine(self, task: Task) -> None:
        assert self._plant is not None, "a bench is opened first"
        sampled: list[Pool] = []
        try:
            record = await finish(self._plant.plant, task.pool, task.initial, sampled.append)
        except RubricateError as error:
            self._said.stop = self._said.stop or Stop.of(error)
        else:
            self._said.finished.append(Finished(task.place, record, sampled[-1] if sampled else None))
        self._news.set()

    def _note(self, word: Want | Done) -> None:
        if isinstance(word, Want):
            self._said.wants.append(word)
        else:
            self._said.dones.append(word)
        self._news.set()

    def _counts(self) -> Counts:
        assert self._plant is not None, "a bench is opened first"
        lines = self._plant.lines
        return Counts(
            self._plant.n_paid,
            self._plant.n_reused,
            self._plant.budget.spent_usd,
            sum(line.http.counts.probes for line in lines),
            sum(line.hedge.counts.hedges for line in lines if line.hedge is not None),
            sum(sum(line.retry.counts.retries.values()) for line in lines),
        )


def _address() -> str:
    import ray.util

    return str(ray.util.get_node_ip_address())
