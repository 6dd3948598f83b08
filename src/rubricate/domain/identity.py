"""Content keys: same content, same key, on every machine and in every year.

Everything that is remembered (replies, verdicts, finished prompts) is remembered under such a key, and
every tie and shuffle is settled by one, so nothing depends on file order or on arrival order.
"""

from __future__ import annotations

import hashlib

import msgspec

_encode = msgspec.json.Encoder(order="sorted").encode


def key_of(kind: str, *parts: object) -> str:
    """Content key of `parts`: 32 hexadecimal digits (BLAKE2b, 128 bits).

    `kind` separates the name spaces, so that a prompt and a response of one text have different keys.
    Parts may be anything that msgspec writes as JSON; fields of a mapping count in any order.
    """
    return hashlib.blake2b(_encode([kind, *parts]), digest_size=16).hexdigest()


def chance_of(seed: int, *parts: object) -> float:
    """A number in [0, 1) fixed by the seed and the content: the only chance that rules may use."""
    return int(key_of("chance", seed, *parts)[:13], 16) / 16**13
