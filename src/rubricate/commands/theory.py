"""`rubricate theory`: Figures 2a and 2b of the paper from closed forms, as pictures and as numbers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from rubricate.errors import RunError, SettingsError
from rubricate.report.lines import Axis, Chart, Curve, figure, steps
from rubricate.theory import maps, uniform
from rubricate.theory.maps import BlockMap
from rubricate.theory.stable import Floats

N_POINTS = 241
MOST_KL = 600.0

TENTHS = range(100, 9, -10)
BESIDE = {10: 0.66, 20: 0.68, 30: 0.7}
"""Win rates at which the names of the curves that run apart stand beside them, by percent of the tail."""


class Series(NamedTuple):
    """A map with its name in the picture, its column in the file, and how it is drawn."""

    name: str
    column: str
    block_map: BlockMap
    colour: str
    dashes: str = ""
    at: float | None = None


class Figure(NamedTuple):
    """One figure: the name of its files, its title, its axes, its curves, the reference first."""

    stem: str
    title: str
    max_kl: float
    win_rates: Sequence[float]
    series: Sequence[Series]


def figures() -> tuple[Figure, Figure]:
    """Figures 2a and 2b of "Chasing the Tail" (arXiv 2509.21500), with the axes of the paper."""
    wrong = (
        Series("correct", "correct", maps.correct(), "ink"),
        Series("worst 50% wrong", "worst_50_wrong", maps.worst_wrong(0.5), "sky", "7 4"),
        Series("worst 90% wrong", "worst_90_wrong", maps.worst_wrong(0.9), "blue", at=0.68),
        Series("top 25% wrong", "top_25_wrong", maps.top_wrong(0.25), "orange"),
        Series("top 50% wrong", "top_50_wrong", maps.top_wrong(0.5), "brown", "7 4"),
        Series("reversed", "reversed", maps.reversed_order(), "grey"),
    )
    right = [
        Series(
            f"{percent}%",
            f"top_{percent}_right",
            maps.only_top_right(percent / 100),
            colour,
            at=BESIDE.get(percent),
        )
        for percent, colour in zip(TENTHS, reversed(steps()), strict=True)
    ]
    return (
        Figure("figure-2a", "A wrong tail ruins the policy, a wrong low end hardly", 8, _grid(0, 10), wrong),
        Figure("figure-2b", "Right on the top 10% to 100% only, reversed below", 4, _grid(6, 10), right),
    )


def theory(output: Path, max_kl: float | None, console: Console) -> int:
    """Writes SVG, PNG and CSV of both figures into `output` and names them; the exit code.

    `max_kl` ends both axes, in nats; None: where the paper ends them. Files of these names are replaced,
    each at once. Without matplotlib there is no PNG, and that is said.
    """
    if max_kl is not None and not 0 < max_kl <= MOST_KL:
        raise SettingsError(f"--max-kl: {max_kl:g} is not above 0 and at most {MOST_KL:g} nats")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as trouble:
        raise RunError(f"{output}: {trouble.strerror}; give another --output") from trouble
    written, is_drawn = list[Path](), True
    for drawing in figures():
        chart, table = computed(drawing, max_kl or drawing.max_kl)
        written += [_put(output / f"{drawing.stem}.svg", figure(chart).encode())]
        written += [_put(output / f"{drawing.stem}.csv", table.encode())]
        png = _png(chart)
        is_drawn = png is not None
        written += [_put(output / f"{drawing.stem}.png", png)] if png is not None else []
    for path in written:
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)
    if not is_drawn:
        console.print(
            "no PNG: matplotlib is not installed; pip install 'rubricate[plots]'",
            markup=False,
            soft_wrap=True,
        )
    return 0


def computed(drawing: Figure, max_kl: float) -> tuple[Chart, str]:
    """The chart, and its numbers as CSV: KL in nats, beta, and the win rate of each curve.

    The points lie denser near 0, where a win rate rises like the square root of the KL.
    """
    kls = max_kl * np.linspace(0, 1, N_POINTS) ** 2
    betas = uniform.beta_at(kls)
    win_rates = [series.block_map.win_rate(betas) for series in drawing.series]
    curves = [
        Curve(series.name, kls.tolist(), values.tolist(), series.colour, series.dashes, series.at)
        for series, values in zip(drawing.series, win_rates, strict=True)
    ]
    x = Axis("KL from the base policy, nats", 0, max_kl, _ticks(max_kl))
    y = Axis(
        "win rate against the base policy", drawing.win_rates[0], drawing.win_rates[-1], drawing.win_rates
    )
    # The first is the reference: it is drawn last, on top.
    chart = Chart(drawing.title, x, y, curves[::-1])
    return chart, _table(
        ["kl", "beta", *(series.column for series in drawing.series)], [kls, betas, *win_rates]
    )


def _table(header: Sequence[str], columns: Sequence[Floats]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([f"{number:.10g}" for number in row] for row in zip(*columns, strict=True))
    return text.getvalue()


def _png(chart: Chart) -> bytes | None:
    from rubricate.report.raster import png

    try:
        return png(chart)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "matplotlib":
            raise
        return None


def _put(path: Path, content: bytes) -> Path:
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as trouble:
        beside.unlink(missing_ok=True)
        raise RunError(f"{path}: {trouble.strerror}") from trouble
    return path


def _grid(low: int, high: int) -> list[float]:
    return [tenth / 10 for tenth in range(low, high + 1, 1 if high - low < 6 else 2)]


def _ticks(high: float) -> list[float]:
    """About eight round numbers from 0 on."""
    power = 10.0 ** math.floor(math.log10(high / 4))
    step = next(step * power for step in (1, 2, 5, 10) if high / (step * power) <= 8)
    return [place * step for place in range(int(high / step + 1e-9) + 1)]
