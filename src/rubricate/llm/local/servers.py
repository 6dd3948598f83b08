"""Local servers for the models of a run: vLLM or llama.cpp, started when wanted, gone when the block is left.

    async with serve(settings, model, log_path) as server:
        ... OpenAI-compatible calls to server.base_url with the model name server.model

`serve_roles` does the same for the roles of a run: one shared server where they agree, else one for each,
placed so that they do not starve each other.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from rubricate.errors import SettingsError
from rubricate.llm.local.engines import (
    INSTALL,
    LLAMA_CPP_PORT,
    VLLM_PORT,
    EngineSettings,
    LlamaCppSettings,
    VllmSettings,
    child_environment,
    llama_command,
    runs_without_gpu,
    vllm_command,
)
from rubricate.llm.local.gpus import GpuShare, gpu_shares, visible_gpus
from rubricate.llm.local.process import reserved_port
from rubricate.llm.local.server import Launch, Say, ServedChat, Server, alive

__all__ = ["LlamaCppSettings", "ServedChat", "Server", "Tenant", "VllmSettings", "serve", "serve_roles"]

_log_line: Say = logging.getLogger(__name__).info


@asynccontextmanager
async def serve(
    settings: EngineSettings,
    model: str,
    log_path: Path,
    *,
    share: GpuShare | None = None,
    secrets: Collection[str] = (),
    environment: Mapping[str, str] | None = None,
    say: Say = _log_line,
) -> AsyncIterator[Server]:
    """A local server that is ready, and that is gone with all its processes when the block is left.

    `share` is what a vLLM server gets of the GPUs (None: all that are visible); `secrets` are names of
    further variables that it must not see; `environment` stands for ours. `say` is given one line for each
    event: start, ready, another port, restart.

    If the server dies inside the block, calls in flight fail, it is restarted up to `max_restarts` times,
    and after that the block is cancelled and `RunStopped` is raised in its place.

    Raises:
        SettingsError: the program is not installed, there is no GPU, a setting or the port cannot be had.
        RunError: the server did not come up; quotes its log and the likely remedy.
        RunStopped: the server died once too often.
    """
    environment = _with_own_programs(os.environ if environment is None else environment)
    section = "vllm" if isinstance(settings, VllmSettings) else "llamacpp"
    must_be_installed(settings, environment)
    if isinstance(settings, VllmSettings) and share is None:
        (share,) = await _shares(settings, 1, environment)
    default = VLLM_PORT if isinstance(settings, VllmSettings) else LLAMA_CPP_PORT
    wanted = settings.port or default
    with reserved_port(wanted, is_fixed=settings.port is not None) as port:
        if port is None:
            raise SettingsError(
                f"{section}.port={settings.port} is taken by another program: end that, ask for another "
                f"port, or leave {section}.port null for the next free one"
                if settings.port
                else f"no free port from {wanted} upwards: ask for one by {section}.port"
            )
        if port != wanted:
            say(f"port {wanted} is taken; taking {port}")
        command = (
            vllm_command(settings, model, port, share or GpuShare())
            if isinstance(settings, VllmSettings)
            else llama_command(settings, model, port)
        )
        launch = Launch(
            section=section,
            model=model,
            port=port,
            command=tuple(command),
            environment=child_environment(environment, secrets, share.devices if share else ()),
            start_timeout_s=settings.start_timeout_s,
            stop_grace_s=settings.stop_grace_s,
            max_restarts=settings.max_restarts,
        )
        async with alive(Server(launch, log_path, say)) as server:
            yield server


class Tenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A role of the run whose model is to be served here."""

    role: str
    model: str
    settings: EngineSettings


@asynccontextmanager
async def serve_roles(
    tenants: Sequence[Tenant],
    folder: Path,
    *,
    secrets: Collection[str] = (),
    environment: Mapping[str, str] | None = None,
    say: Say = _log_line,
) -> AsyncIterator[dict[str, Server]]:
    """The server of each role, all ready. Roles of one model and engine share one server.

    Servers start one after the other, in the order of the tenants, so that each sees the memory that the
    one before has left. The first of two gets `vllm.proposer_share` where they must share GPUs; there is one
    section `vllm`, so tenants of vLLM have the same settings. The logs are `server-ROLES.log` in `folder`.
    Raises as `serve` does.
    """
    environment = dict(os.environ if environment is None else environment)
    roles_by_tenancy: dict[tuple[str, EngineSettings], list[str]] = {}
    for tenant in tenants:
        roles_by_tenancy.setdefault((tenant.model, tenant.settings), []).append(tenant.role)
    n_servers = len(roles_by_tenancy)
    if n_servers > 2:
        raise SettingsError(f"{n_servers} different models are to be served here, and at most 2 can be")

    shares: tuple[GpuShare | None, ...] = (None,) * n_servers
    for _, settings in roles_by_tenancy:
        if isinstance(settings, VllmSettings):
            shares = await _shares(settings, n_servers, environment)
            break
    servers: dict[str, Server] = {}
    ports_given: set[int] = set()
    async with AsyncExitStack() as stack:
        for ((model, settings), roles), share in zip(roles_by_tenancy.items(), shares, strict=True):
            if settings.port in ports_given:
                # One number for two servers: the first has it, the second takes a free one.
                settings = msgspec.structs.replace(settings, port=None)
            elif settings.port is not None:
                ports_given.add(settings.port)
            log_path = folder / f"server-{'-'.join(roles)}.log"
            life = serve(
                settings,
                model,
                log_path,
                share=share,
                secrets=secrets,
                environment=environment,
                say=say,
            )
            servers |= dict.fromkeys(roles, await stack.enter_async_context(life))
        yield servers


async def _shares(
    settings: VllmSettings, n_servers: int, environment: Mapping[str, str]
) -> tuple[GpuShare, ...]:
    """What each of our servers gets of the GPUs of this machine; without GPUs, what the user says."""
    if runs_without_gpu(settings, environment):
        share = GpuShare(settings.tensor_parallel_size or 1, settings.gpu_memory_utilization / n_servers)
        return (share,) * n_servers
    devices = await asyncio.to_thread(visible_gpus, environment)
    return gpu_shares(
        n_servers,
        devices,
        settings.tensor_parallel_size,
        settings.gpu_memory_utilization,
        settings.proposer_share,
    )


def _with_own_programs(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with the folder of our own interpreter last on the path: what was installed beside
    rubricate is found without an activated virtual environment."""
    path = environment.get("PATH", os.defpath)
    return {**environment, "PATH": os.pathsep.join([path, str(Path(sys.executable).parent)])}


def must_be_installed(settings: EngineSettings, environment: Mapping[str, str]) -> None:
    """Looks for the program of a local server.

    Raises:
        SettingsError: it is not installed here; says how to get it.
    """
    section = "vllm" if isinstance(settings, VllmSettings) else "llamacpp"
    words = shlex.split(settings.command)
    if not words or shutil.which(words[0], path=_with_own_programs(environment)["PATH"]) is None:
        raise SettingsError(
            f"{section}.command: {settings.command!r} is not installed here: {INSTALL[section]}"
        )
