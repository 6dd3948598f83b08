"""The batch endpoints of the world: files, and batches that are worked off after a while.

Rows are answered by the same world as single calls, so a run by batch finds what an interactive run finds.
Whether a row fails depends on seed, row and how often it was asked; whether a batch expires, on seed and on
how many there were before. Files and batches live as long as the server.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec

from rubricate.domain.identity import chance_of, key_of
from rubricate.world.dials import BatchDials

_BREATH = 50  # rows after which single calls get a turn
_URL = "/v1/chat/completions"
_MOST_ROWS, _MOST_BYTES = 50_000, 200_000_000
_PENDING = ("validating", "in_progress", "finalizing")


class Answer(NamedTuple):
    """What goes over the wire: a status, a body, and its type."""

    status: int
    body: bytes
    content_type: str = "application/json"


class _Line(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class _Order(msgspec.Struct):
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None


class WorldBatches:
    """The files and batches of one server. `answer(body)` is what a single call with this body would get: a
    status and a body. `n_rows` counts the rows that were answered with a 200: the paid ones."""

    def __init__(self, dials: BatchDials, seed: int, answer: Callable[[bytes], tuple[int, dict[str, Any]]]):
        self._dials, self._seed, self._answer = dials, seed, answer
        self._files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()
        self.n_calls = 0

    @property
    def n_rows(self) -> int:
        """Rows that were answered with a 200."""
        return self.paid.total()

    def is_mine(self, path: str) -> bool:
        """Whether a path is of these endpoints."""
        parts = path.split("/")
        return "files" in parts or "batches" in parts

    async def stop(self) -> None:
        """Leaves all work where it is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve(self, method: str, target: str, content_type: str, body: bytes) -> Answer:
        """The answer to one call."""
        path, _, query = target.partition("?")
        parts = path.rstrip("/").removeprefix("/v1").strip("/").split("/")
        if not self._dials.offered:
            return _refused(404, f"there is no {method} {path} here")
        self.n_calls += 1
        if chance_of(self._seed, "batch call", self.n_calls) < self._dials.call_fails:
            return _refused(503, "a fault: 503")
        match method, *parts:
            case "POST", "files":
                return self._upload(content_type, body)
            case "GET", "files", id, "content" if id in self._files:
                return Answer(200, self._files[id], "application/octet-stream")
            case "POST", "batches":
                return self._submit(body)
            case "GET", "batches":
                return self._listing(query)
            case "GET", "batches", id if id in self.batches:
                return _said(self.batches[id])
            case "POST", "batches", id, "cancel" if id in self.batches:
                return self._cancel(self.batches[id])
        return _refused(404, f"there is no {method} {path} here")

    def _upload(self, content_type: str, body: bytes) -> Answer:
        form = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
        fields = {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
            for part in (form.iter_parts() if form.is_multipart() else ())
        }
        file = fields.get("file")
        if fields.get("purpose") != b"batch" or not isinstance(file, bytes):
            return _refused(400, "a form with a file and the purpose batch is needed")
        if len(file) > _MOST_BYTES:
            return _refused(413, "the file is larger than 200 MB")
        id = f"file-{len(self._files) + 1}"
        self._files[id] = file
        return _said({"id": id, "object": "file", "bytes": len(file), "purpose": "batch"})

    def _submit(self, body: bytes) -> Answer:
        try:
            order = msgspec.json.decode(body, type=_Order)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _refused(400, f"no order of a batch: {error}")
        if order.input_file_id not in self._files or order.endpoint != _URL:
            return _refused(400, "the input file or the endpoint is not known")
        if order.completion_window != "24h":
            return _refused(400, "the completion window must be 24h")
        id = f"batch_{len(self.batches) + 1}"
        batch = self.batches[id] = {
            "id": id,
            "object": "batch",
            "endpoint": order.endpoint,
            "status": "validating",
            "input_file_id": order.input_file_id,
            "completion_window": order.completion_window,
            "output_file_id": None,
            "error_file_id": None,
            "errors": None,
            "created_at": int(time.time()),
            "metadata": order.metadata,
        }
        task = asyncio.create_task(self._work_off(batch, asyncio.get_running_loop().time()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return _said(batch)

    def _listing(self, query: str) -> Answer:
        asked = parse_qs(query)
        ids = list(reversed(self.batches))
        after = asked.get("after", [""])[0]
        ids = ids[ids.index(after) + 1 :] if after in ids else ids
        limit = int(asked.get("limit", ["20"])[0])
        page = [self.batches[id] for id in ids[:limit]]
        return _said({"object": "list", "data": page, "has_more": len(ids) > limit})

    def _cancel(self, batch: dict[str, Any]) -> Answer:
        if batch["status"] in _PENDING:
            batch["status"] = "cancelled"
        return _said(batch)

    async def _work_off(self, batch: dict[str, Any], started: float) -> None:
        lines, faults = self._read(batch)
        if not faults and self._is_full(batch, lines):
            faults = [
                {"code": "token_limit_exceeded", "message": "Enqueued token limit reached", "line": None}
            ]
        if faults:
            batch |= {"status": "failed", "errors": {"object": "list", "data": faults}}
            return
        batch |= {"status": "in_progress", "request_counts": {"total": len(lines)}}
        batch["rows"] = len(lines)
        left_s = started + self._dials.turnaround_s - asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, left_s))
        if batch["status"] != "in_progress":  # cancelled meanwhile
            return
        is_cut = chance_of(self._seed, "batch expires", batch["id"]) < self._dials.expires
        output, errors = list[bytes](), list[bytes]()
        for place, line in enumerate(lines):
            if place % _BREATH == 0:
                await asyncio.sleep(0)
            if is_cut and place % 2:
                errors.append(_row(line.custom_id, error=("batch_expired", "The batch expired.")))
                continue
            self._answer_row(line, output, errors)
        batch["output_file_id"] = self._written(output)
        batch["error_file_id"] = self._written(errors)
        batch["status"] = "expired" if is_cut else "completed"

    def _answer_row(self, line: _Line, output: list[bytes], errors: list[bytes]) -> None:
        body = bytes(line.body)
        row = key_of("row", body.decode("utf-8", "replace"))
        turn = self._asked[row]
        self._asked[row] += 1
        drawn = chance_of(self._seed, "batch row", row, turn)
        if drawn < self._dials.row_lost:
            return
        if drawn - self._dials.row_lost < self._dials.row_fails:
            status = 429 if chance_of(self._seed, "batch fault", row, turn) < 0.5 else 500
            errors.append(_row(line.custom_id, status, _error(f"a fault: {status}")))
            return
        status, said = self._answer(body)
        if status == 200:
            self.paid[line.custom_id] += 1
        (output if status == 200 else errors).append(_row(line.custom_id, status, said))

    def _read(self, batch: dict[str, Any]) -> tuple[list[_Line], list[dict[str, Any]]]:
        """The lines of the input, and what is wrong with them."""
        lines, faults, models = list[_Line](), list[dict[str, Any]](), set[Any]()
        for number, text in enumerate(self._files[batch["input_file_id"]].splitlines(), 1):
            try:
                line = msgspec.json.decode(text, type=_Line)
                models.add(msgspec.json.decode(line.body).get("model"))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError):
                faults.append({"code": "invalid_json_line", "message": "no request", "line": number})
                continue
            if (line.method, line.url) != ("POST", _URL):
                faults.append({"code": "invalid_url", "message": "another endpoint", "line": number})
            lines.append(line)
        if len({line.custom_id for line in lines}) < len(lines):
            faults.append({"code": "duplicate_custom_id", "message": "an id comes twice", "line": None})
        if len(models) > 1:
            faults.append({"code": "mismatched_model", "message": "one model a batch", "line": None})
        if not 0 < len(lines) <= _MOST_ROWS:
            faults.append({"code": "invalid_size", "message": f"{len(lines)} requests", "line": None})
        batch["model"] = next(iter(models), None)
        return lines, faults

    def _is_full(self, batch: dict[str, Any], lines: list[_Line]) -> bool:
        waiting = sum(
            other.get("rows", 0)
            for other in self.batches.values()
            if other["status"] in _PENDING and other.get("model") == batch["model"]
        )
        return bool(self._dials.queue_rows and waiting + len(lines) > self._dials.queue_rows)

    def _written(self, rows: list[bytes]) -> str | None:
        if not rows:
            return None
        id = f"file-{len(self._files) + 1}"
        self._files[id] = b"\n".join(rows) + b"\n"
        return id


def _row(
    custom_id: str,
    status: int = 0,
    body: dict[str, Any] | None = None,
    *,
    error: tuple[str, str] | None = None,
) -> bytes:
    response = {"status_code": status, "request_id": "", "body": body} if status else None
    told = {"code": error[0], "message": error[1]} if error else None
    return msgspec.json.encode(
        {"id": f"batch_req_{custom_id}", "custom_id": custom_id, "response": response, "error": told}
    )


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "world_error", "param": None, "code": None}}


def _refused(status: int, message: str) -> Answer:
    return Answer(status, msgspec.json.encode(_error(message)))


def _said(content: dict[str, Any]) -> Answer:
    return Answer(200, msgspec.json.encode(content))
