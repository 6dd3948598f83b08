"""What may be done to a rubric for one step of training. Evaluation never sees any of it.

Each option is off by default and leaves the question to the grader as it is: all criteria are always asked,
in one and the same call, and an option only decides which of them count. So it costs nothing, the ledger
keeps its worth, and the score by the whole rubric with its human weights stands beside every reward. Only a
second look costs something: its share of the calls, with another grader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from rubricate.domain.identity import chance_of
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.errors import SettingsError


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is done to rubrics in training. All shares are in [0, 1]; 0 is off.

    dropout       share of the criteria that are left out, drawn anew for each step and prompt, the same for
                  all completions of the prompt in the step (Rubric Dropout, arXiv 2608.11669)
    canaries      share of the criteria that never count, drawn once and for all by seed: the policy is not
                  paid for them, so reward that rises without them is suspect
    second_look   share of the completions that a second grader sees too, never paid for: where the two part
                  ways, the policy has learnt the grader
    reweight      how far weights follow the spread of the criterion in the step: at 1 a criterion that all
                  completions of the batch meet, or none, counts nothing, and one that half of them meet
                  counts in full. It moves weight to what can still be learnt. The form is ours.
    """

    dropout: float = 0.0
    canaries: float = 0.0
    second_look: float = 0.0
    reweight: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("dropout", "canaries", "second_look", "reweight"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise SettingsError(f"{name} is {value}; it is a share between 0 and 1")

    @property
    def are_off(self) -> bool:
        """Whether the reward is the plain one."""
        return self.dropout == self.canaries == self.reweight == 0


def canaries_of(rubric: Rubric, prompt_key: str, options: Options) -> frozenset[str]:
    """The ids of the criteria that never count."""
    return _drawn(rubric.criteria, options.canaries, options.seed, "canary", prompt_key)


def dropped_of(rubric: Rubric, prompt_key: str, step: int, options: Options) -> frozenset[str]:
    """The ids of the criteria that do not count in this step, canaries apart."""
    held_out = canaries_of(rubric, prompt_key, options)
    rest = [criterion for criterion in rubric.criteria if criterion.id not in held_out]
    return _drawn(rest, options.dropout, options.seed, "dropout", step, prompt_key)


def _drawn(criteria: Sequence[Criterion], share: float, seed: int, *about: object) -> frozenset[str]:
    """The criteria whose chance is below the share. One with a positive weight always stays behind, the one
    of the highest chance: a rubric of pitfalls alone scores nothing."""
    if share <= 0:
        return frozenset()
    chance = {criterion.id: chance_of(seed, *about, criterion.key) for criterion in criteria}
    stays = max((c.id for c in criteria if c.weight > 0), key=lambda id: (chance[id], id), default=None)
    return frozenset(id for id in chance if chance[id] < share and id != stays)


def weighed(
    rubric: Rubric, left_out: frozenset[str], spread: Mapping[str, float], reweight: float = 0.0
) -> Rubric | None:
    """The rubric as it counts in this step: without what is left out, weights multiplied by
    1 - `reweight` (1 - `spread`). `spread` is 4 p (1 - p) by id, p the share of met; 1 where it is unknown.
    None when nothing with a positive weight is left.
    """
    criteria = []
    for criterion in rubric.criteria:
        factor = 1 - reweight * (1 - spread.get(criterion.id, 1.0))
        if criterion.id not in left_out and factor > 0:
            criteria.append(msgspec.structs.replace(criterion, weight=criterion.weight * factor))
    if not any(criterion.weight > 0 for criterion in criteria):
        return None
    return Rubric(tuple(criteria), rubric.version, rubric.lineage)
