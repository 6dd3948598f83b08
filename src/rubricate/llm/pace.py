"""How fast calls may start: so many, or so many tokens, per minute. Arithmetic on a clock that is given."""

from __future__ import annotations

_MINUTE_S = 60.0


class Pace:
    """An even pace of `per_minute` units a minute, without bursts.

    Units that start together push the next start back by their share of a minute, so no minute holds
    more than `per_minute` of them. (The generic cell rate algorithm, ITU-T I.371, with no tolerance:
    providers are known to enforce a limit per minute over parts of a second.)
    """

    def __init__(self, per_minute: float):
        self._s_per_unit = _MINUTE_S / per_minute
        self._free_at = float("-inf")

    def wait_s(self, now: float) -> float:
        """Seconds until the next start, 0 when it may start now."""
        return max(0.0, self._free_at - now)

    def start(self, units: float, now: float) -> None:
        """Units that start now."""
        self._free_at = max(self._free_at, now) + units * self._s_per_unit

    def correct(self, units: float) -> None:
        """Units that turned out to be more (or, negative, fewer) than was thought when they started."""
        self._free_at += units * self._s_per_unit
