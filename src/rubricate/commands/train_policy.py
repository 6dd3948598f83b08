"""`rubricate train grpo`, `sft` and `dpo`: settings and files -> a TRL trainer and its folder."""

from __future__ import annotations

import logging
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from rubricate.commands.session import Interrupted
from rubricate.commands.train_data import Data, data_of, within_length
from rubricate.commands.train_order import TrainOrder, folder_of, settings_for
from rubricate.commands.train_stretch import Stretch
from rubricate.errors import AccountError, DataError, RunError, RunStopped, SettingsError
from rubricate.report.monitor import page_writer
from rubricate.runs.writing import replacing
from rubricate.settings.training.loading import recipe_of, yaml_of_training
from rubricate.settings.training.reward import Till, reward_of_training
from rubricate.settings.training.schema import GrpoSettings, TrainSettings
from rubricate.settings.training.watching import held_out_of_training, monitor_of_training
from rubricate.training.monitors.live.journal import NAME as JOURNAL
from rubricate.training.recipes.fields import (
    CONFIGS,
    check_names,
    field_names_of,
    loaded_tokenizer,
    must_be_there,
    processes,
)
from rubricate.training.running import folder as folders
from rubricate.training.running.launching import is_launched, launch
from rubricate.training.running.together import rank, world


def train_policy(order: TrainOrder, console: Console, *, as_json: bool = False) -> int:
    """Trains, or goes on with a training; the exit code. `as_json`: the summary alone is printed."""
    settings, begun = settings_for(order)
    folder = begun or folder_of(settings)
    if settings.launch and not is_launched():
        if settings.files.output_dir is None:
            order = replace(order, overrides=(*order.overrides, f"files.output_dir={folder.name}"))
        launch(settings.launch, [*order.words(), *(["--json"] if as_json else [])])
    if world() > 1 and settings.files.output_dir is None:
        raise SettingsError("files.output_dir: name the folder, so that all processes mean the same one")
    if begun is None and rank() == 0 and folder.exists():
        raise RunError(f"{folder} exists already: choose another files.output_dir, or add --resume")
    said = console if rank() == 0 and not as_json else Console(quiet=True)
    recipe, till = recipe_of(settings), Till()
    reward = None
    if isinstance(settings, GrpoSettings):
        reward = reward_of_training(settings, till, folder / folders.ONLINE)
    check_names(settings.trainer, field_names_of(order.kind), CONFIGS[order.kind])
    _without_noise()
    must_be_there(settings.policy.model, "policy.model")
    trust = bool(recipe.trainer.get("trust_remote_code"))
    data = Data.of_folder(begun) if begun else data_of(settings)
    tokenizer = loaded_tokenizer(settings.policy.model, settings.policy.tokenizer, trust)
    chat = _speaks_chat(settings, tokenizer)
    if begun is None:
        source = settings.files.responses_file or ""
        data = within_length(data, tokenizer, recipe, chat=chat, source=source)
    recipe.fields(len(data.train.rows), processes(), evaluates=data.evaluation is not None)
    monitor = None
    if isinstance(settings, GrpoSettings) and reward is not None:
        trained_on = {row.prompt.key for row in data.train.rows}
        held_out = held_out_of_training(settings, trained_on, chat=chat)
        if held_out is not None:
            page = page_writer(folder / "monitor.html", folder.name)
            monitor = monitor_of_training(settings, held_out, reward, till, folder / JOURNAL, page)
    if rank() == 0:
        _set_up(folder, settings, data, is_new=begun is None)
    stretch = Stretch(settings, recipe, folder, data, tokenizer, chat, reward, till, said, monitor)
    try:
        code = stretch.run(resumed=begun is not None)
        if as_json and rank() == 0:
            console.print_json((folder / folders.SUMMARY).read_text(encoding="utf-8"))
        return code
    except (RunStopped, AccountError, Interrupted, KeyboardInterrupt) as stop:
        return stretch.stopped(stop)
    except (SettingsError, DataError):
        if begun is None and rank() == 0 and folders.last_checkpoint(folder) is None:
            shutil.rmtree(folder)  # so that the same command, put right, finds the place free
        raise
    finally:
        if reward is not None:
            reward.close()
        _parted()


def _set_up(folder: Path, settings: TrainSettings, data: Data, *, is_new: bool) -> None:
    if is_new:
        config = yaml_of_training(settings)
        folders.create(folder, config=config, data=data.train, evaluation=data.evaluation)
        return
    with replacing(folder / folders.CONFIG) as draft:
        draft.write_text(yaml_of_training(settings), encoding="utf-8")


def _speaks_chat(settings: TrainSettings, tokenizer: Any) -> bool:
    has = tokenizer.chat_template is not None
    if settings.policy.chat == "on" and not has:
        raise SettingsError(
            f"policy.chat=on, but the tokenizer of {settings.policy.tokenizer or settings.policy.model} has "
            "no chat template: choose policy.chat=off, or a tokenizer that has one (policy.tokenizer)"
        )
    return has and settings.policy.chat != "off"


def _without_noise() -> None:
    """Progress bars of libraries draw over each other. And TRL prints the text of each completion that has no
    reward, which may be anything; their share is in our line."""
    import datasets
    from transformers.utils import logging as bars

    datasets.disable_progress_bars()
    bars.disable_progress_bar()  # type: ignore[no-untyped-call]
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl)\b")
    logging.getLogger("trl.trainer.grpo_trainer").addFilter(_is_no_completion)


def _is_no_completion(record: Any) -> bool:
    return "All reward functions returned None" not in str(record.msg)


def _parted() -> None:
    """Leaves the group of processes, if there is one."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
