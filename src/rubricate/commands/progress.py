"""What a run shows while it works: a live line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from rubricate.llm.batches.chat import Pending
from rubricate.llm.batches.waits import in_words

_QUIET_S = 10.0


class RunProgress:
    """Counts finished prompts, or what else is counted, and shows them, with calls and money, and what is
    waited for by batch; use it in a `with`."""

    def __init__(
        self,
        console: Console,
        total: int,
        spent: Callable[[], tuple[int, float]],
        finished_before: int = 0,
        *,
        pending: Callable[[], Pending] = lambda: Pending(0, 0, 0.0),
        what: str = "prompts",
    ):
        self._console, self._total, self._spent, self._pending = console, total, spent, pending
        self._what = what
        self._states: Counter[str] = Counter()
        self._last = time.monotonic()
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Words(self.words),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            refresh_per_second=8,
        )
        self._task = self._live.add_task(what, total=total)
        if finished_before:
            self.add("finished before", finished_before)

    def __enter__(self) -> RunProgress:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def add(self, state: str, n: int = 1) -> None:
        """One (or n of them) ended in this state."""
        self._states[state] += n
        self._live.update(self._task, advance=n)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._last > _QUIET_S:
            self._last = now
            self._console.print(f"{self._states.total()} of {self._total} {self._what}: {self.words()}")

    def words(self) -> str:
        """States, calls and money so far, and the batches that are pending, as words."""
        calls, usd = self._spent()
        states = " · ".join(f"{count} {state}" for state, count in sorted(self._states.items()))
        money = f" · ${usd:.2f}" if usd else ""
        parts = [states] if states else []
        parts += [f"{calls:,} calls{money}"] if calls else []
        batches, questions, oldest_s = self._pending()
        if batches:
            parts.append(
                f"waiting for {batches} batch{'es' if batches > 1 else ''} of {questions:,} questions, "
                f"the oldest {in_words(oldest_s)} old"
            )
        return " · ".join(parts)


class _Words(ProgressColumn):
    """Words that change by themselves: the age of a batch does."""

    def __init__(self, words: Callable[[], str]):
        super().__init__()
        self._words = words

    def render(self, task: Task) -> Text:
        """What is to be said now."""
        return Text(self._words())
