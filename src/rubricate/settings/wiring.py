"""Endpoints -> chats: builds the chain ledger -> budget -> circuit -> retry -> throttle -> hedge -> http; by
batch, ledger -> budget -> circuit -> retry -> batch. Nobody else knows it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from rubricate.errors import ChatError, SettingsError
from rubricate.llm.batches.chat import BatchChat
from rubricate.llm.batches.parts import Limits as BatchLimits
from rubricate.llm.batches.waits import Waits
from rubricate.llm.budget import Budget, BudgetChat
from rubricate.llm.chat import Chat, Reply, Request
from rubricate.llm.circuit import CircuitChat
from rubricate.llm.dialect import Dialect, DialectStore
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.hedge import HedgedChat
from rubricate.llm.http import HttpChat
from rubricate.llm.ledger import Ledger, LedgerChat, LedgerDialects
from rubricate.llm.local.server import ServedChat, Server
from rubricate.llm.retry import RetryChat
from rubricate.llm.throttle import ThrottledChat
from rubricate.settings.schema import Api, BatchMode

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
    """An open chain to one endpoint, and its links that have something to tell. `batch` only where the line
    asks by batch."""

    endpoint: Endpoint
    chat: LedgerChat
    retry: RetryChat
    http: HttpChat
    hedge: HedgedChat | None = None
    batch: BatchChat | None = None


class Limits(Protocol):
    """The links that keep an account's limits: how fast, and for how much."""

    def paced(self, inner: Chat, line: str) -> Chat:
        """A chat around another that keeps to the speed allowed on this line (one endpoint)."""
        ...

    def paid(self, inner: Chat, *, by_batch: bool = False) -> Chat:
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

    def paid(self, inner: Chat, *, by_batch: bool = False) -> Chat:
        """Paid from the one budget."""
        return BudgetChat(inner, self.budget, by_batch=by_batch)


class Wiring:
    """Opens one line per endpoint and way of asking, on first use, and closes all of them at the end.

    `tries` bounds how often a question is asked that may itself be the reason for its failure. `batch` says
    how batches are made, and `say` hears of them.
    """

    def __init__(
        self,
        api: Api,
        ledger: Ledger,
        limits: Limits,
        opened: AsyncExitStack,
        *,
        tries: int = 6,
        batch: BatchMode | None = None,
        say: Callable[[str], None] = lambda line: None,
    ):
        self._api, self._ledger, self._limits, self._opened = api, ledger, limits, opened
        self._tries, self._batch, self._say = tries, batch, say
        self.lines: dict[tuple[Endpoint, bool], Line] = {}

    async def line(
        self, endpoint: Endpoint, name: str, server: Server | None = None, *, by_batch: bool = False
    ) -> Line:
        """The line to an endpoint; `name` is what messages call it, `server` ours that answers there.

        Raises:
            SettingsError: it is to be asked by batch, and has no batch endpoints.
        """
        key = (endpoint, by_batch)
        if key not in self.lines:
            opening = self._open_by_batch(endpoint, name) if by_batch else self._open(endpoint, name, server)
            self.lines[key] = await opening
        return self.lines[key]

    async def _http(self, endpoint: Endpoint) -> HttpChat:
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
        return await self._opened.enter_async_context(http)

    async def _open(self, endpoint: Endpoint, name: str, server: Server | None) -> Line:
        api, http = self._api, await self._http(endpoint)
        prefix = _prefix(endpoint)
        hedge = HedgedChat(http, share=api.hedge, unknown_s=api.timeout_s / 2)
        answering: Chat = PlainNames(hedge, prefix) if prefix else hedge
        paced = self._limits.paced(answering if server is None else ServedChat(answering, server), name)
        retry = self._retry(paced)
        paid = self._limits.paid(CircuitChat(retry, name))
        return Line(endpoint, LedgerChat(paid, self._ledger), retry, http, hedge=hedge)

    async def _open_by_batch(self, endpoint: Endpoint, name: str) -> Line:
        assert self._batch is not None, "who asks by batch says how"
        api, batch, http = self._api, self._batch, await self._http(endpoint)
        chat = BatchChat(
            endpoint,
            self._ledger,
            http,
            waits=Waits(batch.linger_s, batch.poll_s, batch.longest_poll_s, api.patience_s),
            limits=BatchLimits(requests=batch.max_requests),
            window=batch.window,
            unprefixed=_prefix(endpoint),
            timeout_s=api.timeout_s,
            say=self._say,
        )
        await self._opened.enter_async_context(chat)
        await _must_be_offered(chat, endpoint)
        retry = self._retry(chat)
        paid = self._limits.paid(CircuitChat(retry, name), by_batch=True)
        return Line(endpoint, LedgerChat(paid, self._ledger), retry, http, batch=chat)

    def _retry(self, inner: Chat) -> RetryChat:
        return RetryChat(
            inner,
            patience_s=self._api.patience_s,
            first_patience_s=_FIRST_PATIENCE_S,
            tries=self._tries,
            silent_tries=min(self._tries, _SILENT_TRIES),
            cap_s=_LONGEST_WAIT_S,
        )


def _prefix(endpoint: Endpoint) -> str:
    """What model names lose on their way to the provider itself."""
    return "openai/" if urlsplit(endpoint.base_url).hostname == "api.openai.com" else ""


async def _must_be_offered(chat: BatchChat, endpoint: Endpoint) -> None:
    """Finds out before anything is asked. What else may be wrong with the endpoint shows with the first call,
    which is tried again and stops the run resumably."""
    try:
        is_offered = await chat.is_offered()
    except ChatError:
        return
    if not is_offered:
        raise SettingsError(
            f"api.mode is 'batch', and {endpoint.base_url} has no batch endpoints (no GET /batches): "
            "use api.mode=interactive, or an endpoint that has them"
        )
