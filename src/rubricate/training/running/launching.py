"""The same command again, in many processes: under `accelerate launch`, which knows DeepSpeed and FSDP."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rubricate.errors import SettingsError

LAUNCHED = "RUBRICATE_LAUNCHED"
"""Set for the processes that we start, so that none of them starts more."""


def is_launched() -> bool:
    """Whether something has started this process as one of a group: we, torchrun, or accelerate."""
    return LAUNCHED in os.environ or "RANK" in os.environ


def launch_words(launch: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """The command line that runs `rubricate WORDS` under these flags of `accelerate launch`.

    Accelerate starts one process where it is told to use the CPU, unless mpirun is set up; several CPU
    processes are started by torchrun, which comes with torch.

    Raises:
        SettingsError: a flag that `accelerate launch` does not have, or a value that is none.
    """
    known = _known()
    flags: list[str] = []
    for name, value in launch.items():
        if known and name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
            near = f"did you mean {close[0]!r}?" if close else "see `accelerate launch --help`"
            raise SettingsError(f"launch.{name}: `accelerate launch` has no such flag; {near}")
        flags += _flag(name, value)
    program = ["-m", "rubricate", *words]
    n = launch.get("num_processes")
    if launch.get("cpu") and isinstance(n, int) and n > 1 and "mpirun_hostfile" not in launch:
        port = launch.get("main_process_port")
        place = ["--master_port", str(port)] if port is not None else ["--standalone"]
        return [sys.executable, "-m", "torch.distributed.run", *place, f"--nproc_per_node={n}", *program]
    return [sys.executable, "-m", "accelerate.commands.launch", *flags, *program]


def launch(launch: Mapping[str, Any], words: Sequence[str]) -> None:
    """Becomes that command line; does not come back.

    Raises:
        SettingsError: as `launch_words`; accelerate is not installed.
    """
    from importlib.util import find_spec

    if find_spec("accelerate") is None:
        raise SettingsError(
            "launch.* needs accelerate: install the extra `train` (pip install 'rubricate[train]')"
        )
    line = launch_words(launch, words)
    env = {**os.environ, LAUNCHED: "1"}
    if launch.get("cpu"):
        env["ACCELERATE_USE_CPU"] = "true"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(line[0], line, env)  # noqa: S606  # our own interpreter, with the words that we were given


def _flag(name: str, value: Any) -> list[str]:
    if value is None or value is False:
        return []
    if value is True:
        return [f"--{name}"]
    if isinstance(value, list | tuple):
        return [f"--{name}", ",".join(str(part) for part in value)]
    if isinstance(value, dict):
        raise SettingsError(f"launch.{name} is a mapping; flags of `accelerate launch` are single values")
    return [f"--{name}", str(value)]


def _known() -> frozenset[str]:
    """The flags of `accelerate launch`, read from its own parser."""
    try:
        from accelerate.commands.launch import launch_command_parser
    except ImportError:
        return frozenset()
    parser = launch_command_parser()
    return frozenset(
        option.lstrip("-").replace("-", "_") for action in parser._actions for option in action.option_strings
    )
