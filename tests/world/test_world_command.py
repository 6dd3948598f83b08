"""A rehearsal as a user does it: the server as a process, a pool, and `rubricate run` against it."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from rubricate.commands.world import make_pool, show_dials
from rubricate.errors import RunError, SettingsError
from rubricate.runs.intake import read_pools
from rubricate.world.dials import dials_of, known_dials
from rubricate.world.topics import topic_of

RUBRICATE = Path(sys.executable).parent / "rubricate"
SEED, DEADLINE_S = 3, 60
_SERVE = """
import sys
from rich.console import Console
from rubricate.commands.world import serve
sys.exit(serve(sys.argv[1:], seed=3, port=0, api_key=None, console=Console()))
"""


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def made(path: Path, n_prompts: int = 3, *assignments: str) -> Path:
    """A small pool of the world."""
    code = make_pool(
        path,
        seed=SEED,
        n_prompts=n_prompts,
        generators=["great-1", "great-2", "good-1", "weak-1"],
        draws=1,
        assignments=assignments,
        console=quiet(),
    )
    assert code == 0
    return path


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process with a few faults, and its base URL."""
    faults = ["faults.503=0.1", "faults.cut_json=0.05", "faults.reset=0.05"]
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE, *faults], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        yield process, re.findall(r"http://\S+", said)[0]
        process.kill()


def test_a_run_is_rehearsed(server: tuple[subprocess.Popen[str], str], tmp_path: Path) -> None:
    """A run against the server refines prompts of the world through its faults, at known prices, with the
    models' usual names; Ctrl-C ends the server, which then says what became of the calls."""
    process, base_url = server
    made(tmp_path / "pool.jsonl")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LITELLM_BASE_URL": base_url}
    ended = subprocess.run(
        [
            *[str(RUBRICATE), "run", "--config-name", "iterative", "files.responses_file=pool.jsonl"],
            *[f"files.output_dir={tmp_path / 'out'}", "ledger=rehearsal.sqlite"],
        ],
        cwd=tmp_path,
        env=environment | {"LITELLM_KEY": "none"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    journal = [json.loads(line) for line in (tmp_path / "out" / "journal.jsonl").read_bytes().splitlines()]
    assert len(journal) == 3 and {line["state"] for line in journal} <= {"refined", "kept"}
    summary = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert summary["session"]["retries"] > 0 and summary["session"]["usd_paid"] > 0
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert re.search(r"\d+ calls \(200: \d+, 503: \d+", said)


def test_a_pool_is_what_the_intake_reads(tmp_path: Path) -> None:
    """Every response arrives with its generator and its gold, the world's; two writings are equal."""
    path = made(tmp_path / "pool.jsonl")
    assert made(tmp_path / "again.jsonl").read_bytes() == path.read_bytes()
    with read_pools(str(path)) as intake:
        pools = list(intake)
    assert len(pools) == 3 and not any(pool.set_aside for pool in pools)
    for pool in pools:
        topic = topic_of(SEED, pool.prompt.text)
        assert topic is not None and len(pool.responses) == 4
        for response in pool.responses:
            assert response.gold == pytest.approx(topic.gold(response.text), abs=1e-6)


def test_a_pool_is_never_overwritten(tmp_path: Path) -> None:
    """A file that exists stays as it is; a name that is no JSON Lines, or a wrong dial, is refused."""
    path = made(tmp_path / "pool.jsonl")
    before = path.read_bytes()
    with pytest.raises(RunError, match="exists already"):
        made(path)
    with pytest.raises(SettingsError, match=r"call it .*pool\.jsonl"):
        made(tmp_path / "pool.json")
    with pytest.raises(SettingsError, match=r"responder\.habit"):
        made(tmp_path / "other.jsonl", 1, "responder.habits=1")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_every_dial_is_shown_as_it_is_set() -> None:
    """What the list of dials prints can be given back as it stands."""
    console = quiet()
    show_dials(console)
    assert isinstance(console.file, io.StringIO)
    lines = [line.partition(" #")[0].strip() for line in console.file.getvalue().splitlines()]
    assert dials_of(lines) == dials_of([f"{line}" for line in lines if line.startswith("faults.")])
    assert {line.partition("=")[0] for line in lines} >= set(known_dials())
