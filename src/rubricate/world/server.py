"""The world behind a real OpenAI-compatible HTTP server, with its latencies and its faults.

    async with WorldServer(World(dials, seed=0)) as server:
        ... server.base_url ...

What is answered depends on seed, dials and question. Whether a call fails, and how long it takes, depends on
seed, question and on how often that very question was asked before: so a repeated call meets another fate,
and no fate depends on the order in which different questions arrive (with `server.cache_block` the count of
cached tokens does: see prefix_cache). Samples of one prompt are its draws
0, 1, 2, ... as they are asked for. The server remembers 16 bytes and a count of every question.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import re
from collections import Counter
from statistics import NormalDist
from typing import Any

import msgspec

from rubricate.domain.conversation import Message
from rubricate.domain.identity import chance_of
from rubricate.errors import RunError
from rubricate.llm.chat import Schema
from rubricate.world.allowance import Allowance
from rubricate.world.batches import WorldBatches
from rubricate.world.faults import LINE_FAULTS, ODD_FAULTS, Said, spoil
from rubricate.world.prefix_cache import PrefixCache, cache_of
from rubricate.world.tokens import n_tokens
from rubricate.world.world import World, usage_of

MODELS = (
    "openai/gpt-4.1",
    "openai/gpt-4.1-mini",
    "great-1",
    "great-2",
    "good-1",
    "good-2",
    "fair-1",
    "weak-1",
)
_HEAD_BYTES, _BODY_BYTES = 64 * 1024, 256 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
_NORMAL = NormalDist()
_PIECE = re.compile(r"\s*(\w{1,6}|[^\w\s])")


class _Turn(msgspec.Struct):
    role: str
    content: str | list[dict[str, Any]] | None = None

    @property
    def message(self) -> Message:
        parts = self.content if isinstance(self.content, list) else [{"text": self.content or ""}]
        return Message(self.role, "".join(str(part.get("text", "")) for part in parts))


class _JsonSchema(msgspec.Struct):
    name: str
    schema: dict[str, Any] = {}


class _Format(msgspec.Struct):
    type: str
    json_schema: _JsonSchema | None = None


class _Call(msgspec.Struct):
    model: str
    messages: list[_Turn]
    response_format: _Format | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool = False
    n: int | None = None


_decode = msgspec.json.Decoder(_Call).decode


class WorldServer:
    """Serves one world on 127.0.0.1; an async context manager.

    With an `api_key` all others get a 401. `models` are listed; any other name is answered as well. Counted:
    `n_calls`, and `fates`: how many calls were answered well ("200") or met which fault.
    """

    def __init__(self, world: World, *, api_key: str | None = None, models: tuple[str, ...] = MODELS):
        self._world, self._api_key, self._models = world, api_key, models
        self._cache: PrefixCache | None = cache_of(world.dials.server)
        self._asked: Counter[bytes] = Counter()
        self._answered: Counter[bytes] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._outage_ends: float | None = None
        self.batches = WorldBatches(world.dials.batches, world.seed, self._row)
        dials = world.dials.server
        self._requests, self._tokens = (
            Allowance(dials.requests_per_minute),
            Allowance(dials.tokens_per_minute),
        )
        self.n_calls, self.fates, self.base_url = 0, Counter[str](), ""

    async def __aenter__(self) -> WorldServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        """Listens; 0 picks a free port.

        Raises:
            RunError: the port is taken.
        """
        try:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", port, limit=_HEAD_BYTES, backlog=2048
            )
        except OSError as taken:
            raise RunError(
                f"port {port} cannot be had ({taken.strerror}); choose another with --port"
            ) from None
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        """Closes everything, unanswered calls included."""
        self._server.close()
        await self.batches.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether the connection stays."""
        head = await reader.readuntil(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        method, _, path = line.rpartition(" ")[0].partition(" ")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (row.partition(":") for row in rest)
        }
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > _BODY_BYTES or "transfer-encoding" in headers:
            return await _send(writer, 413, _error("the body needs a Content-Length of at most 256 MiB"))
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(length))
        stays = headers.get("connection", "").lower() != "close"
        target, path = path, path.partition("?")[0].rstrip("/")
        key = headers.get("authorization", "").removeprefix("Bearer ")
        if self.batches.is_mine(path):
            if self._api_key is not None and key != self._api_key:
                return await self._end(writer, 401, _error("Incorrect API key provided", "invalid_api_key"))
            said = await self.batches.serve(method, target, headers.get("content-type", ""), body)
            writer.write(_packed(said.status, said.body, said.content_type))
            await writer.drain()
            return stays
        if method == "GET" and path.endswith("/models"):
            listed = [{"id": name, "object": "model", "owned_by": "rubricate"} for name in self._models]
            return await _send(writer, 200, {"object": "list", "data": listed}) and stays
        if method == "GET" and path == "/health":
            return await _send(writer, 200, {"status": "ok"}) and stays
        if method != "POST" or not path.endswith("/chat/completions"):
            return await _send(writer, 404, _error(f"there is no {method} {path} here")) and stays
        return await self._chat(reader, writer, body, key) and stays

    async def _chat(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes, key: str
    ) -> bool:
        self.n_calls += 1
        try:
            call = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return await self._end(writer, 400, _error(f"no chat request: {error}"))
        if call.stream or (call.n or 1) != 1:
            return await self._end(writer, 400, _error("one whole answer at a time: no stream, n is 1"))
        digest = hashlib.blake2b(body, digest_size=16).digest()
        turn = self._asked[digest]
        self._asked[digest] += 1
        if refusal := self._refusal(call.model, key):
            return await self._end(writer, *refusal)
        now = asyncio.get_running_loop().time()
        if wait_s := max(self._requests.wait_s(now), self._tokens.wait_s(now)):
            self._asked[digest] -= 1  # a call that was not let in has met no fate
            return await self._end(writer, 429, _error("over the limit"), "over the limit", f"{wait_s:.3f}")
        self._requests.take(1)
        fault = self._fault(digest, turn)
        if fault == "reset":
            self.fates[fault] += 1
            writer.transport.abort()
            return False
        if fault == "hang":
            self.fates[fault] += 1
            await reader.read()  # until the client gives up
            return False
        if fault and fault[:3].isdigit():
            await asyncio.sleep(self._latency_s(digest, turn, 0))
            status, _, wait = fault.partition("/")
            return await self._end(writer, int(status), _error(f"a fault: {status}"), fault, wait)
        said = self._said(call, digest)
        self._tokens.take(said.body["usage"]["total_tokens"])
        if fault is not None and fault in ODD_FAULTS:
            spoil(fault, said)
        await asyncio.sleep(self._latency_s(digest, turn, said.body["usage"]["completion_tokens"]))
        self.fates[fault or "200"] += 1
        return await self._deliver(writer, _packed(200, said.encoded(), said.content_type), fault)

    def _row(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """The answer to a row of a batch: that of a single call, in a place without latency and faults."""
        try:
            call = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return 400, _error(f"no chat request: {error}")
        return 200, self._said(call, hashlib.blake2b(body, digest_size=16).digest()).body

    def _said(self, call: _Call, digest: bytes) -> Said:
        """The good answer, cut at the limit on tokens that the call has."""
        messages = tuple(turn.message for turn in call.messages)
        form = call.response_format.json_schema if call.response_format else None
        schema = Schema(form.name, form.schema) if form else None
        draw = self._answered[digest]
        self._answered[digest] += 1
        text, finish = self._world.answer(call.model, messages, schema, draw), "stop"
        limit = call.max_completion_tokens or call.max_tokens
        if limit and n_tokens(text) > limit:
            text, finish = _first_tokens(text, limit), "length"
        cached = self._cache.cached_of(call.model, messages) if self._cache else None
        return Said(_completion(call.model, messages, text, finish, cached))

    def _refusal(self, model: str, key: str) -> tuple[int, dict[str, Any], str, str] | None:
        """The outage, the key and the model: what befalls all calls alike."""
        dials, now = self._world.dials.server, asyncio.get_running_loop().time()
        if self._outage_ends is None:
            self._outage_ends = now + dials.outage_s
        if now < self._outage_ends:
            return 503, _error("an outage"), "outage", ""
        if self._api_key is not None and key != self._api_key:
            return 401, _error("Incorrect API key provided", "invalid_api_key"), "401", ""
        if dials.key_expires_after and self.n_calls > dials.key_expires_after:
            return 401, _error("The API key has expired", "invalid_api_key"), "key expired", ""
        if dials.model_gone_after and self.n_calls > dials.model_gone_after:
            return 404, _error(f"The model {model} does not exist", "model_not_found"), "model gone", ""
        return None

    def _fault(self, digest: bytes, turn: int) -> str | None:
        faults = self._world.dials.faults
        drawn = chance_of(self._world.seed, "fault", digest.hex(), turn) if faults else 1.0
        for name, chance in faults.items():
            drawn -= chance
            if drawn < 0:
                return name
        return None

    def _latency_s(self, digest: bytes, turn: int, tokens: int) -> float:
        dials = self._world.dials.server
        if not dials.latency_s:
            return dials.token_s * tokens
        chance = chance_of(self._world.seed, "latency", digest.hex(), turn)
        strays = _NORMAL.inv_cdf(min(max(chance, 1e-6), 1 - 1e-6))
        return dials.latency_s * math.exp(dials.latency_spread * strays) + dials.token_s * tokens

    async def _deliver(self, writer: asyncio.StreamWriter, packed: bytes, fault: str | None) -> bool:
        """Writes an answer, or as much of it as its fault lets through."""
        if fault == "drip":
            for byte in packed:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(self._world.dials.server.drip_s)
            return True
        is_cut = fault in LINE_FAULTS
        sent = memoryview(packed)[: -len(packed) // 3] if is_cut else memoryview(packed)
        for start in range(0, len(sent), _PIECE_BYTES):  # a long buffer is slow to take from
            writer.write(sent[start : start + _PIECE_BYTES])
            await writer.drain()
        return not is_cut

    async def _end(
        self, writer: asyncio.StreamWriter, status: int, body: dict[str, Any], fate: str = "", wait: str = ""
    ) -> bool:
        self.fates[fate or str(status)] += 1
        return await _send(writer, status, body, wait)


def _first_tokens(text: str, limit: int) -> str:
    pieces = [found.end() for found in _PIECE.finditer(text)]
    return text[: pieces[limit - 1]]


def _completion(
    model: str, messages: tuple[Message, ...], text: str, finish: str, cached: int | None
) -> dict[str, Any]:
    usage = usage_of(messages, text)
    details = {} if cached is None else {"prompt_tokens_details": {"cached_tokens": cached}}
    return {
        "id": "chatcmpl-world",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "system_fingerprint": "rubricate-world",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            **details,
        },
    }


def _error(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "world_error", "param": None, "code": code}}


def _packed(status: int, body: bytes, content_type: str, wait: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status} World", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"Retry-After: {wait}"] if wait else []
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _send(writer: asyncio.StreamWriter, status: int, body: dict[str, Any], wait: str = "") -> bool:
    writer.write(_packed(status, msgspec.json.encode(body), "application/json", wait))
    await writer.drain()
    return status != 413
