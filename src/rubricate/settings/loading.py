"""Named config + overrides -> settings. Composed by Hydra, checked here; an unknown key is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from rubricate.errors import SettingsError
from rubricate.settings.composing import (
    composed_of,
    config_names,
    converted,
    keys_of,
    mapping_of_file,
    nearest,
    read_override,
)
from rubricate.settings.schema import Settings

CONFIGS = Path(__file__).parent / "configs"


def load_settings(
    config_name: str, overrides: Sequence[str] = (), *, config_dir: Path | None = None
) -> Settings:
    """The settings of a named config with dotted overrides (`key=value`, also `+key=value`) applied.

    `config_dir` is searched before the built-in configs; a config there may say `defaults: [iterative,
    _self_]` to change some keys only.

    Raises:
        SettingsError: no such config, no such key (the nearest one is named), or a wrong value.
    """
    return settings_of(composed(config_name, overrides, config_dir=config_dir))


def composed(
    config_name: str, overrides: Sequence[str] = (), *, config_dir: Path | None = None
) -> dict[str, Any]:
    """The config as nested plain values, overrides applied, unchecked but for the names of its keys."""
    names = config_names([CONFIGS] if config_dir is None else [config_dir, CONFIGS])
    name = config_name.removesuffix(".yaml")
    if name not in names:
        raise SettingsError(f"no config {config_name!r}; {nearest(name, names)}")
    plain = [_plain(override) for override in overrides]
    if config_dir is not None and (config_dir / f"{name}.yaml").is_file():
        return composed_of(config_dir, name, plain, [CONFIGS])
    return composed_of(CONFIGS, name, plain)


def settings_of(config: dict[str, Any], source: str = "the config") -> Settings:
    """The settings that a mapping of plain values describes.

    Raises:
        SettingsError: a key is unknown or missing, or a value is of the wrong type or out of range.
    """
    for key in _leaves(config):
        if key not in known_keys():
            raise SettingsError(f"unknown key {key!r} in {source}; {nearest(key, known_keys())}")
    return converted(config, Settings, "the config")


def settings_of_file(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """The settings of a run folder's config.yaml, with overrides applied on top.

    Raises:
        DataError: the file cannot be read.
        SettingsError: as `settings_of`.
    """
    return settings_of(mapping_of_file(path, [_plain(text) for text in overrides]), str(path))


def yaml_of(settings: Settings) -> str:
    """The settings as YAML, every key, in the order of the schema. They never hold a secret."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(msgspec.to_builtins(settings, enc_hook=str)))


@cache
def known_keys() -> frozenset[str]:
    """All dotted keys."""
    return keys_of(Settings, {})


def _leaves(config: dict[str, Any], prefix: str = "") -> Iterator[str]:
    sections = {key.split(".")[0] for key in known_keys() if "." in key}
    for key, value in config.items():
        if isinstance(value, dict) and (prefix or key in sections):
            yield from _leaves({str(name): inner for name, inner in value.items()}, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _plain(override: str) -> str:
    key, written = read_override(override)
    sections = {name.rsplit(".", 1)[0] for name in known_keys() if "." in name}
    if key not in known_keys() and key not in sections:
        raise SettingsError(f"unknown key {key!r}; {nearest(key, known_keys())}")
    return written
