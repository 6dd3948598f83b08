"""TRL's own trainer with rubrics that change: real steps, a kill in the middle of a refresh, and all rewards
made again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rubricate.domain.conversation import Prompt
from rubricate.training.online.recompute import recompute, replayed
from rubricate.training.online.rubrics import OnlineRubrics
from tests.training.online.stage import PROMPTS, RULES, Till, a_reward, train

ROOT = Path(__file__).resolve().parents[3]


def lines_of(place: Path, kind: str) -> list[dict]:
    """The lines of a kind in the file of versions."""
    lines = map(json.loads, (place / "online" / "rubrics_online.jsonl").read_text().splitlines())
    return [line for line in lines if line["line"] == kind]


def test_killed_in_a_refresh_resumed_and_every_reward_made_again(tmp_path):
    """Eight steps, a refresh every two; killed with signal 9 while the second refresh is asking. Resumed from
    the checkpoint of step 3, it ends with the very versions of a run that was never killed, pays for no
    question twice but the one whose reply was lost in the kill, and every reward of every step is made again
    from the folder, and from the ledger, for nothing."""
    pytest.importorskip("torch")
    pytest.importorskip("datasets")
    pytest.importorskip("trl")
    calm, struck = tmp_path / "calm", tmp_path / "struck"
    calm.mkdir()
    struck.mkdir()
    child = subprocess.run(
        [sys.executable, "-m", "tests.training.online.stage", str(struck), "3"],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert child.returncode == -signal.SIGKILL, child.stderr[-2000:]
    till = Till(struck / "paid")
    n_before = len(till.paid)
    assert [line["step"] for line in lines_of(struck, "refreshed")] == [2], "nothing is half written"

    with a_reward(struck, till, RULES) as reward:
        trainer, after = train(struck, reward, 8, resume=True)
        assert trainer.state.global_step == 8 and {step for step, *_ in after} == {3, 4, 5, 6, 7}
        with a_reward(calm, Till(calm / "paid"), RULES) as undisturbed:
            calm_trainer, given = train(calm, undisturbed, 8)
        assert [batch for batch in given if batch[0] >= 3] == after, "the same completions, the same rewards"
        assert lines_of(struck, "version") == lines_of(calm, "version")
        assert any(line["is_new"] for line in lines_of(calm, "version"))
        assert [line["step"] for line in lines_of(struck, "resumed")] == [3]
        lost = len(till.paid) - len(set(till.paid))
        assert lost == 1 and till.paid.count(till.paid[n_before - 1]) == 2, "the reply that the kill took"

        n_paid = len(till.paid)
        for step, prompts, completions, rewards in given:
            (batch,) = replayed(reward.versions, step)
            assert batch.rewards == rewards, f"step {step} from the folder"
            assert recompute(reward, step, prompts, completions).rewards == rewards
        assert len(till.paid) == n_paid
    for log in (struck / "online").glob("graded_online-*"):
        log.unlink()  # the ledger alone is enough, by steps in their order
    with a_reward(struck, till, RULES) as reward:
        for step, prompts, completions, rewards in given:
            assert recompute(reward, step, prompts, completions).rewards == rewards, f"step {step}"
        assert len(till.paid) == n_paid, "for nothing"

    assert any("eval_reward" in line for line in calm_trainer.state.log_history)
    assert undisturbed.totals.n == 8 * 8 and undisturbed.versions.graded.prompts == sorted(
        Prompt.of_text(prompt).key for prompt in PROMPTS
    ), "what was evaluated is held out"
    logged = [line for line in calm_trainer.state.log_history if "online/prompts" in line]
    assert [line["step"] for line in logged] == [3, 5, 7], "with the next batch of each refresh"
    assert {"online/accepted", "online/refused", "online/added", "online/gradings"} <= set(logged[0])


def test_two_processes_train_by_one_folder(tmp_path):
    """TRL over two processes of torch.distributed, four steps: one refreshes and the other waits, both give
    the rewards of a step by the same rubrics, from the step on from which they count, and all of them are
    made again."""
    pytest.importorskip("trl")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
              "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}  # fmt: skip
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.online.stage", str(tmp_path), "0"], cwd=ROOT, text=True,
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        errors = [child.communicate(timeout=240)[1] for child in children]
    finally:
        for child in children:
            child.kill()
    assert [child.returncode for child in children] == [0, 0], errors
    given = [json.loads((tmp_path / f"given-{rank}.json").read_text()) for rank in range(2)]
    assert [step for step, *_ in given[0]] == [step for step, *_ in given[1]] == [0, 1, 2, 3]
    assert [line["step"] for line in lines_of(tmp_path, "refreshed")] == [2], "by one of them, once"
    assert sum(line["is_new"] for line in lines_of(tmp_path, "version")) > 0
    online = OnlineRubrics(tmp_path / "online")
    for step in range(4):
        batches = replayed(online, step)
        assert sorted(str(batch.rewards) for batch in batches) == sorted(str(rank[step][3]) for rank in given)
        versions = {one.rubric.version for batch in batches for one in batch.graded if one.rubric}
        news = {line["rubric"].get("version", 0) for line in lines_of(tmp_path, "version")}
        assert versions <= ({0} if step < 2 else news)
