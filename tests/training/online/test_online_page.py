"""The how-to runs as it is written, but for a tiny model in place of the one named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rubricate.training.online.rules import OnlineRules
from tests.rewards.test_trl import tiny

PAGE = Path(__file__).resolve().parents[3] / "docs" / "online.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_table_of_rules_is_the_rules():
    """All of them, with their defaults."""
    told = {}
    for names, defaults in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \|", TEXT, re.M):
        told |= dict(zip(re.findall(r"`(\w+)`", names), defaults.replace("`", "").split(","), strict=True))
    rules = OnlineRules()
    assert {name: value.strip() for name, value in told.items()} == {
        name: str(getattr(rules, name)).lower() for name in rules.__struct_fields__
    }


def test_trl(tmp_path, monkeypatch, one_thread):
    """Six real steps, two refreshes, their figures in the log."""
    pytest.importorskip("trl")
    _, tokenizer = tiny(tmp_path)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    tokenizer.save_pretrained(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```py\n(.*?)^```$", TEXT, re.M | re.S)
    code = code.replace("Qwen/Qwen2.5-0.5B-Instruct", str(tmp_path / "tiny"))
    code = code.replace(
        'GRPOConfig("out",',
        'GRPOConfig("out", max_completion_length=8, report_to=[], use_cpu=True, bf16=False,',
    )
    names: dict = {}
    exec(code, names)
    names["reward"].close()
    log = [line["step"] for line in names["trainer"].state.log_history if "online/prompts" in line]
    assert log == [3, 5]
    assert [step for step, _ in names["online"].refreshes()] == [2, 4]
