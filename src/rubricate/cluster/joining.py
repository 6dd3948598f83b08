"""The way into a Ray cluster: joined for a run, and every way in which that fails in one line."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from rubricate.errors import RunError, SettingsError
from rubricate.settings.schema import RaySettings

LOCAL, AUTO = "local", "auto"
_FALLBACK = "or run on this machine alone: engine=local"
_REACH_S = 5.0
_OBJECT_STORE_BYTES = 128 * 1024 * 1024
_RESTARTS = 16
_FRAME_HEAD_BYTES, _SETTINGS_FRAME = 9, 4
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, _SETTINGS_FRAME, 0, 0, 0, 0, 0])


@dataclass(frozen=True)
class Site:
    """A cluster that was joined: the addresses of its machines, this one's, and how many workers a run has.

    `room` is how many of them there are CPUs for at present.
    """

    addresses: tuple[str, ...]
    own_address: str
    n_workers: int
    room: int
    cpus_per_worker: float

    @property
    def foreign(self) -> tuple[str, ...]:
        """The addresses of other machines."""
        return tuple(address for address in self.addresses if address != self.own_address)

    def hire(self, worker: type) -> Any:
        """A new worker, as Ray's handle of an actor. Ray starts it where there is room, and starts it again,
        on another node if need be, when its process or its node dies."""
        import ray

        actor = ray.remote(num_cpus=self.cpus_per_worker, max_restarts=_RESTARTS, max_task_retries=0)(worker)
        return actor.remote()


@contextmanager
def joined(settings: RaySettings) -> Iterator[Site]:
    """The cluster of the settings, for as long as the block lasts; one that was started for it ends then.

    Blocks for some seconds. Ray sets a handler of its own for SIGTERM, and leaves without a word by it; that
    of before is put back.

    Raises:
        SettingsError: Ray is not installed, or is another version than the cluster's; no node has room for a
            worker; an address that is none.
        RunError: the cluster cannot be reached.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise SettingsError(
            f"engine=ray needs the package ray: pip install 'rubricate[ray]', {_FALLBACK}"
        ) from None
    address = address_of(settings)
    _check(address)
    own: dict[str, Any] = {}
    if address == LOCAL:
        wanted = math.ceil((settings.workers or 1) * settings.cpus_per_worker)
        own = {
            "num_cpus": max(os.cpu_count() or 1, wanted),
            "object_store_memory": _OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }
    by_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address,
            namespace="rubricate",
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            **own,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as failure:
        raise _unjoined(address, failure) from None
    signal.signal(signal.SIGTERM, by_sigterm)
    try:
        import ray.util

        yield site_of(settings, ray.nodes(), str(ray.util.get_node_ip_address()))
    finally:
        ray.shutdown()


def address_of(settings: RaySettings) -> str:
    """The address that Ray is given; `local` has it start a cluster of this machine alone."""
    return settings.address or os.environ.get("RAY_ADDRESS") or LOCAL


def site_of(settings: RaySettings, nodes: Sequence[Mapping[str, Any]], own_address: str) -> Site:
    """What a run has of a cluster of these nodes (as `ray.nodes()` gives them).

    Raises:
        SettingsError: no node has the CPUs that a worker is to have.
    """
    alive = [node for node in nodes if node["Alive"]]
    each = settings.cpus_per_worker
    cpus = [float(node["Resources"].get("CPU", 0.0)) for node in alive]
    room = sum(math.floor(n / each) if each else math.floor(n) for n in cpus)
    if room < 1:
        raise SettingsError(
            f"ray.cpus_per_worker={each:g}: no machine of the cluster has as many CPUs; ask for fewer, "
            f"{_FALLBACK}"
        )
    return Site(
        addresses=tuple(sorted({str(node["NodeManagerAddress"]) for node in alive})),
        own_address=own_address,
        n_workers=settings.workers or room,
        room=room,
        cpus_per_worker=each,
    )


def _check(address: str) -> None:
    """Looks at an address before Ray does, which would try for minutes."""
    if address in (LOCAL, AUTO):
        return
    if address.startswith("ray://"):
        raise SettingsError(
            f"ray.address={address}: a run is started on a machine of the cluster and not through the Ray "
            f"client (ray job submit, or ray.address=auto there), {_FALLBACK}"
        )
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise SettingsError(f"ray.address={address!r} is no address: give HOST:PORT or auto, {_FALLBACK}")
    try:
        with socket.create_connection((host, port), _REACH_S) as line:
            if os.environ.get("RAY_USE_TLS", "0") in ("", "0") and not _speaks_grpc(line):
                raise ConnectionError("what answers is no Ray")
    except OSError as failure:
        raise RunError(
            f"ray.address={address}: no cluster answers there ({failure}): start one (ray start --head), "
            f"correct the address, {_FALLBACK}"
        ) from None


def _speaks_grpc(line: socket.socket) -> bool:
    """Whether the other end greets as gRPC does, by a settings frame of HTTP/2 (RFC 9113, 3.4 and 6.5). Ray
    itself waits for minutes for whoever does not."""
    line.sendall(_PREFACE)
    greeting = b""
    while len(greeting) < _FRAME_HEAD_BYTES:
        part = line.recv(_FRAME_HEAD_BYTES - len(greeting))
        if not part:
            return False
        greeting += part
    return greeting[3] == _SETTINGS_FRAME


def _unjoined(address: str, failure: Exception) -> RunError | SettingsError:
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()] or [type(failure).__name__]
    if "ersion mismatch" in str(failure):
        said = " ".join(lines)
        return SettingsError(
            f"ray.address={address}: {said[:400]}: install the cluster's versions here, {_FALLBACK}"
        )
    if address == AUTO and isinstance(failure, ConnectionError):
        return RunError(
            f"ray.address=auto: no cluster runs on this machine: start one (ray start --head), {_FALLBACK}"
        )
    return RunError(f"ray.address={address}: the cluster cannot be joined ({lines[0][:300]}), {_FALLBACK}")
