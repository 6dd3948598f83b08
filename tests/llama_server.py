"""A real inference server for the suite: llama.cpp's, through xllamacpp, in a process of its own.

Run as a program it takes the flags of `llama-server` that rubricate uses, so a script of that name can stand
in for the binary. As a pytest plugin it gives the fixtures `tiny_model` and `llama_endpoint`:

    from tests.llama_server import llama_endpoint, tiny_model  # in a conftest.py
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

MODEL = "tiny"
SLOTS = 4


class LlamaEndpoint(NamedTuple):
    """Where the server listens (`http://127.0.0.1:PORT/v1`) and the name of its model."""

    base_url: str
    model: str


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a tiny random model; one per worker of pytest-xdist."""
    from tests.tiny_gguf import write_tiny_gguf  # here: as a program this file stands alone

    pytest.importorskip("xllamacpp", reason="no wheel of llama.cpp for this platform")
    return write_tiny_gguf(tmp_path_factory.mktemp("model") / f"{MODEL}.gguf")


@pytest.fixture(scope="session")
def llama_endpoint(tiny_model: Path) -> Iterator[LlamaEndpoint]:
    """A running server of the tiny model, one for all tests of a session."""
    with llama_server(tiny_model) as (endpoint, _):
        yield endpoint


@contextmanager
def llama_server(model: Path, port: int = 0) -> Iterator[tuple[LlamaEndpoint, subprocess.Popen[str]]]:
    """A running server of a model and its process; a crash of its native code cannot take the tests down.

    It ends when its standard input does, so it goes with the test process whatever becomes of that. The
    block may kill it.
    """
    log = model.with_suffix(".log")
    command = [sys.executable, __file__, "-m", str(model), "--alias", MODEL, "--port", str(port)]
    command += ["-c", str(4096 * SLOTS), "-np", str(SLOTS), "--until-stdin-closes"]
    with (
        log.open("ab") as output,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True
        ) as server,
    ):
        assert server.stdin is not None and server.stdout is not None
        address = server.stdout.readline().strip()
        assert address.startswith("http"), f"no server: {log.read_text(errors='replace')[-2000:]}"
        yield LlamaEndpoint(f"{address}/v1", MODEL), server
        server.stdin.close()
        server.wait(timeout=30)


def main() -> None:
    """Serve until a signal comes; print the address when it listens."""
    import xllamacpp

    flags = argparse.ArgumentParser(prog="llama-server")
    flags.add_argument("-m", "--model", required=True)
    flags.add_argument("--alias", default=MODEL)
    flags.add_argument("--host", default="127.0.0.1")
    flags.add_argument("--port", type=int, default=8080)
    flags.add_argument("-c", "--ctx-size", type=int, default=0)
    flags.add_argument("-np", "--parallel", type=int, default=1)
    flags.add_argument("--until-stdin-closes", action="store_true")
    wanted = flags.parse_args()

    settings = xllamacpp.CommonParams()
    settings.model.path = wanted.model
    settings.model_alias = {wanted.alias}
    settings.hostnames = [wanted.host]
    settings.port = wanted.port
    settings.n_ctx = wanted.ctx_size
    settings.n_parallel = wanted.parallel
    settings.n_threads_http = 4
    settings.cpuparams.n_threads = 1
    settings.cpuparams_batch.n_threads = 1
    settings.fit_params = False
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    if wanted.until_stdin_closes:
        sys.stdin.read()
    else:
        signal.pause()
    os._exit(0)  # the native threads have nothing to say any more


if __name__ == "__main__":
    main()
