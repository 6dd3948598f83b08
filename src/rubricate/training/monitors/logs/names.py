"""What trainers call the figures that the monitor knows. A table, so that a new name is a line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rubricate.errors import SettingsError
from rubricate.training.monitors.series.points import FIGURES

NAMES: dict[str, tuple[str, ...]] = {
    "reward": (
        "reward",  # TRL: GRPO, RLOO; also plain tables
        "critic/score/mean",  # verl: before a KL penalty within the reward
        "critic/rewards/mean",  # verl, where the score is not logged
        "train/reward",  # OpenRLHF; TRL in wandb and TensorBoard
        "objective/scores",  # TRL: online DPO
        "train/objective/scores",
        "rewards/mean",
    ),
    "held_out_reward": ("held_out_reward", "monitor/held_out_reward"),
    "gold": ("gold", "gold_win_rate", "win_rate", "gold_score", "monitor/gold"),
    "kl": ("kl_sequence", "kl_nats", "objective/kl", "train/objective/kl", "monitor/kl"),
    "token_kl": (
        "kl",  # TRL: GRPO, RLOO
        "train/kl",  # OpenRLHF; TRL in wandb and TensorBoard
        "actor/reward_kl_penalty",  # verl, KL within the reward
        "actor/kl_loss",  # verl, KL within the loss
    ),
    "tie_share": ("tie_share", "rubric/tie_share", "train/rubric/tie_share"),
    "zero_advantage": (
        "zero_advantage",
        "rubric/zero_advantage_groups",
        "train/rubric/zero_advantage_groups",
        "frac_reward_zero_std",  # TRL: GRPO, RLOO
        "train/frac_reward_zero_std",
    ),
    "unjudged": ("unjudged", "unjudged_rate", "rubric/unjudged_rate", "train/rubric/unjudged_rate"),
    "gold_unjudged": ("gold_unjudged", "monitor/gold_unjudged"),
    "length": (
        "length",
        "completions/mean_length",  # TRL
        "train/completions/mean_length",
        "response_length/mean",  # verl
        "train/response_length",  # OpenRLHF
        "response_length",
    ),
    "never_varying": (
        "never_varying", "rubric/criteria_never_varying", "train/rubric/criteria_never_varying",
    ),
    "suppressed": ("suppressed", "rubric/criteria_suppressed", "train/rubric/criteria_suppressed"),
    "gap": ("gap", "monitor/gap"),
}  # fmt: skip
"""For each figure the names that it may have, the first that a log has is taken.

TRL, verl and OpenRLHF log the KL of a token (masked means over tokens); `actor/ppo_kl` of verl is that
between two updates, not from the reference, and stands nowhere here.
"""

BESIDE = {
    "n": ("gold_n", "n", "monitor/gold_n"),
    "low": ("gold_low", "low", "monitor/gold_low"),
    "high": ("gold_high", "high", "monitor/gold_high"),
}
"""What may stand beside gold: the number of its prompts and its 95% interval."""

PROMPTS = ("prompt_id", "prompt", "id")
"""Names of the prompt in a table of gold that has a row for each answer."""

STEPS = (
    "step",
    "global_step",
    "train/global_step",
    "trainer/global_step",
    "training/global_step",
    "_step",
    "Step",
)
"""Names of the step, the first that an entry has is taken. Those of wandb stand last: it counts what it was
told, not steps of the training."""

_FLAG = re.compile(r"^\s*([A-Za-z_]+)\s*=\s*(\S.*?)\s*$")


def read_map(flags: list[str]) -> dict[str, str]:
    """`--map reward=critic/rewards/mean` -> the name in the log for a figure of ours; also `step`, `gold_n`,
    `gold_low` and `gold_high`.

    Raises:
        SettingsError: no such figure, or no name.
    """
    known = {*FIGURES, "step", "gold_n", "gold_low", "gold_high"}
    chosen = {}
    for flag in flags:
        match = _FLAG.match(flag)
        if match is None or match[1] not in known:
            raise SettingsError(
                f"--map {flag}: FIGURE=NAME_IN_THE_LOG, and the figures are {', '.join(sorted(known))}"
            )
        chosen[match[1]] = match[2]
    return chosen


def named(logged: Mapping[str, float], chosen: Mapping[str, str] | None = None) -> dict[str, float]:
    """The figures that the monitor knows, of all that was logged at a step. Where a name is chosen, the table
    is not asked for that figure."""
    found = {}
    for figure in NAMES:
        name = next((name for name in names_of(figure, chosen) if name in logged), None)
        if name is not None:
            found[figure] = logged[name]
    return found


def names_of(figure: str, chosen: Mapping[str, str] | None = None) -> Sequence[str]:
    """The names under which a figure is looked for: the chosen one, else those of the tables."""
    if chosen and figure in chosen:
        return (chosen[figure],)
    if figure == "step":
        return STEPS
    return NAMES[figure] if figure in NAMES else BESIDE[figure.removeprefix("gold_")]
