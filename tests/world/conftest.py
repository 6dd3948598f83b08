"""Fixtures of this room."""

from __future__ import annotations

import pytest

from rubricate.world.dials import PERFECT
from rubricate.world.world import World


@pytest.fixture(scope="session")
def world() -> World:
    """A world with the usual dials."""
    return World(seed=1)


@pytest.fixture(scope="session")
def perfect() -> World:
    """A world whose models make no mistake."""
    return World(PERFECT, seed=1)
