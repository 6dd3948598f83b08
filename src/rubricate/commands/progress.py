"""What a run shows while it works: a live line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_QUIET_S = 10.0


class RunProgress:
    """Counts finished prompts and shows them, with calls and money; use it in a `with`."""

    def __init__(
        self, console: Console, total: int, spent: Callable[[], tuple[int, float]], finished_before: int = 0
    ):
        self._console, self._total, self._spent = console, total, spent
        self._states: Counter[str] = Counter()
        self._last = time.monotonic()
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            refresh_per_second=8,
        )
        self._task = self._live.add_task("prompts", total=total, told="")
        if finished_before:
            self.add("finished before", finished_before)

    def __enter__(self) -> RunProgress:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def add(self, state: str, n: int = 1) -> None:
        """A prompt (or n of them) ended in this state."""
        self._states[state] += n
        self._live.update(self._task, advance=n, told=self.words())
        now = time.monotonic()
        if not self._console.is_terminal and now - self._last > _QUIET_S:
            self._last = now
            self._console.print(f"{self._states.total()} of {self._total} prompts: {self.words()}")

    def words(self) -> str:
        """States, calls and money so far, as words."""
        calls, usd = self._spent()
        states = " · ".join(f"{count} {state}" for state, count in sorted(self._states.items()))
        money = f" · ${usd:.2f}" if usd else ""
        return states + (f" · {calls:,} calls{money}" if calls else "")
