"""A limit on the rate, as providers enforce it. Arithmetic on a clock that is given."""

from __future__ import annotations


class Allowance:
    """So many units a minute, and a second's worth of them at once; 0: as many as you like. What is taken
    beyond is owed: the next one waits until it is made up for."""

    def __init__(self, per_minute: float):
        self._per_s = per_minute / 60.0
        self._most = max(1.0, self._per_s)
        self._left, self._at = self._most, 0.0

    def wait_s(self, now: float) -> float:
        """Seconds until one more unit may be taken, 0 when it may be taken now."""
        if not self._per_s:
            return 0.0
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
        return max(0.0, (1.0 - self._left) / self._per_s)

    def take(self, units: float) -> None:
        """Units that are let through."""
        self._left -= units
