"""A run on a cluster: hands out prompts, hears of finished ones, lends the account to the workers.

Everything that must be in one place is here: the journal, the limits of the account, the word to the user.
Prompts are handed out a few at a time and the next one when one is finished, so a slow prompt holds back
nobody. What a dead worker had in hand goes to the front of the queue: it replays from the ledger.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from rubricate.cluster.joining import Site
from rubricate.cluster.messages import (
    Charter,
    Counts,
    Hello,
    Orders,
    Said,
    Task,
    decoded,
    encoded,
)
from rubricate.cluster.worker import MONEY, Worker
from rubricate.domain.record import PromptRecord
from rubricate.errors import RunError, RunStopped, SettingsError
from rubricate.llm.chat import Chat
from rubricate.llm.leases import Lender
from rubricate.runs.folder import RunFolder
from rubricate.runs.rubric_files import RubricFile
from rubricate.settings.wiring import OwnLimits

_FAREWELL_S = 10.0
_AGAIN_S = 0.3
_PATIENCE = 40
"""How often a worker is greeted in vain before it counts as lost."""
_LATE_S = 20.0


@dataclass(frozen=True)
class Terms:
    """How a run is handed out: to whom what is told once, the limits that are lent, prompts worked on at a
    time over all workers, and who hears of finished prompts and of what happens."""

    charter: Charter
    limits: OwnLimits
    in_flight: int
    told: Callable[[PromptRecord], None]
    say: Callable[[str], None]
    shares_ledger: bool
    """Whether workers on other machines reach the ledger."""


class Handout:
    """The owed prompts of a run folder on their way through the workers of a cluster."""

    def __init__(self, folder: RunFolder, initial: RubricFile, terms: Terms, site: Site):
        self._folder, self._initial, self._terms, self._site = folder, initial, terms, site
        keys = folder.keys
        self._owed = deque(place for place, key in enumerate(keys) if folder.journal.is_owed(key))
        self._n_left = len(self._owed)
        self._samples = bool(terms.charter.settings.rollouts.models)
        self._lender = Lender(self._link, self._grant, self._fail)
        self._posts: list[_Post] = []
        self._before = Counts()

    @property
    def counts(self) -> Counts:
        """What all workers took so far."""
        return sum((post.counts for post in self._posts), self._before)

    async def work_off(self) -> None:
        """Works off every owed prompt.

        Raises:
            RunStopped: the budget is spent, a circuit is open, or no worker is left; the rest stays owed.
            RunError, SettingsError: a worker cannot work: its ledger, its version.
        """
        if not self._n_left:
            return
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        charter = encoded(self._terms.charter)
        n_workers = min(self._site.n_workers, self._n_left)
        self._posts = [_Post(self, self._site.hire(Worker), charter) for _ in range(n_workers)]
        tasks = [asyncio.create_task(post.hold()) for post in self._posts]
        for task in tasks:
            task.add_done_callback(self._look)
        late = asyncio.get_running_loop().call_later(_LATE_S, self._say_if_late)
        try:
            await self._end
        finally:
            late.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(post.dismiss() for post in self._posts))

    def hand(self, post: _Post) -> None:
        """Gives a worker as many prompts as it may have in hand."""
        present = sum(not other.is_lost for other in self._posts)
        share = math.ceil(self._terms.in_flight / max(1, present))
        while self._owed and len(post.in_hand) < share:
            place = self._owed.popleft()
            # Filled up anew from the input: what was drawn before is in the ledger, failed draws are owed.
            pool = self._folder.intake[place] if self._samples else self._folder.pool(place)
            post.in_hand.add(place)
            post.order(task=Task(place, pool, self._initial.of(pool.prompt)))

    def greet(self, hello: Hello) -> None:
        """A worker is there.

        Raises:
            RubricateError: it cannot work for this run.
        """
        if hello.stop is not None:
            raise hello.stop.error()
        if not self._terms.shares_ledger and hello.address != self._site.own_address:
            raise no_shared_ledger([hello.address])

    def hear(self, post: _Post, said: Said) -> None:
        """What a worker says."""
        post.counts = said.counts
        for done in said.dones:
            self._lender.done(post, done)
        for want in said.wants:
            self._lender.want(post, want)
        for finished in said.finished:
            post.in_hand.discard(finished.place)
            if finished.sampled is not None:
                self._folder.add_sampled(finished.sampled)
            record = msgspec.structs.replace(finished.record, key=self._folder.keys[finished.place])
            self._folder.journal.add(record)
            self._n_left -= 1
            self._terms.told(record)
        if said.stop is not None:
            raise said.stop.error()
        if not self._n_left and not self._end.done():
            self._end.set_result(None)
        if said.finished:
            self.hand(post)

    def lose(self, post: _Post) -> None:
        """A worker died, or was lost sight of: what it had in hand goes to others, its permits come back."""
        self._lender.drop(post)
        self._before, post.counts = self._before + post.counts, Counts()
        n_prompts = len(post.in_hand)
        self._owed.extendleft(sorted(post.in_hand, reverse=True))
        post.in_hand.clear()
        if post.address is not None:
            self._terms.say(
                f"worker {post.pid} on {post.address} died; its {n_prompts} prompts are handed out again"
            )
        post.address = None
        for other in self._posts:
            if other.address is not None:
                self.hand(other)

    def lose_for_good(self, post: _Post, why: str) -> None:
        """Ray will not start this worker again."""
        post.is_lost = True
        if not all(other.is_lost for other in self._posts):
            for other in self._posts:
                if other.address is not None:
                    self.hand(other)
            return
        self._fail(RunStopped(f"no worker of the cluster is left ({why}); the rest stays owed"))

    def _link(self, elsewhere: Chat, line: str) -> Chat:
        limits = self._terms.limits
        return limits.paid(elsewhere) if line == MONEY else limits.paced(elsewhere, line)

    def _grant(self, borrower: Hashable, number: int) -> None:
        assert isinstance(borrower, _Post)
        borrower.order(granted=number)

    def _fail(self, error: BaseException) -> None:
        if not self._end.done():
            self._end.set_exception(error)

    def _look(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _say_if_late(self) -> None:
        if all(post.address is None for post in self._posts):
            self._terms.say(
                f"no worker has started after {_LATE_S:.0f} s: the cluster may have no CPU free (see ray "
                "status); the run waits"
            )


class _Post:
    """The place of one worker: whoever Ray puts there is told the charter, and then what to do.

    `address` is that of its machine while a worker is there, else None.
    """

    def __init__(self, handout: Handout, actor: Any, charter: bytes):
        self._handout, self._actor, self._charter = handout, actor, charter
        self._orders, self._news = Orders(), asyncio.Event()
        self.in_hand: set[int] = set()
        self.counts = Counts()
        self.pid, self.is_lost = 0, False
        self.address: str | None = None

    def order(self, task: Task | None = None, granted: int | None = None) -> None:
        """Adds to what the worker is told next."""
        if task is not None:
            self._orders.tasks.append(task)
        if granted is not None:
            self._orders.granted.append(granted)
        self._news.set()

    async def hold(self) -> None:
        """Keeps a worker at work until cancelled, or until Ray gives it up.

        Raises:
            RubricateError: the run cannot go on.
        """
        from ray.exceptions import ActorDiedError, RayActorError

        n_vain = 0
        while True:
            try:
                hello = decoded(await self._actor.open.remote(self._charter), Hello)
                self._handout.greet(hello)
                n_vain, self.pid, self.address = 0, hello.pid, hello.address
                self._orders = Orders()
                self._handout.hand(self)
                await self._attend()
            except RayActorError as failure:
                was_there = self.address is not None
                self._handout.lose(self)
                n_vain += 1
                is_dead = isinstance(failure, ActorDiedError) and not was_there
                if is_dead and "ModuleNotFoundError" in str(failure):
                    raise SettingsError(
                        f"a worker cannot start ({_why(failure)}): install rubricate[ray] on all machines of "
                        "the cluster, in the version of this one, or run on this machine alone: engine=local"
                    ) from None
                if is_dead or n_vain > _PATIENCE:
                    self._handout.lose_for_good(self, _why(failure))
                    return
                await asyncio.sleep(_AGAIN_S)

    async def dismiss(self) -> None:
        """Lets the worker close what it has open, and ends it; one that is silent is not waited for."""
        import ray
        from ray.exceptions import RayError

        if self.address is not None:
            with suppress(RayError, TimeoutError):
                async with asyncio.timeout(_FAREWELL_S):
                    self.counts = decoded(await self._actor.close.remote(), Counts)
        ray.kill(self._actor)

    async def _attend(self) -> None:
        teller = asyncio.create_task(self._tell())
        try:
            while True:
                said = decoded(await self._actor.listen.remote(), Said)
                self._handout.hear(self, said)
        finally:
            teller.cancel()
            await asyncio.gather(teller, return_exceptions=True)

    async def _tell(self) -> None:
        from ray.exceptions import RayActorError

        while True:
            await self._news.wait()
            self._news.clear()
            orders, self._orders = self._orders, Orders()
            try:
                await self._actor.tell.remote(encoded(orders))
            except RayActorError:
                return  # whoever listens to this worker hears of it too


def no_shared_ledger(addresses: list[str]) -> RunError:
    """The ledger is a file, and there are machines that do not have it."""
    others = ", ".join(addresses[:3]) + (" and others" if len(addresses) > 3 else "")
    return RunError(
        f"the ledger is a file on this machine, and the cluster has workers on {others}: give all a database "
        "(ledger=postgresql://...), or run on this machine alone: engine=local"
    )


def _why(failure: BaseException) -> str:
    """The line that says it, of the many that Ray writes: the last that names an error, else the first."""
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"\w+(Error|Exception): ", line)]
    return named[-1] if named else lines[0] if lines else type(failure).__name__
