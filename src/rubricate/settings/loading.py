"""Named config + overrides -> settings. Composed by Hydra, checked here; an unknown key is refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from rubricate.errors import DataError, SettingsError
from rubricate.llm.store import Place, is_database
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
    from hydra import compose, initialize_config_dir
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    names = _config_names(config_dir)
    name = config_name.removesuffix(".yaml")
    if name not in names:
        raise SettingsError(f"no config {config_name!r}; {_nearest(name, names)}")
    plain = [_plain(override) for override in overrides]
    root = CONFIGS
    if config_dir is not None and (config_dir / f"{name}.yaml").is_file():
        plain.append(f"hydra.searchpath=['file://{CONFIGS}']")
        root = config_dir.resolve()
    try:
        OverridesParser.create().parse_overrides(plain)
        with initialize_config_dir(str(root), version_base=None):
            config = OmegaConf.to_container(compose(name, overrides=plain), resolve=True)
    except (HydraException, OmegaConfBaseException) as failure:
        raise SettingsError(_told(failure, plain)) from None
    if not isinstance(config, dict):
        raise SettingsError(f"the config {config_name!r} is not a mapping")
    return {str(key): value for key, value in config.items()}


def settings_of(config: dict[str, Any], source: str = "the config") -> Settings:
    """The settings that a mapping of plain values describes.

    Raises:
        SettingsError: a key is unknown or missing, or a value is of the wrong type or out of range.
    """
    for key in _leaves(config):
        if key not in known_keys():
            raise SettingsError(f"unknown key {key!r} in {source}; {_nearest(key, known_keys())}")
    try:
        return msgspec.convert(config, Settings, strict=True, dec_hook=_read)
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at `$.")
        key = place.rstrip("`") or "the config"
        raise SettingsError(f"{key}: {text[:1].lower()}{text[1:]}") from None


def settings_of_file(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """The settings of a run folder's config.yaml, with overrides applied on top.

    Raises:
        DataError: the file cannot be read.
        SettingsError: as `settings_of`.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        config = OmegaConf.load(path)
    except (OSError, YAMLError, OmegaConfBaseException) as failure:
        raise DataError(path, f"cannot be read: {_first_line(failure)}") from None
    if not OmegaConf.is_dict(config):
        raise DataError(path, "is not a config")
    plain = [_plain(text) for text in overrides]
    try:
        for override in OverridesParser.create().parse_overrides(plain):
            OmegaConf.update(config, override.key_or_group, override.value())
        resolved = OmegaConf.to_container(config, resolve=True)
    except (HydraException, OmegaConfBaseException) as failure:
        raise SettingsError(_told(failure, plain)) from None
    assert isinstance(resolved, dict), "a mapping stays one"
    return settings_of({str(key): value for key, value in resolved.items()}, str(path))


def yaml_of(settings: Settings) -> str:
    """The settings as YAML, every key, in the order of the schema. They never hold a secret."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(msgspec.to_builtins(settings, enc_hook=str)))


def _read(type: type, value: object) -> Place:
    """The one kind of value that msgspec does not know; no error repeats it, for it may hold a password."""
    assert type is Place
    if not isinstance(value, str):
        raise ValueError("is neither a file nor the URL of a database")
    return Place.parse(value)


@cache
def known_keys() -> frozenset[str]:
    """All dotted keys."""
    return frozenset(_fields(Settings))


def _fields(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    import typing

    hints = typing.get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        kind = hints[field.name]
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from _fields(kind, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def _leaves(config: dict[str, Any], prefix: str = "") -> Iterator[str]:
    sections = {key.split(".")[0] for key in known_keys() if "." in key}
    for key, value in config.items():
        if isinstance(value, dict) and (prefix or key in sections):
            yield from _leaves({str(name): inner for name, inner in value.items()}, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _plain(override: str) -> str:
    """An override without Hydra's leading plus signs: all keys exist here, published commands may say
    `+random_seed=1` or `+resume.path=DIR` since official configs lack those keys."""
    match = re.match(r"(\+{0,2}|~)([\w.]*)(=?)", override)
    sign, key, equals = match.groups() if match else ("", "", "")
    if sign == "~" or not equals:
        raise SettingsError(f"{override!r} is no override; write key=value")
    sections = {name.rsplit(".", 1)[0] for name in known_keys() if "." in name}
    if key not in known_keys() and key not in sections:
        raise SettingsError(f"unknown key {key!r}; {_nearest(key, known_keys())}")
    written = override.lstrip("+")
    if key == "ledger" and is_database(value := written.partition("=")[2]):
        # Hydra's grammar would stumble over the signs of a URL, and repeat it with its password.
        return f"ledger='{_quoted(value)}'"
    return written


def _quoted(value: str) -> str:
    """What stands between single quotes in Hydra's grammar: only before a quote does a backslash count."""
    return re.sub(r"(\\*)('|$)", lambda end: 2 * end[1] + (f"\\{end[2]}" if end[2] else ""), value)


def _told(failure: BaseException, overrides: Sequence[str]) -> str:
    """What Hydra says, without the URL of a database that it may repeat."""
    if any(override.startswith("ledger='") and "${" in override for override in overrides):
        return "ledger: the ${...} in it cannot be resolved; write $ in a password as %24"
    return _first_line(failure)


def _nearest(name: str, names: frozenset[str] | Sequence[str]) -> str:
    """The names most like a wrong one, as the end of a sentence."""
    last = name.rsplit(".", 1)[-1]
    close = [known for known in sorted(names) if known.rsplit(".", 1)[-1] == last]
    close = close or difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there are {', '.join(sorted(names))}" if len(names) < 12 else "see docs/config.md for all keys"


def _config_names(config_dir: Path | None) -> list[str]:
    folders = [CONFIGS] if config_dir is None else [config_dir, CONFIGS]
    return sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})


def _first_line(failure: BaseException) -> str:
    return str(failure).strip().splitlines()[0] if str(failure).strip() else type(failure).__name__
