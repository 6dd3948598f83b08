"""Tokens as the world counts them: words, cut into pieces of six letters, and signs; roughly as real ones."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\w{1,6}|[^\w\s]")


def tokens_of(text: str) -> list[str]:
    """The tokens of a text, in order."""
    return _TOKEN.findall(text)


def n_tokens(text: str) -> int:
    """How many tokens a text has."""
    return len(tokens_of(text))
