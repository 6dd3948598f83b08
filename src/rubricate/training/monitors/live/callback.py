"""The monitor as a callback of transformers' `Trainer`, and so of every trainer of TRL.

Contract: transformers 5, `trainer_callback.py`. A callback is called on every process. The policy is looked
at on the first one, and all processes hear of the decision: a trainer that stops on one of them alone hangs
on the others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rubricate.errors import SettingsError
from rubricate.runs.writing import replacing
from rubricate.training.monitors.live.monitor import Decision, Monitor
from rubricate.training.monitors.rules.watching import Watched

BEST = "monitor_best.json"


def trainer_callback(monitor: Monitor, *, keep_best: bool = True) -> Any:
    """A `TrainerCallback` around a monitor, to be handed to a trainer in `callbacks`.

    Its figures are logged as `monitor/...` where it is told of its trainer (`callback.attach(trainer)`);
    without that they are in the journal alone. The step with the highest gold so far is saved and kept
    (`keep_best`), as far as the trainer saves at all: `monitor_best.json` beside the checkpoints names it,
    and the trainer's rotation passes it over. Nothing is ever deleted here.

    Raises:
        SettingsError: transformers is not installed.
    """
    try:
        from transformers import TrainerCallback
    except ImportError:
        raise SettingsError('a callback needs transformers: pip install "rubricate[train]"') from None

    class MonitorCallback(TrainerCallback):  # type: ignore[misc,unused-ignore]  # the base is untyped
        """See `trainer_callback`."""

        def __init__(self) -> None:
            self.monitor = monitor
            self.stopped_by: str | None = None
            self._trainer: Any = None
            self._to_mark: int | None = None

        def attach(self, trainer: Any) -> None:
            """Logs through this trainer from now on, adds itself to it where it is not yet, and takes its
            reference model for the KL where none was given."""
            self._trainer = trainer
            if self not in trainer.callback_handler.callbacks:
                trainer.add_callback(self)
            if monitor.reference is None and getattr(trainer, "ref_model", None) is not None:
                monitor.reference = trainer.accelerator.unwrap_model(trainer.ref_model)

        def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            """Begins the journal, and looks at the policy as it starts."""
            if state.is_world_process_zero:
                monitor.begin(state.global_step, Path(args.output_dir))
            self._look(args, state, control, given)

        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            """Looks at the policy when it is time to."""
            if state.global_step % monitor.every == 0:
                self._look(args, state, control, given)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **given: Any) -> None:
            """Keeps what the trainer logs."""
            if state.is_world_process_zero and logs:
                monitor.logged(state.global_step, logs)

        def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            """Marks the checkpoint of the best step."""
            if state.is_world_process_zero and self._to_mark == state.global_step:
                self._mark(args, state.global_step, f"checkpoint-{state.global_step}")

        def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            """Ends the journal."""
            if state.is_world_process_zero:
                monitor.end(state.global_step)

        def watched(self) -> Watched:
            """What there is to say so far; on the first process."""
            return monitor.watched()

        def _look(self, args: Any, state: Any, control: Any, given: Any) -> None:
            decision = Decision({})
            if state.is_world_process_zero and monitor.is_due(state.global_step):
                decision = monitor.look(state.global_step, given["model"], given["processing_class"])
                self._log(decision, control)
            is_best, stop = _shared((decision.is_best, decision.stop.text if decision.stop else None))
            if is_best:
                self._keep(args, state, control)
            if stop is not None:
                self.stopped_by = stop
                control.should_training_stop = True

        def _keep(self, args: Any, state: Any, control: Any) -> None:
            step = state.global_step
            saves = keep_best and step > 0 and str(getattr(args.save_strategy, "value", "")) != "no"
            if not saves:
                if state.is_world_process_zero:
                    monitor.marked(step, None)
                return
            self._to_mark, control.should_save = step, True
            is_free = args.metric_for_best_model is None and not args.load_best_model_at_end
            if is_free and args.save_total_limit != 1:
                # What the trainer takes for its best checkpoint is what its rotation passes over. With a
                # limit of one it would delete the last one for it, from which a training goes on.
                state.best_global_step = step

        def _mark(self, args: Any, step: int, checkpoint: str) -> None:
            monitor.marked(step, checkpoint)
            reading = monitor.watched().top
            told = {"step": step, "checkpoint": checkpoint, "gold": reading.value if reading else None}
            with replacing(Path(args.output_dir) / BEST) as draft:
                draft.write_text(json.dumps(told) + "\n", encoding="utf-8")

        def _log(self, decision: Decision, control: Any) -> None:
            """Past the trainer's own `log`, which would empty what it has gathered since it logged last, and
            without taking this step's own line for said."""
            if self._trainer is not None and decision.metrics:
                from transformers import Trainer

                is_due = control.should_log
                Trainer.log(self._trainer, dict(decision.metrics))
                control.should_log = is_due

    return MonitorCallback()


def _shared(decided: tuple[bool, str | None]) -> tuple[bool, str | None]:
    """What the first process decided, on every process."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return decided
    if torch.distributed.get_world_size() == 1:
        return decided
    told: list[Any] = [decided]
    torch.distributed.broadcast_object_list(told, src=0)
    return tuple(told[0])  # type: ignore[return-value,unused-ignore]  # what was sent
