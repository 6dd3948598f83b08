"""Records -> the published dataset: Parquet in one file or in shards, in a folder here or behind a URL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from rubricate.dialects.fields import as_number
from rubricate.domain.conversation import Pool
from rubricate.domain.rubric import Rubric
from rubricate.runs.outputs import Finished
from rubricate.runs.places import Folder

_ROWS_PER_GROUP = 2000
_WHOLE = "train.parquet"
_OURS = re.compile(r"train\.parquet|part-\d{5,}-of-\d{5,}\.parquet")


def write_dataset(finished: Finished, folder: Folder, rows_per_shard: int | None = None) -> list[str]:
    """`train.parquet`, or `part-00000-of-00012.parquet` and so on with at most so many rows each: the fields
    of JunkaiZ/Rubrics and the id. The names of the files.

    Loads with `datasets.load_dataset(FOLDER)`. Weights are whole numbers unless one is not. Each file is
    there whole or not at all; files of an earlier writing that are not written again are removed at the end,
    so that no row is there twice. Goes through `finished` twice; memory holds some thousand rows.

    Raises:
        RunError: a file cannot be written.
    """
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    integral, n_rows = _surveyed(record.rubric for _, record in finished if record.rubric is not None)
    weight = arrow.int64() if integral else arrow.float64()
    criterion = arrow.struct([("criterion", arrow.string()), ("weight", weight)])
    schema = arrow.schema(
        [
            ("id", arrow.string()),
            ("prompt", arrow.string()),
            ("rubrics", arrow.list_(criterion)),
            ("number_of_criteria", arrow.int64()),
            ("total_weight", weight),
        ]
    )
    rows = (dataset_row(pool, record.id, record.rubric) for pool, record in finished if record.rubric)
    names = _names(n_rows, rows_per_shard)
    for name in names:
        shard = rows if rows_per_shard is None else islice(rows, rows_per_shard)
        with folder.writing(name) as draft, parquet.ParquetWriter(draft, schema) as writer:
            for part in _parts(shard):
                writer.write_table(arrow.Table.from_pylist(part, schema=schema))
    for stale in folder.names():
        if _OURS.fullmatch(stale) and stale not in names:
            folder.remove(stale)
    return names


def _surveyed(rubrics: Iterable[Rubric]) -> tuple[bool, int]:
    """Whether all weights are whole numbers, and how many rubrics there are."""
    integral, n_rows = True, 0
    for rubric in rubrics:
        n_rows += 1
        integral = integral and all(float(criterion.weight).is_integer() for criterion in rubric.criteria)
    return integral, n_rows


def _names(n_rows: int, rows_per_shard: int | None) -> list[str]:
    if rows_per_shard is None:
        return [_WHOLE]
    n_shards = max(1, -(-n_rows // rows_per_shard))
    return [f"part-{place:05d}-of-{n_shards:05d}.parquet" for place in range(n_shards)]


def _parts(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    rows = iter(rows)
    while part := list(islice(rows, _ROWS_PER_GROUP)):
        yield part


def dataset_row(pool: Pool, id: str, rubric: Rubric) -> dict[str, Any]:
    """One row of the dataset."""
    return {
        "id": id,
        "prompt": pool.prompt.text,
        "rubrics": [{"criterion": c.text, "weight": as_number(c.weight)} for c in rubric.criteria],
        "number_of_criteria": len(rubric.criteria),
        "total_weight": as_number(rubric.total_weight),
    }
