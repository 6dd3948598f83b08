"""What Hydra composes and what a config file holds, as plain mappings; the right name for a wrong one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from rubricate.errors import DataError, SettingsError, first_line
from rubricate.llm.store import Place, is_database

Shape = TypeVar("Shape", bound=msgspec.Struct)


def composed_of(
    root: Path, name: str, overrides: Sequence[str], search: Sequence[Path] = ()
) -> dict[str, Any]:
    """The config of a folder as nested plain values; those that it builds on are searched there and in
    `search`. Overrides are as `read_override` gives them.

    Raises:
        SettingsError: Hydra refuses an override or the config.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    places = ",".join(f"'file://{folder}'" for folder in search)
    given = [*overrides, *([f"hydra.searchpath=[{places}]"] if search else ())]
    try:
        OverridesParser.create().parse_overrides(given)
        with initialize_config_dir(str(root.resolve()), version_base=None):
            config = OmegaConf.to_container(compose(name, overrides=given), resolve=True)
    except (HydraException, OmegaConfBaseException) as failure:
        raise SettingsError(_told(failure, overrides)) from None
    if not isinstance(config, dict):
        raise SettingsError(f"the config {name!r} is not a mapping")
    return {str(key): value for key, value in config.items()}


def mapping_of_file(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """What a folder's config.yaml holds as nested plain values, with overrides of `read_override` on top.

    Raises:
        DataError: the file cannot be read.
        SettingsError: an override cannot be read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        config = OmegaConf.load(path)
    except (OSError, YAMLError, OmegaConfBaseException) as failure:
        raise DataError(path, f"cannot be read: {first_line(failure)}") from None
    if not OmegaConf.is_dict(config):
        raise DataError(path, "is not a config")
    try:
        for override in OverridesParser.create().parse_overrides(list(overrides)):
            OmegaConf.update(config, override.key_or_group, override.value(), force_add=True)
        resolved = OmegaConf.to_container(config, resolve=True)
    except (HydraException, OmegaConfBaseException) as failure:
        raise SettingsError(_told(failure, overrides)) from None
    assert isinstance(resolved, dict), "a mapping stays one"
    return {str(key): value for key, value in resolved.items()}


def read_override(override: str) -> tuple[str, str]:
    """The key of an override, and the override as Hydra takes it: without leading plus signs, since all keys
    exist here while published commands may say `+random_seed=1` or `+resume.path=DIR`.

    Raises:
        SettingsError: it is none.
    """
    match = re.match(r"(\+{0,2}|~)([\w.]*)(=?)", override)
    sign, key, equals = match.groups() if match else ("", "", "")
    if sign == "~" or not equals:
        raise SettingsError(f"{override!r} is no override; write key=value")
    written = override.lstrip("+")
    if key == "ledger" and is_database(value := written.partition("=")[2]):
        # Hydra's grammar would stumble over the signs of a URL, and repeat it with its password.
        return key, f"ledger='{_quoted(value)}'"
    return key, written


def converted(config: Mapping[str, Any], shape: type[Shape], source: str) -> Shape:
    """The settings that a mapping of plain values describes; `source` is named where no key can be.

    Raises:
        SettingsError: a key is missing, or a value is of the wrong type or out of range.
    """
    try:
        return msgspec.convert(config, shape, strict=True, dec_hook=_place)
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at `$.")
        raise SettingsError(f"{place.rstrip('`') or source}: {text[:1].lower()}{text[1:]}") from None


def keys_of(
    struct: type[msgspec.Struct], skip: Mapping[type[msgspec.Struct], Collection[str]]
) -> frozenset[str]:
    """All dotted keys of settings, but for the fields to skip of a kind of record."""
    return frozenset(_fields(struct, skip))


def nearest(name: str, names: Collection[str]) -> str:
    """The names most like a wrong one, as the end of a sentence."""
    last = name.rsplit(".", 1)[-1]
    close = [known for known in sorted(names) if known.rsplit(".", 1)[-1] == last]
    close = close or difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there are {', '.join(sorted(names))}" if len(names) < 12 else "see docs/config.md for all keys"


def config_names(folders: Sequence[Path]) -> list[str]:
    """The names of the configs in folders."""
    return sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})


def _fields(
    struct: type[msgspec.Struct], skip: Mapping[type[msgspec.Struct], Collection[str]], prefix: str = ""
) -> Iterator[str]:
    hints = get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        kind = hints[field.name]
        if field.name in skip.get(struct, ()):
            continue
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from _fields(kind, skip, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def _place(type: type, value: object) -> Place:
    """The one kind of value that msgspec does not know; no error repeats it, for it may hold a password."""
    assert type is Place
    if not isinstance(value, str):
        raise ValueError("is neither a file nor the URL of a database")
    return Place.parse(value)


def _quoted(value: str) -> str:
    """What stands between single quotes in Hydra's grammar: only before a quote does a backslash count."""
    return re.sub(r"(\\*)('|$)", lambda end: 2 * end[1] + (f"\\{end[2]}" if end[2] else ""), value)


def _told(failure: BaseException, overrides: Sequence[str]) -> str:
    """What Hydra says, without the URL of a database that it may repeat."""
    if any(override.startswith("ledger='") and "${" in override for override in overrides):
        return "ledger: the ${...} in it cannot be resolved; write $ in a password as %24"
    return first_line(failure)
