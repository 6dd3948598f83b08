"""A chat that asks for other draws of the same questions, for what measures a model more than once."""

from __future__ import annotations

import msgspec

from rubricate.llm.chat import Chat, Reply, Request


class LaterDraw:
    """A chat around another that asks for later draws: `by` is added to the draw of every request.

    Draw 0 of a grader and its further askings are the entries of the ledger that runs leave; draw k begins
    where draw k - 1 cannot reach, so no two draws share a reply.
    """

    def __init__(self, inner: Chat, by: int):
        self._inner, self._by = inner, by

    async def ask(self, request: Request) -> Reply:
        """The reply of the inner chat."""
        if not self._by:
            return await self._inner.ask(request)
        return await self._inner.ask(msgspec.structs.replace(request, draw=request.draw + self._by))
