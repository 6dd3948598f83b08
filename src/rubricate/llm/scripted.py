"""A chat that answers from a function: the fake of the tests, and a real implementation of the seam."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

from rubricate.llm.chat import Reply, Request

Answer = Reply | str


class ScriptedChat:
    """Answers with what `answer(request)` returns, which may raise, and may be async.

    `requests` keeps everything that was asked, in the order of asking.
    """

    def __init__(self, answer: Callable[[Request], Answer | Awaitable[Answer]]):
        self._answer = answer
        self.requests: list[Request] = []

    async def ask(self, request: Request) -> Reply:
        """The scripted reply; a plain string becomes a complete reply of that text."""
        self.requests.append(request)
        answer = self._answer(request)
        if inspect.isawaitable(answer):
            answer = await answer
        return Reply(answer) if isinstance(answer, str) else answer
