"""Logs of trainers in the forms in which they are written, whole, torn and repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rubricate.errors import DataError, SettingsError
from rubricate.training.monitors.logs.lines import logged_in
from rubricate.training.monitors.logs.names import read_map
from rubricate.training.monitors.logs.reading import read_course
from rubricate.training.monitors.series.points import GOLD, KL


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def values(path, figure, **more):
    found = read_course([path], **more).points
    return {point.step: point.value(figure) for point in found if point.value(figure) is not None}


TRL = [
    {"loss": 0.1, "reward": 0.25, "kl": 0.01, "completions/mean_length": 100.0, "step": 1, "epoch": 0.1,
     "frac_reward_zero_std": 0.5, "rubric/tie_share": 0.2, "rubric/unjudged_rate": 0.0},
    {"eval_loss": 1.0, "step": 1},
    {"reward": 0.5, "kl": float("nan"), "completions/mean_length": 120.0, "step": 2},
    {"train_runtime": 12.0, "step": 2},
]  # fmt: skip


class TestForms:
    def test_trl_state_and_history(self, tmp_path):
        """`trainer_state.json`, the newest checkpoint of a folder, and JSON Lines give the same."""
        lines = "".join(json.dumps(entry) + "\n" for entry in TRL)
        state = json.dumps({"global_step": 2, "log_history": TRL})
        history = written(tmp_path, "log_history.jsonl", lines)
        whole = written(tmp_path, "trainer_state.json", state)
        written(tmp_path, "out/checkpoint-9/trainer_state.json", json.dumps({"log_history": TRL[:1]}))
        written(tmp_path, "out/checkpoint-10/trainer_state.json", state)
        for source in (history, whole, tmp_path / "out"):
            assert values(source, "reward") == {1: 0.25, 2: 0.5}
            assert values(source, KL) == {1: pytest.approx(1.0)}
            assert values(source, "zero_advantage") == {1: 0.5}

    def test_verl_console_and_file(self, tmp_path):
        """Its console line with colours and numpy's way of printing, and its file logger."""
        text = (
            "\x1b[36m(TaskRunner pid=1)\x1b[0m step:1 - critic/score/mean:0.25 - actor/kl_loss:0.001 - "
            "response_length/mean:200.0 - timing_s/step:3.1\n"
            "INFO something else\n"
            "(TaskRunner pid=1) step:2 - critic/score/mean:np.float64(0.5) - actor/kl_loss:nan\n"
        )
        path = written(tmp_path, "verl.log", text)
        assert values(path, "reward") == {1: 0.25, 2: 0.5}
        assert values(path, KL) == {1: pytest.approx(0.2)}
        rows = [
            {"step": 1, "data": {"critic/score/mean": 0.25}},
            {"step": 2, "data": {"critic/score/mean": 0.5}},
        ]
        file = written(tmp_path, "verl.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        assert values(file, "reward") == {1: 0.25, 2: 0.5}

    def test_tables(self, tmp_path):
        """wandb's export, with empty cells, and one with tabs."""
        path = written(tmp_path, "wandb.csv", "Step,train/reward,train/kl\n1,0.25,\n2,0.5,0.1\n")
        assert values(path, "reward") == {1: 0.25, 2: 0.5}
        tabs = written(tmp_path, "t.tsv", "step\treward\n1\t0.25\n")
        assert values(tabs, "reward") == {1: 0.25}

    def test_tensorboard(self, tmp_path):
        """Events as the summary writer writes them."""
        pytest.importorskip("tensorboard")
        writer = pytest.importorskip("torch.utils.tensorboard").SummaryWriter(str(tmp_path / "runs"))
        for step, value in ((1, 0.25), (2, 0.5)):
            writer.add_scalar("train/reward", value, step)
        writer.close()
        assert values(tmp_path / "runs", "reward") == {1: 0.25, 2: 0.5}

    def test_gold_of_a_table(self, tmp_path):
        """With its number of prompts, and with an interval."""
        log = written(tmp_path, "log.jsonl", '{"step": 1, "reward": 0.1}\n')
        gold = written(tmp_path, "gold.csv", "step,gold,n,low,high\n1,0.25,100,,\n2,0.5,100,0.4,0.6\n")
        points = read_course([log], gold=gold).points
        assert [point.step for point in points] == [1, 2]
        assert points[0].readings[GOLD].n == 100 and points[0].readings[GOLD].low is None
        assert points[1].readings[GOLD].high == 0.6


class TestMishaps:
    def test_half_a_last_line(self, tmp_path):
        """It is being written: left out, and said."""
        path = written(tmp_path, "log.jsonl", '{"step": 1, "reward": 0.1}\n{"step": 2, "rew')
        course = read_course([path])
        assert [point.step for point in course.points] == [1] and "half" in course.notes[0]
        table = written(tmp_path, "log.csv", "step,reward,kl\n1,0.1,0\n2,0")
        assert logged_in(table).is_half and values(table, "reward") == {1: 0.1}

    def test_a_restart_walks_steps_twice(self, tmp_path):
        """The later walk counts, and that is said."""
        rows = [(1, 0.1), (2, 0.2), (3, 0.9), (2, 0.3), (3, 0.4)]
        text = "".join(json.dumps({"step": step, "reward": value}) + "\n" for step, value in rows)
        course = read_course([written(tmp_path, "log.jsonl", text)])
        assert [point.value("reward") for point in course.points] == [0.1, 0.3, 0.4]
        assert "2 steps stand there twice" in course.notes[0]

    def test_a_broken_line_names_its_place(self, tmp_path):
        """In the middle it is no half line."""
        path = written(tmp_path, "log.jsonl", '{"step": 1, "reward": 0.1}\n{oh\n{"step": 3, "reward": 1}\n')
        with pytest.raises(DataError, match=":2: "):
            read_course([path])
        table = written(tmp_path, "log.csv", "step,reward\n1,2,3\n2,1\n")
        with pytest.raises(DataError, match=":2: "):
            read_course([table])

    def test_nothing_known(self, tmp_path):
        """The names that are there are shown, and the flag that maps them."""
        path = written(tmp_path, "log.jsonl", '{"it": 1, "score_of_mine": 0.5}\n')
        with pytest.raises(DataError, match="score_of_mine"):
            read_course([path])
        assert values(path, "reward", chosen={"step": "it", "reward": "score_of_mine"}) == {1: 0.5}
        gold = written(tmp_path, "gold.csv", "step,reward\n1,0.5\n")
        with pytest.raises(DataError, match="a step and gold"):
            read_course([], gold=gold)

    def test_what_is_no_log(self, tmp_path):
        """Text, a missing file, an empty folder; an empty log is one of a training that has not begun."""
        for source, said in (
            (written(tmp_path, "a.txt", "hello\nyou\n"), "no log that is known"),
            (tmp_path / "nowhere", "does not exist"),
            (written(tmp_path, "empty/x.txt", "").parent, "no log in this folder"),
        ):
            with pytest.raises(DataError, match=said):
                read_course([source])
        assert read_course([written(tmp_path, "new.jsonl", "")]).points == []

    def test_the_map_is_checked(self):
        """Figures by their names."""
        assert read_map(["reward = a/b"]) == {"reward": "a/b"}
        with pytest.raises(SettingsError, match="--map nothing"):
            read_map(["nothing=x"])
