"""What is asked once, however many ask for it at a time, and remembered as long as there is room."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


def _always(value: object) -> bool:
    return True


class Once(Generic[Value]):
    """Values by key, the latest used kept longest, at most `room` of them. Belongs to one loop at a time.

    A question under way is shared by all who ask it, and so is its error; it is given up only when the last
    of them is gone. `keeps` says of a value whether it may be remembered.
    """

    def __init__(self, room: int, keeps: Callable[[Value], bool] = _always):
        self._room, self._keeps = room, keeps
        self._kept: OrderedDict[str, Value] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[Value]] = {}
        self._waiting: Counter[str] = Counter()

    async def of(self, key: str, ask: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """The value of a key, remembered or asked for; raises what the asking raises."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._under_way:
            self._under_way[key] = asyncio.create_task(ask())
        asking = self._under_way[key]
        self._waiting[key] += 1
        try:
            value = await asyncio.shield(asking)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key], self._under_way[key]
                asking.cancel()
        if self._keeps(value):
            self._kept[key] = value
            if len(self._kept) > self._room:
                self._kept.popitem(last=False)
        return value


class Recent(OrderedDict[str, Value]):
    """A memory with room for so many entries: those used latest stay."""

    def __init__(self, room: int):
        super().__init__()
        self._room = room

    def __getitem__(self, key: str) -> Value:
        value = super().__getitem__(key)
        self.move_to_end(key)
        return value

    def __setitem__(self, key: str, value: Value) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > self._room:
            del self[next(iter(self))]


class Turns:
    """One after the other for each key: what the first learns, the next one knows."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._inside: Counter[str] = Counter()

    @asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        """Waits until nobody else is inside with this key."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        self._inside[key] += 1
        try:
            async with lock:
                yield
        finally:
            self._inside[key] -= 1
            if not self._inside[key]:
                del self._inside[key], self._locks[key]
