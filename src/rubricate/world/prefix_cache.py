"""A provider's prefix cache: what it serves again of a question that begins like an earlier one.

Prompts are cut into blocks of tokens; a block is known by its tokens and by all before it, so that a question
is served as far as it agrees with anything asked before, in whole blocks, and only from a least length on.
OpenAI documents 1,024 tokens in steps of 128 (Prompt caching guide); vLLM's automatic prefix caching keeps
blocks of 16. What a real cache forgets, after minutes or for want of room, this one keeps; and a question
counts as computed as soon as it has arrived, where real servers need the time of its prefill. So it gives the
most that an order of asking can give. How much that is depends on the order of arrival: whoever compares two
runs must fix it, as benchmarks/cost.py does (one prompt after the other, within the process).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from rubricate.domain.conversation import Message
from rubricate.world.dials import ServerDials
from rubricate.world.tokens import tokens_of

_TURN = 4


class PrefixCache:
    """Remembers 16 bytes for each block of `block` tokens that was asked of a model."""

    def __init__(self, block: int, least: int):
        self._block, self._least = block, least
        self._known: set[bytes] = set()

    def cached_of(self, model: str, messages: Sequence[Message]) -> int:
        """How many tokens of the question are served from the cache; from then on all of it is in there.

        A multiple of the block, less than the whole question, and 0 below the least length. Linear in the
        question's length.
        """
        tokens = [token for message in messages for token in _of_turn(message)]
        chain, cached, is_known = hashlib.blake2b(model.encode(), digest_size=16), 0, True
        for start in range(0, len(tokens) - self._block + 1, self._block):
            chain.update("\0".join(tokens[start : start + self._block]).encode())
            key = chain.digest()
            is_known = is_known and key in self._known
            # The last token is always computed, since its answer is asked for.
            if is_known and start + self._block < len(tokens):
                cached = start + self._block
            self._known.add(key)
        return cached if cached >= self._least else 0


def cache_of(dials: ServerDials) -> PrefixCache | None:
    """The cache that the dials ask for, if any."""
    return PrefixCache(dials.cache_block, dials.cache_from) if dials.cache_block else None


def _of_turn(message: Message) -> list[str]:
    """The tokens of a turn, with those that frame it."""
    return [f"<{message.role}>", *["<>"] * (_TURN - 1), *tokens_of(message.content)]
