"""`rubricate audit`: from a file to a table, files and an exit code."""

from __future__ import annotations

import csv
import html
import io
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from rich.console import Console

from rubricate.commands.audit import AuditOrder, run_audit
from rubricate.errors import DataError, SettingsError
from rubricate.evaluation.reading.columns import Wanted

GOLD = (1, 2, 3, 4)
PROXIES = {"good": (1, 2, 3, 4), "bad": (4, 3, 2, 1), "silent": (None, None, None, 1)}


def a_file(folder, name="scored.jsonl", **names):
    """Three prompts of four responses; the better, the longer."""
    called = {proxy: names.get(proxy, proxy) for proxy in PROXIES}
    rows = [
        {
            "prompt": f"p{prompt}",
            "response": "x" * 100 * (at + 1),
            "generator": f"g{at}",
            "gold": gold + prompt,
        }
        | {called[proxy]: scores[at] for proxy, scores in PROXIES.items()}
        for prompt in range(3)
        for at, gold in enumerate(GOLD)
    ]
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path, Wanted(proxies=tuple(called.values()))


def told(order):
    """What the command prints, and its exit code."""
    console = Console(file=io.StringIO(), width=80)
    return run_audit(order, console), console.file.getvalue()


def test_the_table_is_short_and_whole(tmp_path):
    """Not wrapped, with what the numbers are of; a reading of each proxy."""
    path, wanted = a_file(tmp_path)
    code, printed = told(AuditOrder(path, wanted))
    assert code == 0
    lines = printed.splitlines()
    assert "3 prompts, 12 responses (4 a prompt), 18 pairs" in lines[0]
    assert len(lines) < 60
    (row,) = [line for line in lines if line.strip().startswith("all pairs, ties wrong")]
    assert row.split()[-3:] == ["0.500", "1.000", "1.000"]  # random, longer, gold
    assert "1.000 [1.000, 1.000]" in row and "0.000 [0.000, 0.000]" in row
    assert "silent" in printed and "0.750" in printed  # its unjudged rate


def test_everything_is_written_whole(tmp_path):
    """JSON, CSV, three pictures and a page; equal runs give equal bytes."""
    path, wanted = a_file(tmp_path)
    order = AuditOrder(
        path, wanted, json=tmp_path / "a" / "out.json", csv=tmp_path / "out.csv", plots=tmp_path / "plots",
        report=tmp_path / "page.html", compare=(("good", "bad"),), fail_under=("good:pair_accuracy>=1",),
    )  # fmt: skip
    assert told(order)[0] == 0
    document = json.loads((tmp_path / "a" / "out.json").read_text())
    by_name = {reward["name"]: reward for reward in document["rewards"]}
    assert list(by_name) == ["good", "bad", "silent", "random", "longer", "gold"]
    assert by_name["good"]["metrics"]["pair_accuracy"] == {"value": 1, "n": 3, "low": 1, "high": 1}
    assert by_name["bad"]["metrics"]["regret"]["value"] == 3
    assert by_name["good"]["frontier"]["kl"][0] == 0
    assert document["comparisons"][0]["metrics"]["pair_accuracy"]["value"] == 1
    assert document["gates"] == [
        {"gate": "good:pair_accuracy>=1", "reward": "good", "held": True,
         "line": "good: pair_accuracy = 1, >= 1 is asked"}
    ]  # fmt: skip
    table = list(csv.DictReader((tmp_path / "out.csv").open()))
    (cell,) = [row for row in table if (row["reward"], row["metric"]) == ("bad", "regret")]
    assert (cell["kind"], float(cell["value"]), cell["n"]) == ("proxy", 3, "3")
    assert any(row["kind"] == "difference" and row["reward"] == "good less bad" for row in table)
    pictures = sorted(picture.name for picture in (tmp_path / "plots").iterdir())
    assert pictures == ["best-of-n.svg", "frontier.svg", "tail-accuracy.svg"]
    for picture in (tmp_path / "plots").iterdir():
        ElementTree.parse(picture)
    first = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert told(order)[0] == 0
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == first


def test_a_failed_gate_is_exit_code_1_and_says_by_how_much(tmp_path):
    """One line for each proxy it fails for; the files are written all the same."""
    path, wanted = a_file(tmp_path)
    order = AuditOrder(path, wanted, json=tmp_path / "out.json", fail_under=("pair_accuracy>=0.6",))
    code, printed = told(order)
    assert code == 1
    assert "FAILED pair_accuracy>=0.6: bad: pair_accuracy = 0, >= 0.6 is asked: it misses by 0.6" in printed
    assert "holds  pair_accuracy>=0.6: good: pair_accuracy = 1" in printed
    assert not json.loads((tmp_path / "out.json").read_text())["gates"][1]["held"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"fail_under": ("pair_acuracy>=0.6",)}, SettingsError),
        ({"fail_under": ("nobody:pair_accuracy>=0.6",)}, SettingsError),
        ({"compare": (("good", "nobody"),)}, SettingsError),
        ({"wanted": Wanted(proxies=("none",))}, DataError),
        ({"wanted": Wanted(duplicates="perhaps")}, SettingsError),
    ],
)
def test_a_mistake_writes_nothing(tmp_path, changes, error):
    """No file, no folder, not a line."""
    path, wanted = a_file(tmp_path)
    order = AuditOrder(path, wanted, json=tmp_path / "out.json", plots=tmp_path / "plots")._replace(**changes)
    with pytest.raises(error):
        told(order)
    assert [file.name for file in tmp_path.iterdir()] == ["scored.jsonl"]


def test_a_hostile_name_does_no_harm(tmp_path):
    """A column, a generator and a prompt are foreign text: no markup, no control, no formula."""
    name = "=cmd|[red]\x1b[31m</script><b>\u202e"
    path, wanted = a_file(tmp_path, bad=name)
    page, table = tmp_path / "page.html", tmp_path / "out.csv"
    _, printed = told(AuditOrder(path, wanted, report=page, csv=table, plots=tmp_path / "plots"))
    assert "\x1b" not in printed and "\u202e" not in printed and "[red]" in printed
    text = page.read_text()
    assert "</script><b>" not in text and "\u202e" not in text
    assert "default-src 'none'" in html.unescape(text)
    assert all(not row["reward"].startswith("=") for row in csv.DictReader(table.open()))
    for picture in (tmp_path / "plots").iterdir():
        ElementTree.parse(picture)


def test_the_command_line(tmp_path):
    """Flags reach the work: gates by exit code, mistakes by 2 and a line, columns by name."""
    path, _ = a_file(tmp_path)
    start = [sys.executable, "-c", "from rubricate.cli import main; main()", "audit", str(path)]

    def run(*flags):
        return subprocess.run([*start, *flags], capture_output=True, text=True, check=False)

    good = run("--proxy", "good", "--fail-under", "tail_accuracy@50%>=0.6", "--compare", "good", "longer")
    assert good.returncode == 0, good.stderr
    assert "good less longer" in good.stdout
    bad = run("--proxy", "bad", "--fail-under", "tail_accuracy@50%>=0.6", "--fail-under", "regret<9")
    assert bad.returncode == 1
    assert "it misses by 0.6" in bad.stdout and "holds  regret<9" in bad.stdout
    wrong = run("--proxy", "god")
    assert wrong.returncode == 2
    assert "god: no such column, but good" in wrong.stderr
