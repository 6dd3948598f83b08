"""Writes cli.md, config.md and training-settings.md from the code; `--check` says if they are up to date.

python docs/generate.py [--check]
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from rubricate.cli import app
from rubricate.settings.loading import CONFIGS, known_keys, load_settings
from rubricate.settings.training.loading import TRAINING

DOCS = Path(__file__).parent
MADE = "<!-- made by docs/generate.py: edit the code, then `make docs` -->"

EXIT_CODES = """\
| exit code | means |
|---|---|
| 0 | all done |
| 1 | done, but a prompt or a draw failed and is owed (it is named), or `doctor` found something wrong |
| 2 | a mistake in the command, a setting or a file; the line says what and where |
| 3 | stopped by a limit, a wrong key or an outage; the same run can be resumed |
| 130, 143 | stopped by Ctrl-C or SIGTERM; the same run can be resumed |"""


EVERY_COMMAND = "Every command takes `-h` or `--help`; `rubricate --version` prints the version."

HOW_TO_SET = """\
Any key can be set on the command line, behind the name of a config:

```bash
rubricate run --config-name iterative files.responses_file=pool.json api.workers=16
```

`iterative` is the loop, `single` one unscored round on the first two responses, `paper` the published
algorithm to the letter. The defaults below are those of `iterative`, and of the other two where they differ.
Keys that the official configs know keep their names and their defaults. An unknown key is refused, and the
nearest one is named.

A config of your own is a YAML file in a folder that `--config-dir` names. It says what it starts from, and
then only what differs:

```yaml
defaults:
  - iterative
  - _self_
models:
  verifier: openai/gpt-4.1-nano
```"""


def cli_page() -> str:
    """Every command with its arguments and flags, from the functions that the roof registers."""
    commands = {info.callback.__name__: info.callback for info in app.registered_commands if info.callback}
    for group in app.registered_groups:
        under = group.typer_instance.registered_commands if group.typer_instance else []
        commands |= {f"{group.name} {info.name}": info.callback for info in under if info.callback}
    lines = ["# Commands", "", MADE, "", str(app.info.help), "", "| command | does |", "|---|---|"]
    lines += [
        f"| [{name}](#rubricate-{name.replace(' ', '-')}) | {command.__doc__} |"
        for name, command in commands.items()
    ]
    lines += ["", EXIT_CODES, "", EVERY_COMMAND]
    for name, command in commands.items():
        lines += ["", f"## rubricate {name}", "", str(command.__doc__), ""]
        lines += ["| argument or flag | default | means |", "|---|---|---|", *_parameters(command)]
    return "\n".join([*lines, ""])


def _parameters(command: Callable[..., object]) -> Iterator[str]:
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        type, info = get_args(hints[name])
        default = parameter.default
        shown = "required" if default is parameter.empty else f"`{default}`" if default else ""
        yield f"| {_spelt(name, type, info)} | {shown} | {_cell(info.help or '')} |"


def _spelt(name: str, type: Any, info: ArgumentInfo | OptionInfo) -> str:
    """An argument's name, or the flag and what stands behind it."""
    if isinstance(info, ArgumentInfo):
        return f"`{info.metavar or name.upper()}`"
    named = [flag for flag in (info.default, *(info.param_decls or ())) if isinstance(flag, str)]
    flags = ", ".join(f"`{flag}`" for flag in named or [f"--{name.replace('_', '-')}"])
    is_list = any(get_origin(part) is list for part in get_args(type))
    kinds = {bool: "", int: " N", float: " NUMBER", Path: " PATH"}
    kind = next((word for kind, word in kinds.items() if type is kind or kind in get_args(type)), " TEXT")
    return flags + (" TEXT ..." if is_list else kind)


def config_page() -> str:
    """Every key with its default in the three configs and its meaning, from the comments of the YAML.

    Raises:
        SystemExit: a key has no comment, or is not where this reader looks for it.
    """
    lines = ["# Settings", "", MADE, ""]
    lines += [HOW_TO_SET]
    configs = {name: load_settings(name) for name in ("iterative", "single", "paper")}
    section, told = None, set[str]()
    entries = _entries((CONFIGS / "iterative.yaml").read_text(encoding="utf-8"))
    for given in sorted(entries, key=lambda entry: not entry["section"]):
        if given["section"] != section:
            section = given["section"]
            lines += ["", f"## {section or 'top level'}", ""]
            lines += [f"{given['about']}", ""] if given["about"] else []
            lines += ["| key | default | means |", "|---|---|---|"]
        key = given["key"]
        if not given["meaning"]:
            sys.exit(f"{CONFIGS / 'iterative.yaml'}: {key} has no comment that says what it means")
        told.add(key)
        others = "".join(_other(configs, config, key) for config in ("single", "paper"))
        lines.append(f"| `{key}` | `{given['default']}`{others} | {_cell(given['meaning'])} |")
    if missed := sorted(known_keys() - told):
        sys.exit(f"{CONFIGS / 'iterative.yaml'}: {', '.join(missed)} is not on a line of its own")
    return "\n".join([*lines, ""])


TRAININGS = """\
Keys of `rubricate train grpo`, `sft` and `dpo`. [How to train](training.md) says what they are for.
`models`, `vllm`, `llamacpp`, `api`, `grade` (`checks`, `criteria_per_call`, `coverage_floor`), `budget` and
`ledger` of `grpo` are those of [runs](config.md). A config of your own says `defaults: [four_great, _self_]`
and then only what differs."""


def training_page() -> str:
    """Every key of the trainings with its default and its meaning, from the comments of the YAML.

    Raises:
        SystemExit: a key has no comment.
    """
    lines = ["# Settings of trainings", "", MADE, "", TRAININGS]
    seen = set[tuple[str, ...]]()
    for kind in ("grpo", "sft", "dpo"):
        lines += ["", f"## rubricate train {kind}", ""]
        lines += ["| key | default | means |", "|---|---|---|"]
        for given in _entries((TRAINING / f"{kind}.yaml").read_text(encoding="utf-8")):
            if not given["meaning"]:
                sys.exit(f"{kind}.yaml: {given['key']} has no comment that says what it means")
            row = (given["key"], given["default"], given["meaning"])
            if row not in seen:
                lines.append(f"| `{row[0]}` | `{row[1]}` | {_cell(row[2])} |")
            seen.add(row)
        if kind != "grpo":
            lines += [
                "",
                "And those above that are the same here: `files`, `policy`, `lora`, `launch`, and so on.",
            ]
    return "\n".join([*lines, ""])


def _entries(yaml: str) -> Iterator[dict[str, str]]:
    """Section, key, default and meaning of each `key: value  # meaning` line, `about` of its section."""
    section = about = ""
    for line in yaml.splitlines():
        match = re.match(r"^(  )?(\w+):\s*(.*?)\s*(?:(?<=\s)#\s*(.*))?$", line)
        if match is None:
            continue
        indent, name, default, comment = match.groups()
        if indent is None and not default:
            section, about = name, _sentence(comment or "")
            continue
        if indent is None:
            section, about = "", ""
        key = f"{section}.{name}" if section else name
        yield {"section": section, "about": about, "key": key, "default": default, "meaning": comment or ""}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _other(configs: Mapping[str, object], config: str, key: str) -> str:
    own, base = _value(configs[config], key), _value(configs["iterative"], key)
    return "" if own == base else f"; {config}: `{str(own).lower() if isinstance(own, bool) else own}`"


def _value(settings: object, key: str) -> object:
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings


def main() -> None:
    """Writes the pages, or checks them."""
    pages = {"cli.md": cli_page(), "config.md": config_page(), "training-settings.md": training_page()}
    stale = [name for name, text in pages.items() if not _is(DOCS / name, text)]
    if "--check" in sys.argv:
        if stale:
            sys.exit(f"not up to date: {', '.join(stale)}; run `make docs`")
        return
    for name in stale:
        (DOCS / name).write_text(pages[name], encoding="utf-8")


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    main()
