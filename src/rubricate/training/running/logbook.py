"""What a trainer says while it works: into a file, line by line, and to whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from rubricate.runs.writing import append_line
from rubricate.training.running.folder import LOG, write_log

Line = dict[str, Any]


def logbook(folder: Path, told: Callable[[Line, int], None] = lambda line, steps: None) -> Any:
    """A callback that keeps `log_history.jsonl` in step with the trainer's own log, in the first process.

    A resumed training goes on from its checkpoint, so lines that came after it are taken back when it
    begins. `told` gets each line and the number of steps in all.
    """
    from transformers import TrainerCallback

    class Logbook(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                write_log(folder, state.log_history)

        def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero and state.log_history:
                line = state.log_history[-1]
                append_line(folder / LOG, msgspec.json.encode(line))
                told(line, state.max_steps)

    return Logbook()
