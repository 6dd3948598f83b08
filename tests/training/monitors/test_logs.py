"""Logs of trainers in the forms in which they are written, whole, torn and repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rubricate.errors import DataError, SettingsError
from rubricate.training.monitors.logs.lines import logged_in
from rubricate.training.monitors.logs.names import read_map
from rubricate.training.monitors.logs.reading import read_course
from rubricate.training.monitors.rules.watching import watch
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

    def test_gold_answer_by_answer(self, tmp_path):
        """A row for each answer: the mean of each prompt's answers, one set of prompts for all steps, None
        where nothing was judged."""
        gold = written(
            tmp_path, "gold.csv",
            "step,prompt_id,score\n0,a,1\n0,b,0\n0,b,1\n20,b,0.5\n20,a,\n20,c,1\n",
        )  # fmt: skip
        start, later = read_course([], gold=gold).points
        assert start.readings[GOLD].values == (1.0, 0.5, None) and start.readings[GOLD].value == 0.75
        assert later.readings[GOLD].values == (None, 0.5, 1.0)
        assert start.readings[GOLD].held_out == later.readings[GOLD].held_out != ""
        assert later.figures["gold_unjudged"] == pytest.approx(1 / 3)
        for rows, said in (
            ("0,a,yes\n", "gold.csv:2: score"),
            ("0,a,1\nx,a,1\n", "gold.csv:3: step"),
            ("0,a,1\n5,,1\n", "gold.csv:3: prompt"),
        ):
            gold.write_text("step,prompt_id,score\n" + rows)
            with pytest.raises(DataError, match=said):
                read_course([], gold=gold)

    def test_paired_gold_shows_what_means_do_not(self, tmp_path):
        """Forty prompts of which ten are lost: prompt by prompt the turn is shown, by the means alone it is
        not."""
        hits = {0: range(20), 20: range(24), 40: range(10, 24), 60: range(10, 24)}
        rows = [f"{step},p{n},{int(n in won)}" for step, won in hits.items() for n in range(40)]
        means = [f"{step},{len(won) / 40},40" for step, won in hits.items()]
        answers = written(tmp_path, "answers.csv", "\n".join(["step,prompt,gold", *rows]) + "\n")
        shares = written(tmp_path, "shares.csv", "\n".join(["step,gold,n", *means]) + "\n")
        paired = watch(read_course([], gold=answers).points)
        assert [finding.kind for finding in paired.findings] == ["gold_turned"] and paired.best == 20
        assert watch(read_course([], gold=shares).points).findings == ()

    def test_steps_of_wandb(self, tmp_path):
        """wandb counts what it was told; a chart that was exported from its pages names its run."""
        path = written(tmp_path, "w.csv", "_step,train/global_step,train/reward\n30,10,0.25\n60,20,0.5\n")
        assert values(path, "reward") == {10: 0.25, 20: 0.5}
        chart = written(
            tmp_path, "ui.csv",
            '"Step","r-1 - train/reward","r-1 - train/reward__MIN","r-1 - train/reward__MAX"\n'
            '"1","0.25","0","1"\n',
        )  # fmt: skip
        assert values(chart, "reward") == {1: 0.25}


class TestMishaps:
    def test_a_resumed_training_takes_back_what_it_has_not_reached_again(self, tmp_path):
        """Steps 1 to 6, then on from 3 to 4: of 5 and 6 nothing counts; a gold that comes late stays."""
        rows = [{"step": step, "reward": step / 10} for step in range(1, 7)]
        rows += [{"step": 2, "gold": 0.5}, {"step": 3, "reward": 0.9}, {"step": 4, "reward": 0.8}]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        course = read_course([written(tmp_path, "log.jsonl", text)])
        assert {p.step: p.value("reward") for p in course.points} == {1: 0.1, 2: 0.2, 3: 0.9, 4: 0.8}
        assert course.points[1].readings[GOLD].value == 0.5
        assert any("before step 5" in note for note in course.notes)
        table = written(tmp_path, "down.csv", "step,reward\n3,0.3\n2,0.2\n1,0.1\n")
        assert values(table, "reward") == {1: 0.1, 2: 0.2, 3: 0.3}

    def test_what_is_no_number(self, tmp_path):
        """NaN is left out and said; a text, and a step that is none, are mistakes with their place."""
        path = written(tmp_path, "log.jsonl", '{"step": 1, "reward": 0.1}\n{"step": 2, "reward": NaN}\n')
        course = read_course([path])
        assert len(course.points) == 1 and "reward is no finite number at 1 steps" in course.notes[0]
        for line, said in (
            ('{"step": 2, "reward": "abc"}', ":2: reward: is 'abc'"),
            ('{"step": -2, "reward": 0.5}', ":2: step"),
            ('{"step": 2.5, "reward": 0.5}', ":2: step"),
            ('{"step": 2, "gold": 0.5, "gold_n": 0}', ":2: n"),
            ('{"step": 2, "gold": 0.5, "gold_low": 0.6, "gold_high": 0.7}', ":2: gold"),
        ):
            path.write_text('{"step": 1, "reward": 0.1}\n' + line + "\n")
            with pytest.raises(DataError, match=said):
                read_course([path])

    def test_a_mapped_name_that_no_log_has(self, tmp_path):
        """The nearest is named; before anything is logged it may still come."""
        path = written(tmp_path, "log.jsonl", '{"step": 1, "my/score": 0.1, "kl": 0.1}\n')
        with pytest.raises(SettingsError, match="did you mean 'my/score'"):
            read_course([path], {"reward": "my/scor"})
        assert read_course([written(tmp_path, "new.jsonl", "")], {"reward": "my/scor"}).points == []

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


def test_the_end_of_a_training(tmp_path):
    """transformers writes its run time last, and its state how many steps there were to be: so a log is known
    to be through, and one that is not yet, or has gone on since, is not."""
    lines = [{"step": step, "reward": 0.1 * step} for step in range(1, 4)]
    path = tmp_path / "log_history.jsonl"
    for extra, has_ended in (
        ([], False),
        ([{"step": 3, "train_runtime": 2.0}], True),
        ([{"step": 3, "train_runtime": 2.0}, {"step": 4, "reward": 0.4}], False),
    ):
        path.write_text("".join(json.dumps(line) + "\n" for line in lines + extra))
        assert read_course([path]).has_ended is has_ended
    state = tmp_path / "trainer_state.json"
    for done, has_ended in ((2, False), (3, True)):
        state.write_text(json.dumps({"global_step": done, "max_steps": 3, "log_history": lines}))
        assert read_course([state]).has_ended is has_ended
