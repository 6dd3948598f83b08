"""`rubricate doctor`: looks at everything that a run will stand on, and says what to do about each.

Asks each endpoint two or three small questions, waits seconds and not minutes, and writes nothing.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.text import Text

from rubricate.commands.run import folder_of
from rubricate.commands.session import Interrupted, in_loop
from rubricate.errors import RubricateError, SettingsError
from rubricate.llm.budget import Budget
from rubricate.llm.endpoint import Endpoint
from rubricate.llm.inspection import Finding, Question, inspect
from rubricate.llm.local.engines import VLLM_PORT, VllmSettings, llama_command, runs_without_gpu, vllm_command
from rubricate.llm.local.gpus import GpuShare, gpu_shares, visible_gpus
from rubricate.llm.local.servers import must_be_installed
from rubricate.llm.postgres.address import Address
from rubricate.llm.postgres.survey import survey
from rubricate.llm.sqlite.file import SqliteFile
from rubricate.settings.casting import asked_models, local_models, role_access, role_models
from rubricate.settings.loading import load_settings
from rubricate.settings.schema import OFFLINE, Settings
from rubricate.settings.secrets import environment
from rubricate.settings.terms import ledger_place, pinned, prices_of

_ENDPOINT_S = 20.0  # for all questions to one endpoint and model
_CALL_S = 10.0
_GPU_S = 10.0
_TABLES = ("reply", "verdict")
_SCARCE_BYTES, _FEW_BYTES = 50 * 2**20, 2**30
_EXTRAS = (
    ("uvloop", "pip install 'rubricate[fast]' makes many calls at once cheaper"),
    ("datasets", "pip install datasets reads Hugging Face datasets and hf://NAME"),
)
_STYLES = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


def examine(config_name: str, overrides: Sequence[str], config_dir: Path | None, console: Console) -> int:
    """Prints one line per check; the exit code: 1 if something is wrong, else 0."""
    wrong = 0
    try:
        for finding in _findings(config_name, overrides, config_dir):
            wrong += finding.mark == "wrong"
            line = Text.assemble((f"{finding.mark:<9}", _STYLES[finding.mark]), finding.text)
            console.print(line, soft_wrap=True)
    except Interrupted as stop:
        return 128 + stop.signal_number
    console.print(f"{wrong} wrong: see above" if wrong else "Nothing is wrong.")
    return 1 if wrong else 0


def _findings(config_name: str, overrides: Sequence[str], config_dir: Path | None) -> Iterator[Finding]:
    yield Finding("ok", f"Python {platform.python_version()} on {platform.system()}")
    yield from _extras()
    try:
        settings = load_settings(config_name, overrides, config_dir=config_dir)
    except RubricateError as mistake:
        yield Finding("wrong", f"configuration: {mistake}")
        return
    yield Finding("ok", f"configuration: {config_name} is complete, and every key is known")
    try:
        env = environment()
    except (OSError, UnicodeDecodeError) as failure:
        yield Finding("wrong", f".env: cannot be read ({failure}): write NAME=value lines in UTF-8")
        return
    there = "is read; variables that are set already win" if Path(".env").is_file() else "none in this folder"
    yield Finding("ok", f".env: {there}")
    yield from _limits(settings)
    yield from _roles(settings, env)
    yield from _local_servers(settings, env)
    places = {"output": folder_of(settings).parent}
    try:
        ledger = ledger_place(pinned(settings, env), env).at
    except SettingsError as mistake:
        yield Finding("wrong", str(mistake))
    else:
        if isinstance(ledger, Path):
            yield from _ledger_file(ledger)
            places["ledger"] = ledger.parent
        else:
            yield in_loop(_ledger_in_database(ledger))
    for name, folder in places.items():
        yield disk_finding(name, folder, shutil.disk_usage(_existing(folder)).free)


def _extras() -> Iterator[Finding]:
    for name, remedy in _EXTRAS:
        is_there = find_spec(name) is not None
        yield Finding(
            "ok", f"{name}: installed" if is_there else f"{name}: not installed (optional): {remedy}"
        )


def _limits(settings: Settings) -> Iterator[Finding]:
    """Whether a limit on cost can be kept."""
    limit = settings.budget.max_cost_usd
    try:
        Budget(prices_of(settings), max_cost_usd=limit).check(asked_models(settings))
    except RubricateError as mistake:
        yield Finding("wrong", f"prices: {mistake}")
    else:
        yield Finding(
            "ok", f"prices: known for a limit of {limit:g} USD" if limit else "prices: no limit on cost"
        )


def _roles(settings: Settings, env: Mapping[str, str]) -> Iterator[Finding]:
    """What each role will meet where it asks; roles that ask the same are looked at once."""
    roles_by_question: dict[Question, list[str]] = {}
    for role, model in role_models(settings).items():
        if model == OFFLINE:
            yield Finding("ok", f"{role}: the offline engine; nobody is asked")
        elif role not in local_models(settings):
            try:
                where = role_access(settings, env, role)
                endpoint = Endpoint(where.base_url, where.api_key)
            except SettingsError as mistake:
                yield Finding("wrong", f"{role}: {mistake}")
                continue
            question = Question(
                endpoint,
                model,
                where.key_name,
                settings.api.temperature,
                settings.api.structured_output == "auto",
                role in settings.batch_roles,
            )
            roles_by_question.setdefault(question, []).append(role)
    for question, findings in in_loop(_inspected(list(roles_by_question), settings.api.timeout_s)):
        roles = " and ".join(roles_by_question[question])
        yield from (Finding(finding.mark, f"{roles}: {finding.text}") for finding in findings)


async def _inspected(questions: Sequence[Question], timeout_s: float) -> list[tuple[Question, list[Finding]]]:
    looks = [inspect(question, min(timeout_s, _CALL_S), _ENDPOINT_S) for question in questions]
    return list(zip(questions, await asyncio.gather(*looks), strict=True))


def _local_servers(settings: Settings, env: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the servers that a run would start can be started."""
    backends = {"proposer": settings.models.proposer_backend, "verifier": settings.models.verifier_backend}
    vllm_models = set[str]()
    for role, model in local_models(settings).items():
        engine = settings.vllm if backends[role] == "vllm" else settings.llamacpp
        try:
            must_be_installed(engine, env)
            if isinstance(engine, VllmSettings):
                vllm_models.add(model)
                vllm_command(engine, model, VLLM_PORT, GpuShare())
            else:
                llama_command(engine, model, VLLM_PORT)
            if model.lower().endswith(".gguf") and not Path(model).is_file():
                raise SettingsError(f"{model}: there is no such file")
        except SettingsError as mistake:
            yield Finding("wrong", f"{role}: {mistake}")
        else:
            yield Finding("ok", f"{role}: {engine.command} is installed and will serve {model}")
    if vllm_models:
        yield from _gpus(settings.vllm, len(vllm_models), env)
    else:
        n_gpus = len(visible_gpus(env, _GPU_S))
        yield Finding("ok", f"GPU: {n_gpus or 'none'} visible; only a backend of vllm needs one")


def _gpus(settings: VllmSettings, n_servers: int, env: Mapping[str, str]) -> Iterator[Finding]:
    if runs_without_gpu(settings, env):
        yield Finding("ok", "GPU: none is needed, since this vLLM is not one for CUDA")
        return
    devices = visible_gpus(env, _GPU_S)
    try:
        shares = gpu_shares(
            n_servers,
            devices,
            settings.tensor_parallel_size,
            settings.gpu_memory_utilization,
            settings.proposer_share,
        )
    except SettingsError as mistake:
        yield Finding("wrong", f"GPU: {mistake}")
    else:
        shared = "; ".join(f"{share.tensor_parallel} at {share.memory:.0%} of memory" for share in shares)
        yield Finding("ok", f"GPU: {len(devices)} visible, each server gets {shared}")


def _ledger_file(path: Path) -> Iterator[Finding]:
    """Whether the ledger can be used. One that is not there is not made."""
    if not path.exists():
        folder = _existing(path.parent)
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            remedy = "allow writing there, or set `ledger` to another file"
            yield Finding("wrong", f"ledger: {path} cannot be made in {folder}: {remedy}")
        else:
            yield Finding("ok", f"ledger: {path} will be made by the first run")
        return
    try:
        file = SqliteFile(path)
        counts = [
            file.reader.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608
            for name in _TABLES
        ]
        file.close()
    except RubricateError as mistake:
        yield Finding("wrong", f"ledger: {mistake}")
    else:
        yield Finding("ok", f"ledger: {path} holds {counts[0]:,} replies and {counts[1]:,} verdicts")


async def _ledger_in_database(address: Address) -> Finding:
    """Whether the database takes us. A schema that is not there is not made."""
    try:
        counts = await survey(address)
    except RubricateError as mistake:
        return Finding("wrong", str(mistake))
    if counts is None:
        return Finding("ok", f"ledger: {address} answers; its tables will be made by the first run")
    return Finding(
        "ok", f"ledger: {address} holds about {counts.replies:,} replies and {counts.verdicts:,} verdicts"
    )


def disk_finding(name: str, folder: Path, free_bytes: int) -> Finding:
    """Whether a folder has room for a run: replies and verdicts of 1,000 prompts take some tens of MB."""
    place = _existing(folder)
    if not place.is_dir() or not os.access(place, os.W_OK):
        return Finding("wrong", f"{name} folder: {place} cannot be written: choose another one")
    free = f"{name} folder: {free_bytes / 2**30:.1f} GiB free in {place.resolve()}"
    if free_bytes < _SCARCE_BYTES:
        return Finding("wrong", f"{free}: make room, or choose another disk")
    if free_bytes < _FEW_BYTES:
        return Finding("warning", f"{free}: a large run may fill it; it would stop, and could be resumed")
    return Finding("ok", free)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    absolute = folder.absolute()
    return next(place for place in (absolute, *absolute.parents) if place.exists())
