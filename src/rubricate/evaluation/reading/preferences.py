"""Preferences between responses -> their gold: read from pairs, votes or a field, fitted by Bradley-Terry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rubricate.errors import DataError
from rubricate.evaluation.bradley_terry import Votes, strengths
from rubricate.evaluation.reading.records import SIDES, plain_rows, records_of, said, source_file
from rubricate.evaluation.reading.rows_to_pool import Rows
from rubricate.evaluation.scored import Floats
from rubricate.runs.rows import Row

_PROMPT = ("prompt_id", "id", "prompt", "question", "instruction")


class _Vote(NamedTuple):
    a: int
    b: int
    wins_a: float
    wins_b: float
    ties: float


def gold_from_rows(rows: Rows) -> tuple[Floats, tuple[str, ...]]:
    """The gold of rows of pairs: each chosen text has beaten the rejected one of its row."""
    votes = [
        _Vote(chosen, rejected, 0.0 if tie else 1.0, 0.0, 1.0 if tie else 0.0)
        for chosen, rejected, tie in rows.pairs
    ]
    return _fitted(rows, votes, [])


def gold_from(rows: Rows, path: Path, pairs: str) -> tuple[Floats, tuple[str, ...]]:
    """The gold of a pool from a file of preferences, or from a field of its own rows, named `pairs`.

    Raises:
        DataError: neither is there, an entry is malformed, or none is on a response of the pool.
    """
    names = _Names(rows)
    votes, unknown, n_entries = list[_Vote](), 0, 0
    for row, prompt, entry, field in _entries(path, pairs):
        n_entries += 1
        vote = _vote(row, prompt, entry, field, names)
        if vote is None:
            unknown += 1
        else:
            votes.append(vote)
    if not votes:
        where = (
            "no entry in any row" if not n_entries else f"none of {n_entries:,} is on a response of {path}"
        )
        raise DataError(
            pairs,
            f"{where}; the prompt (prompt_id) and the names of two responses (generator) must be those of it",
        )
    said_of = [f"{unknown:,} preferences name a prompt or response that the pool has not: left out"]
    return _fitted(rows, votes, said_of if unknown else [])


class _Names:
    """The rows of a pool by prompt and by what a preference may call them."""

    def __init__(self, rows: Rows) -> None:
        self.prompts = rows.prompts.numbers
        self.by_name = dict[tuple[int, str], int]()
        self.by_place = dict[tuple[int, int], int]()
        self.ambiguous = set[tuple[int, str]]()
        counts: dict[int, int] = {}
        for at, (prompt, label) in enumerate(zip(rows.prompt_of, rows.labels, strict=True)):
            place = counts[prompt] = counts.get(prompt, -1) + 1
            self.by_place[prompt, place] = at
            if self.by_name.setdefault((prompt, label), at) != at:
                self.ambiguous.add((prompt, label))


def _entries(path: Path, pairs: str) -> Iterator[tuple[Row, Any, Any, str]]:
    """Each preference: its row, its prompt (None: that of the row in the pool), itself, its field."""
    if Path(pairs).exists():
        for row in plain_rows(source_file(Path(pairs))):
            if not isinstance(row.value, Mapping):
                raise row.error(f"a preference is an object, not {said(row.value)}")
            prompt = next((row.value[name] for name in _PROMPT if row.value.get(name) is not None), None)
            if prompt is None:
                raise row.error("missing; a preference needs its prompt", "prompt_id")
            yield row, prompt, row.value, ""
        return
    seen = False
    for record in records_of(path):
        if record.within == "responses[0]." and pairs in record.around:
            seen, given = True, record.around[pairs]
            prompt = next(
                (record.around[name] for name in _PROMPT if record.around.get(name) is not None), None
            )
            if not isinstance(given, list):
                raise record.row.error(f"a list of preferences is needed, not {said(given)}", pairs)
            for place, entry in enumerate(given):
                if not isinstance(entry, Mapping):
                    raise record.row.error(
                        f"a preference is an object, not {said(entry)}", f"{pairs}[{place}]"
                    )
                yield record.row, prompt, entry, f"{pairs}[{place}]."
    if not seen:
        raise DataError(pairs, f"neither a file nor a field of the rows of {path}")


def _vote(row: Row, prompt: Any, entry: Mapping[str, Any], field: str, names: _Names) -> _Vote | None:
    code = names.prompts.get(str(prompt))
    one, other = SIDES if all(entry.get(side) is not None for side in SIDES) else ("a", "b")
    for side in (one, other):
        if not isinstance(entry.get(side), str | int) or isinstance(entry.get(side), bool):
            names_it = "a response is named by its generator or its place: chosen and rejected, or a and b"
            raise row.error(names_it, f"{field}{side}")
    wins = _counts(row, entry, field, is_chosen=one == SIDES[0])
    if code is None:
        return None
    found = []
    for side in (one, other):
        name = entry[side]
        if isinstance(name, str) and (code, name) in names.ambiguous:
            raise row.error(f"two responses of prompt {prompt} are called {name}", f"{field}{side}")
        at = names.by_name.get((code, name)) if isinstance(name, str) else names.by_place.get((code, name))
        if at is None:
            return None
        found.append(at)
    if found[0] == found[1]:
        raise row.error("a response is compared with itself", f"{field}{other}")
    return _Vote(found[0], found[1], *wins)


def _counts(row: Row, entry: Mapping[str, Any], field: str, *, is_chosen: bool) -> tuple[float, float, float]:
    if any(name in entry for name in ("votes_a", "votes_b", "votes_tie")):
        counts = [entry.get(name, 0) for name in ("votes_a", "votes_b", "votes_tie")]
        for name, count in zip(("votes_a", "votes_b", "votes_tie"), counts, strict=True):
            if isinstance(count, bool) or not isinstance(count, int | float) or not 0 <= count < float("inf"):
                raise row.error(f"a number of votes is needed, not {said(count)}", f"{field}{name}")
        return float(counts[0]), float(counts[1]), float(counts[2])
    winner = entry.get("winner", "a" if is_chosen else None)
    if entry.get("tie") is True or winner == "tie":
        return 0.0, 0.0, 1.0
    if winner not in ("a", "b"):
        raise row.error(f"the winner is a, b or tie, not {said(winner)}", f"{field}winner")
    return float(winner == "a"), float(winner == "b"), 0.0


def _fitted(rows: Rows, votes: list[_Vote], notes: list[str]) -> tuple[Floats, tuple[str, ...]]:
    """Strengths in the largest linked part of each prompt, NaN elsewhere, and what is to be known of them."""
    n, prompt_of = len(rows.prompt_of), np.array(rows.prompt_of, dtype=np.int64)
    columns = np.array([vote for vote in votes if vote.wins_a + vote.wins_b + vote.ties > 0], dtype=float)
    if not len(columns):
        return np.full(n, np.nan), ("no preference has a vote",)
    a, b = columns[:, 0].astype(np.int64), columns[:, 1].astype(np.int64)
    fit = strengths(n, Votes(a, b, columns[:, 2], columns[:, 3], columns[:, 4]))
    size = np.bincount(fit.component, minlength=n)[fit.component]
    order = np.lexsort((fit.component, -size, prompt_of))
    heads = np.ones(n, dtype=bool)
    heads[1:] = prompt_of[order][1:] != prompt_of[order][:-1]
    largest = np.full(len(rows.prompts.numbers), -1)
    largest[prompt_of[order[heads]]] = fit.component[order[heads]]
    linked = (fit.component == largest[prompt_of]) & (size > 1)
    ties = f", of which {columns[:, 4].sum():,.0f} are ties" if columns[:, 4].any() else ""
    said_of = [
        f"gold: Bradley-Terry strengths (Davidson's ties) from {columns[:, 2:].sum():,.0f} verdicts{ties}",
        *notes,
    ]
    if apart := int(np.sum(~linked)):
        said_of.append(
            f"{apart:,} responses have no gold: no chain of verdicts links them to the rest of their prompt"
        )
    if split := len(np.unique(prompt_of[linked & fit.is_separated])):
        said_of.append(
            f"{split:,} prompts fall into winners and losers with no verdict the other way: the order of "
            "their gold is the verdicts', the size of its steps the prior's"
        )
    return np.where(linked, fit.log, np.nan), tuple(said_of)
