"""One loop on a thread of its own, with what was opened on it: the way in from any thread and any loop.

Sessions and ledgers belong to the loop that opened them, and a trainer calls from wherever it likes: a plain
function, its own loop, a worker that was forked. So all of a reward's work is done on one loop, and whoever
asks waits outside.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, TypeVar

from rubricate.errors import RunError

Opened = TypeVar("Opened")
Result = TypeVar("Result")

_JOIN_S = 30.0


class Door(Generic[Opened]):
    """Opens on first use what `opening` gives, and lends it to coroutines until it is closed.

    Pickles without its thread: a copy opens for itself. So does a process that was forked off.
    """

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[Opened]]):
        self._opening = opening
        self._lock = threading.Lock()
        self._room: _Room[Opened] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_opening": self._opening}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_opening"])  # type: ignore[misc]  # as if it were made here

    def wait(self, work: Callable[[Opened], Coroutine[Any, Any, Result]]) -> Result:
        """What the coroutine gives, waited for in this thread; also from within a running loop, which stands
        still meanwhile.

        Raises:
            RunError: asked from the door's own thread, which would wait for itself.
        """
        room = self._entered()
        if threading.current_thread() is room.thread:
            raise RunError("the reward waits for itself: inside of its own work only its async door is open")
        future = room.begin(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def through(self, work: Callable[[Opened], Coroutine[Any, Any, Result]]) -> Result:
        """What the coroutine gives, awaited on whatever loop the caller runs. Cancelled with its caller."""
        room = self._entered()
        if asyncio.get_running_loop() is room.loop:
            return await work(await room.opened())
        return await asyncio.wrap_future(room.begin(work))

    @asynccontextmanager
    async def here(self) -> AsyncIterator[None]:
        """Until the block ends all work is done on the loop that runs it, without another thread between
        whoever asks and whoever answers. What was opened is closed at its end.

        Raises:
            RunError: it is open already.
        """
        with self._lock:
            if self._room is not None:
                raise RunError("the reward is open already, on another loop: close it first")
            room = self._room = _Room(self._opening, asyncio.get_running_loop())
        try:
            yield
        finally:
            with self._lock:
                if self._room is room:
                    self._room = None
            await room.shut()

    def close(self) -> None:
        """Closes what was opened and ends the thread; the next use opens anew. What is open on a loop that is
        not the door's own stays open until that block ends."""
        with self._lock:
            room = self._room
            if room is None or room.is_guest:
                return
            self._room = None
        if room.pid == os.getpid():
            room.leave()

    def _entered(self) -> _Room[Opened]:
        if self._room is not None and self._room.pid != os.getpid():
            # Only the thread that forked lives on: not the loop's, and whoever held the lock is gone.
            self._lock, self._room = threading.Lock(), None
        with self._lock:
            if self._room is None:
                self._room = _Room(self._opening)
                weakref.finalize(self, _Room.leave, self._room)
            return self._room


class _Room(Generic[Opened]):
    """A loop on its thread, or a guest on the loop that runs already. What is opened is opened and closed by
    one task, which does nothing else."""

    def __init__(
        self,
        opening: Callable[[], AbstractAsyncContextManager[Opened]],
        host: asyncio.AbstractEventLoop | None = None,
    ):
        self.pid = os.getpid()
        self.is_guest = host is not None
        self.loop = host or asyncio.new_event_loop()
        self._opening = opening
        self._leaving = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._lent: asyncio.Future[Opened] | None = None
        self.thread = threading.current_thread()
        if host is None:
            self.thread = threading.Thread(target=self._run, name="rubricate-reward", daemon=True)
            self.thread.start()

    def begin(self, work: Callable[[Opened], Coroutine[Any, Any, Result]]) -> Future[Result]:
        """The work under way."""

        async def done() -> Result:
            return await work(await self.opened())

        return asyncio.run_coroutine_threadsafe(done(), self.loop)

    async def opened(self) -> Opened:
        """What was opened. An opening that failed is tried again by the next who asks."""
        if self._lent is None:
            self._lent = self.loop.create_future()
            self._keeper = self.loop.create_task(self._keep(self._lent))
        lent = self._lent
        try:
            return await asyncio.shield(lent)
        finally:
            if lent.done() and (lent.cancelled() or lent.exception() is not None) and self._lent is lent:
                self._lent = None

    def leave(self) -> None:
        """Closes, ends the loop and waits for its thread."""
        if self.pid != os.getpid() or self.loop.is_closed() or not self.thread.is_alive():
            return
        self.loop.call_soon_threadsafe(lambda: self.loop.create_task(self._end()))
        if threading.current_thread() is not self.thread:
            self.thread.join(_JOIN_S)

    async def shut(self) -> None:
        """Closes what was opened, on its own loop."""
        self._leaving.set()
        if self._keeper is not None:
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def _keep(self, lent: asyncio.Future[Opened]) -> None:
        try:
            async with self._opening() as opened:
                lent.set_result(opened)
                await self._leaving.wait()
        except BaseException as failure:
            if lent.done():
                raise
            lent.set_exception(failure)
            if not isinstance(failure, Exception):
                raise

    async def _end(self) -> None:
        """Whoever is still inside is asked to go before the lights are turned off."""
        here = {asyncio.current_task(), self._keeper}
        inside = [task for task in asyncio.all_tasks() if task not in here]
        for task in inside:
            task.cancel()
        await asyncio.gather(*inside, return_exceptions=True)
        await self.shut()
        self.loop.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()
