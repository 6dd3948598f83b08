"""Named training config + overrides -> settings, composed by Hydra on what runs have; back to YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from rubricate.errors import SettingsError
from rubricate.llm.store import Place
from rubricate.settings.composing import (
    composed_of,
    config_names,
    converted,
    keys_of,
    mapping_of_file,
    nearest,
    read_override,
)
from rubricate.settings.loading import CONFIGS, composed, load_settings
from rubricate.settings.loading import known_keys as keys_of_runs
from rubricate.settings.schema import Settings
from rubricate.settings.training.schema import ELSEWHERE, FREE, SHAPES, GrpoSettings, Kind, TrainSettings
from rubricate.training.recipes.dpo import DpoRecipe
from rubricate.training.recipes.fields import Lora
from rubricate.training.recipes.grpo import GrpoRecipe
from rubricate.training.recipes.sft import SftRecipe

TRAINING = CONFIGS / "train"
_RECIPES = (GrpoRecipe, SftRecipe, DpoRecipe)


def load_training(
    kind: Kind,
    config_name: str | None = None,
    overrides: Sequence[str] = (),
    *,
    config_dir: Path | None = None,
) -> TrainSettings:
    """The settings of a training: a named config, by default that of its kind, with overrides applied.

    `config_dir` is searched before the built-in configs; a config there may say `defaults: [four_great,
    _self_]` to change some keys only.

    Raises:
        SettingsError: no such config, no such key (the nearest one is named), or a wrong value.
    """
    folders = [TRAINING] if config_dir is None else [config_dir, TRAINING]
    names = config_names(folders)
    name = (config_name or kind).removesuffix(".yaml")
    if name not in names:
        raise SettingsError(f"no training config {config_name!r}; {nearest(name, names)}")
    root = next(folder for folder in folders if (folder / f"{name}.yaml").is_file())
    plain = [_plain(kind, override) for override in overrides]
    source = f"the config {name!r}"
    try:
        given = _composed(root, name, plain)
    except SettingsError:
        # Whether the config is of another kind explains more than which of its keys is missing.
        training_of(kind, _without_keys_of_runs(kind, _composed(root, name, []), name), source)
        raise
    return training_of(kind, _without_keys_of_runs(kind, given, name), source)


def _composed(root: Path, name: str, overrides: Sequence[str]) -> dict[str, Any]:
    return composed_of(root, name, overrides, [TRAINING, CONFIGS])


def training_of(kind: Kind, config: Mapping[str, Any], source: str = "the config") -> TrainSettings:
    """The settings that a mapping of plain values describes.

    Raises:
        SettingsError: a key is unknown or missing, or a value is of the wrong type or out of range.
    """
    for key in _leaves(config):
        if key not in known_keys(kind):
            owner = next((other for other in SHAPES if key in known_keys(other)), None)
            near = f"it is one of `rubricate train {owner}`" if owner else nearest(key, known_keys(kind))
            raise SettingsError(f"unknown key {key!r} in {source}; {near}")
    settings = converted(config, SHAPES[kind], source)
    for name in settings.trainer:
        if "token" in name.split("_") and settings.trainer[name] is not None:
            raise SettingsError(
                f"trainer.{name}: a secret is not written into a config; set HF_TOKEN instead"
            )
    return settings


def training_of_file(kind: Kind, path: Path, overrides: Sequence[str] = ()) -> TrainSettings:
    """The settings of the folder of a training, with overrides applied on top.

    Raises:
        DataError: the file cannot be read.
        SettingsError: as `training_of`.
    """
    return training_of(kind, mapping_of_file(path, [_plain(kind, text) for text in overrides]), str(path))


def yaml_of_training(settings: TrainSettings) -> str:
    """The settings as YAML, every key, in the order of the schema. They never hold a secret."""
    from omegaconf import OmegaConf

    plain = msgspec.to_builtins(settings, enc_hook=str)
    for name in ELSEWHERE:
        plain["recipe"].pop(name)
    return OmegaConf.to_yaml(OmegaConf.create(plain))


def recipe_of(settings: TrainSettings) -> GrpoRecipe | SftRecipe | DpoRecipe:
    """The recipe with what is said of it elsewhere: seed, adapter, and fields of TRL by name."""
    lora = settings.lora
    adapter = None
    if lora.rank is not None:
        adapter = Lora(
            rank=lora.rank, alpha=lora.alpha, dropout=lora.dropout, target_modules=lora.target_modules
        )
    return msgspec.structs.replace(
        settings.recipe, seed=settings.random_seed, lora=adapter, trainer=dict(settings.trainer)
    )


def settings_of_grader(settings: GrpoSettings) -> Settings:
    """What a run would be told, for whoever opens graders: the shared sections of a training, and the
    defaults of `iterative` for what a training has no key for."""
    run = load_settings("iterative")
    grade = msgspec.structs.replace(
        run.grade,
        checks=settings.grade.checks,
        criteria_per_call=settings.grade.criteria_per_call,
        coverage_floor=settings.grade.coverage_floor,
    )
    return msgspec.structs.replace(
        run,
        gate=msgspec.structs.replace(run.gate, judge=settings.online.judge),
        models=settings.models,
        vllm=settings.vllm,
        llamacpp=settings.llamacpp,
        api=settings.api,
        grade=grade,
        budget=settings.budget,
        ledger=settings.ledger,
        random_seed=settings.random_seed,
    )


def pinned_training(settings: TrainSettings, place: Place | None) -> TrainSettings:
    """The settings with the ledger that the environment names, so that a resumed training finds it again."""
    if not isinstance(settings, GrpoSettings) or settings.ledger is not None or place is None:
        return settings
    return msgspec.structs.replace(settings, ledger=place.without_secret())


@cache
def known_keys(kind: Kind) -> frozenset[str]:
    """All dotted keys of a kind of training; a free section counts as one key."""
    return keys_of(SHAPES[kind], dict.fromkeys(_RECIPES, ELSEWHERE))


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, Mapping) and key not in FREE and prefix.count(".") < 1:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _without_keys_of_runs(kind: Kind, config: dict[str, Any], name: str) -> dict[str, Any]:
    """The config without what `iterative` brought along that a training does not read.

    Raises:
        SettingsError: such a key has another value than there: somebody meant something by it.
    """
    only = keys_of_runs() - known_keys(kind)
    before = composed("iterative")
    kept: dict[str, Any] = {}
    for section, value in config.items():
        if section in only and value == before.get(section):
            continue
        if not isinstance(value, dict) or section in FREE:
            kept[section] = value
            continue
        inner = {}
        for key, said in value.items():
            if f"{section}.{key}" not in only:
                inner[key] = said
            elif said != before.get(section, {}).get(key):
                raise SettingsError(
                    f"{section}.{key} in the config {name!r} is a key of `rubricate run`, which a training "
                    "does not read"
                )
        if inner or not value:
            kept[section] = inner
    return kept


def _plain(kind: Kind, override: str) -> str:
    """An override as Hydra takes it here: without leading plus signs where the key is ours, and with two
    where it is one of TRL or of accelerate."""
    key, written = read_override(override)
    if key.partition(".")[0] in FREE and key not in FREE:
        return f"++{written}"
    keys = known_keys(kind)
    if key not in keys and key not in {name.rsplit(".", 1)[0] for name in keys if "." in name}:
        if key in keys_of_runs():
            raise SettingsError(f"{key} is a key of `rubricate run`; {nearest(key, keys)}")
        raise SettingsError(f"unknown key {key!r}; {nearest(key, keys)}")
    return written


def of_kind(settings: TrainSettings) -> Kind:
    """Which kind of training these are the settings of."""
    return next(kind for kind, shape in SHAPES.items() if isinstance(settings, shape))
