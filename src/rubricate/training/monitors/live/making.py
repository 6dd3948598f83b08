"""Plain arguments -> a monitor in a trainer: what recipes and scripts call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rubricate.rewards.seam import Reward
from rubricate.training.monitors.live.callback import trainer_callback
from rubricate.training.monitors.live.gold import gold_of
from rubricate.training.monitors.live.held_out import HeldOut, held_out_of, read_held_out
from rubricate.training.monitors.live.monitor import Monitor
from rubricate.training.monitors.live.policy import Sampling
from rubricate.training.monitors.rules.limits import Limits
from rubricate.training.monitors.rules.watching import Watched


def monitor_callback(
    held_out: str | Path | Sequence[Any] | HeldOut,
    gold: Any,
    *,
    every: int = 20,
    reward: Reward | None = None,
    reference: Any = None,
    stop: bool | Sequence[str] = False,
    max_tokens: int = 512,
    temperature: float = 0.0,
    seed: int = 0,
    batch: int = 16,
    gap_samples: int = 0,
    limits: Limits | None = None,
    journal: str | Path | None = None,
    changed: Callable[[Watched, Path], None] | None = None,
    keep_best: bool = True,
) -> Any:
    """A monitor for `callbacks` of a trainer of transformers or TRL.

    held_out   a file that `read_held_out` reads, or prompts as the trainer gets them; never trained on
    gold       a reward (of a grader, rubric or model that is not trained on), a `JudgeGold`, or a function of
               prompts and answers that gives a number or None for each
    every      steps between two looks; the policy is also looked at before the first step
    reward     the reward that is trained on, to be asked about the held-out answers too
    reference  the reference model, for a KL measured on the held-out prompts at `temperature` 1; of a policy
               with an adapter it is the policy without. Else KL is what the trainer logs
    stop       True ends the training when gold has turned although the reward has not fallen; or the kinds of
               findings that end it (`rules.findings.KINDS`)
    changed    hears of every new state with the file of the journal, such as `report.monitor.page_writer`

    Raises:
        DataError, SettingsError: a file or an argument is wrong, transformers is not installed.
    """
    prompts = held_out
    if isinstance(prompts, str | Path):
        prompts = read_held_out(prompts)
    elif not isinstance(prompts, HeldOut):
        prompts = held_out_of(list(prompts))
    kinds = ("gold_turned",) if stop is True else () if stop is False else tuple(stop)
    monitor = Monitor(
        prompts,
        gold_of(gold),
        every=every,
        reward=reward,
        reference=reference,
        sampling=Sampling(max_tokens=max_tokens, temperature=temperature, seed=seed, batch=batch),
        gap_samples=gap_samples,
        limits=limits,
        stop_on=kinds,
        journal=None if journal is None else Path(journal),
        changed=changed,
    )
    return trainer_callback(monitor, keep_best=keep_best)
