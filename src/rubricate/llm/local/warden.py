"""Runs one server and ends it with all its descendants, whatever becomes of the process that asked for it.

A program of its own, on the standard library alone, started by `llm/local/process.py` as

    python -I -S warden.py GRACE_S PARENT_PID COMMAND...

Standard input is the lifeline: nothing is ever written to it, and when it closes, however the parent died,
the server is ended: SIGTERM first, SIGKILL after the grace period. A parent that was forked may have left
the lifeline open elsewhere, so a change of parent counts as well. Standard output says one line, the
server's process id; standard error is the log, and the server's two outputs go there. The warden exits with
the server's exit code (128 + n for signal n) once no descendant is left, so that their memory is free.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

GLANCE_S = 0.5
BETWEEN_SIGNALS_S = 0.05
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
COULD_NOT_START = 127
ON_LINUX = sys.platform == "linux"


class Warden:
    """The keeper of one server process, its group, and on Linux of every descendant that left the group."""

    def __init__(self, command: list[str], grace_s: float, parent: int):
        self._grace_s, self._parent = grace_s, parent
        self._asked_to_end = False
        self._wake, wake_end = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_end, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._end_soon)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        if ON_LINUX:
            # Orphans of the server come to us instead of to init, so none can slip away.
            _prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._server = subprocess.Popen(  # noqa: S603 - the user's own command, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            stderr=sys.stderr.fileno(),
            start_new_session=True,
            # The last resort: if even the warden is killed, the kernel takes the server along.
            preexec_fn=(lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)) if ON_LINUX else None,
        )
        self.pid = self._server.pid

    def _end_soon(self, *_: object) -> None:
        self._asked_to_end = True

    def watch(self) -> int:
        """Wait for the end of the server, of the lifeline or of the parent; then end all. The exit code."""
        while not self._asked_to_end and self._server.returncode is None and os.getppid() == self._parent:
            if self._pause(GLANCE_S, sys.stdin.fileno()):
                break
        self._end_all()
        code = self._server.returncode
        return 128 - code if code < 0 else code

    def _end_all(self) -> None:
        """Ask every descendant to end, kill those who have not when the grace period is over."""
        deadline = time.monotonic() + self._grace_s
        asked: set[int] = set()
        while left := self._left():
            late = time.monotonic() >= deadline
            for pid in left if late else left - asked:
                _send(signal.SIGKILL if late else signal.SIGTERM, pid)
            asked |= left
            self._pause(BETWEEN_SIGNALS_S)

    def _pause(self, seconds: float, *lifeline: int) -> bool:
        """Wait for a signal, at most so long, and reap. Whether the lifeline has closed."""
        readable, _, _ = select.select([self._wake, *lifeline], [], [], seconds)
        if self._wake in readable:
            os.read(self._wake, 1024)
        self._reap()
        return any(end in readable for end in lifeline)

    def _left(self) -> set[int]:
        """What still runs: the group as a negative number, and strays that have come to us."""
        group = {-self.pid} if self._server.returncode is None or _send(0, -self.pid) else set()
        return group | self._strays()

    def _strays(self) -> set[int]:
        """Our children beside the server: orphans, which only a subreaper inherits."""
        if not ON_LINUX:
            return set()
        everyone = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return {pid for pid in everyone if pid != self.pid and _parent_of(pid) == os.getpid()}

    def _reap(self) -> None:
        """Take note of all children that have ended; a server among them has its exit code noted."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self._server.returncode = os.waitstatus_to_exitcode(status)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _send(number: int, pid: int) -> bool:
    """Send a signal to a process, or to a group given as a negative number; whether there was one."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):  # macOS says "permission" of a group of zombies
        return False
    return True


def _parent_of(pid: int) -> int | None:
    """The parent of a process from /proc, None when it has just ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])


def main() -> int:
    """Start the command and stay with it to its end."""
    grace_s, parent, *command = sys.argv[1:]
    try:
        warden = Warden(command, float(grace_s), int(parent))
    except OSError as error:
        sys.stderr.write(f"{command[0]} could not be started: {error}\n")
        return COULD_NOT_START
    sys.stdout.write(f"{warden.pid}\n")
    sys.stdout.flush()
    return warden.watch()


if __name__ == "__main__":
    sys.exit(main())
