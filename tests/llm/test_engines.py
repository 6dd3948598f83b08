"""The rules around local servers: command lines, environments, GPUs, remedies. Nothing is started here."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.errors import SettingsError
from rubricate.llm.local.engines import (
    LlamaCppSettings,
    VllmSettings,
    child_environment,
    llama_command,
    remedy,
    runs_without_gpu,
    vllm_command,
)
from rubricate.llm.local.gpus import GpuShare, gpu_shares, visible_gpus

MODEL = "Qwen/Qwen3-8B"


def test_a_vllm_server_listens_on_loopback_under_the_name_of_its_model():
    """The whole command line of the defaults; foreign code of a model is not trusted."""
    assert vllm_command(VllmSettings(), MODEL, 8000, GpuShare(2, 0.9)) == [
        "vllm", "serve", MODEL, "--host", "127.0.0.1", "--port", "8000", "--served-model-name", MODEL,
        "--tensor-parallel-size", "2", "--max-model-len", "16384", "--gpu-memory-utilization", "0.9",
        "--uvicorn-log-level", "warning",
    ]  # fmt: skip


def test_every_vllm_setting_reaches_the_command_line():
    """Odd values arrive, extra arguments come last, and a command may have arguments of its own."""
    settings = VllmSettings(
        max_model_len=777, enforce_eager=True, command="uv run vllm", extra_args=("--quantization", "fp8")
    )
    assert vllm_command(settings, "m", 8123, GpuShare(1, 0.45)) == [
        "uv", "run", "vllm", "serve", "m", "--host", "127.0.0.1", "--port", "8123",
        "--served-model-name", "m", "--tensor-parallel-size", "1", "--max-model-len", "777",
        "--gpu-memory-utilization", "0.45", "--enforce-eager", "--uvicorn-log-level", "warning",
        "--quantization", "fp8",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "flag"),
    [("models/tiny.gguf", "-m"), ("TINY.GGUF", "-m"), ("ggml-org/gemma-3-4b-it-GGUF:Q4_K_M", "-hf")],
)
def test_llama_cpp_loads_a_file_or_a_repository(model: str, flag: str):
    """A name that ends in .gguf is a file. The context is asked for all parallel requests together."""
    settings = LlamaCppSettings(n_ctx=1000, n_parallel=3, extra_args=("-ngl", "99"))
    assert llama_command(settings, model, 8080) == [
        "llama-server", flag, model, "--alias", model, "--host", "127.0.0.1", "--port", "8080",
        "-c", "3000", "-np", "3", "-ngl", "99",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "argument", ["--port=9", "--host", "--served-model-name", "--api-key", "-tp", "--hf-token"]
)
def test_an_extra_argument_cannot_overrule_what_we_set(argument: str):
    """The refusal names the flag, so that the last of two equal flags never wins in silence."""
    with pytest.raises(SettingsError, match=rf"vllm\.extra_args: {argument.partition('=')[0]} is set by"):
        vllm_command(VllmSettings(extra_args=(argument,)), MODEL, 8000, GpuShare())


def test_an_extra_argument_that_is_a_setting_names_the_setting():
    """The remedy is the key to set instead."""
    with pytest.raises(SettingsError, match=r"use llamacpp\.n_ctx"):
        llama_command(LlamaCppSettings(extra_args=("-c", "5")), MODEL, 8080)


@pytest.mark.parametrize("model", ["", "--trust-remote-code"])
def test_a_model_cannot_be_a_flag(model: str):
    """What stands in the place of a model is no way to hand in arguments."""
    with pytest.raises(SettingsError, match="no name of a model"):
        vllm_command(VllmSettings(), model, 8000, GpuShare())
    with pytest.raises(SettingsError, match="no name of a model"):
        llama_command(LlamaCppSettings(), model, 8000)


@pytest.mark.parametrize(
    "field", [{"gpu_memory_utilization": 1.1}, {"tensor_parallel_size": 0}, {"port": 70000}, {"prot": 1}]
)
def test_a_setting_out_of_range_is_refused(field: dict[str, object]):
    """Ranges and names are checked where settings are read."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(field, VllmSettings)


def test_servers_do_not_get_our_keys():
    """API keys stay here, the token of the hub goes along, and GPUs are assigned by the usual variable."""
    ours = {"PATH": "/bin", "HF_TOKEN": "t", "OPENAI_API_KEY": "k", "LITELLM_KEY": "k", "MY_KEY": "k"}
    ours |= {"VLLM_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "CUDA_VISIBLE_DEVICES": "0,1"}
    assert child_environment(ours, secrets=["MY_KEY"], devices=("1",)) == {
        "PATH": "/bin",
        "HF_TOKEN": "t",
        "CUDA_VISIBLE_DEVICES": "1",
        "PYTHONUNBUFFERED": "1",
    }
    assert child_environment(ours)["CUDA_VISIBLE_DEVICES"] == "0,1"


@pytest.mark.parametrize(
    ("named", "devices"),
    [
        ("0,1", ("0", "1")),
        (" 3 , 5", ("3", "5")),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("0,-1,1", ("0",)),
        ("GPU-8f6d,MIG-77aa", ("GPU-8f6d", "MIG-77aa")),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(named: str, devices: tuple[str, ...]):
    """The list ends at the first entry that is no device."""
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": named, "PATH": ""}) == devices


def test_gpus_are_counted_by_nvidia_smi(tmp_path: Path):
    """One device per line of GPU; its parts are not counted, and a failing tool counts for nothing."""
    tool = tmp_path / "nvidia-smi"
    environment = {"PATH": str(tmp_path)}
    assert visible_gpus(environment) == ()
    tool.write_text(
        '#!/bin/sh\n[ "$1" = -L ] && echo "GPU 0: NVIDIA H200 (UUID: GPU-1)" && '
        'echo "  MIG 1g.18gb Device 0: (UUID: MIG-2)" && echo "GPU 1: NVIDIA H200 (UUID: GPU-3)"\n'
    )
    tool.chmod(0o755)
    assert visible_gpus(environment) == ("0", "1")
    tool.write_text("#!/bin/sh\necho 'GPU 0: no driver'\nexit 9\n")
    assert visible_gpus(environment) == ()


def test_one_server_gets_every_gpu_unless_told_otherwise():
    """Null means all that are visible."""
    assert gpu_shares(1, ("0", "1"), None, 0.9) == (GpuShare(2, 0.9),)
    assert gpu_shares(1, ("0", "1"), 1, 0.9) == (GpuShare(1, 0.9),)


def test_two_servers_on_one_gpu_split_its_memory():
    """0.9 becomes 0.45 each, or as the shares say."""
    assert gpu_shares(2, ("0",), None, 0.9) == (GpuShare(1, 0.45), GpuShare(1, 0.45))
    assert gpu_shares(2, ("0",), 1, 0.9, first_share=0.7) == (GpuShare(1, 0.63), GpuShare(1, 0.27))


def test_two_servers_on_three_gpus_stand_apart():
    """Disjoint GPUs with all of the memory each; the odd one goes to the first."""
    assert gpu_shares(2, ("0", "1", "2"), None, 0.9) == (
        GpuShare(2, 0.9, ("0", "1")),
        GpuShare(1, 0.9, ("2",)),
    )


@pytest.mark.parametrize(
    ("devices", "tensor_parallel", "says"),
    [((), None, "needs a GPU and none is visible"), (("0",), 2, "tensor_parallel_size=2, but only 1 GPU")],
)
def test_what_cannot_be_placed_is_refused(devices: tuple[str, ...], tensor_parallel: int | None, says: str):
    """Before anything is started, with the remedy."""
    with pytest.raises(SettingsError, match=says):
        gpu_shares(1, devices, tensor_parallel, 0.9)


@given(
    n_gpus=st.integers(1, 9),
    tensor_parallel=st.none() | st.integers(1, 9),
    memory=st.floats(0.1, 1.0),
    first_share=st.floats(0.1, 0.9),
)
def test_no_gpu_is_promised_twice(
    n_gpus: int, tensor_parallel: int | None, memory: float, first_share: float
):
    """For two servers: either disjoint GPUs, or shares of memory that sum up to what may be used."""
    devices = tuple(str(number) for number in range(n_gpus))
    if tensor_parallel is not None and tensor_parallel > n_gpus:
        return
    first, second = gpu_shares(2, devices, tensor_parallel, memory, first_share)
    for share in (first, second):
        assert share.tensor_parallel == (tensor_parallel or share.tensor_parallel)
        assert 1 <= share.tensor_parallel <= n_gpus
        assert not share.devices or len(share.devices) == share.tensor_parallel
    if n_gpus >= 2 * (tensor_parallel or 1):
        assert first.devices and second.devices and not set(first.devices) & set(second.devices)
        assert first.memory == second.memory == memory
    else:
        assert first.devices == second.devices == ()
        assert first.memory + second.memory == pytest.approx(memory, abs=1e-3)
        assert min(first.memory, second.memory) > 0


def test_a_cpu_build_of_vllm_needs_no_gpu():
    """The variable of vLLM or its flag says so; a GPU named by either still is one."""
    assert runs_without_gpu(VllmSettings(), {"VLLM_TARGET_DEVICE": "cpu"})
    assert runs_without_gpu(VllmSettings(extra_args=("--device", "cpu")), {})
    assert runs_without_gpu(VllmSettings(extra_args=("--device=tpu",)), {})
    assert not runs_without_gpu(VllmSettings(), {})
    assert not runs_without_gpu(VllmSettings(extra_args=("--device", "cuda")), {})


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "smaller or quantised"),
        ("ValueError: Free memory on device (3/80 GiB) on startup is less than", "smaller or quantised"),
        (
            "ValueError: To serve at least one request with the models's max seq len (40960), (5.62 GiB KV "
            "cache is needed, which is larger than the available KV cache memory (3 GiB)",
            r"lower vllm\.max_model_len",
        ),
        ("User-specified max_model_len (16384) is greater than the derived max_model_len", "own context"),
        ("OSError: You are trying to access a gated repo.", "HF_TOKEN"),
        ("OSError: qwen/qwen is not a local folder and is not a valid model identifier", "check its name"),
        ("gguf_init_from_file: failed to open GGUF file 'x.gguf'", "check its name"),
        ("Please pass the argument `trust_remote_code=True`: contains custom code which must be executed",
         "--trust-remote-code"),
        ("Total number of heads (32) must be divisible by tensor parallel size (3)", "power of two"),
        ("OSError: [Errno 98] Address already in use", "another program"),
        ("RuntimeError: Failed to infer device type", "no usable GPU"),
        ("vllm: error: unrecognized arguments: --quantisation", "extra_args"),
        ("OSError: We couldn't connect to 'https://huggingface.co' to load the files", "download it first"),
    ],
)  # fmt: skip
def test_known_ills_have_a_remedy(line: str, advice: str):
    """What users meet most is answered with what to do, wherever it stands in the log."""
    said = remedy(f"INFO starting\n{line}\nRuntimeError: Engine core initialization failed.")
    assert said is not None and re.search(advice, said)


def test_a_healthy_log_needs_no_remedy():
    """vLLM prints its whole configuration at each start; none of its words is an ill."""
    assert (
        remedy("INFO LLM engine with config: trust_remote_code=False, max_seq_len=16384, tp_size=2") is None
    )
