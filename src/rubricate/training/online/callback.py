"""Refreshes rubrics while a trainer of the transformers family trains (TRL's GRPO, RLOO, online DPO)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rubricate.errors import SettingsError
from rubricate.rewards.reward import RubricReward
from rubricate.training.online.refresh import online_of, refresh

if TYPE_CHECKING:
    from transformers import TrainerCallback


def online_callback(reward: RubricReward, *, every: int | None = None) -> TrainerCallback:
    """A callback that refreshes the rubrics of a reward with `OnlineRubrics` every so many steps (without a
    number, those of its rules), not after the last one.

    The first process refreshes, all others wait for it, so that all give the rewards of a step by the same
    rubrics. The figures are logged by the reward with its next batch, as `online/...`. When training begins
    at a step, as from a checkpoint, whatever the folder has from later is superseded. Needs transformers.

    Raises:
        SettingsError: transformers is missing; the reward keeps no versions; `every` is below 1.
    """
    try:
        from transformers import TrainerCallback
    except ImportError:
        raise SettingsError("the callback needs transformers: pip install 'rubricate[train]'") from None
    online = online_of(reward)
    if every is not None and every < 1:
        raise SettingsError(f"every is {every}; the least is 1")

    class OnlineCallback(TrainerCallback):  # type: ignore[misc,unused-ignore]  # untyped where absent
        """See `online_callback`."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """The folder goes back to where the training begins."""
            try:
                if state.is_world_process_zero:
                    online.resume(state.global_step)
            finally:
                _wait_for_all()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """The refresh, if it is time."""
            step = state.global_step
            if step % (every or online.rules.every) or step >= state.max_steps:
                return
            try:
                if state.is_world_process_zero:
                    refresh(reward, step)
            finally:
                _wait_for_all()

    return OnlineCallback()


def _wait_for_all() -> None:
    """Until all processes of the training are here; at once where there is one."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
