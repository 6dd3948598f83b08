"""The how-tos that need a library run as they are written, but for a tiny model in place of the one named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.rewards.test_trl import tiny

PAGE = Path(__file__).resolve().parents[2] / "docs" / "trainers.md"
BLOCKS = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def block_of(library: str) -> str:
    """The one block that imports a library."""
    (found,) = (text for text in BLOCKS if re.search(rf"^(?:import|from) {library}\b", text, re.M))
    return found


def test_every_block_is_run_by_a_test():
    """TRL, the manager of verl, verifiers, Inspect AI."""
    assert len(BLOCKS) == 4


def test_what_the_first_block_says(capsys):
    """The rewards that its comment shows, from rubrics made on the fly."""
    first = re.search(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)[1]
    exec(first.replace('"workflow_outs/first"', "None"), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "[0.75, 0.0, None]" and said[0] in first
    assert said[1] == "the completion is empty" and said[1] in first


def test_trl(tmp_path, monkeypatch):
    """Three real steps; the figures are in the log."""
    pytest.importorskip("trl")
    import torch

    _, tokenizer = tiny(tmp_path)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    tokenizer.save_pretrained(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        code = block_of("trl").replace("Qwen/Qwen2.5-0.5B-Instruct", str(tmp_path / "tiny"))
        assert str(tmp_path) in code
        code = code.replace(
            'GRPOConfig("out",',
            'GRPOConfig("out", max_completion_length=8, report_to=[], use_cpu=True, bf16=False,',
        )
        names: dict = {}
        exec(code, names)
    finally:
        torch.set_num_threads(threads)
    log = names["trainer"].state.log_history
    assert sum("rewards/rubric_reward/mean" in line and "rubric/tie_share" in line for line in log) == 3
    assert names["reward"].totals.n == 12


def test_the_manager_of_verl(verl):
    """A file that verl loads, with a class of its own base in it."""
    (block,) = (text for text in BLOCKS if "reward_manager_of" in text)
    names: dict = {}
    exec(block, names)
    assert issubclass(names["RubricRewardManager"], verl)


def test_verifiers():
    """The class is made, and has its reward."""
    pytest.importorskip("verifiers.v1")
    names: dict = {"__name__": "page"}
    exec(block_of("verifiers"), names)
    assert names["Explain"].rubric_reward.reward


def test_inspect():
    """The task is made, with its scorer."""
    pytest.importorskip("inspect_ai")
    names: dict = {}
    exec(block_of("inspect_ai"), names)
    assert names["task"].scorer
