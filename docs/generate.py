"""Writes docs/cli.md and docs/config.md from the code; `--check` only says whether they are up to date.

    python docs/generate.py [--check]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import typer.main

from rubricate.cli import app
from rubricate.settings.loading import CONFIGS, load_settings

DOCS = Path(__file__).parent


def cli_page() -> str:
    """Every command with its flags, as the program itself tells it."""
    group: Any = typer.main.get_command(app)
    lines = ["# Commands", "", "<!-- made by docs/generate.py -->", "", str(group.help), ""]
    lines += ["| exit code | means |", "|---|---|"]
    lines += ["| 0 | all done |", "| 1 | done, but a prompt or a draw failed; the summary names it |"]
    lines += ["| 2 | a mistake in the command, a setting or a file; nothing was written |"]
    lines += ["| 3 | stopped by a limit, a wrong key or an outage; the same run can be resumed |"]
    lines += ["| 130, 143 | stopped by Ctrl-C or SIGTERM; the same run can be resumed |", ""]
    for name, command in group.commands.items():
        lines += [f"## rubricate {name}", "", str(command.help), "", "```text"]
        with command.make_context(f"rubricate {name}", [], resilient_parsing=True, max_content_width=100) as context:
            usage = command.get_help(context)
        lines += [re.sub(r"[ \t]+\n", "\n", usage).rstrip(), "```", ""]
    return "\n".join(lines)


def config_page() -> str:
    """Every key with its default in the three configs and its meaning, from the comments of the YAML."""
    lines = ["# Settings", "", "<!-- made by docs/generate.py -->", ""]
    lines += ["Any key can be overridden on the command line: `rubricate run --config-name iterative KEY=VALUE`."]
    lines += ["Keys that official configs know keep their names and their defaults. An empty cell: as `iterative`.", ""]
    configs = {name: load_settings(name) for name in ("iterative", "single", "paper")}
    section, rows = "", []
    for line in (CONFIGS / "iterative.yaml").read_text(encoding="utf-8").splitlines():
        match = re.match(r"^(  )?(\w+):\s*([^#]*?)\s*(?:#\s*(.*))?$", line)
        if match is None:
            continue
        indent, name, default, comment = match.groups()
        if indent is None and not default:
            section = name
            rows += ["", f"## {section}", *([comment, ""] if comment else [""])]
            rows += ["| key | default | `single` | `paper` | means |", "|---|---|---|---|---|"]
            continue
        if indent is None and section:
            section = ""
            rows += ["", "## top level", "", "| key | default | `single` | `paper` | means |", "|---|---|---|---|---|"]
        key = f"{section}.{name}" if section else name
        others = [_other(configs, config, key) for config in ("single", "paper")]
        rows.append(f"| `{key}` | `{default}` | {others[0]} | {others[1]} | {comment or ''} |")
    return "\n".join([*lines, *rows, ""])


def _other(configs: dict[str, object], config: str, key: str) -> str:
    own, base = _value(configs[config], key), _value(configs["iterative"], key)
    return "" if own == base else f"`{str(own).lower() if isinstance(own, bool) else own}`"


def _value(settings: object, key: str) -> object:
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings


def main() -> None:
    """Writes the pages, or checks them."""
    pages = {"cli.md": cli_page(), "config.md": config_page()}
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
