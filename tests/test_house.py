"""The house: imports run down the floors only, faces are empty, and the roof is light."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import rubricate

ROOT = Path(rubricate.__file__).parent
MODULES = {
    ".".join(("rubricate", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}

# An arrow runs from a floor to a lower one, or within one room. Rooms of one floor do not know each other.
FLOORS = [
    ["errors"],
    ["domain", "data"],
    ["llm", "offline", "theory", "samples", "reward_model", "dialects"],
    ["steps"],
    ["runs", "rewards"],
    ["training", "evaluation", "world"],
    ["report", "settings"],
    ["cluster", "rehearsal"],
    ["commands"],
    ["roof"],
    ["cli"],
    ["__main__"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = (
    "aiohttp",
    "numpy",
    "hydra",
    "pyarrow",
    "omegaconf",
    "jinja2",
    "zstandard",
    "pandas",
    "uvloop",
    "ray",
    "fsspec",
)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imports_of(module: str, *, at_import: bool = False) -> Iterator[str]:
    """Every module that a module imports, by its full name; `at_import` only those of its own import."""
    nodes = _nodes_at_import(tree_of(module)) if at_import else ast.walk(tree_of(module))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            base = node.module or ""
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in MODULES)


def _nodes_at_import(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        is_later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if is_later or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            continue
        yield node
        yield from _nodes_at_import(node)


def ours(names: Iterator[str]) -> set[str]:
    return {name for name in names if name in MODULES and name != "rubricate"}


class TestFloors:
    def test_every_room_has_a_floor(self):
        """A new room is drawn here before it is built."""
        assert {room_of(module) for module in MODULES} - {""} <= set(FLOOR)

    @pytest.mark.parametrize("module", [module for module in MODULES if module != "rubricate"])
    def test_imports_run_down(self, module):
        """A module imports from its own room and from floors below, nothing else."""
        here = room_of(module)
        for name in ours(imports_of(module)):
            there = room_of(name)
            assert there == here or FLOOR[there] < FLOOR[here], f"{module} imports {name}"

    def test_steps_know_the_seam_only(self):
        """Of all that can answer, the verbs know `llm.chat` alone."""
        for module in MODULES:
            if room_of(module) == "steps":
                assert {n for n in ours(imports_of(module)) if room_of(n) == "llm"} <= {"rubricate.llm.chat"}

    def test_the_ground_has_no_outside(self):
        """The domain imports nothing that waits, reads a disk, or tells the time. Chance has a seed there,
        and only the bootstrap draws."""
        outside = {
            "asyncio",
            "os",
            "pathlib",
            "random",
            "time",
            "datetime",
            "secrets",
            "subprocess",
            "socket",
        }
        for module in MODULES:
            if room_of(module) == "domain":
                found = {name.split(".")[0] for name in imports_of(module)} & outside
                allowed = {"random"} if module == "rubricate.domain.intervals" else set()
                assert found <= allowed, module

    def test_no_circle(self):
        """No module needs itself to be imported."""
        needs = {module: ours(imports_of(module, at_import=True)) - {module} for module in MODULES}
        done: set[str] = set()
        while ready := {module for module in needs if module not in done and needs[module] <= done}:
            done |= ready
        assert set(needs) - done == set()

    def test_faces_are_empty(self):
        """Every `__init__.py` but the root's holds nothing."""
        faces = [path for path in ROOT.rglob("__init__.py") if path.parent != ROOT]
        assert [path for path in faces if path.read_text().strip()] == []
        folders = {path.parent for path in MODULES.values()}
        assert {path.parent for path in faces} | {ROOT} == folders


class TestFace:
    def test_the_public_names(self):
        """Short, sorted, complete, and each is what its room holds."""
        assert sorted(rubricate.__all__) == rubricate.__all__
        assert set(rubricate.__all__) == set(rubricate._ROOMS) <= set(dir(rubricate))
        for name in rubricate.__all__:
            assert getattr(rubricate, name).__module__ == f"rubricate.{rubricate._ROOMS[name]}"
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            rubricate.nothing  # noqa: B018

    def test_importing_it_loads_no_room(self):
        """`import rubricate` costs nothing: a room is opened when its first name is asked for."""
        code = "import rubricate, sys; print([name for name in sys.modules if name.startswith('rubricate.')])"
        assert _told([sys.executable, "-c", code]).strip() == "[]"

    def test_help_is_light(self):
        """`rubricate --help` imports nothing heavy, and neither do the helps of its commands."""
        for command in ([], ["run"], ["rollouts"]):
            words = ["rubricate", *command, "--help"]
            code = f"import sys; sys.argv = {words}\nfrom rubricate.cli import main; main()"
            run = subprocess.run(
                [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
            )
            loaded = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
            assert "rubricate.cli" in loaded
            assert {name for name in loaded if name.split(".")[0] in HEAVY} == set()


class TestManners:
    def test_nobody_prints_but_the_commands(self):
        """Rooms give values; only commands, the terminal page and the roof speak."""
        for module in MODULES:
            calls = [
                node.lineno
                for node in ast.walk(tree_of(module))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            ]
            assert calls == [] or room_of(module) in ("commands", "roof", "cli"), module

    def test_no_broad_except(self):
        """Nothing catches what it does not know: no bare except, no `except Exception`."""
        for module in MODULES:
            for node in ast.walk(tree_of(module)):
                if isinstance(node, ast.ExceptHandler):
                    assert node.type is not None, f"{module}:{node.lineno}"
                    is_raised_again = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
                    named = ast.unparse(node.type)
                    assert named != "Exception", f"{module}:{node.lineno}"
                    assert named != "BaseException" or is_raised_again, f"{module}:{node.lineno}"

    def test_long_files_are_named(self):
        """A file near 400 lines hides a second noun: it is named, not forbidden."""
        for module, path in MODULES.items():
            n_lines = len(path.read_text().splitlines())
            if n_lines > 400:
                warnings.warn(f"{module} has {n_lines} lines: which second noun moved in?", stacklevel=1)

    def test_templates_stand_beside_their_steps(self):
        """Every prompt text belongs to a verb."""
        steps = ROOT / "steps"
        assert {path.stem for path in steps.glob("*.md")} <= {path.stem for path in steps.glob("*.py")}


def _told(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
