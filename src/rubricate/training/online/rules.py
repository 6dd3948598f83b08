"""By which rules rubrics change while a policy is trained on them."""

from __future__ import annotations

import msgspec

from rubricate.domain.selection import Policy
from rubricate.errors import SettingsError
from rubricate.runs.standing import Coverage

_POLICIES = ("top2", "contested", "exclude_used")


class OnlineRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How rubrics are refreshed. They belong to a training: its folder refuses others.

    every         steps of the optimizer from one refresh to the next
    pairs         pairs of the policy's own completions that a refresh compares for each prompt
    policy        which: `top2` the best two, `contested` the closest among the top, never the same twice,
                  `exclude_used` the best two that were in no earlier pair (domain/selection.py)
    gate          whether a new rubric must separate its pair and tie no more of the top (decision 0005)
    coverage      `all`: the whole old top is graded on a proposal, so that tie shares before and after are
                  always measured; `top`: only those on whom the gate hangs, for the same decisions
    pool          the latest different completions of a prompt that are looked at, at most
    groups        the latest groups of a prompt by which a criterion is judged
    min_verdicts  verdicts without any spread in these groups before a criterion is retired
    min_active    criteria that stay whatever they say
    max_active    criteria that may count at a time; the newest stay, of the others those of the most spread
    look_again    completions, from best to worst, on which retired criteria are asked at a refresh: one that
                  varies there comes back. 0: none ever does
    alike         share of content words from which two criteria are one (criteria.py)
    """

    every: int = 50
    pairs: int = 1
    policy: Policy = "top2"
    gate: bool = True
    coverage: Coverage = "all"
    pool: int = 16
    groups: int = 2
    min_verdicts: int = 16
    min_active: int = 3
    max_active: int = 30
    look_again: int = 4
    alike: float = 0.8

    def __post_init__(self) -> None:
        least = {"every": 1, "pairs": 0, "pool": 2, "groups": 1, "min_verdicts": 2, "min_active": 1}
        for name, low in {**least, "look_again": 0, "max_active": self.min_active}.items():
            if getattr(self, name) < low:
                raise SettingsError(f"online.{name} is {getattr(self, name)}; the least is {low}")
        if not 0 < self.alike <= 1:
            raise SettingsError(f"online.alike is {self.alike}; it is a share above 0, up to 1")
        if self.policy not in _POLICIES:
            raise SettingsError(f"online.policy is {self.policy!r}; there are {', '.join(_POLICIES)}")
        if self.coverage not in ("top", "all"):
            raise SettingsError(f"online.coverage is {self.coverage!r}; it is 'top' or 'all'")
