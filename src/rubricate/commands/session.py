"""One command's stay in the event loop: the loop, the signals, and the words at the end."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

Result = TypeVar("Result")


class Interrupted(Exception):
    """Ctrl-C or SIGTERM; `signal_number` says which."""

    def __init__(self, signal_number: int):
        self.signal_number = signal_number
        super().__init__(signal.Signals(signal_number).name)


def in_loop(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of the work, on uvloop where it is installed.

    The first Ctrl-C or SIGTERM cancels the work, which closes what it opened; a second one kills.

    Raises:
        Interrupted: the work was cancelled by a signal.
    """
    # Tens of thousands of calls are in memory at a time, and few of their objects are in cycles: with the
    # usual threshold of 700 the collector would go through all of them again and again.
    gc.set_threshold(50_000, 20, 50)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_guarded(work))


async def _guarded(work: Coroutine[Any, Any, Result]) -> Result:
    loop, task = asyncio.get_running_loop(), asyncio.create_task(work)
    caught: list[int] = []

    def stop(number: int) -> None:
        caught.append(number)
        task.cancel()
        for other in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(other)

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # no signal handlers on Windows: KeyboardInterrupt serves there
            loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if caught:
            raise Interrupted(caught[0]) from None
        raise


def _loop_factory() -> Any:
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop
