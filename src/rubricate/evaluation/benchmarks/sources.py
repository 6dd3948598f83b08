"""Where a benchmark is read from, and what shape it has: files, folders and the hub -> cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from rubricate.domain.identity import key_of
from rubricate.errors import DataError, SettingsError
from rubricate.evaluation.benchmarks.cases import Benchmark, Case
from rubricate.evaluation.benchmarks.shapes import lists, published
from rubricate.evaluation.benchmarks.shapes.fields import is_list, said
from rubricate.runs.rows import HUB, Row, rows_of

HUB_SPLITS = {
    "allenai/reward-bench": ("filtered",),
    "allenai/reward-bench-2": ("test",),
    "THU-KEG/RM-Bench": ("train",),
    "ScalerLab/JudgeBench": ("claude", "gpt"),
}
"""The splits to read of a dataset on the hub whose address names none."""

_READABLE = (".json", ".jsonl", ".ndjson", ".jsonl.gz", ".json.gz", ".ndjson.gz", ".jsonl.zst", ".json.zst")


class Shape(NamedTuple):
    """A shape: the fields that tell it, a test where fields do not suffice, and how a row becomes a case."""

    fields: tuple[str, ...]
    fits: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Row], Case] | None = None


def _always(value: Mapping[str, Any]) -> bool:
    return True


def _has_lists(value: Mapping[str, Any]) -> bool:
    return is_list(value["chosen"]) and is_list(value["rejected"]) and isinstance(value["chosen"][0], str)


SHAPES: dict[str, Shape] = {
    "judgebench": Shape(
        ("question", "response_A", "response_B", "label", "source"), _always, published.judge_bench
    ),
    "llmbar": Shape(("input", "output_1", "output_2", "label"), _always, published.llm_bar),
    "rmb-pairs": Shape(("conversation_input", "chosen", "reject"), _always, published.rmb_pair),
    "rmb-best-of-n": Shape(("conversation_input", "bon_best", "loser_list"), _always, published.rmb_best),
    "rewardbench2": Shape(
        ("id", "prompt", "chosen", "rejected", "subset", "num_correct"), _has_lists, published.reward_bench_2
    ),
    "rmbench": Shape(("prompt", "chosen", "rejected"), _has_lists, published.rm_bench),
    "healthbench": Shape(
        ("prompt", "rubrics"),
        lambda value: is_list(value["prompt"]) and is_list(value["rubrics"]),
        published.health_bench,
    ),
    "pair-index": Shape(("prompt_id", "chosen", "rejected", "margin"), lambda value: "prompt" not in value),
    "criteria": Shape(("prompt_id", "prompt", "response", "criteria"), _always),
    "ranked": Shape(("prompt", "responses"), _always, lists.ranked),
    "pairs": Shape(("chosen", "rejected"), lambda value: "prompt_id" not in value, published.reward_bench),
}
"""The shapes, the more particular ones first. `pairs` also reads RewardBench."""


def read_benchmark(source: str, shape: str | None = None) -> Benchmark:
    """The cases of a file, of all files in a folder, or of a dataset on the hub (`hf://NAME[:CONFIG][#SPLIT]`).

    The shape is told by the fields of the first row unless it is given; then every row must have it. Cases
    that ask nothing (no two grades differ, no answer to score) are left out and counted. A case that comes
    again is kept, since published figures count it, and counted: intervals are over prompts.

    Raises:
        DataError: no such file, an unknown shape (what was found and what would do), or a malformed row.
        SettingsError: there is no shape of that name.
    """
    if shape is not None and shape not in SHAPES:
        raise SettingsError(f"--format: there is no shape {shape!r}; there are {', '.join(SHAPES)}")
    rows = _rows(source)
    first = next(rows, None)
    if first is None:
        raise DataError(source, "there is no row in it")
    shape = shape or detected(first)
    left_out: Counter[str] = Counter()
    kept: list[Case] = []
    for case in _cases(chain([first], rows), shape, source):
        if case.kind != "points" and not case.contests:
            left_out["no two grades differ"] += 1
        elif case.kind == "points" and not case.responses:
            left_out["no answer to score"] += 1
        else:
            kept.append(case)
            ungraded = case.gold.count(None) if shape in ("ranked", "criteria") else 0
            left_out["responses without a grade"] += ungraded
    left_out = +left_out
    if not kept:
        why = ", ".join(f"{reason} ({n})" for reason, n in left_out.items())
        raise DataError(source, f"no case in it can be used: {why}")
    repeated = len(kept) - len({_key(case) for case in kept})
    return Benchmark(shape, tuple(kept), dict(left_out), repeated)


def detected(row: Row) -> str:
    """The shape of a row by its fields.

    Raises:
        DataError: none fits; says which fields were found and which would do.
    """
    if isinstance(row.value, Mapping):
        present = {name for name, value in row.value.items() if value is not None}
        for name, shape in SHAPES.items():
            if present >= set(shape.fields) and shape.fits(row.value):
                return name
        found = f"an object with {', '.join(sorted(map(str, row.value))) or 'no field'}"
    else:
        found = said(row.value)
    known = "; ".join(f"{name}: {', '.join(shape.fields)}" for name, shape in SHAPES.items())
    raise row.error(f"unknown benchmark shape: {found}. Known shapes and their fields: {known}")


def _cases(rows: Iterable[Row], shape: str, source: str) -> Iterator[Case]:
    wanted = SHAPES[shape]
    checked = (_checked(row, shape, wanted) for row in rows)
    if shape == "criteria":
        yield from lists.criteria(checked)
    elif shape == "pair-index":
        yield from lists.indexed(checked, _lists_beside(source))
    else:
        assert wanted.read is not None, shape
        for row in checked:
            yield wanted.read(row)


def _checked(row: Row, name: str, shape: Shape) -> Row:
    if not isinstance(row.value, Mapping):
        raise row.error(f"an object is needed for the shape {name}, not {said(row.value)}")
    for field in shape.fields:
        if row.value.get(field) is None:
            raise row.error(f"missing; a row of the shape {name} needs {', '.join(shape.fields)}", field)
    if not shape.fits(row.value):
        raise row.error(f"the fields are there, but not in the form of the shape {name}")
    return row


def _lists_beside(source: str) -> dict[str, Case]:
    """The ranked lists that an index of pairs points into: the file of the same stem without `_pairs`."""
    path = Path(source)
    beside = path.with_name(path.name.replace("_pairs.", ".", 1))
    if beside == path or not beside.is_file():
        raise DataError(
            source, f"an index of pairs needs its ranked file beside it: {beside.name} (this one: *_pairs.*)"
        )
    found: dict[str, Case] = {}
    for row in rows_of(str(beside)):
        case = lists.ranked(_checked(row, "ranked", SHAPES["ranked"]))
        if found.setdefault(case.id, case) is not case:
            raise row.error(f"the id {case.id!r} comes twice", "id")
    return found


def _rows(source: str) -> Iterator[Row]:
    if source.startswith(HUB):
        name, _, split = source.removeprefix(HUB).partition("#")
        splits = (split,) if split else HUB_SPLITS.get(name.partition(":")[0], ("",))
        for each in splits:
            yield from rows_of(f"{HUB}{name}#{each}" if each else f"{HUB}{name}")
        return
    path = Path(source)
    files = _files_in(path) if path.is_dir() else []
    if not files:
        yield from rows_of(source)
    for file in files:
        yield from rows_of(str(file))


def _files_in(folder: Path) -> list[Path]:
    """The JSON files below a folder by path, unless it is a saved dataset or holds Parquet files."""
    is_dataset = (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()
    if is_dataset or next(folder.rglob("*.parquet"), None) is not None:
        return []
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name.endswith(_READABLE))


def _key(case: Case) -> str:
    """Content key of what a case asks."""
    contests = [(contest.better, contest.worse) for contest in case.contests]
    return key_of("case", case.prompt.key, case.responses, contests, case.groups)
