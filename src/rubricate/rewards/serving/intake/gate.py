"""How much may go on at a time, how much may wait, and the end of it all."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from rubricate.errors import SettingsError
from rubricate.rewards.serving.intake.refusals import Refusal

Result = TypeVar("Result")


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one server takes on. Times are in seconds.

    in_flight      requests that are graded at a time
    waiting        requests that may wait for their turn; more are told to come back
    items          completions of one request
    body_bytes     bytes of one body
    held_bytes     bytes of all bodies that are here at a time
    connections    sockets that are open at a time; more are closed at once
    body_s         how long a body may take to arrive
    idle_s         how long a connection may say nothing, or take over the head of a request
    time_limit_s   how long a request may wait and be graded
    drain_s        how long the end waits for what was accepted
    """

    in_flight: int = 512
    waiting: int = 2048
    items: int = 4096
    body_bytes: int = 16 * 1024 * 1024
    held_bytes: int = 512 * 1024 * 1024
    connections: int = 8192
    body_s: float = 30.0
    idle_s: float = 75.0
    time_limit_s: float = 600.0
    drain_s: float = 60.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value, least = getattr(self, name), 0 if name in ("waiting", "drain_s") else 1e-9
            if not least <= value < math.inf:
                raise SettingsError(f"{name.replace('_', '-')} is {value}; it is a number above 0")


class Gate:
    """Lets in what may go on, keeps waiting what may wait, in order, and turns away the rest."""

    def __init__(self, limits: Limits):
        self.limits, self.busy, self.held_bytes = limits, 0, 0
        self.is_draining = False
        self._queue: deque[asyncio.Future[None]] = deque()
        self._usual_s = 1.0
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def n_waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._queue)

    def admit(self, n_bytes: int) -> None:
        """Whether another body may be read at all; holds its bytes until `release`.

        Raises:
            Refusal: draining, or overloaded.
        """
        if self.is_draining:
            raise Refusal("draining", "the server is about to end", headers={"Retry-After": "5"})
        if self._is_full() or self.held_bytes + n_bytes > self.limits.held_bytes:
            raise self._overloaded()
        self.held_bytes += n_bytes

    def release(self, n_bytes: int) -> None:
        """The body is gone."""
        self.held_bytes -= n_bytes

    async def done(
        self, work: Coroutine[Any, Any, Result], until: float, is_wanted: Callable[[], bool]
    ) -> Result:
        """What the work gives, begun when it is its turn and somebody still wants it. Past the loop's time
        `until` it is not waited for any longer, and goes on to its end all the same: what a grader is paid
        for reaches the ledger.

        Raises:
            Refusal: overloaded, or out of time.
            ConnectionResetError: nobody wants it any more.
        """
        loop = asyncio.get_running_loop()
        try:
            await self._turn(loop, until)
            if not is_wanted():
                self._pass_on()
                raise ConnectionResetError("the client is gone")
        except BaseException:
            work.close()
            raise
        begun, task = loop.time(), loop.create_task(work)
        task.add_done_callback(lambda task: self._leave(task, loop.time() - begun))
        await asyncio.wait((task,), timeout=max(0.0, until - loop.time()))
        if not task.done():
            raise Refusal(
                "time_limit",
                f"not graded within {self.limits.time_limit_s:g} s. The work goes on and nothing of it is "
                "lost: ask again",
                headers={"Retry-After": self._wait()},
            )
        return task.result()

    async def empty(self, within_s: float) -> int:
        """Takes nothing new, and waits for what was accepted; how many are left when the time is over."""
        self.is_draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._empty.wait()
        return self.busy + self.n_waiting

    async def _turn(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        if self.busy < self.limits.in_flight and not self._queue:
            self.busy += 1
            self._empty.clear()
            return
        if self._is_full():
            raise self._overloaded()
        turn = loop.create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout_at(until):
                await turn
        except BaseException as end:
            if turn.done() and not turn.cancelled():  # the place came too late to be taken
                self._pass_on()
            else:
                with suppress(ValueError):
                    self._queue.remove(turn)
            if isinstance(end, TimeoutError):
                raise Refusal(
                    "time_limit",
                    f"its turn did not come within {self.limits.time_limit_s:g} s: nothing was asked",
                    headers={"Retry-After": self._wait()},
                ) from None
            raise

    def _leave(self, task: asyncio.Task[Any], took_s: float) -> None:
        self._usual_s += 0.05 * (took_s - self._usual_s)
        if not task.cancelled():
            task.exception()  # whoever asked may be gone; then nobody else reads it
        self._pass_on()

    def _pass_on(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.busy -= 1
        if self.busy == 0:
            self._empty.set()

    def _is_full(self) -> bool:
        return self.busy >= self.limits.in_flight and len(self._queue) >= self.limits.waiting

    def _overloaded(self) -> Refusal:
        message = f"{self.busy} requests are graded and {self.n_waiting} wait: come back later"
        return Refusal("overloaded", message, headers={"Retry-After": self._wait()})

    def _wait(self) -> str:
        """Whole seconds until about half of what waits will be done, from 1 to 60."""
        ahead = self.n_waiting / 2 / self.limits.in_flight + 0.5
        return str(min(60, max(1, math.ceil(ahead * self._usual_s))))
