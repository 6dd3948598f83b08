"""docs/trust.md: its tables are those of the script, and its sentences are those of its tables."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
PAGE = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")


def table(stem: str) -> dict[str, list[str]]:
    """The cells of each line of the first table that the script wrote: first, final, random, longer, gold."""
    block = re.search(rf"<!-- made by benchmarks/trust.py: {stem} -->\n(.*?)<!-- end -->", PAGE, re.S)[1]
    lines = [line.strip() for line in block.partition("final rubric less")[0].splitlines()]
    found = {}
    for line in lines:
        label, *cells = re.split(r"\s{2,}", re.sub(r"\s*\[[^]]*\]", "", line))
        if len(cells) == 5:
            found[label] = cells
    return found


@pytest.mark.parametrize("stem", ["alpacaeval16_dev", "bon16_dev"])
def test_the_sentences_are_true_of_the_tables(stem):
    """Ties fall, right pairs rise, and neither rubric is above longer is better where the page says so."""
    numbers = {
        label: [float(cell) if cell != "–" else None for cell in cells]
        for label, cells in table(stem).items()
    }
    first, final, chance, longer, gold = range(5)
    assert numbers["tied among its best 4"][first] > 0.5 > numbers["tied among its best 4"][final]
    assert numbers["highest win rate"][first] < 0.6
    for label in ("all pairs, ties wrong", "both in the top 25%", "both in the top 10%"):
        row = numbers[label]
        assert row[first] < row[final] < row[longer] < row[gold] == 1, label
        assert row[chance] == 0.5
    assert numbers["of about one length"][final] < numbers["of about one length"][longer]
    assert numbers["all pairs, without ties"][final] > 0.5
    assert PAGE.count("it is not shown to beat") == 4


@pytest.mark.skipif(not (DATA / "bon16_dev.jsonl.gz").exists(), reason=f"no development data in {DATA}")
def test_the_script_runs(tmp_path, monkeypatch):
    """On three prompts: rows with both scores, and an audit of them with the comparison."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    sys.modules.pop("trust", None)
    import trust

    rows = list(trust.scored_rows("bon16_dev", 3))
    assert len(rows) == 3 * 17
    path = tmp_path / "bon16_dev.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    printed, found = trust.audited(path)
    assert printed.startswith("bon16_dev.jsonl: 3 prompts")
    assert "final rubric less first rubric" in printed
    assert [reward.name for reward in found.proxies] == ["first rubric", "final rubric"]
