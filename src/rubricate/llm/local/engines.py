"""What vLLM and llama.cpp need: their settings, command lines and environments, and remedies for their ills.

Pure rules; nothing is started here (`servers` does that). An engine's server listens on 127.0.0.1 only
and answers under the very name that requests use.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from rubricate.errors import SettingsError
from rubricate.llm.local.gpus import GpuShare
from rubricate.llm.local.process import HOST

VLLM_PORT, LLAMA_CPP_PORT = 8000, 8080

Share = Annotated[float, Meta(gt=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]


class VllmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `vllm`. The first five keys are those of the official workflow."""

    tensor_parallel_size: Count | None = None
    """GPUs that one model is spread over; None: all that are visible."""
    max_model_len: Count = 16384
    """Tokens of prompt and reply together."""
    enforce_eager: bool = False
    """Start faster and answer slower: no CUDA graphs."""
    gpu_memory_utilization: Share = 0.9
    """Share of each GPU's memory that our servers may use, all of them together."""
    port: Port | None = None
    """None: 8000, or the next free one. A port that is asked for is taken or refused."""
    proposer_share: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    """When two models must share GPUs: the proposer's part of `gpu_memory_utilization`."""
    command: str = "vllm"
    """The program, with its own arguments if it has some (`uv run vllm`)."""
    extra_args: tuple[str, ...] = ()
    """Added to the command line as they are (`["--quantization", "fp8"]`)."""
    start_timeout_s: Seconds = 1800
    """Until the server answers; a download of the model is part of it."""
    stop_grace_s: Annotated[float, Meta(ge=0)] = 15
    """Between asking the server to end and killing it."""
    max_restarts: Annotated[int, Meta(ge=0)] = 2
    """How often a server that dies during the run is started again."""


class LlamaCppSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `llamacpp`."""

    n_ctx: Count = 8192
    """Tokens of prompt and reply together, for each of the parallel requests."""
    n_parallel: Count = 4
    """Requests that are answered at the same time."""
    port: Port | None = None
    """None: 8080, or the next free one. A port that is asked for is taken or refused."""
    command: str = "llama-server"
    """The program, with its own arguments if it has some."""
    extra_args: tuple[str, ...] = ()
    """Added to the command line as they are (`["-ngl", "99"]`)."""
    start_timeout_s: Seconds = 1800
    """Until the server answers; a download of the model is part of it."""
    stop_grace_s: Annotated[float, Meta(ge=0)] = 15
    """Between asking the server to end and killing it."""
    max_restarts: Annotated[int, Meta(ge=0)] = 2
    """How often a server that dies during the run is started again."""


EngineSettings = VllmSettings | LlamaCppSettings

# Flags that we set ourselves (twice on one line, the last one wins without a word), and secrets: a command
# line is written to the log and can be read by everybody on the machine.
RESERVED: dict[str, dict[str, str]] = {
    "vllm": {
        "--model": "the model of the role",
        "--host": "nothing: servers of a run listen on 127.0.0.1",
        "--port": "vllm.port",
        "--served-model-name": "nothing: it is the model's name",
        "--api-key": "nothing: only this machine can reach the server",
        "--tensor-parallel-size": "vllm.tensor_parallel_size",
        "-tp": "vllm.tensor_parallel_size",
        "--max-model-len": "vllm.max_model_len",
        "--gpu-memory-utilization": "vllm.gpu_memory_utilization",
        "--enforce-eager": "vllm.enforce_eager",
        "--uds": "nothing: requests go to the port",
        "--hf-token": "HF_TOKEN in the environment, which is written nowhere",
    },
    "llamacpp": {
        **dict.fromkeys(["-m", "--model", "-hf", "--hf-repo"], "the model of the role"),
        "--host": "nothing: servers of a run listen on 127.0.0.1",
        "--port": "llamacpp.port",
        **dict.fromkeys(["-a", "--alias"], "nothing: it is the model's name"),
        **dict.fromkeys(["--api-key", "--api-key-file"], "nothing: only this machine can reach the server"),
        **dict.fromkeys(["-c", "--ctx-size"], "llamacpp.n_ctx"),
        **dict.fromkeys(["-np", "--parallel"], "llamacpp.n_parallel"),
        **dict.fromkeys(["-hft", "--hf-token"], "HF_TOKEN in the environment, which is written nowhere"),
    },
}


def vllm_command(settings: VllmSettings, model: str, port: int, share: GpuShare) -> list[str]:
    """The command line of a vLLM server.

    Raises:
        SettingsError: the model's name or an extra argument cannot be right.
    """
    _check("vllm", model, settings.extra_args)
    return [
        *shlex.split(settings.command),
        *["serve", model, "--host", HOST, "--port", str(port), "--served-model-name", model],
        *["--tensor-parallel-size", str(share.tensor_parallel)],
        *["--max-model-len", str(settings.max_model_len)],
        *["--gpu-memory-utilization", f"{share.memory:g}"],
        *(["--enforce-eager"] if settings.enforce_eager else []),
        *["--uvicorn-log-level", "warning"],  # else a line of log for each of millions of calls
        *settings.extra_args,
    ]


def llama_command(settings: LlamaCppSettings, model: str, port: int) -> list[str]:
    """The command line of a llama.cpp server. A model that ends in `.gguf` is a file, another one is a
    repository of the Hugging Face hub (`owner/name` or `owner/name:Q4_K_M`).

    Raises:
        SettingsError: the model's name or an extra argument cannot be right.
    """
    _check("llamacpp", model, settings.extra_args)
    return [
        *shlex.split(settings.command),
        *["-m" if model.lower().endswith(".gguf") else "-hf", model, "--alias", model],
        *["--host", HOST, "--port", str(port)],
        # llama.cpp divides its context among the parallel requests.
        *["-c", str(settings.n_ctx * settings.n_parallel), "-np", str(settings.n_parallel)],
        *settings.extra_args,
    ]


def _check(section: str, model: str, extra_args: Collection[str]) -> None:
    if not model or model.startswith("-"):
        raise SettingsError(f"{model!r} is no name of a model that a local server could load")
    for argument in extra_args:
        flag = argument.partition("=")[0]
        if instead := RESERVED[section].get(flag):
            raise SettingsError(f"{section}.extra_args: {flag} is set by rubricate; use {instead}")


def runs_without_gpu(settings: VllmSettings, environment: Mapping[str, str]) -> bool:
    """Whether the user says that this vLLM is not one for CUDA: VLLM_TARGET_DEVICE, or `--device`."""
    words = " ".join(settings.extra_args).replace("=", " ").split()
    device = environment.get("VLLM_TARGET_DEVICE", "cuda")
    if "--device" in words[:-1]:
        device = words[words.index("--device") + 1]
    return device not in ("", "cuda", "auto", "rocm")


def child_environment(
    environment: Mapping[str, str], secrets: Collection[str] = (), devices: tuple[str, ...] = ()
) -> dict[str, str]:
    """The environment of a server: ours without API keys, and with the GPUs that it gets.

    Every `*_API_KEY` goes (a server that found VLLM_API_KEY would also refuse our keyless requests), so
    do the LiteLLM keys and the names in `secrets`. HF_TOKEN stays: a gated model needs it.
    """
    hidden = {"LITELLM_KEY", "LITELLM_MASTER_KEY", *secrets}
    kept = {
        name: value
        for name, value in environment.items()
        if name not in hidden and not name.endswith("_API_KEY")
    }
    # A log that is written at once shows how far a server came before it died.
    kept["PYTHONUNBUFFERED"] = "1"
    if devices:
        kept["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
    return kept


INSTALL = {
    "vllm": "`pip install vllm` (Linux with an NVIDIA or AMD GPU) in the environment that runs rubricate, or "
    "name the program by vllm.command",
    "llamacpp": "install llama.cpp (`brew install llama.cpp`, or a release from "
    "github.com/ggml-org/llama.cpp; any CPU or GPU will do), or name the program by llamacpp.command",
}

# First match wins, so the particular stands before the general.
REMEDIES: tuple[tuple[str, str], ...] = (
    (
        r"max seq len.{0,200}(KV cache|num_gpu_blocks)|KV cache is needed.{0,200}larger than the available",
        "the context does not fit: lower vllm.max_model_len, or give it more memory "
        "(vllm.gpu_memory_utilization, vllm.tensor_parallel_size)",
    ),
    (
        r"max_model_len.{0,80}(greater|larger) than the derived|"
        r"exceeds? (the )?model.{0,20}max_position_embeddings",
        "the model's own context is shorter: lower vllm.max_model_len",
    ),
    (
        r"out of memory|OutOfMemory|No available memory for the cache blocks|Free memory on device|"
        r"failed to allocate|unable to allocate",
        "not enough memory: use a smaller or quantised model, more GPUs (vllm.tensor_parallel_size), or "
        "less context (vllm.max_model_len, llamacpp.n_ctx); see by nvidia-smi who else holds the GPU",
    ),
    (
        r"GatedRepoError|gated repo|access to model .{0,200} is restricted",
        "the model is gated: accept its licence on its page on huggingface.co and set HF_TOKEN",
    ),
    (
        r"RepositoryNotFound|Repository Not Found|is not a valid model identifier|Repo id must be|"
        r"failed to load model|error loading model|failed to open GGUF|no GGUF files? found",
        "the model cannot be loaded: check its name (owner/name on huggingface.co, or a local path)",
    ),
    (
        r"option .{0,4}trust_remote_code=True|custom code which must be executed|requires you to execute the",
        "the model brings code of its own; if you trust its authors, add "
        'vllm.extra_args=["--trust-remote-code"]',
    ),
    (
        r"divisible by (tensor parallel size|.{0,40}tensor_parallel|tp_size)",
        "the model cannot be spread over so many GPUs: set vllm.tensor_parallel_size to a power of two",
    ),
    (
        r"address already in use|couldn't bind",
        "another program took the port: ask for another one (vllm.port, llamacpp.port)",
    ),
    (
        r"Failed to infer device type|No CUDA GPUs are available|driver version is insufficient|libcuda\.so",
        "vLLM finds no usable GPU: see that nvidia-smi works and that the driver is recent enough",
    ),
    (
        r"unrecognized arguments|invalid argument|unknown argument",
        "this version of the server does not know an argument: see extra_args, or update the server",
    ),
    (
        r"couldn't connect to .{0,60}huggingface|LocalEntryNotFound|Name or service not known|"
        r"Temporary failure in name resolution",
        "the model is not on this machine and the hub cannot be reached: download it first, or give its path",
    ),
)


def remedy(log: str) -> str | None:
    """The likely remedy for what stands in a server's log, None when nothing in it is known."""
    for pattern, advice in REMEDIES:
        if re.search(pattern, log, re.IGNORECASE):
            return advice
    return None
