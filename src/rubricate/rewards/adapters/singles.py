"""Trainers that hand over one completion at a time and know no None: what they cannot have is said."""

from __future__ import annotations

from rubricate.errors import RunError, SettingsError
from rubricate.rewards.batch.graded import Graded
from rubricate.rewards.options import Options
from rubricate.rewards.seam import Reward


def must_do_for_singles(reward: Reward, trainer: str) -> None:
    """Options that compare completions, or that are drawn for a step, would differ within a group.

    Raises:
        SettingsError: one of them is on.
    """
    options = getattr(reward, "options", Options())
    for name in ("dropout", "reweight"):
        if getattr(options, name) > 0:
            raise SettingsError(
                f"{name} needs the completions of a step together, and {trainer} gives one at a time"
            )


def number_of(one: Graded, unjudged: float | None, trainer: str) -> float:
    """The reward, or the number that the user chose for completions without one.

    Raises:
        RunError: there is no reward, and no number was chosen.
    """
    if one.reward is not None:
        return one.reward
    if unjudged is None:
        raise RunError(
            f"a completion got no reward ({one.why}), and {trainer} takes numbers only: "
            "give unjudged=NUMBER to say what such a completion is worth"
        )
    return unjudged
