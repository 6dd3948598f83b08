"""Where each question is, as facts of the ledger: kept before anything waits on them, so that a process that
is killed at any moment finds its batches again.

`batch of ENDPOINT REQUEST` names the batch in which a request was asked last; `batch ENDPOINT BATCH` says
what is known of that batch. Both are written before it is submitted, and its id as soon as it is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from rubricate.domain.identity import key_of
from rubricate.llm.ledger import Ledger

_AT_ONCE = 1_000


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a batch. `key` is its content key, which stands in its metadata; `id` the provider's
    name for it, "" until it is known. `at` is the time of submission in seconds since 1970, by our clock."""

    key: str
    model: str
    stage: Literal["submitting", "submitted"]
    file_id: str
    n: int
    at: float
    id: str = ""


class BatchFacts:
    """The facts of one endpoint. The address is kept as a digest: some carry a password."""

    def __init__(self, ledger: Ledger, base_url: str):
        self._ledger, self._where = ledger, key_of("endpoint", base_url)

    async def batch_of(self, request_key: str) -> str | None:
        """The key of the batch in which the request was asked last, None when it is owed."""
        return await self._ledger.fact(self._place(request_key)) or None

    async def place(self, request_keys: Sequence[str], batch_key: str) -> None:
        """Remembers in which batch these requests are; "" for none."""
        for start in range(0, len(request_keys), _AT_ONCE):
            part = request_keys[start : start + _AT_ONCE]
            await asyncio.gather(*(self._ledger.keep_fact(self._place(key), batch_key) for key in part))

    async def free(self, request_keys: Iterable[str]) -> None:
        """These requests are owed again: what their batch said of them is no answer."""
        await self.place(list(request_keys), "")

    async def kept(self, batch_key: str) -> Kept | None:
        """What is known of a batch; None when nothing is, or when another version wrote it."""
        text = await self._ledger.fact(f"batch {self._where} {batch_key}")
        try:
            return None if text is None else msgspec.json.decode(text, type=Kept)
        except msgspec.DecodeError:
            return None

    async def keep(self, kept: Kept) -> None:
        """Remembers what is known of a batch."""
        text = msgspec.json.encode(kept).decode()
        await self._ledger.keep_fact(f"batch {self._where} {kept.key}", text)

    async def new_key(self, request_keys: Sequence[str]) -> str:
        """The content key of a batch of these requests: the n-th of the same content has a key of its own,
        so that one that came to nothing is not taken for the next."""
        content, n = key_of("batch", sorted(request_keys)), 0
        while await self.kept(key := key_of("batch", content, n)) is not None:
            n += 1
        return key

    def _place(self, request_key: str) -> str:
        return f"batch of {self._where} {request_key}"
