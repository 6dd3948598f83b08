"""Fixtures of this room."""

from tests.forks import forks
from tests.served import desk

__all__ = ["desk", "forks"]
