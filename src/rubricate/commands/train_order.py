"""What a training was asked for: the words of the command line -> settings, and the folder it goes on in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rubricate.commands.run import OUTPUTS
from rubricate.errors import SettingsError
from rubricate.settings.secrets import environment, ledger_of
from rubricate.settings.training.loading import load_training, pinned_training, training_of_file
from rubricate.settings.training.schema import Kind, TrainSettings
from rubricate.training.running import folder as folders

_FIXED = ("files.responses_file", "files.evaluation_file", "files.sample_size", "policy.model")


@dataclass(frozen=True)
class TrainOrder:
    """What was asked for on the command line."""

    kind: Kind
    config_name: str | None = None
    overrides: tuple[str, ...] = ()
    config_dir: Path | None = None
    resume: bool = False

    def words(self) -> list[str]:
        """The words behind `rubricate` that ask for the same."""
        named = ["--config-name", self.config_name] if self.config_name else []
        where = ["--config-dir", str(self.config_dir)] if self.config_dir else []
        flags = ["--resume"] if self.resume else []
        return ["train", self.kind, *named, *where, *flags, *self.overrides]


def settings_for(order: TrainOrder) -> tuple[TrainSettings, Path | None]:
    """The settings, and the folder to go on with if there is one, whose settings then hold but for what the
    overrides change.

    Raises:
        SettingsError, DataError: as `load_training`; or what a training cannot change is changed on resuming.
    """
    settings = load_training(order.kind, order.config_name, order.overrides, config_dir=order.config_dir)
    if not order.resume:
        return pinned_training(settings, ledger_of(environment())), None
    if settings.files.output_dir is None:
        raise SettingsError("--resume needs files.output_dir, the folder to go on with")
    folder = folder_of(settings)
    if not folder.exists():
        return pinned_training(settings, ledger_of(environment())), None
    if not (folder / folders.CONFIG).is_file():
        raise SettingsError(f"files.output_dir: {folder} is no folder of a training")
    before = training_of_file(order.kind, folder / folders.CONFIG)
    settings = training_of_file(order.kind, folder / folders.CONFIG, order.overrides)
    for key in _FIXED:
        section, name = key.split(".")
        old, new = (getattr(getattr(either, section), name) for either in (before, settings))
        if old != new:
            raise SettingsError(
                f"{key} was {old!r} when {folder} was begun and cannot become {new!r}: start another training"
            )
    return settings, folder


def folder_of(settings: TrainSettings) -> Path:
    """Where the training goes: a name stands under workflow_outs, a path that is absolute or begins with a
    dot stands where it says."""
    name = settings.files.output_dir
    if not name:
        return OUTPUTS / time.strftime("train_%Y%m%d_%H%M%S")
    path = Path(name)
    return path if path.is_absolute() or name.startswith(".") else OUTPUTS / path
