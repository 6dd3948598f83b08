"""Many processes: the command line that starts them, and two real ones that train one policy together."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from rubricate.errors import SettingsError
from rubricate.training.running.launching import launch_words
from tests.commands.trainings import line, log, prompts, summary, write
from tests.served import Served, desk

__all__ = ["desk"]

WORDS = ["train", "grpo", "files.responses_file=p.json"]
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch"]


@pytest.mark.parametrize(
    ("launch", "flags"),
    [
        ({"num_processes": 8}, ["--num_processes", "8"]),
        (
            {"num_processes": 8, "config_file": "zero3.yaml"},
            ["--num_processes", "8", "--config_file", "zero3.yaml"],
        ),
        (
            {"use_deepspeed": True, "zero_stage": 3, "offload_optimizer_device": "cpu"},
            ["--use_deepspeed", "--zero_stage", "3", "--offload_optimizer_device", "cpu"],
        ),
        (
            {"use_fsdp": True, "fsdp_sharding_strategy": "FULL_SHARD", "multi_gpu": False},
            ["--use_fsdp", "--fsdp_sharding_strategy", "FULL_SHARD"],
        ),
        ({"gpu_ids": [0, 2], "mixed_precision": None}, ["--gpu_ids", "0,2"]),
    ],
)
def test_flags_are_those_of_accelerate(launch, flags):
    """Flags go to `accelerate launch` as they are, before our own words, which stay as they were."""
    pytest.importorskip("accelerate")
    assert launch_words(launch, WORDS) == [*ACCELERATE, *flags, "-m", "rubricate", *WORDS]


def test_flags_are_checked_against_accelerate():
    """Accelerate's own parser takes what we give it; a wrong name names the nearest."""
    pytest.importorskip("accelerate")
    from accelerate.commands.launch import launch_command_parser

    given = launch_words({"num_processes": 4, "config_file": "z.yaml", "num_machines": 2}, WORDS)[3:]
    parsed = launch_command_parser().parse_args(given)
    assert (parsed.num_processes, parsed.config_file, parsed.num_machines) == (4, "z.yaml", 2)
    assert parsed.module and [parsed.training_script, *parsed.training_script_args] == ["rubricate", *WORDS]
    with pytest.raises(SettingsError, match="did you mean 'num_processes'"):
        launch_words({"num_proceses": 2}, WORDS)
    with pytest.raises(SettingsError, match="single values"):
        launch_words({"num_processes": {"a": 1}}, WORDS)


def test_two_processes_train_together(desk, policy):
    """Two processes on the CPU: the same step as one has, one grader's bill, one folder, no question twice,
    one line in the log for each step."""
    write(desk.path / "p.json", prompts())
    both = ("launch.cpu=true", "launch.num_processes=2", "files.responses_file=p.json")
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with Served() as server:
        env["LITELLM_BASE_URL"] = server.base_url
        words = line("grpo", policy, *both, "recipe.steps=2", "files.output_dir=two")
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]
        asked = Counter(request["messages"][-1]["content"] for request in server.requests)
    assert set(asked.values()) == {1}
    told = summary("two")
    assert told["rollouts"] == 16 and told["unjudged"]["n"] == 16
    (session,) = told["sessions"]
    assert session["processes"] == 2 and session["calls_paid"] == len(asked) <= 16
    steps = [entry for entry in log("two") if "reward" in entry]
    assert [entry["step"] for entry in steps] == [1, 2]
    assert all(entry["rubric/completions"] == 8 and entry["rubric/groups"] == 2 for entry in steps)
    assert done.stdout.count("step 1 of 2") == 1
