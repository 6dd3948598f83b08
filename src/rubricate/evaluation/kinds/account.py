"""What `rubricate kinds` has to tell, whole: one run, or two and their contrast."""

from __future__ import annotations

import msgspec

from rubricate.evaluation.kinds.shares import ContrastRow, GroupRow, TypeRow


class RunKinds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run sorted.

    `counts`: prompts, refined ones, proposals by decision, atomic differences, what is
    unclassified, and rounds with and without a change of tail accuracy.
    """

    run: str
    counts: dict[str, int]
    reasons: dict[str, int]
    types: tuple[TypeRow, ...]
    groups: tuple[GroupRow, ...]


class KindsReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `--json` prints. `tail` is the share of a pool by gold that tail accuracy is of, `graded` whether
    it was graded for this, or taken from what the run's record holds."""

    by: str
    tail: float
    graded: bool
    seed: int
    runs: tuple[RunKinds, ...]
    contrast: tuple[ContrastRow, ...]
