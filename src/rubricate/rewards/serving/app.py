"""Requests -> answers: who may ask, how much, for how long, and in which form."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import re
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from rubricate.errors import AccountError, DataError, RunStopped
from rubricate.rewards.batch.graded import Batch
from rubricate.rewards.options import Options
from rubricate.rewards.seam import Reward
from rubricate.rewards.serving.about import pages
from rubricate.rewards.serving.about.metrics import CONTENT_TYPE, Metrics
from rubricate.rewards.serving.about.schema import document
from rubricate.rewards.serving.contracts.chat import CHAT
from rubricate.rewards.serving.contracts.nemo import NEMO
from rubricate.rewards.serving.contracts.plain import PLAIN
from rubricate.rewards.serving.contracts.seam import Asked, Form, Served, reward_of
from rubricate.rewards.serving.contracts.trainers import OPENRLHF, SLIME
from rubricate.rewards.serving.intake.body import body_of, length_of
from rubricate.rewards.serving.intake.gate import Gate, Limits
from rubricate.rewards.serving.intake.reading import json_of
from rubricate.rewards.serving.intake.refusals import Refusal, told

FORMS = (PLAIN, CHAT, OPENRLHF, SLIME, NEMO)

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_LOCAL_NAME = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.I)
_JSON = "application/json"
_encode = msgspec.json.Encoder().encode


class App:
    """What stands between a socket and a reward.

    `tokens` are those that a client may send as `Authorization: Bearer`; without any all are let in. Health
    and the schema are open, and with `open_metrics` the metrics. With `only_local_names` a request under
    another host name than this machine's is refused: a page in a browser here could otherwise ask under a
    name of its own.
    """

    def __init__(
        self,
        reward: Reward,
        served: Served,
        limits: Limits,
        *,
        tokens: Sequence[str] = (),
        open_metrics: bool = False,
        only_local_names: bool = False,
    ):
        self.gate, self.limits = Gate(limits), limits
        self.trouble: str | None = None
        """Why nobody can be asked, until somebody was."""
        about = {"version": served.version.package, "model": served.model, "reward": served.version.reward}
        self.metrics = Metrics(about)
        self._reward, self._served = reward, served
        # Without options evaluation gives the same rewards, and keeps no figures of each criterion for ever.
        self._always_evaluates = getattr(reward, "options", Options()).are_off
        self._tokens = [hashlib.sha256(token.encode()).digest() for token in tokens]
        self._only_local_names = only_local_names
        self._open = {page.path for page in pages.PAGES if page.is_open}
        if open_metrics:
            self._open.add(pages.METRICS)
        self._forms = {form.path: form for form in FORMS}
        self._pages = {page.path: page for page in pages.PAGES}
        self._schema = _encode(document(FORMS, pages.PAGES, served.version, with_token=bool(tokens)))
        self._ids, self._numbers = secrets.token_hex(4), itertools.count(1)

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """The answer to one request; every one has an id, a refusal has its code."""
        loop = asyncio.get_running_loop()
        began, path, code = loop.time(), request.path, None
        given = request.headers.get("X-Request-Id")
        request_id = given if given is not None and _ID.fullmatch(given) else self._new_id()
        try:
            answer = await self._answer(request, path, began)
        except Refusal as refusal:
            code = refusal.code
            answer = self.refused(refusal, request_id)
        answer.headers["X-Request-Id"] = request_id
        answer.headers["Server"] = "rubricate"
        if self.gate.is_draining or not request.content.is_eof():
            answer.force_close()
        is_known = path in self._forms or path in self._pages
        self.metrics.answered(path if is_known else "other", answer.status, code, loop.time() - began)
        return answer

    def refused(self, refusal: Refusal, request_id: str | None = None) -> web.Response:
        """The answer that a refusal is."""
        headers = {"Content-Type": _JSON, **refusal.headers}
        body = told(refusal, request_id or self._new_id())
        return web.Response(body=body, status=refusal.status, headers=headers)

    async def _answer(self, request: web.BaseRequest, path: str, began: float) -> web.Response:
        form, page = self._forms.get(path), self._pages.get(path)
        if form is None and page is None:
            raise Refusal("not_found", f"nothing is here; {pages.SCHEMA} lists what is")
        method = "POST" if page is None else page.method
        if request.method != method and (method, request.method) != ("GET", "HEAD"):
            allowed = "GET, HEAD" if method == "GET" else method
            raise Refusal("method_not_allowed", f"this path takes {allowed}", headers={"Allow": allowed})
        if path not in self._open:
            self._let_in(request)
        if form is not None:
            return await self._rewards(request, form, began)
        return await self._page(request, path)

    def _let_in(self, request: web.BaseRequest) -> None:
        if self._only_local_names and not _LOCAL_NAME.fullmatch(request.headers.get("Host", "")):
            raise Refusal("forbidden", "ask under a name of this machine, or start the server with a token")
        if not self._tokens:
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        is_ours = [hmac.compare_digest(digest, known) for known in self._tokens]
        if scheme.lower() != "bearer" or not any(is_ours):
            what = "this token is not ours" if scheme else "a token is needed: Authorization: Bearer TOKEN"
            raise Refusal("unauthorized", what, headers={"WWW-Authenticate": 'Bearer realm="rubricate"'})

    async def _rewards(self, request: web.BaseRequest, form: Form, began: float) -> web.Response:
        held = length_of(request, self.limits)
        self.gate.admit(held)
        try:
            asked = self._asked(json_of(await body_of(request, self.limits)), form)
            until = began + self.limits.time_limit_s
            batch = await self.gate.done(self._graded(asked), until, lambda: request.transport is not None)
            body = _encode(form.answer(asked, batch, self._served))
        except DataError as problem:
            where = f"{problem.field}: " if problem.field else ""
            raise Refusal("invalid_request", f"{where}{problem.problem}", field=problem.field) from None
        except AccountError as failure:
            self.trouble = str(failure)
            raise Refusal("grader_refused", f"nobody can be asked: {failure}") from None
        except RunStopped as stop:
            self.trouble = str(stop)
            raise Refusal("stopped", f"nobody is asked any more: {stop}") from None
        finally:
            self.gate.release(held)
        return web.Response(
            body=body,
            headers={"Content-Type": _JSON, "X-Rubricate-Reward": self._served.version.reward},
        )

    def _asked(self, value: Any, form: Form) -> Asked:
        asked = form.read(value, self._served)
        if len(asked.completions) > self.limits.items:
            raise Refusal(
                "too_many_items",
                f"{len(asked.completions):,} completions; at most {self.limits.items:,} in one request",
            )
        return asked

    async def _graded(self, asked: Asked) -> Batch:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        rubrics = asked.rubrics
        if rubrics is not None and all(rubric is None for rubric in rubrics):
            rubrics = None
        batch = await self._reward.agrade(
            asked.prompts,
            asked.completions,
            rubrics,
            step=asked.step,
            evaluation=asked.evaluation or self._always_evaluates,
        )
        self.trouble = None
        self.metrics.graded([reward_of(one) for one in batch.graded], loop.time() - begun)
        return batch

    async def _page(self, request: web.BaseRequest, path: str) -> web.Response:
        if path == pages.METRICS:
            return web.Response(body=self._figures().encode(), headers={"Content-Type": CONTENT_TYPE})
        status, said = 200, b""
        if path == pages.READY:
            why = "draining" if self.gate.is_draining else self.trouble
            status = 200 if why is None else 503
            said = _encode({"status": "ready"} if why is None else {"status": "not ready", "why": why})
        elif path == pages.HEALTH:
            said = _encode({"status": "alive"})
        elif path == pages.SCHEMA:
            said = self._schema
        elif path == pages.MODELS:
            about = {"id": self._served.model, "object": "model", "created": 0, "owned_by": "rubricate"}
            said = _encode({"object": "list", "data": [{**about, "version": self._served.version}]})
        elif path == pages.REVERIFY:
            said = _encode("stateless")
        else:
            length_of(request, self.limits)
            said = _encode(pages.session_of(json_of(await body_of(request, self.limits))))
        return web.Response(body=said, status=status, headers={"Content-Type": _JSON})

    def _figures(self) -> str:
        gate = self.gate
        is_ready = not gate.is_draining and self.trouble is None
        return self.metrics.text(
            {
                "in_flight": ("Requests that are graded.", gate.busy),
                "waiting": ("Requests that wait for their turn.", gate.n_waiting),
                "held_bytes": ("Bytes of bodies that are here.", gate.held_bytes),
                "ready": ("Whether requests are taken.", int(is_ready)),
            }
        )

    def _new_id(self) -> str:
        return f"{self._ids}-{next(self._numbers)}"
