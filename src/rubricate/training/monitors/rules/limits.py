"""What a training is held against."""

from __future__ import annotations

import msgspec

from rubricate.errors import SettingsError
from rubricate.theory.tail import NO_PEAK_FROM, peak_of_top_wrong
from rubricate.training.monitors.evidence.turning import ERROR, SUSTAINED


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the monitor holds a training against.

    error          how often at most gold is said to have turned in a training in which it never falls
    sustained      readings in a row that have to be below the best
    turning_kl     KL, in nats a completion, at which an audit says that gold turns
    tail           share of the tail that is mis-ranked, by an audit; in place of `turning_kl`
    saturated      mean reward from which it is at its top
    most_ties      share of tied pairs that is too many
    most_silent    share of groups without advantage, or of criteria that never vary, that is too many
    most_unjudged  share of completions without a reward that is too many; a fifth of it is a climb to tell of
    most_drift     change of the mean length, as a share of what it was
    """

    error: float = ERROR
    sustained: int = SUSTAINED
    turning_kl: float | None = None
    tail: float | None = None
    saturated: float = 0.95
    most_ties: float = 0.5
    most_silent: float = 0.5
    most_unjudged: float = 0.1
    most_drift: float = 0.25

    def __post_init__(self) -> None:
        for name in ("error", "saturated", "most_ties", "most_silent", "most_unjudged"):
            if not 0 < getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; it is a share between 0 and 1")
        if self.sustained < 1:
            raise SettingsError(f"sustained is {self.sustained}: at least 1 reading has to be below the best")
        if self.most_drift <= 0:
            raise SettingsError(f"most_drift is {self.most_drift}; it is above 0")
        if self.turning_kl is not None and not self.turning_kl > 0:
            raise SettingsError(f"turning_kl is {self.turning_kl}; it is above 0")
        if self.tail is not None and not 0 < self.tail < NO_PEAK_FROM:
            raise SettingsError(f"tail is {self.tail}; it is between 0 and {NO_PEAK_FROM:.3f}")

    @property
    def predicted_kl(self) -> float | None:
        """The KL at which gold is to turn: as given, or that of a proxy whose top `tail` is reversed."""
        if self.turning_kl is not None or self.tail is None:
            return self.turning_kl
        return float(peak_of_top_wrong(self.tail).kl)
