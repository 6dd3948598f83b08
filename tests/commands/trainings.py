"""Trainings of a tiny policy, as a user would type them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from tests.served import Outcome, command

CRITERIA = ["The response touches on amber.", "The response touches on basalt."]
SMALL = (
    "recipe.prompts_per_step=2",
    "recipe.rollouts=4",
    "recipe.max_sequence=16",
    "recipe.max_prompt=8",
    "recipe.learning_rate=0.01",
    "recipe.save_every=2",
    "api.structured_output=off",
    "api.hedge=0",
)
OFFLINE = ("models.verifier=offline", "models.rubric_generator=offline")


def prompts(n: int = 4, *, rubric: bool = True) -> list[dict[str, Any]]:
    """Prompts of words that the policy knows, each with a rubric that the actor can grade."""
    texts = ["the sun is", "the rain is", "the wind is", "a b c is", "the snow", "a d c"][:n]
    criteria = [{"criterion": text, "weight": place + 1} for place, text in enumerate(CRITERIA)]
    return [
        {"id": f"p{place}", "prompt": text, **({"criteria": criteria} if rubric else {})}
        for place, text in enumerate(texts)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    """The rows as a JSON file; its name."""
    path.write_text(json.dumps(rows))
    return path.name


def train(kind: str, policy: str, *words: str) -> Outcome:
    """`rubricate train KIND` on this policy, with the settings that make it small."""
    small = SMALL if kind == "grpo" else ("recipe.batch=2", "recipe.max_sequence=24", "recipe.save_every=2")
    return command("train", kind, f"policy.model={policy}", *small, *words)


def line(kind: str, policy: str, *words: str) -> list[str]:
    """The same as a command line for another process."""
    small = SMALL if kind == "grpo" else ("recipe.batch=2", "recipe.max_sequence=24", "recipe.save_every=2")
    return [sys.executable, "-m", "rubricate", "train", kind, f"policy.model={policy}", *small, *words]


def summary(name: str) -> dict[str, Any]:
    """What the summary of a training says."""
    return msgspec.json.decode(Path(f"workflow_outs/{name}/summary.json").read_bytes())


def weights(name: str) -> dict[str, Any]:
    """The trained weights."""
    from safetensors.torch import load_file

    return load_file(f"workflow_outs/{name}/policy/model.safetensors")


def log(name: str) -> list[dict[str, Any]]:
    """The log of a training."""
    lines = Path(f"workflow_outs/{name}/log_history.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line) for line in lines]


def command_json(*words: str) -> dict[str, Any]:
    """What `rubricate ... --json` prints."""
    told = command(*words, "--json")
    assert told.code == 0, told.text
    return json.loads(told.text)
