"""The sample pool that ships with the package: prompts with sixteen responses of known quality each."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

SAMPLE = "sample"
"""What `files.responses_file` says to mean it."""


def sample_pool() -> Path:
    """The file: JSON Lines of `{id, domain, prompt, responses}`, a response being `{generator, response,
    gold, kind, reason}`."""
    return Path(str(files("rubricate.data").joinpath("sample_pool.jsonl")))
