"""Endpoints -> chats: builds the chain ledger -> budget -> circuit -> retry -> throttle -> http. Nobody else
knows it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from rubricate.llm.budget import Budget, BudgetChat
from rubricate.llm.chat import Chat, Reply, Request
from rubricate.llm.circuit import CircuitChat
from rubricate.llm.dialect import Dialect, DialectStore
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.http import HttpChat
from rubricate.llm.ledger import Ledger, LedgerChat, LedgerDialects
from rubricate.llm.retry import RetryChat
from rubricate.llm.server import ServedChat, Server
from rubricate.llm.throttle import ThrottledChat
from rubricate.settings.schema import Api

_FIRST_PATIENCE_S = 30.0  # for a server that never answered yet: it may be starting, or the address is wrong


class InWords:
    """Dialects for a run that asks by instruction only: no schema is ever sent, whatever was learnt."""

    def __init__(self, inner: DialectStore):
        self._inner = inner

    async def get(self, base_url: str, model: str) -> Dialect | None:
        """What is known, without schemas."""
        known = await self._inner.get(base_url, model)
        return msgspec.structs.replace(known or Dialect(), structured=False)

    async def put(self, base_url: str, model: str, dialect: Dialect) -> None:
        """Remembers; what was forbidden by a setting was not learnt, and leaves what was as it is."""
        known = await self._inner.get(base_url, model)
        structured = known.structured if known is not None else None
        await self._inner.put(base_url, model, msgspec.structs.replace(dialect, structured=structured))


class PlainNames:
    """A chat around another that drops the provider from model names, where the provider itself is asked:
    published configs say `openai/gpt-4.1`, as a LiteLLM proxy wants it, api.openai.com does not."""

    def __init__(self, inner: Chat, prefix: str):
        self._inner, self._prefix = inner, prefix

    async def ask(self, request: Request) -> Reply:
        """The reply of the inner chat."""
        return await self._inner.ask(
            msgspec.structs.replace(request, model=request.model.removeprefix(self._prefix))
        )


@dataclass
class Line:
    """An open chain to one endpoint, and its links that have something to tell."""

    endpoint: Endpoint
    chat: LedgerChat
    retry: RetryChat
    http: HttpChat


class Limits(Protocol):
    """The links that keep an account's limits: how fast, and for how much."""

    def paced(self, inner: Chat, line: str) -> Chat:
        """A chat around another that keeps to the speed allowed on this line (one endpoint)."""
        ...

    def paid(self, inner: Chat) -> Chat:
        """A chat around another that keeps to the budget, which all lines share."""
        ...


@dataclass
class OwnLimits:
    """The limits of the settings, kept by this process."""

    api: Api
    budget: Budget

    def paced(self, inner: Chat, line: str) -> Chat:
        """Throttled, each line for itself."""
        api = self.api
        return ThrottledChat(inner, api.workers, rpm=api.requests_per_minute, tpm=api.tokens_per_minute)

    def paid(self, inner: Chat) -> Chat:
        """Paid from the one budget."""
        return BudgetChat(inner, self.budget)


class Wiring:
    """Opens one line per endpoint, on first use, and closes all of them at the end.

    `tries` bounds how often a question is asked that may itself be the reason for its failure.
    """

    def __init__(self, api: Api, ledger: Ledger, limits: Limits, opened: AsyncExitStack, *, tries: int = 3):
        self._api, self._ledger, self._limits, self._opened = api, ledger, limits, opened
        self._tries = tries
        self.lines: dict[Endpoint, Line] = {}

    async def line(self, endpoint: Endpoint, name: str, server: Server | None = None) -> Line:
        """The line to an endpoint; `name` is what messages call it, `server` ours that answers there."""
        if endpoint not in self.lines:
            self.lines[endpoint] = await self._open(endpoint, name, server)
        return self.lines[endpoint]

    async def _open(self, endpoint: Endpoint, name: str, server: Server | None) -> Line:
        api = self._api
        learnt = LedgerDialects(self._ledger)
        dialects = learnt if api.structured_output == "auto" else InWords(learnt)
        http = HttpChat(
            endpoint, dialects, connections=api.workers, timeout_s=api.timeout_s, client=api.client
        )
        await self._opened.enter_async_context(http)
        is_openai = urlsplit(endpoint.base_url).hostname == "api.openai.com"
        answering: Chat = PlainNames(http, "openai/") if is_openai else http
        paced = self._limits.paced(answering if server is None else ServedChat(answering, server), name)
        retry = RetryChat(
            paced, patience_s=api.patience_s, first_patience_s=_FIRST_PATIENCE_S, tries=self._tries
        )
        circuit = CircuitChat(retry, name)
        return Line(endpoint, LedgerChat(self._limits.paid(circuit), self._ledger), retry, http)
