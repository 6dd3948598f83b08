"""Readable label files: one letter a verdict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

SAID = {"+": True, "-": False, "?": None}
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def a_row(prompt: int, labels: str, *, response: str = "amber and dune", **more: Any) -> dict[str, Any]:
    """A response to a prompt with one criterion a letter: + true, - false, ? without a label."""
    criteria = [
        {"criterion": f"The response touches on {word}.", "weight": 1, "label": SAID[label]}
        for word, label in zip(WORDS, labels, strict=False)
    ]
    id = more.pop("id", f"r{prompt}")
    row = {"id": id, "prompt_id": f"p{prompt}", "prompt": f"Ask {prompt}.", "generator": "m"}
    return {**row, "response": response, "criteria": criteria, **more}


WORDS = ("amber", "dune", "ember", "fjord", "garnet", "island", "kestrel", "lagoon")


def judged(row: dict[str, Any], verdicts: str, **more: Any) -> dict[str, Any]:
    """The row with verdicts in place of labels."""
    criteria = [
        {"criterion": given["criterion"], "verdict": SAID[said]}
        for given, said in zip(row["criteria"], verdicts, strict=True)
    ]
    return {**row, "criteria": criteria, **more}


def write(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    """The rows as JSON Lines; the path as text."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def real(name: str) -> str:
    """A file of public data beside the project; the test is skipped where it is not."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not beside the project")
    return str(path)
