"""A wire between rubricate and a real server that remembers what went over it.

with Wiretap(endpoint.base_url) as tap:
    ... calls to tap.base_url ...
    tap.exchanges    what was asked and answered, in the order of the answers
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Exchange(NamedTuple):
    """One answered POST: the body of the request, and status and body of the answer."""

    asked: dict[str, Any]
    status: int
    answer: dict[str, Any]

    @property
    def question(self) -> str:
        """The text of the last message."""
        text: str = self.asked["messages"][-1]["content"]
        return text

    @property
    def choice(self) -> dict[str, Any]:
        """The one choice of a completion."""
        (choice,) = self.answer["choices"]
        return dict(choice)


class Wiretap:
    """Passes every call on. Where the server behind does not answer, the connection is closed unanswered.

    `after` sets what is to happen once so many calls were answered.
    """

    def __init__(self, base_url: str):
        self.host = urlsplit(base_url).netloc
        self.exchanges: list[Exchange] = []
        self.n_unanswered = 0
        self._due: tuple[int, Callable[[], None]] | None = None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Wiretap:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def after(self, n_answers: int, then: Callable[[], None]) -> None:
        """Calls `then` once, when so many calls are answered, the next ones not yet passed on."""
        self._due = (n_answers, then)

    def note(self, exchange: Exchange) -> None:
        """Remembers an exchange."""
        with self._lock:
            self.exchanges.append(exchange)
            if self._due and len(self.exchanges) >= self._due[0]:
                self._due, then = None, self._due[1]
                then()


def _handler(tap: Wiretap) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on("GET", None)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answered = self._pass_on("POST", body)
            if answered:
                tap.note(Exchange(json.loads(body), answered[0], json.loads(answered[1])))
            else:
                tap.n_unanswered += 1

        def _pass_on(self, method: str, body: bytes | None) -> tuple[int, bytes] | None:
            connection = http.client.HTTPConnection(tap.host, timeout=120)
            try:
                connection.request(method, self.path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except (OSError, http.client.HTTPException):
                self.close_connection = True
                return None
            finally:
                connection.close()
            return answer.status, content

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal of the tests."""

    return Handler
