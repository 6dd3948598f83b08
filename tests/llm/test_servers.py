"""The life of local servers, with real processes: what is started is watched, and what we leave is gone.

`fake_engine.py` stands in for the programs, with a worker process of its own as vLLM has; the last tests run
the real server of llama.cpp. Nothing is waited for by the clock alone: every wait has a condition.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from rubricate.domain.conversation import Message
from rubricate.errors import RunError, RunStopped, SettingsError
from rubricate.llm.chat import Request
from rubricate.llm.local.process import Child, reserved_port
from rubricate.llm.local.servers import (
    LlamaCppSettings,
    ServedChat,
    Server,
    Tenant,
    VllmSettings,
    serve,
    serve_roles,
)
from rubricate.llm.scripted import ScriptedChat

HERE = Path(__file__).parent
DEADLINE_S = 20.0
QUICK = VllmSettings(stop_grace_s=5, start_timeout_s=DEADLINE_S)


class Machine:
    """A folder of programs, the environment to run them in, and what they noted about their starts."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.said: list[str] = []
        self.environment = {"PATH": f"{folder}:{os.environ['PATH']}", "FAKE_FOLDER": str(folder)}
        self.environment["CUDA_VISIBLE_DEVICES"] = "0"
        for name in ("vllm", "llama-server"):
            self.install(name, [sys.executable, "-I", "-S", str(HERE / "fake_engine.py")])

    def install(self, name: str, command: list[str]) -> None:
        """Put a program of this name on the path of the environment."""
        program = self.folder / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        program.chmod(0o755)

    def dial(self, **dials: object) -> None:
        """Set dials of the fake: `crash="..."` is FAKE_CRASH."""
        self.environment |= {f"FAKE_{name.upper()}": str(value) for name, value in dials.items()}

    @property
    def starts(self) -> list[dict[str, Any]]:
        """One entry per start: pid, parent, worker, argv, environment."""
        file = self.folder / "starts"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def serve(self, settings: VllmSettings | LlamaCppSettings = QUICK, model: str = "m") -> Any:
        """`serve` in this environment, at a port of its own unless the settings name one."""
        if settings.port is None:
            settings = msgspec.structs.replace(settings, port=a_free_port())
        return serve(settings, model, self.log, environment=self.environment, say=self.said.append)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def runs(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    stat = Path(f"/proc/{pid}/stat")
    if sys.platform == "linux":
        with suppress(OSError):
            return stat.read_text().rpartition(")")[2].split()[0] != "Z"
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition that other processes bring about, at most to the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


async def soon(condition: Callable[[], object]) -> None:
    """`until`, with our own loop going on."""
    await asyncio.to_thread(until, condition)


async def post(server: Server, **body: object) -> dict[str, Any]:
    """The answer of the server to a chat completion request."""
    ask: dict[str, object] = {"model": server.model, "messages": [{"role": "user", "content": "hello"}]}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.base_url}/chat/completions", json=ask | body) as answer,
    ):
        assert answer.status == 200, await answer.text()
        parsed: dict[str, Any] = await answer.json()
        return parsed


async def kill_by_request(server: Server) -> None:
    """Make the fake end itself, as a server does whose engine has died."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(server.base_url.removesuffix("/v1") + "/die")


async def test_a_server_answers_inside_the_block_and_is_gone_after_it(machine: Machine):
    """Requests use the model's name; when the block is left, no process of it is left."""
    async with machine.serve(model="Qwen/Qwen3-8B") as server:
        assert server.model == "Qwen/Qwen3-8B"
        assert (await post(server))["choices"][0]["message"]["content"] == "hello"
        (start,) = machine.starts
        assert start["pid"] == server.pid
        assert runs(start["pid"]) and runs(start["worker"])
    assert not runs(start["pid"]) and not runs(start["worker"])
    assert [line.split()[0] for line in machine.said] == ["starting", "vllm"]


async def test_an_exception_in_the_block_ends_the_server(machine: Machine):
    """The exception comes out as it is, after the server is gone."""
    with pytest.raises(ZeroDivisionError):
        async with machine.serve():
            raise ZeroDivisionError
    assert not runs(machine.starts[0]["pid"]) and not runs(machine.starts[0]["worker"])


async def test_a_cancelled_start_leaves_nothing(machine: Machine):
    """Ctrl-C while a model loads, which can take minutes."""
    machine.dial(mute=1)

    async def wait() -> None:
        async with machine.serve():
            raise AssertionError("it is never ready")

    waiting = asyncio.create_task(wait())
    await soon(lambda: machine.starts)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not runs(machine.starts[0]["pid"]) and not runs(machine.starts[0]["worker"])


async def test_a_server_that_ignores_sigterm_is_killed(machine: Machine):
    """After the grace period, the whole group."""
    machine.dial(stubborn=1)
    async with machine.serve(msgspec.structs.replace(QUICK, stop_grace_s=0.2)):
        began = time.monotonic()
    assert 0.2 <= time.monotonic() - began < 5
    assert not runs(machine.starts[0]["pid"]) and not runs(machine.starts[0]["worker"])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
async def test_a_worker_that_left_the_group_is_ended_too(machine: Machine):
    """A daemon of the server is a descendant still."""
    machine.dial(escape=1)
    async with machine.serve():
        assert os.getpgid(machine.starts[0]["worker"]) != machine.starts[0]["pid"]
    assert not runs(machine.starts[0]["worker"])


async def test_megabytes_of_chatter_do_not_block_the_server(machine: Machine):
    """Its output goes to the log without us; both streams, far more than a pipe holds."""
    machine.dial(chatter_bytes=4_000_000)
    async with machine.serve():
        assert machine.log.stat().st_size >= 8_000_000
    assert machine.log.read_text().startswith(
        f"$ vllm serve m --host 127.0.0.1 --port {machine_port(machine)}"
    )


def machine_port(machine: Machine) -> str:
    argv: list[str] = machine.starts[0]["argv"]
    return argv[argv.index("--port") + 1]


async def test_a_server_does_not_see_our_keys(machine: Machine):
    """Neither the usual names nor those that the run uses; the token of the hub it needs."""
    machine.environment |= {"OPENAI_API_KEY": "k", "LITELLM_KEY": "k", "HF_TOKEN": "t", "OURS": "k"}
    settings = msgspec.structs.replace(QUICK, port=a_free_port())
    async with serve(settings, "m", machine.log, secrets=["OURS"], environment=machine.environment):
        seen = machine.starts[0]["environment"]
    assert seen.keys() & {"OPENAI_API_KEY", "LITELLM_KEY", "OURS"} == set()
    assert seen["HF_TOKEN"] == "t"


async def test_a_crash_during_the_start_is_told_at_once_with_remedy_and_log(machine: Machine):
    """Not after the half hour of the timeout; colours of the terminal are taken out of the quotation."""
    machine.dial(crash="torch.OutOfMemoryError: CUDA out of memory.", chatter_bytes=80_000)
    with pytest.raises(RunError) as caught:
        async with machine.serve(msgspec.structs.replace(QUICK, start_timeout_s=3600)):
            raise AssertionError("it is never ready")
    first, remedy, _, *quoted = str(caught.value).splitlines()
    assert first == "vllm for m ended before it was ready (exit code 1)"
    assert remedy.startswith("Likely remedy: not enough memory: use a smaller or quantised model")
    assert quoted[-1] == "    torch.OutOfMemoryError: CUDA out of memory."
    assert len(quoted) == 20
    assert not runs(machine.starts[0]["worker"])


async def test_a_server_that_is_never_ready_is_given_up_in_time(machine: Machine):
    """The setting to raise is named, and the process is ended."""
    machine.dial(mute=1)
    with pytest.raises(RunError, match=r"was not ready after 0\.5 s; .* raise vllm\.start_timeout_s"):
        async with machine.serve(msgspec.structs.replace(QUICK, start_timeout_s=0.5)):
            raise AssertionError("it is never ready")
    await soon(lambda: not any(runs(start["pid"]) for start in machine.starts))


async def test_a_server_of_another_model_is_not_ours(machine: Machine):
    """Ready means: it lists the name that requests will use."""
    machine.dial(name="somebody-else")
    with pytest.raises(RunError, match=r"answers under the names \['somebody-else'\]"):
        async with machine.serve():
            raise AssertionError("it is not ready")


async def test_a_program_that_is_not_installed_is_said_before_all(machine: Machine):
    """With how to install it."""
    for settings, advice in (
        (VllmSettings(command="no-such-vllm"), r"vllm\.command: 'no-such-vllm' is not .*pip install vllm"),
        (LlamaCppSettings(command="no-such-llama"), r"llamacpp\.command: .*install llama\.cpp"),
    ):
        with pytest.raises(SettingsError, match=advice):
            async with machine.serve(settings):
                raise AssertionError("it is not there")


async def test_a_program_that_cannot_run_is_said_by_its_log(machine: Machine):
    """A broken installation: the file is there, its interpreter is not."""
    (machine.folder / "vllm").write_text("#!/no/such/python\n")
    with pytest.raises(
        RunError, match=r"ended before it was ready \(exit code 127\)(.|\n)*could not be started"
    ):
        async with machine.serve():
            raise AssertionError("it cannot run")


async def test_vllm_without_a_gpu_is_refused_before_its_start(machine: Machine):
    """Unless the user says that it is a build for the CPU."""
    machine.environment["CUDA_VISIBLE_DEVICES"] = ""
    with pytest.raises(SettingsError, match="vLLM needs a GPU and none is visible"):
        async with machine.serve():
            raise AssertionError("there is no GPU")
    assert machine.starts == []
    machine.environment["VLLM_TARGET_DEVICE"] = "cpu"
    async with machine.serve() as server:
        assert await post(server)


async def test_a_foreign_server_on_the_port_is_not_mistaken_for_ours(machine: Machine):
    """Where no port was asked for, the next free one is taken and said; else the port is refused."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(machine.serve())
        taken = int(first.base_url.split(":")[2].split("/")[0])
        with pytest.raises(SettingsError, match=rf"vllm\.port={taken} is taken by another program"):
            async with machine.serve(msgspec.structs.replace(QUICK, port=taken)):
                raise AssertionError("the port is taken")
        with reserved_port(taken, is_fixed=False) as second, reserved_port(taken, is_fixed=False) as third:
            assert second is not None and third is not None
            assert taken < second < third, "a reserved port counts as taken before anybody listens"


async def test_the_next_free_port_is_said(machine: Machine):
    """The default port is taken, so another is used, and a line says which."""
    with socket.socket() as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # somebody else has it, which will do
            foreign.bind(("127.0.0.1", 8000))
            foreign.listen()
        async with serve(
            QUICK, "m", machine.log, environment=machine.environment, say=machine.said.append
        ) as server:
            port = int(server.base_url.split(":")[2].split("/")[0])
            assert port > 8000
            assert machine.said[0] == f"port 8000 is taken; taking {port}"
            assert await post(server)


async def test_a_server_that_dies_is_restarted_and_requests_wait_for_it(machine: Machine):
    """At the same address; requests that are asked meanwhile are answered when it is back."""
    async with machine.serve() as server:
        chat = ServedChat(ScriptedChat(lambda request: "answered"), server)
        await kill_by_request(server)
        await soon(lambda: server.n_restarts == 1)
        reply = await chat.ask(Request("m", (Message("user", "hello"),)))
        assert reply.text == "answered"
        assert len(machine.starts) == 2
        assert await post(server)
        assert not runs(machine.starts[0]["worker"]), "the worker of the dead server would hold the GPU"
    assert "vllm for m died (exit code 3); restart 1 of 2" in machine.said
    assert not runs(machine.starts[1]["pid"])


async def test_a_server_that_keeps_dying_stops_the_run(machine: Machine):
    """The block is cancelled wherever it waits, and one error with the log comes out; so do waiting calls."""
    machine.dial(crash="RuntimeError: Failed to infer device type", crash_from=2)
    waiting: asyncio.Task[Any] | None = None
    with pytest.raises(RunStopped) as caught:
        async with machine.serve() as server:
            await kill_by_request(server)
            await soon(lambda: server.n_restarts > 0)
            chat = ServedChat(ScriptedChat(lambda request: "answered"), server)
            waiting = asyncio.create_task(chat.ask(Request("m", (Message("user", "hello"),))))
            await asyncio.Event().wait()
    assert len(machine.starts) == 3
    lines = str(caught.value).splitlines()
    assert lines[0] == "vllm for m ended before it was ready (exit code 1)"
    assert lines[1].startswith("Likely remedy: vLLM finds no usable GPU")
    assert lines[-1] == "(after 2 restarts)"
    assert waiting is not None
    with pytest.raises(RunStopped):
        await waiting
    current = asyncio.current_task()
    assert current is not None and current.cancelling() == 0, "the cancellation was ours, and is taken back"


async def test_no_restart_where_none_is_allowed(machine: Machine):
    """The first death stops the run; a server killed for its memory says so."""
    with pytest.raises(RunStopped, match=r"died \(SIGKILL, as when memory runs out\)"):
        async with machine.serve(msgspec.structs.replace(QUICK, max_restarts=0)) as server:
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            await asyncio.Event().wait()
    assert not runs(machine.starts[0]["worker"])


async def test_a_cancellation_from_outside_stays_one(machine: Machine):
    """Only the death of the server becomes RunStopped; Ctrl-C in the block does not."""
    inside = asyncio.Event()

    async def hold() -> None:
        async with machine.serve():
            inside.set()
            await asyncio.Event().wait()

    holding = asyncio.create_task(hold())
    await asyncio.wait_for(inside.wait(), DEADLINE_S)
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert not runs(machine.starts[0]["pid"])


PARENT = textwrap.dedent(
    """
    import asyncio, os, signal, sys
    from pathlib import Path
    from rubricate.llm.local.servers import VllmSettings, serve

    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests under nohup ignores it

    async def main():
        settings = VllmSettings(port=int(sys.argv[1]), stop_grace_s=5)
        async with serve(settings, "m", Path(sys.argv[2])):
            heir = os.fork() if len(sys.argv) > 3 else -1
            if heir == 0:
                os.close(1)
                os.read(0, 1)
                os._exit(0)
            print("ready", heir, flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
    """
)


def a_parent(machine: Machine, *more: str) -> subprocess.Popen[str]:
    """A process of ours, holding a server, that waits to be killed."""
    command = [sys.executable, "-c", PARENT, str(a_free_port()), str(machine.log), *more]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=machine.environment
    )


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_no_server_outlives_us(machine: Machine, ending: signal.Signals):
    """Kill -9 of our process included: the server and its worker disappear."""
    with a_parent(machine) as parent:
        assert parent.stdin is not None and parent.stdout is not None
        assert parent.stdout.readline().startswith("ready"), machine.log.read_text()
        (start,) = machine.starts
        assert runs(start["pid"]) and runs(start["worker"])
        parent.send_signal(ending)
        until(lambda: not runs(start["pid"]) and not runs(start["worker"]))


def test_a_fork_of_ours_does_not_keep_the_server_alive(machine: Machine):
    """A forked worker inherits the lifeline; the death of the process that started the server counts."""
    with a_parent(machine, "fork") as parent:
        assert parent.stdin is not None and parent.stdout is not None
        heir = int(parent.stdout.readline().split()[1])
        (start,) = machine.starts
        parent.kill()
        until(lambda: not runs(start["pid"]) and not runs(start["worker"]))
        assert runs(heir)
        parent.stdin.close()
        until(lambda: not runs(heir))


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel tells of the death of a parent")
def test_a_server_does_not_outlive_its_warden_and_us_together(machine: Machine):
    """As when the kernel, short of memory, kills one after the other."""
    with a_parent(machine) as parent:
        assert parent.stdout is not None and parent.stdout.readline().startswith("ready")
        (start,) = machine.starts
        parent.send_signal(signal.SIGSTOP)
        os.kill(start["parent"], signal.SIGKILL)
        parent.kill()
        until(lambda: not runs(start["pid"]))
    os.kill(start["worker"], signal.SIGKILL)  # a worker of vLLM ends itself when its server is gone


async def test_the_death_of_the_warden_takes_the_server_along(machine: Machine):
    """Whoever kills the keeper does not free the kept: the group is killed, and the end is noticed."""
    child = Child(
        ["vllm", "serve", "m", "--port", str(a_free_port())], machine.environment, machine.log, grace_s=5
    )
    await soon(lambda: machine.starts)
    (start,) = machine.starts
    os.kill(start["parent"], signal.SIGKILL)
    assert await asyncio.wait_for(child.ended(), DEADLINE_S) == 128 + signal.SIGKILL
    await soon(lambda: not runs(start["pid"]) and not runs(start["worker"]))


async def test_roles_of_one_model_share_a_server(machine: Machine):
    """One process, all of the memory."""
    async with both(machine, "m", "m") as servers:
        assert servers["proposer"] is servers["verifier"]
        (start,) = machine.starts
        assert flag(start, "--gpu-memory-utilization") == "0.9"
        assert (machine.folder / "server-proposer-verifier.log").exists()


async def test_roles_of_two_models_split_one_gpu(machine: Machine):
    """Two servers at two ports, half of the memory each, the first ready before the second starts."""
    async with both(machine, "large", "small") as servers:
        assert servers["proposer"].base_url != servers["verifier"].base_url
        assert [flag(start, "--served-model-name") for start in machine.starts] == ["large", "small"]
        assert [flag(start, "--gpu-memory-utilization") for start in machine.starts] == ["0.45", "0.45"]
        assert [line.split()[0] for line in machine.said if "taken" not in line] == [
            "starting", "vllm", "starting", "vllm",
        ]  # fmt: skip
        pids = [start["pid"] for start in machine.starts]
    assert not any(map(runs, pids))


async def test_roles_of_two_models_on_two_gpus_stand_apart(machine: Machine):
    """Each sees a GPU of its own and may use all of it."""
    machine.environment["CUDA_VISIBLE_DEVICES"] = "4,7"
    async with both(machine, "large", "small"):
        assert [flag(start, "--gpu-memory-utilization") for start in machine.starts] == ["0.9", "0.9"]
        assert [start["environment"]["CUDA_VISIBLE_DEVICES"] for start in machine.starts] == ["4", "7"]


async def test_the_death_of_one_of_two_servers_stops_the_run_and_ends_the_other(machine: Machine):
    """The first of two, whose block holds the other's."""
    with pytest.raises(RunStopped, match="vllm for large died"):
        async with both(machine, "large", "small", max_restarts=0) as servers:
            await kill_by_request(servers["proposer"])
            await asyncio.Event().wait()
    assert not any(runs(start["pid"]) or runs(start["worker"]) for start in machine.starts)


def both(machine: Machine, proposer: str, verifier: str, **changes: object) -> Any:
    settings = msgspec.structs.replace(QUICK, port=a_free_port(), **changes)
    tenants = [Tenant("proposer", proposer, settings), Tenant("verifier", verifier, settings)]
    return serve_roles(tenants, machine.folder, environment=machine.environment, say=machine.said.append)


def flag(start: Mapping[str, Any], name: str) -> str:
    """The value of a flag on the command line of a start."""
    argv: list[str] = start["argv"]
    return argv[argv.index(name) + 1]


async def test_llama_cpp_has_the_same_life(machine: Machine):
    """Another program, another command line, no GPU wanted; the same watch and the same end."""
    machine.environment["CUDA_VISIBLE_DEVICES"] = ""
    settings = LlamaCppSettings(stop_grace_s=5, start_timeout_s=DEADLINE_S)
    async with machine.serve(settings, "owner/name:Q4_K_M") as server:
        assert await post(server)
        await kill_by_request(server)
        await soon(lambda: server.n_restarts == 1)
        await server.until_ready()
    assert [flag(start, "-hf") for start in machine.starts] == ["owner/name:Q4_K_M"] * 2
    assert not any(runs(start["pid"]) or runs(start["worker"]) for start in machine.starts)


async def test_a_real_llama_cpp_server_is_started_asked_and_ended(machine: Machine, tiny_model: Path):
    """The whole way with a real engine: our command line, its readiness, a reply that obeys a schema."""
    machine.install("llama-server", [sys.executable, str(HERE.parent / "llama_server.py")])
    verdicts = {
        "type": "object",
        "properties": {"c1": {"enum": ["met", "unmet"]}, "c2": {"enum": ["met", "unmet"]}},
        "required": ["c1", "c2"],
        "additionalProperties": False,
    }
    schema = {"type": "json_schema", "json_schema": {"name": "verdicts", "strict": True, "schema": verdicts}}
    settings = LlamaCppSettings(n_ctx=1024, n_parallel=2, start_timeout_s=DEADLINE_S)
    async with machine.serve(settings, str(tiny_model)) as server:
        answer = await post(server, response_format=schema, max_tokens=200, temperature=1.0, seed=7)
        pid = server.pid
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert json.loads(answer["choices"][0]["message"]["content"]).keys() == {"c1", "c2"}
    assert answer["usage"]["completion_tokens"] > 0
    assert pid is not None and not runs(pid)


async def test_a_real_llama_cpp_server_says_which_file_it_cannot_load(machine: Machine, tmp_path: Path):
    """Its own words stand in the error, and the remedy is that of a model that is not there."""
    pytest.importorskip("xllamacpp")
    machine.install("llama-server", [sys.executable, str(HERE.parent / "llama_server.py")])
    settings = LlamaCppSettings(start_timeout_s=DEADLINE_S)
    with pytest.raises(RunError, match=r"ended before it was ready(.|\n)*the model cannot be loaded"):
        async with machine.serve(settings, str(tmp_path / "missing.gguf")):
            raise AssertionError("there is no such model")
