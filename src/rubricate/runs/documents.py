"""TOML and YAML files, which hold one thing each -> its value; and values -> such texts."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from rubricate.errors import DataError

DOCUMENTS = (".toml", ".yaml", ".yml")
_BREAKS = re.compile("[\x85\u2028\u2029\r]")
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")


def parsed(text: str, path: str, kind: str) -> Any:
    """The value of a document.

    Raises:
        DataError: it is malformed, with its line, or empty.
    """
    value = _toml(text, path) if kind == ".toml" else _yaml(text, path)
    if value is None or value == {}:
        raise DataError(path, "the file is empty")
    return value


def _toml(text: str, path: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as failure:
        found = _AT_LINE.search(str(failure))
        raise DataError(path, f"not TOML: {failure}", line=int(found[1]) if found else None) from None
    except RecursionError:
        raise DataError(path, "not readable: nested too deeply") from None


def _yaml(text: str, path: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """The safe one, without aliases: a few lines of them are a value without end."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.composer.ComposerError(
                    None, None, "aliases (*name) are not read", self.peek_event().start_mark
                )
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as failure:
        mark = getattr(failure, "problem_mark", None)
        problem = getattr(failure, "problem", None) or str(failure).partition("\n")[0]
        raise DataError(path, f"not YAML: {problem}", line=mark.line + 1 if mark else None) from None
    except (RecursionError, ValueError) as failure:
        raise DataError(path, f"not readable: {failure or 'nested too deeply'}") from None


def toml_of(value: Mapping[str, Any]) -> str:
    """An object as TOML: texts, numbers, booleans, lists of these; lists of flat objects come last."""
    lines, tables = list[str](), list[str]()
    for key, given in value.items():
        if isinstance(given, list) and given and isinstance(given[0], Mapping):
            for entry in given:
                tables += [
                    "",
                    f"[[{key}]]",
                    *(f"{name} = {_toml_value(inner)}" for name, inner in entry.items()),
                ]
        else:
            lines.append(f"{key} = {_toml_value(given)}")
    return "\n".join([*lines, *tables]).lstrip("\n") + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, str):
        # JSON escapes what TOML does, but for the one control character beyond the others.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return f"[{', '.join(map(_toml_value, value))}]"


def yaml_of(value: Mapping[str, Any]) -> str:
    """An object as YAML, its keys in order."""
    import yaml

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        """The safe one, that never writes a line break of Unicode bare: a reader would fold it to a space."""

    def text_of(dumper: Any, text: str) -> Any:
        style = '"' if _BREAKS.search(text) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, text_of)
    Dumper.ignore_aliases = lambda *_: True
    return str(yaml.dump(dict(value), Dumper=Dumper, allow_unicode=True, sort_keys=False, width=100))
