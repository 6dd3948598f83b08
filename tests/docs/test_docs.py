"""The pages are true: their links lead somewhere, their commands can be typed, what they show happens."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from rubricate.cli import _official, app
from rubricate.llm.prices import read_prices
from rubricate.runs.intake import read_pools, read_prompts
from rubricate.settings.loading import CONFIGS, known_keys, load_settings
from rubricate.settings.training.loading import known_keys as training_keys
from rubricate.settings.training.loading import load_training
from rubricate.settings.training.schema import SHAPES
from tests.reward_model.models import a_reward_model

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

Block = tuple[str, str]


def blocks(page: Path) -> Iterator[Block]:
    """Language and text of each fenced block."""
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S):
        yield match[1], match[2]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def spans(page: Path) -> list[str]:
    """The inline code of the page."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def commands(page: Path) -> Iterator[list[str]]:
    """The words behind `rubricate` of every command line on the page that is meant to be typed."""
    lines = [
        line.removeprefix("$ ")
        for _, text in blocks(page)
        for line in re.sub(r"\\\n\s*", "", text).splitlines()
    ]
    for line in [*(line.strip() for line in lines), *spans(page)]:
        if line.startswith("rubricate ") and not re.search(r"\.\.\.|\b(DIR|FOLDER)\b", line):
            yield shlex.split(line, comments=True)[1:]


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the quickstart's offline run was made."""
    folder = tmp_path_factory.mktemp("docs")
    words = next(
        words for words in commands(ROOT / "docs/quickstart.md") if "files.output_dir=first" in words
    )
    program = [sys.executable, "-c", "from rubricate.cli import main; main()"]
    subprocess.run([*program, *words], cwd=folder, check=True, capture_output=True)
    return folder


def headings(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    texts = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("name", NAMES)
def test_links_and_pictures_are_there(name: str) -> None:
    """Every relative link and picture leads to a file, and every anchor to a heading of it."""
    page = ROOT / name
    text = prose(page)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href|srcset)="([^"]+)"', text)
    for target in targets:
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.is_file(), f"{name} links to {target}"
        assert not anchor or anchor in headings(there), f"{name} links to {target}"


@pytest.mark.parametrize("name", NAMES)
def test_commands_can_be_typed(name: str) -> None:
    """Every command line parses: the command exists, and so do its flags, its config and its keys."""
    group = typer.main.get_command(app)
    for words in commands(ROOT / name):
        if words[0].startswith("--"):
            continue
        words = _official(words)
        assert words[0] in group.commands, words  # type: ignore[attr-defined]
        command, words = group.commands[words[0]], words[1:]  # type: ignore[attr-defined]
        kind = words[0] if words else ""
        if words and words[0] in getattr(command, "commands", {}):
            command, words = command.commands[words[0]], words[1:]
        if not words:  # a command by its name
            continue
        given = command.make_context("rubricate", list(words)).params
        if kind in SHAPES:
            load_training(kind, given["config_name"], given["overrides"] or ())
        elif "overrides" in given:
            load_settings(given.get("config_name", "iterative"), given["overrides"] or ())


@pytest.mark.parametrize("name", NAMES)
def test_keys_exist(name: str) -> None:
    """Every key that is mentioned, alone or with a value, is a key."""
    known = known_keys()
    if "training" in name:  # elsewhere `reward.totals` is an attribute, not a key
        known = known.union(*(training_keys(kind) for kind in SHAPES))
    sections = {key.split(".")[0] for key in known if "." in key}
    for span in spans(ROOT / name):
        key = re.match(r"(\w+)\.(\w+)(?:=.*)?$", span)
        if key and key[1] in sections and key[2] not in ("yaml", "md", "jsonl"):
            assert f"{key[1]}.{key[2]}" in known, f"{name} mentions {span}"


@pytest.mark.parametrize("name", NAMES)
def test_paths_of_the_repository_exist(name: str) -> None:
    """Every path of ours that is mentioned is there."""
    for span in spans(ROOT / name):
        if re.fullmatch(r"(benchmarks|docs|src|tests)/[\w./-]+", span):
            assert (ROOT / span).exists(), f"{name} mentions {span}"


@pytest.mark.parametrize(
    "name", [name for name in NAMES if any(kind == "python" for kind, _ in blocks(ROOT / name))]
)
def test_python_runs(name: str, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of Python on a page runs, in order, beside the run of the quickstart; where the page has
    trained a model, beside a model."""
    if name == "docs/reward-models.md":
        pytest.importorskip("torch")
        a_reward_model(tmp_path / "rm")
        monkeypatch.chdir(tmp_path)
    else:
        monkeypatch.chdir(finished_run)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    script = tmp_path / "page.py"
    script.write_text("\n".join(text for kind, text in blocks(ROOT / name) if kind == "python"))
    runpy.run_path(str(script))


def test_examples_of_files_can_be_read(tmp_path: Path) -> None:
    """Every row that is shown is read, with a response that is not set aside; so are prompts and prices."""
    file = tmp_path / "shown.json"
    for _, text in (block for block in blocks(ROOT / "docs/files.md") if block[0] == "json"):
        file.write_text(text)
        with read_pools(str(file)) as pools:
            assert [(bool(pool.responses), pool.set_aside) for pool in pools] == [(True, ())], text
    (prompts,) = (text for kind, text in blocks(ROOT / "docs/quickstart.md") if kind == "json")
    file.write_text(prompts)
    assert len(read_prompts(str(file))) == 2
    (prices,) = (text for kind, text in blocks(ROOT / "docs/endpoints.md") if kind == "json")
    file.write_text(prices)
    assert read_prices(file).of("my-model")


def test_configs_in_pages_load(tmp_path: Path) -> None:
    """The config of one's own that the settings page shows is one."""
    shown = [text for kind, text in blocks(ROOT / "docs/config.md") if kind == "yaml"]
    assert shown
    for number, text in enumerate(shown):
        (tmp_path / f"mine{number}.yaml").write_text(text)
        load_settings(f"mine{number}", config_dir=tmp_path)
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == {"iterative", "paper", "single"}


@pytest.mark.parametrize("script", ["generate.py", "pictures.py"])
def test_made_pages_are_up_to_date(script: str) -> None:
    """What is made from the code, or from a run, is what the code makes now."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / script), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
