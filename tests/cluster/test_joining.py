"""A cluster that cannot be had: one line each, nothing begun, and the way out named, never taken."""

from __future__ import annotations

import socket
import sys

import pytest

from rubricate.cluster.joining import site_of
from rubricate.errors import RunError, SettingsError
from rubricate.settings.schema import RaySettings
from tests.served import Served, command, rows, run_here, write_pool

PLAIN = ("files.responses_file=../pool.json", "models.rubric_generator=offline", "models.verifier=offline")


@pytest.fixture
def folder(desk):
    """Where a run would be."""
    write_pool(desk.path / "pool.json", rows(2))
    desk.patch.delenv("RAY_ADDRESS", raising=False)
    return desk.move("run")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _refused(folder, *overrides: str) -> str:
    """What the command says, which is one line with the fallback in it."""
    outcome = command("run", "--config-name", "iterative", "files.output_dir=out", *PLAIN, *overrides)
    assert outcome.code == 2
    (line,) = outcome.text.strip().splitlines()
    assert "engine=local" in line
    assert not folder.exists()
    return line


def test_nobody_answers_there(folder):
    """An address where no cluster is."""
    port = _free_port()
    assert f"ray.address=127.0.0.1:{port}" in _refused(
        folder, "engine=ray", f"ray.address='127.0.0.1:{port}'"
    )


def test_something_else_answers_there(folder):
    """A web server is not waited for."""
    with Served() as server:
        address = server.base_url.split("/")[2]
        assert "no Ray" in _refused(folder, "engine=ray", f"ray.address='{address}'")


def test_the_address_of_the_environment_counts(folder, desk):
    """RAY_ADDRESS is where users of Ray say it."""
    desk.patch.setenv("RAY_ADDRESS", f"127.0.0.1:{_free_port()}")
    assert "no cluster answers there" in _refused(folder, "engine=ray")


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "nowhere", "host:port", "host:99999"])
def test_what_is_no_address_of_a_cluster(folder, address):
    """Told before Ray tries for minutes."""
    assert "ray.address" in _refused(folder, "engine=ray", f"ray.address='{address}'")


def test_ray_is_not_installed(folder, monkeypatch):
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "rubricate[ray]" in _refused(folder, "engine=ray")


def test_servers_of_ours_are_for_one_machine(folder):
    """vllm and llamacpp backends are refused, with what to do instead."""
    said = _refused(folder, "engine=ray", "models.verifier=m", "models.verifier_backend=llamacpp")
    assert "verifier" in said and "api.*_base_url" in said


def test_another_engine_is_none(folder):
    """The key names what there is."""
    with pytest.raises(SettingsError, match="engine"):
        run_here(*PLAIN, "engine=spark")
    with pytest.raises((SettingsError, RunError), match=r"ray\.workers"):
        run_here(*PLAIN, "ray.workers=0")


def _node(address: str, cpus: float, *, alive: bool = True) -> dict[str, object]:
    return {"Alive": alive, "NodeManagerAddress": address, "Resources": {"CPU": cpus} if cpus else {}}


@pytest.mark.parametrize(
    ("each", "asked", "room", "n_workers"),
    [(1.0, None, 7, 7), (2.0, None, 3, 3), (0.5, 4, 15, 4), (0.0, None, 7, 7)],
)
def test_as_many_workers_as_there_are_cpus_for(each, asked, room, n_workers):
    """Nodes of 4, 3.5 and no CPUs, and a dead one: a worker has its CPUs on one node."""
    nodes = [_node("b", 4.0), _node("a", 3.5), _node("a", 0), _node("c", 64.0, alive=False)]
    site = site_of(RaySettings(address=None, workers=asked, cpus_per_worker=each), nodes, "a")
    assert (site.room, site.n_workers) == (room, n_workers)
    assert (site.addresses, site.foreign) == (("a", "b"), ("b",))


def test_no_node_is_large_enough():
    """Said, and not waited for."""
    with pytest.raises(SettingsError, match=r"cpus_per_worker=8.*engine=local"):
        site_of(RaySettings(address=None, workers=1, cpus_per_worker=8), [_node("a", 4.0)] * 3, "a")
