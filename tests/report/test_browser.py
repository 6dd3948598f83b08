"""What a real browser does with the page of a hostile run: it shows it, and does nothing else."""

import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from example_run import EXAMPLE, HOSTILE, write_run

from rubricate.report.page import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 60

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium on PATH (Debian, Ubuntu: apt-get install -y chromium)"
)


class Trap:
    """A server on 127.0.0.1 to which the browser sends every name of every host; keeps what it was asked."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.asked = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                visitor, _ = self._server.accept()
            except OSError:
                return
            with visitor:
                visitor.settimeout(2)
                try:
                    self.asked += visitor.recv(65536)
                    visitor.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                except OSError:
                    continue

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def trap() -> Iterator[Trap]:
    server = Trap()
    yield server
    server.close()


def seen(page: Path, trap: Trap, profile: Path) -> str:
    """The document after the browser has loaded it and run what it runs."""
    done = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={profile}", f"--host-resolver-rules=MAP * 127.0.0.1:{trap.port}",
            "--dump-dom", page.as_uri(),
        ],
        capture_output=True, timeout=SECONDS, check=True,
    )  # fmt: skip
    return done.stdout.decode()


def title_of(document: str) -> str:
    return re.search("<title>(.*?)</title>", document, re.DOTALL)[1]  # type: ignore[index]


@pytest.fixture
def page(tmp_path) -> Path:
    return write_report(write_run(tmp_path / "hostile-run", *(make() for make in EXAMPLE)))


def test_a_hostile_run_is_shown_and_nothing_of_it_runs(page, trap, tmp_path):
    """No script of a model's text changes the title, none of its addresses is asked for, ours works."""
    document = seen(page, trap, tmp_path / "profile")
    assert title_of(document) == "hostile-run · rubricate"
    assert b"attacker.invalid" not in trap.asked
    assert '<div class="tools" id="tools">' in document, "our own script shows the tools"
    assert 'hidden=""' not in document


def test_the_policy_holds_even_if_escaping_failed(page, trap, tmp_path):
    """The same texts as raw markup inside the page: no script runs, and nothing is loaded."""
    raw = "".join(HOSTILE[number] for number in (0, 7)) + '<img src="http://attacker.invalid/i.png">'
    page.write_bytes(page.read_bytes().replace(b"</main>", raw.encode() + b"</main>"))
    document = seen(page, trap, tmp_path / "profile")
    assert title_of(document) == "hostile-run · rubricate"
    assert b"attacker.invalid" not in trap.asked


def test_the_trap_works(trap, tmp_path):
    """The same markup in a page without policy does run and does ask: the tests above can fail."""
    page = tmp_path / "open.html"
    page.write_text(f"<title>open</title><body>{HOSTILE[0]}{HOSTILE[7]}", encoding="utf-8")
    document = seen(page, trap, tmp_path / "profile")
    assert title_of(document) == "owned"
    assert b"attacker.invalid" in trap.asked
