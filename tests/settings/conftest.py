"""Fixtures of this room."""

from tests.served import desk

__all__ = ["desk"]
