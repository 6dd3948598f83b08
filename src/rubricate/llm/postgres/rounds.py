"""Round trips that are shared: what is asked while one is under way goes together with the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from rubricate.errors import RubricateError

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Rounds(Generic[Item, Answer]):
    """Sends items in groups, one group at a time and in order, and hands each asker its answer.

    `send` gives one answer for each item. A group closes when `weight` of its items together reaches
    `most`; `linger_s` is how long the first of a group waits for company. An asker that is cancelled takes
    nothing back. An error of `send` is the error of all that were in the group.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        *,
        most: int,
        weight: Callable[[Item], int] = lambda item: 1,
        linger_s: float = 0.0,
    ):
        self._send, self._most, self._weight, self._linger_s = send, most, weight, linger_s
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._n_waiting = 0
        self._runner: asyncio.Task[None] | None = None
        self._full = asyncio.Event()

    def ask(self, item: Item) -> asyncio.Future[Answer]:
        """The answer to come. The item is on its way whether or not anybody waits for it."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        self._n_waiting += self._weight(item)
        if self._n_waiting >= self._most:
            self._full.set()
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return answer

    async def drain(self) -> None:
        """Waits until all that was asked is answered."""
        self._linger_s = 0.0
        self._full.set()
        if self._runner is not None:
            await asyncio.wait([self._runner])

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._linger()
                await self._round(self._taken())
        finally:
            self._runner = None

    async def _linger(self) -> None:
        if self._linger_s and not self._full.is_set():
            timer = asyncio.get_running_loop().call_later(self._linger_s, self._full.set)
            await self._full.wait()
            timer.cancel()

    def _taken(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        n, total = 0, 0
        while n < len(self._waiting) and total < self._most:
            total += self._weight(self._waiting[n][0])
            n += 1
        taken, self._waiting = self._waiting[:n], self._waiting[n:]
        self._n_waiting -= total
        if self._n_waiting < self._most:
            self._full.clear()
        return taken

    async def _round(self, taken: Sequence[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._send([item for item, _ in taken])
        except BaseException as error:
            for _, waiter in taken:
                if not waiter.done():
                    waiter.set_exception(error) if isinstance(error, Exception) else waiter.cancel()
            if not isinstance(error, RubricateError):
                raise
        else:
            for (_, waiter), answer in zip(taken, answers, strict=True):
                if not waiter.done():
                    waiter.set_result(answer)
