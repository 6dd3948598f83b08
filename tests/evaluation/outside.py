"""Real files beside the repository, where they are: outside data is read, never copied here."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def outside(name: str) -> str:
    """The path of a file of the outside data; skips the test where there is none."""
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"needs the outside file {name}")
    return str(path)
