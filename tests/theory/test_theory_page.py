"""Laws of docs/theory.md: its example runs, and its numbers are those of the theory."""

import re
from pathlib import Path

import numpy as np
import pytest

from rubricate.theory import maps, tail, uniform

PAGE = (Path(__file__).parents[2] / "docs" / "theory.md").read_text(encoding="utf-8")


def rows_after(heading: str) -> list[list[str]]:
    """The cells of the first table after a heading, without its head and rule."""
    lines = PAGE.split(heading, 1)[1].splitlines()
    table = [line for line in lines if line.startswith("|")]
    end = next((i for i, line in enumerate(lines) if line.startswith("|")), 0)
    length = next(i for i, line in enumerate(lines[end:]) if not line.startswith("|"))
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table[2:length]]


def test_the_example_gives_what_its_comments_say():
    """Run as it stands."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    names: dict = {}
    exec(code, names)
    assert f"{', '.join(f'{value:.4f}' for value in names['policy'].win_rate.mean(axis=0))}\n" in code
    assert f"{float(tail.tail_share(1.37)):.4f}" in code


def test_the_table_of_the_low_end():
    """Correct, right on the top tenth only, wrong on the top tenth only, at each KL, to the digit."""
    curves = (maps.correct(), maps.only_top_right(0.1), maps.top_wrong(0.1))
    rows = rows_after("## What they do not say")
    assert len(rows) == 5
    for kl, *printed in rows:
        beta = uniform.beta_at(float(kl))
        assert printed == [f"{float(curve.win_rate(beta)):.3f}" for curve in curves]


def test_the_table_of_peaks():
    """KL of the peak, share reversed, win rate there: header, then two rows."""
    head = PAGE.split("| peak at KL* |", 1)[1].splitlines()[0]
    kls = [float(cell) for cell in head.strip("| ").split("|")]
    (_, *shares), (_, *win_rates) = rows_after("## Reading the turn of a curve")
    peaks = tail.peak_of_top_wrong([float(share.rstrip("%")) / 100 for share in shares])
    assert kls == pytest.approx(np.round(peaks.kl, 2))
    assert [float(value) for value in win_rates] == pytest.approx(np.round(peaks.win_rate, 3))


def test_the_numbers_in_the_sentences():
    """The ratio at KL 2, what 40% loses at most from KL 1 on, and how good the rule is."""
    assert f"{float(tail.damage_ratio(0.25, uniform.beta_at(2))) / 1e6:.1f} million" in PAGE
    beta = uniform.beta_at(np.linspace(1, 20, 2_000))
    lost = uniform.win_rate(beta) - maps.only_top_right(0.4).win_rate(beta)
    assert f"at most {lost.max():.3f} of the win rate" in PAGE
    assert tail.tail_share_rule(1.15) / tail.tail_share(1.15) < 1.01
