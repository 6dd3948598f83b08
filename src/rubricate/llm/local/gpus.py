"""Which GPUs are visible, and which of them each of our servers gets. The second is a pure rule."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

import msgspec

from rubricate.errors import SettingsError

LISTING_TIMEOUT_S = 60


class GpuShare(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one vLLM server gets: how many GPUs it spreads over, and which share of their memory in (0, 1].

    `devices` are names for CUDA_VISIBLE_DEVICES; empty when the server may see what we see.
    """

    tensor_parallel: int = 1
    memory: float = 0.9
    devices: tuple[str, ...] = ()


def visible_gpus(environment: Mapping[str, str], timeout_s: float = LISTING_TIMEOUT_S) -> tuple[str, ...]:
    """The names of the GPUs that a child would see: CUDA_VISIBLE_DEVICES, else what `nvidia-smi -L` lists.

    Blocks for as long as `nvidia-smi` takes, often a second or two.
    """
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return _named_devices(named)
    tool = shutil.which("nvidia-smi", path=environment.get("PATH", os.defpath))
    if tool is None:
        return ()
    try:
        listing = subprocess.run(  # noqa: S603 - a tool of the driver, no shell
            [tool, "-L"], capture_output=True, text=True, timeout=timeout_s, env=dict(environment)
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if listing.returncode != 0:
        return ()
    n_gpus = sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
    return tuple(str(number) for number in range(n_gpus))


def _named_devices(named: str) -> tuple[str, ...]:
    """The devices of a CUDA_VISIBLE_DEVICES; as in CUDA, the list ends at the first that cannot be one."""
    devices: list[str] = []
    for name in (part.strip() for part in named.split(",")):
        if not (name.isdigit() or name.startswith(("GPU-", "MIG-"))):
            break
        devices.append(name)
    return tuple(devices)


def gpu_shares(
    n_servers: int,
    devices: tuple[str, ...],
    tensor_parallel: int | None,
    memory: float,
    first_share: float = 0.5,
) -> tuple[GpuShare, ...]:
    """What each of one or two servers gets, in order.

    One server gets all: every visible GPU, or as many as `tensor_parallel` says. Two servers get disjoint
    GPUs when there are enough (with an odd number the first gets one more), since then neither can starve
    the other. Else both share the same GPUs, and `memory`, the share of each GPU that may be used, is split:
    `first_share` of it for the first, the rest for the second.

    Raises:
        SettingsError: there is no GPU, or fewer than `tensor_parallel`.
    """
    if not devices:
        raise SettingsError(
            "vLLM needs a GPU and none is visible here (CUDA_VISIBLE_DEVICES, nvidia-smi -L). Run it where "
            "there is one and point models.*_base_url there; name devices that nvidia-smi does not list by "
            "CUDA_VISIBLE_DEVICES=0; for a CPU build of vLLM set VLLM_TARGET_DEVICE=cpu; or use the backend "
            "llamacpp"
        )
    if tensor_parallel is not None and tensor_parallel > len(devices):
        raise SettingsError(
            f"vllm.tensor_parallel_size={tensor_parallel}, but only {len(devices)} GPU(s) are visible: "
            f"lower it, or leave it null for all of them"
        )
    if n_servers == 1:
        return (GpuShare(tensor_parallel or len(devices), memory),)
    if len(devices) >= 2 * (tensor_parallel or 1):
        n_first = tensor_parallel or (len(devices) + 1) // 2
        n_second = tensor_parallel or len(devices) - n_first
        return (
            GpuShare(n_first, memory, devices[:n_first]),
            GpuShare(n_second, memory, devices[n_first : n_first + n_second]),
        )
    n_both = tensor_parallel or len(devices)
    first = round(memory * first_share, 4)
    return (GpuShare(n_both, first), GpuShare(n_both, round(memory - first, 4)))
