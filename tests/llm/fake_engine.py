"""A stand-in for `vllm` and `llama-server`: the same flags, the same two routes, and dials for every misery.

Dials are variables of the environment: FAKE_FOLDER (must be there; one line of JSON is added to its `starts`
for each start), FAKE_CHATTER_BYTES (written to both outputs before listening), FAKE_CRASH (text of a
traceback to end with), FAKE_CRASH_FROM (the start, counted from 1, from which it crashes), FAKE_MUTE (never
listens), FAKE_NAME (answers under another name), FAKE_STUBBORN (ignores SIGTERM, and so does its worker),
FAKE_ESCAPE (its worker leaves the process group). GET /die ends it at once with exit code 3.
"""

import argparse
import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def main() -> None:
    """Note the start, fork a worker, chatter, and serve or crash."""
    dial = os.environ.get
    flags = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    flags.add_argument("--port", type=int)
    flags.add_argument("--served-model-name", "--alias", dest="name")
    flags.add_argument("--reply", default="hello")
    wanted, _ = flags.parse_known_args()

    if dial("FAKE_STUBBORN"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    worker = os.fork()
    if worker == 0:
        if dial("FAKE_ESCAPE"):
            os.setsid()
        while True:
            signal.pause()
    starts = Path(os.environ["FAKE_FOLDER"]) / "starts"
    note: dict[str, Any] = {"pid": os.getpid(), "parent": os.getppid(), "worker": worker}
    note |= {"argv": sys.argv[1:], "environment": dict(os.environ)}
    with starts.open("a") as file:
        file.write(json.dumps(note) + "\n")
    n_starts = len(starts.read_text().splitlines())

    for output in (sys.stdout, sys.stderr):
        output.write("chatter\n" * (int(dial("FAKE_CHATTER_BYTES", "0")) // 8))
        output.flush()
    if dial("FAKE_CRASH") and n_starts >= int(dial("FAKE_CRASH_FROM", "1")):
        raise SystemExit(f"Traceback (most recent call last):\n\x1b[31m{dial('FAKE_CRASH')}\x1b[0m")
    if dial("FAKE_MUTE"):
        while True:
            signal.pause()
    name = dial("FAKE_NAME") or wanted.name

    class Answers(BaseHTTPRequestHandler):
        def _send(self, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            if self.path == "/die":
                os._exit(3)
            self._send({"object": "list", "data": [{"id": name, "object": "model"}]})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            message = {"role": "assistant", "content": wanted.reply}
            self._send({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

        def log_message(self, *_: object) -> None:
            """Keep the log for what the dials say."""

    ThreadingHTTPServer(("127.0.0.1", wanted.port), Answers).serve_forever()


if __name__ == "__main__":
    main()
