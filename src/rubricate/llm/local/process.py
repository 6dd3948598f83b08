"""A server process under a warden, its log, and the port that it may have.

What is true of any local server stands here; what vLLM and llama.cpp need in particular is in
`llm/local/engines.py`, and their life in `llm/local/servers.py`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rubricate.errors import RunError
from rubricate.llm.local import warden

HOST = "127.0.0.1"
PORTS_TRIED = 100
BEYOND_GRACE_S = 30.0
TAIL_LINES = 20
LOG_READ_BYTES = 256 * 1024
COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


class Child:
    """One server process. It ends with us, however we end: `llm/local/warden.py` sees to that.

    Its output is appended to the log by the kernel, so nothing of ours must read for it to go on.
    Must be made inside a running event loop.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log_path: Path, grace_s: float
    ):
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("ab") as log:
            log.write(f"$ {shlex.join(command)}\n".encode())
            log.flush()
            self._log_path, self._log_start = log_path, log.tell()
            self._warden = subprocess.Popen(  # noqa: S603 - the user's own command, no shell
                [sys.executable, "-I", "-S", warden.__file__, str(grace_s), str(os.getpid()), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                bufsize=0,
                # Ctrl-C in the terminal is for us; the server ends when we say so.
                start_new_session=True,
            )
        self._grace_s = grace_s
        self._said = b""
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        assert self._warden.stdin is not None and self._warden.stdout is not None
        self._lifeline, self._status = self._warden.stdin, self._warden.stdout
        self._loop.add_reader(self._status.fileno(), self._on_status)

    def _on_status(self) -> None:
        said = os.read(self._status.fileno(), 64)
        if said:
            self._said += said
            return
        self._loop.remove_reader(self._status.fileno())
        self._status.close()
        self._lifeline.close()
        code = self._warden.wait()
        if code < 0 and self.pid is not None:
            # The warden itself was killed, so its work falls to us.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self._ended.set_result(128 - code if code < 0 else code)

    @property
    def pid(self) -> int | None:
        """The server's process id, which is its group's too; None before it is started."""
        return int(self._said) if self._said.endswith(b"\n") else None

    async def ended(self) -> int:
        """The exit code, once the process and all its descendants are gone; 128 + n for signal n."""
        return await asyncio.shield(self._ended)

    async def end(self) -> None:
        """End the process and wait until nothing of it is left: then its memory is free.

        Takes up to the grace period for a process that does not listen. When this is cancelled, the
        ending goes on without us.

        Raises:
            RunError: it is still there long after it was killed, as with a driver that hangs.
        """
        self._lifeline.close()
        try:
            await asyncio.wait_for(self.ended(), self._grace_s + BEYOND_GRACE_S)
        except TimeoutError:
            raise RunError(
                f"the server process {self.pid} cannot be ended, not even by SIGKILL; it may hold GPU memory"
            ) from None

    def log(self) -> str:
        """What this process has written, the last 256 KiB of it, as plain printable text."""
        with self._log_path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - LOG_READ_BYTES))
            text = log.read().decode("utf-8", "replace")
        text = COLOUR.sub("", text.replace("\r", "\n"))
        return "".join(sign for sign in text if sign.isprintable() or sign in "\n\t")


def tail(log: str, n_lines: int = TAIL_LINES) -> str:
    """The last lines of a log that are not empty, indented for quoting, each cut at 300 characters."""
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    return "\n".join(f"    {line[:300]}" for line in lines[-n_lines:])


def manner_of_end(code: int) -> str:
    """An exit code in words."""
    if code <= 128:
        return f"exit code {code}"
    try:
        name = signal.Signals(code - 128).name
    except ValueError:
        return f"exit code {code}"
    return f"{name}, as when memory runs out" if name == "SIGKILL" else name


@contextmanager
def reserved_port(first: int, *, is_fixed: bool) -> Iterator[int | None]:
    """A free port of 127.0.0.1, kept from other runs of rubricate on this machine while it is held.

    Looks from `first` upwards, at `first` alone when `is_fixed`; None when there is none. The reservation
    matters because a server may think for a minute before it binds its port. It is a UDP socket of the same
    number, which no server wants and which goes with our process, without a file to clean up.
    """
    for port in range(first, min(first + (1 if is_fixed else PORTS_TRIED), 65536)):
        with socket.socket(type=socket.SOCK_DGRAM) as mark:
            if _binds(mark, port) and is_free(port):
                yield port
                return
    yield None


def is_free(port: int) -> bool:
    """Whether nobody listens at this port of 127.0.0.1, be it there or at all addresses."""
    with socket.socket() as asking:
        asking.settimeout(1)
        if asking.connect_ex((HOST, port)) == 0:
            return False
    with socket.socket() as binding:
        binding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _binds(binding, port)


def _binds(end: socket.socket, port: int) -> bool:
    try:
        end.bind((HOST, port))
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            return False
        raise
    return True
