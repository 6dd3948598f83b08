"""Prompts and their rubrics -> the rows of GRPO."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rubricate.dialects.registry import dialect_of
from rubricate.dialects.rows.own import OWN, own_criteria
from rubricate.domain.rubric import Rubric
from rubricate.errors import DataError
from rubricate.rewards.batch.rubrics import Unseen
from rubricate.runs.rows import rows_of
from rubricate.runs.rubric_files import RubricFile
from rubricate.training.data.material import Example, Prepared, material_of, prepared


def prompts_of(
    source: str,
    rubrics: Sequence[RubricFile] | None,
    unseen: Unseen,
    *,
    sample_size: int | None = None,
    seed: int = 0,
) -> Prepared:
    """The prompts of a file with their rubrics, each prompt once.

    A prompt has the rubric of the first file that knows it; None: the reward needs no rubrics. A prompt
    without one ends it under `fail`, is left out under `skip` (a group of Nones teaches nothing and costs
    its rollouts), and waits for the proposer under `make`.

    Raises:
        DataError: the file is malformed or empty, or a prompt has no rubric and the policy is to fail.
    """
    found, missing = prepared(), list[str]()
    for pool, _ in material_of(source, sample_size=sample_size, seed=seed):
        prompt = pool.prompt
        rubric = None if rubrics is None else next((r for file in rubrics if (r := file.of(prompt))), None)
        if rubric is None and rubrics is not None and unseen != "make":
            missing.append(prompt.id)
            found.leave_out(prompt.id, "no rubric for the prompt (reward.unseen=skip)")
            continue
        text = None if rubric is None else json_of_rubric(rubric)
        found.rows.append(Example(prompt.id, prompt.messages, rubric=text))
    if missing and unseen == "fail":
        n = len(missing) + len(found.rows)
        raise DataError(
            source,
            f"{len(missing):,} of {n:,} prompts have no rubric, {missing[0]!r} first: give reward.rubrics a "
            "file or a run that has them, or choose reward.unseen=make (the proposer writes them) or "
            "reward.unseen=skip (they are left out)",
        )
    if not found.rows:
        raise DataError(source, "no prompt is left to train on: none has a rubric")
    return found


def rubrics_in(source: str) -> RubricFile:
    """The rubrics that stand in the rows of a file of prompts, in any dialect; most rows have none.

    Raises:
        DataError: one is malformed; with file, line and field.
    """
    found = RubricFile()
    for row in rows_of(source):
        if not isinstance(row.value, Mapping):
            continue
        speaks = dialect_of(row.value)
        if speaks is None and not any(row.value.get(name) for name in ("criteria", "rubrics", "rubric")):
            continue
        for taken in (speaks or OWN).read(row):
            entry = taken.entry
            text = None if entry.prompt is None else entry.prompt.text
            try:
                found.add(entry.rubric, entry.id, text)
            except ValueError as problem:
                raise row.error(str(problem), "criteria") from None
    return found


def json_of_rubric(rubric: Rubric) -> str:
    """A rubric as the text that stands in a column of a dataset."""
    return json.dumps(own_criteria(rubric), ensure_ascii=False)
