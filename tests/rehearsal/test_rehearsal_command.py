"""`rubricate world train` in miniature, for real: taught, trained by TRL under all four rewards, measured."""

from __future__ import annotations

import io
import re
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

pytest.importorskip("trl")

from rubricate.commands import rehearsal
from rubricate.commands.rehearsal import RehearsalOrder, train_in_world
from rubricate.errors import DataError, RunError, SettingsError
from rubricate.rehearsal.account.summary import Account
from rubricate.rehearsal.ascent.measuring import Point
from rubricate.rehearsal.ascent.runs import Row
from rubricate.rehearsal.plan import REWARDS, Plan

TINY = Plan(
    subjects=2,
    asked=1,
    held_out=1,
    budget=24,
    lessons=160,
    epochs=10,
    width=64,
    layers=1,
    pairs=6,
    pair_epochs=1,
    steps=4,
    prompts=2,
    rollouts=4,
    marks=2,
    samples=3,
    base=8,
    start=4,
)


def told(order: RehearsalOrder) -> tuple[int, str]:
    """The exit code, and what is said in the terminal."""
    console = Console(file=io.StringIO(), width=200)
    code = train_in_world(order, console)
    assert isinstance(console.file, io.StringIO)
    return code, console.file.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, str]:
    """A miniature that was made once, with what it said."""
    folder = tmp_path_factory.mktemp("rehearsal") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rehearsal, "quick", lambda: TINY)
        code, said = told(RehearsalOrder(folder, is_quick=True))
    assert code == 0
    return folder, said


def points_of(folder: Path) -> list[Point]:
    lines = (folder / "points.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Point) for line in lines]


def test_every_reward_is_measured_at_every_mark(finished):
    """From step 0, where all four stand at the start, at no distance and equal to a draw, to the last."""
    folder, said = finished
    points = points_of(folder)
    assert {(point.reward, point.step) for point in points} == {
        (reward, step) for reward in REWARDS for step in (0, 1, 4)
    }
    starts = [point for point in points if point.step == 0]
    assert all(point.held_out == starts[0].held_out for point in starts)
    assert all(kl == 0 for point in starts for kl in point.held_out.kl)
    ends = [point for point in points if point.step == 4]
    assert all(kl > 0 for point in ends for kl in point.asked.kl)
    assert len({point.asked.kl for point in ends}) == 4  # each went its own way
    for point in points:
        assert len(point.held_out.gold) == len(point.asked.gold) == len(point.pay) == 2
        assert all(0 <= win <= 1 for win in (*point.held_out.start_wins, *point.held_out.great_wins))
        assert all(1 <= tokens <= 24 for tokens in point.held_out.tokens)
    gold = next(point for point in points if point.reward == "gold" and point.step == 4)
    assert gold.pay == gold.asked.gold
    assert "Does refining delay over-optimisation?" in said


def test_the_starting_pool_has_all_scores_and_can_be_audited(finished):
    folder, _ = finished
    rows = [
        msgspec.json.decode(line, type=Row)
        for line in (folder / "seed-0" / "pool.jsonl").read_bytes().splitlines()
    ]
    assert len(rows) == 16
    assert {row.prompt_id for row in rows} == {"asked-0", "asked-1"}
    assert all(row.bt is not None and row.initial is not None and row.refined is not None for row in rows)
    from rubricate.evaluation.reading.columns import Wanted
    from rubricate.evaluation.reading.reader import read_scored

    scored = read_scored(
        folder / "seed-0" / "pool.jsonl", Wanted(proxies=("bt", "initial", "refined"), duplicates="keep")
    )
    assert set(scored.proxies) == {"bt", "initial", "refined"}


def test_the_account_is_written_as_numbers_tables_pictures_and_a_page_that_loads_nothing(finished):
    folder, _ = finished
    account = msgspec.json.decode((folder / "summary.json").read_bytes(), type=Account)
    assert account.seeds == (0,)
    assert account.missing == ()
    assert len(account.rows) == 12
    page = (folder / "report.html").read_text()
    assert not re.search(r"""(src|href)\s*=|url\(|@import""", page)
    assert "Does refining a rubric delay over-optimisation?" in page
    assert (folder / "tables.md").read_text().count("| gold |") >= 4
    for name in ("over-optimisation", "over-optimisation-kl"):
        assert (folder / f"{name}.svg").read_text().startswith("<svg")


def test_what_is_done_is_not_done_again(finished, monkeypatch):
    """The same command again: nothing is taught or trained, and equal bytes are written. Where a run is
    missing, that run alone is made, and it comes out as it was."""
    folder, _ = finished
    monkeypatch.setattr(rehearsal, "quick", lambda: TINY)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    run = folder / "seed-0" / "refined.jsonl"
    made = run.read_bytes()
    _, said = told(RehearsalOrder(folder, is_quick=True))
    assert "training" not in said.replace("training against", "")
    run.unlink()
    _, said = told(RehearsalOrder(folder, is_quick=True))
    assert said.count("training on") == 1
    assert "teaching" not in said
    assert run.read_bytes() == made
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_another_plan_or_other_dials_need_another_folder(finished, monkeypatch, tmp_path):
    folder, _ = finished
    monkeypatch.setattr(rehearsal, "quick", lambda: TINY)
    with pytest.raises(RunError, match="another plan or other dials"):
        told(RehearsalOrder(folder, is_quick=True, steps=5))
    with pytest.raises(RunError, match="another plan or other dials"):
        told(RehearsalOrder(folder, ("grader.sensitivity=0.5",), is_quick=True))
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(RunError, match="holds no rehearsal"):
        told(RehearsalOrder(tmp_path, is_quick=True))


def test_a_torn_run_is_named_with_its_line(finished, monkeypatch):
    folder, _ = finished
    monkeypatch.setattr(rehearsal, "quick", lambda: TINY)
    run = folder / "seed-0" / "initial.jsonl"
    made = run.read_bytes()
    try:
        run.write_bytes(made[:-40])
        with pytest.raises(DataError, match=r"initial\.jsonl, line 3"):
            told(RehearsalOrder(folder, is_quick=True))
    finally:
        run.write_bytes(made)


def test_a_mistake_is_told_before_anything_is_made(tmp_path):
    with pytest.raises(SettingsError, match="no 'rubric'; there are gold, bt, initial, refined"):
        told(RehearsalOrder(tmp_path / "out", rewards=("rubric",)))
    with pytest.raises(SettingsError, match="grader"):
        told(RehearsalOrder(tmp_path / "out", ("grader.kindness=1",)))
    assert not (tmp_path / "out").exists()
