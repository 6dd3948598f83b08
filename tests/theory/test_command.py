"""Laws of `rubricate theory`: pictures and numbers agree with the theory, whole or not at all."""

import csv
import io
import sys
import xml.etree.ElementTree as Xml
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from rubricate.commands.theory import computed, figures, theory
from rubricate.errors import RunError, SettingsError
from rubricate.report.lines import marks
from rubricate.theory import uniform

DOCS = Path(__file__).parents[2] / "docs" / "images"


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def numbers(path: Path) -> dict[str, list[float]]:
    with path.open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return {name: [float(row[place]) for row in rows] for place, name in enumerate(header)}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("theory") / "new" / "folder"
    console = quiet()
    assert theory(folder, None, console) == 0
    return folder, console.file.getvalue()


def test_the_numbers_are_those_of_the_theory(drawn):
    """The correct curve is Theorem 1, with the axes of the paper: KL to 8 and to 4, six curves and ten."""
    for stem, max_kl, reference, n_curves in (
        ("figure-2a", 8, "correct", 6),
        ("figure-2b", 4, "top_100_right", 10),
    ):
        columns = numbers(drawn[0] / f"{stem}.csv")
        assert len(columns) == 2 + n_curves and columns["kl"][0] == 0 and columns["kl"][-1] == max_kl
        betas = np.array(columns["beta"])
        assert columns[reference] == pytest.approx(uniform.win_rate(betas), abs=1e-9)
        assert columns["kl"] == pytest.approx(uniform.kl(betas), abs=1e-8)


def test_every_file_is_named(drawn):
    """SVG, CSV, and PNG where matplotlib is."""
    folder, said = drawn
    assert all(path.name in said for path in folder.iterdir())
    assert {path.name for path in folder.glob("*.[sc]*")} == {
        f"figure-2{letter}.{kind}" for letter in "ab" for kind in ("svg", "csv")
    }


def test_the_picture_has_every_curve_and_every_name(drawn):
    """Six in 2a, ten in 2b, each named once."""
    for drawing in figures():
        picture = Xml.parse(drawn[0] / f"{drawing.stem}.svg").getroot()
        classes = [(mark.get("class") or "").split()[0] for mark in picture.iter() if mark.get("class")]
        assert classes.count("curve") == len(drawing.series)
        assert classes.count("name") + classes.count("on") == len(drawing.series)


def test_the_png_is_the_same_picture(drawn):
    """1520 x 860 pixels, when matplotlib is installed."""
    pytest.importorskip("matplotlib")
    for stem in ("figure-2a", "figure-2b"):
        content = (drawn[0] / f"{stem}.png").read_bytes()
        assert content.startswith(b"\x89PNG")
        assert (int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")) == (1520, 860)


def test_the_figures_of_the_docs_are_up_to_date(drawn):
    """`rubricate theory --output docs/images` writes what is there."""
    for stem in ("figure-2a", "figure-2b"):
        assert (drawn[0] / f"{stem}.svg").read_bytes() == (DOCS / f"{stem}.svg").read_bytes()


def test_without_matplotlib_there_is_no_png_and_it_is_said(tmp_path, monkeypatch):
    """With the remedy; all else is written."""
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)  # as if it were not there
    console = quiet()
    assert theory(tmp_path, None, console) == 0
    assert "pip install 'rubricate[plots]'" in console.file.getvalue()
    assert {path.suffix for path in tmp_path.iterdir()} == {".svg", ".csv"}


@pytest.mark.parametrize("max_kl", [0.07, 1.0, 3.7, 20.0, 600.0])
def test_any_axis_can_be_drawn(max_kl):
    """Round ticks, about eight of them, and all numbers finite."""
    for drawing in figures():
        chart, table = computed(drawing, max_kl)
        assert 4 <= len(chart.x.ticks) <= 9 and chart.x.ticks[-1] <= max_kl * (1 + 1e-9)
        assert "nan" not in table and marks(chart)


@pytest.mark.parametrize("max_kl", [0.0, -1.0, float("nan"), 601.0])
def test_an_axis_that_cannot_be_is_a_mistake(tmp_path, max_kl):
    """Named by its option, and nothing is written."""
    with pytest.raises(SettingsError, match="--max-kl"):
        theory(tmp_path / "out", max_kl, quiet())
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_folder_should_be_is_a_mistake(tmp_path):
    """Said with its path and the remedy."""
    (tmp_path / "out").write_text("here")
    with pytest.raises(RunError, match=r"out.*--output"):
        theory(tmp_path / "out", None, quiet())


def test_drawing_again_replaces_and_leaves_nothing_beside(tmp_path):
    """The same bytes, and no half-written file."""
    theory(tmp_path, None, quiet())
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    theory(tmp_path, None, quiet())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
