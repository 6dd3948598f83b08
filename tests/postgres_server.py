"""A real PostgreSQL server of the tests' own: made in a temporary folder, on a free port, gone at the end."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "hunter2-of-the-tests"
# The server ends when we do, in whatever way: the end of our pipe is what the watcher waits for.
_WITH_US = """
    exec 3<&0; "$@" </dev/null 3<&- & server=$!
    (read -r never <&3; kill -QUIT $server) & watcher=$!
    exec 3<&-; wait $server; kill $watcher
"""
_USERS = ("postgres", "nobody")  # the server refuses to run as root


def programs() -> Path | None:
    """The folder of initdb and postgres, the newest version there is; None without PostgreSQL."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])
    )
    return versions[-1].parent if versions else None


class PostgresServer:
    """One server with the superuser `tester`: no password over its Unix socket, PASSWORD over TCP."""

    def __init__(self, folder: Path, bin: Path, *, fsync: bool = False):
        self.folder, self._bin, self._fsync = folder, bin, fsync
        self._account = None
        if os.getuid() == 0:
            self._account = next(pwd.getpwnam(name) for name in _USERS if _exists(name))
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "password").write_text(PASSWORD)
        self._call(
            "initdb",
            "-D",
            "data",
            "-U",
            "tester",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--pwfile=password",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )
        self.start()

    def start(self) -> None:
        """Starts the server on its port and waits until it answers. A crash of processes is survived as
        ever; that of the machine only with fsync."""
        settings = [
            f"fsync={'on' if self._fsync else 'off'}",
            f"unix_socket_directories={self.folder}",
            "listen_addresses=127.0.0.1",
        ]
        flags = [word for setting in settings for word in ("-c", setting)]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [
                "/bin/sh",
                "-c",
                _WITH_US,
                "sh",
                self._bin / "postgres",
                "-D",
                "data",
                "-p",
                str(self.port),
                *flags,
            ],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **self._as_user(),
        )
        log.close()
        ready = [self._bin / "pg_isready", "-q", "-h", str(self.folder), "-p", str(self.port), "-t", "1"]
        for _ in range(300):
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:])
            if subprocess.run(ready, check=False).returncode == 0:
                return
            with pytest.raises(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.05)
        raise RuntimeError("PostgreSQL did not start")

    def stop(self, number: int = signal.SIGINT) -> None:
        """Ends the server: SIGINT throws out the sessions, SIGQUIT dies on the spot."""
        if self._process is not None:
            pid = int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
            os.kill(pid, number)
            self._process.communicate(timeout=30)
            self._process = None

    def url(
        self, database: str, *, user: str = "tester", password: str | None = PASSWORD, query: str = ""
    ) -> str:
        """The address of a database over TCP."""
        login = user if password is None else f"{user}:{password}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}{f'?{query}' if query else ''}"

    def query(self, database: str, *statements: str) -> list[tuple[Any, ...]]:
        """What the last of the statements gives, asked as the superuser."""
        return asyncio.run(self._query(database, statements))

    async def _query(self, database: str, statements: tuple[str, ...]) -> list[tuple[Any, ...]]:
        import asyncpg

        connection = await asyncpg.connect(
            host=str(self.folder), port=self.port, user="tester", database=database
        )
        try:
            rows = [await connection.fetch(statement) for statement in statements]
            return [tuple(row) for row in rows[-1]]
        finally:
            await connection.close()

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            cwd=self.folder,
            capture_output=True,
            check=False,
            **self._as_user(),
        )
        assert done.returncode == 0, done.stderr.decode()

    def _as_user(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server of this session; the test is skipped where there is none to start."""
    pytest.importorskip("asyncpg")
    bin = programs()
    if bin is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="rubricate-pg-"))
    server = PostgresServer(folder, bin)
    try:
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder)


@pytest.fixture
def database(postgres_server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an empty database of this test's own."""
    name = f"db{abs(hash(request.node.nodeid))}"
    postgres_server.query("postgres", f'CREATE DATABASE "{name}"')
    yield name
    postgres_server.query("postgres", f'DROP DATABASE "{name}" WITH (FORCE)')
