"""Whether a model makes sense at all: what stops a run before it pays six times for every question."""

from __future__ import annotations

from collections.abc import Callable

from rubricate.errors import RunStopped


class Sense:
    """Hears of every reply of one role whether it could be read; stops the run after `limit` in a row that
    could not.

    `paid` counts the calls that this session paid for. Replies that come from the ledger are heard as well,
    but do not stop a run on their own: a model that was mended is asked again when the run is resumed.
    """

    def __init__(self, name: str, paid: Callable[[], int], *, limit: int = 100):
        self._name, self._paid, self._limit = name, paid, limit
        self._in_a_row, self._paid_before = 0, 0

    def hear(self, problem: str | None) -> None:
        """One reply: None where it could be read, else why not.

        Raises:
            RunStopped: it was the last of too many.
        """
        if problem is None:
            self._in_a_row, self._paid_before = 0, self._paid()
            return
        self._in_a_row += 1
        if min(self._in_a_row, self._paid() - self._paid_before) >= self._limit:
            raise RunStopped(
                f"{self._name}: {self._in_a_row} replies in a row could not be read. The last: {problem}. "
                "Try the model with `rubricate doctor`; once it answers, the same command resumes the run"
            )
