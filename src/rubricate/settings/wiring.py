"""Endpoints -> chats: builds the chain ledger -> budget -> circuit -> retry -> throttle -> hedge -> http.
Nobody else knows it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from rubricate.llm.budget import Budget, BudgetChat
from rubricate.llm.chat import Chat, Reply, Request
from rubricate.llm.circuit import CircuitChat
from rubricate.llm.dialect import Dialect, DialectStore
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.hedge import HedgedChat
from rubricate.llm.http import HttpChat
from rubricate.llm.ledger import Ledger, LedgerChat, LedgerDialects
from rubricate.llm.retry import RetryChat
from rubricate.llm.server import ServedChat, Server
from rubricate.llm.throttle import ThrottledChat
from rubricate.settings.schema import Api

_FIRST_PATIENCE_S = 30.0  # for a server that never answered yet: it may be starting, or the address is wrong
_LONGEST_WAIT_S = 10.0  # between two tries: soon after an outage everybody is back
_SILENT_TRIES = 3
_PROBE_AGAIN_S = (5.0, 15.0)  # a first small question that is not answered is sent again after these waits


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
    throttle: ThrottledChat
    retry: RetryChat
    hedge: HedgedChat
    http: HttpChat


class Wiring:
    """Opens one line per endpoint, on first use, and closes all of them at the end.

    `tries` bounds how often a question is asked that may itself be the reason for its failure.
    """

    def __init__(self, api: Api, ledger: Ledger, budget: Budget, opened: AsyncExitStack, *, tries: int = 6):
        self._api, self._ledger, self._budget, self._opened = api, ledger, budget, opened
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
            endpoint,
            dialects,
            connections=2 * api.workers if api.hedge else api.workers,
            timeout_s=api.timeout_s,
            client=api.client,
            probe_again_s=_PROBE_AGAIN_S if api.hedge else (),
        )
        await self._opened.enter_async_context(http)
        is_openai = urlsplit(endpoint.base_url).hostname == "api.openai.com"
        hedge = HedgedChat(http, share=api.hedge, unknown_s=api.timeout_s / 2)
        answering: Chat = PlainNames(hedge, "openai/") if is_openai else hedge
        throttle = ThrottledChat(
            answering if server is None else ServedChat(answering, server),
            api.workers,
            rpm=api.requests_per_minute,
            tpm=api.tokens_per_minute,
        )
        retry = RetryChat(
            throttle,
            patience_s=api.patience_s,
            first_patience_s=_FIRST_PATIENCE_S,
            tries=self._tries,
            silent_tries=min(self._tries, _SILENT_TRIES),
            cap_s=_LONGEST_WAIT_S,
        )
        circuit = CircuitChat(retry, name)
        return Line(
            endpoint,
            LedgerChat(BudgetChat(circuit, self._budget), self._ledger),
            throttle,
            retry,
            hedge,
            http,
        )
