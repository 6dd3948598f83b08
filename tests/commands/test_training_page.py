"""docs/training.md runs as written: its model is made, and its commands do what the page says."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path

import pytest

from tests.served import command

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"


def test_the_page_runs_on_a_laptop(desk):
    """The section on the laptop, from its Python to its last command, in an empty folder."""
    pytest.importorskip("trl")
    section = PAGE.read_text().partition("## One that runs on a laptop")[2].partition("\n## ")[0]
    for kind, text in re.findall(r"^```(\w+)\n(.*?)^```$", section, re.M | re.S):
        if kind == "python":
            Path("page.py").write_text(text)
            runpy.run_path("page.py")
            continue
        for line in re.sub(r"\\\n\s*", "", text).splitlines():
            told = command(*shlex.split(line)[1:])
            assert told.code == 0, (line, told.text)
    for name, steps in (("laptop", 16), ("shown", 2), ("preferred", 2)):
        assert json.loads(Path(f"workflow_outs/{name}/summary.json").read_text())["steps"] == steps
        assert Path(f"workflow_outs/{name}/policy/model.safetensors").is_file()
