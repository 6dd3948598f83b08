"""A file, a run folder, or a file with preferences -> a scored pool. The one door for all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rubricate.errors import DataError
from rubricate.evaluation.reading.columns import Wanted
from rubricate.evaluation.reading.preferences import gold_from, gold_from_rows
from rubricate.evaluation.reading.records import records_of, source_file
from rubricate.evaluation.reading.rows_to_pool import found_columns, read_rows
from rubricate.evaluation.reading.tables import NotPlain, read_table
from rubricate.evaluation.scored import ScoredPool


def read_scored(source: Path, wanted: Wanted, pairs: str | None = None) -> ScoredPool:
    """The scored pool of a file or of a run folder.

    Takes JSON Lines, JSON, CSV (also `.gz`, `.zst`) and Parquet: a flat row a response, prompts with their
    responses, or rows of `chosen` and `rejected` texts, whose gold are Bradley-Terry strengths. `pairs`
    names a file of preferences between the responses, or a field of the rows that holds them.

    Raises:
        DataError: with file, line or row, and column; nothing was written by then.
    """
    path = source_file(source)
    if path != source and not wanted.proxies:
        wanted = replace(wanted, proxies=("score",))  # of a run; its raw sums are another scale of the same
    sample = next(records_of(path), None)
    if sample is None:
        raise DataError(path, "no responses in any row")
    is_pairs = sample.side is not None and wanted.gold is None and pairs is None
    if not is_pairs and pairs is None:
        _, columns = found_columns(path, wanted)
        try:
            return read_table(path, columns, sample, wanted)
        except NotPlain:
            return read_rows(path, wanted).pool()
    rows = read_rows(path, replace(wanted, is_gold_given=True))
    gold, notes = gold_from_rows(rows) if is_pairs else gold_from(rows, path, pairs or "")
    return rows.pool(gold, notes)
