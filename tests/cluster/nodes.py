"""A real Ray cluster of several nodes on this machine: one where runs start, and some that work.

A test may kill a node or a worker, as a machine or its kernel would.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import rubricate

ROOT = Path(__file__).parents[2]
SOURCE = Path(rubricate.__file__).parents[1]
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_DEDUP_LOGS": "0",
    "RAY_enable_metrics_collection": "0",
    "PYTHONPATH": os.pathsep.join([str(SOURCE), str(ROOT)]),
}
_STORE_BYTES = 80 * 1024 * 1024


class Nodes:
    """The cluster: `address`, where its sessions log, and ways to hurt it."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self._args = {"object_store_memory": _STORE_BYTES, "include_dashboard": False}
        self.logs = folder
        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "temp_dir": str(folder), **self._args},
        )
        self.address: str = self._cluster.address
        self._working: list[Any] = []

    def have(self, n: int) -> None:
        """Sees to it that n nodes work, with one CPU each."""
        self._working = [node for node in self._working if node in self._cluster.worker_nodes]
        while len(self._working) < n:
            self._working.append(self.add(num_cpus=1))
        self._cluster.wait_for_nodes()

    def add(self, **about: Any) -> Any:
        """One more node."""
        return self._cluster.add_node(**self._args, **about)

    def take_away(self, node: Any) -> None:
        """Ends a node in order."""
        self._cluster.remove_node(node, allow_graceful=True)

    def workers(self) -> list[int]:
        """The process ids of the workers of a run on the working nodes, by node."""
        raylets = [node.all_processes["raylet"][0].process.pid for node in self._working]
        return [
            pid for raylet in raylets for pid in children(raylet) if command_of(pid).startswith("ray::Worker")
        ]

    def kill_node(self) -> None:
        """Kills the processes of one working node, its workers first: the machine is gone."""
        node = self._working.pop()
        doomed = children(node.all_processes["raylet"][0].process.pid)
        for pid in doomed:
            os.kill(pid, signal.SIGKILL)
        self._cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        """Ends all nodes."""
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """The cluster of this module."""
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _QUIET.items():
            patch.setenv(name, value)
        # Sockets have short paths, shorter than those of tmp_path.
        cluster = Nodes(Path(tempfile.gettempdir()).resolve() / f"rr{os.getpid()}")
        try:
            yield cluster
        finally:
            cluster.close()


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and _parent(folder) == pid:
            found.append(int(folder.name))
    return sorted(found)


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return 0


def command_of(pid: int) -> str:
    """What a process calls itself; nothing once it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def until(holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Waits until something holds that another process brings about."""
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)
