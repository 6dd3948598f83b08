"""A finished prompt, joined with its pool, as the page shows it: the ranked pool, the rubric, its history.

Plain values in the order of display. All foreign text is still raw here: the page makes it visible and
escapes it where it is printed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rubricate.domain.conversation import Pool, Response, SetAside
from rubricate.domain.intervals import Estimate, rate
from rubricate.domain.record import NOT_ASKED, PromptRecord, Round, Standing
from rubricate.domain.rubric import Change, Criterion, Rubric, changes_between
from rubricate.domain.scoring import TOP, top_of
from rubricate.errors import DataError
from rubricate.runs.summary import rubrics_of


@dataclass(frozen=True)
class Cell:
    """One verdict: its mark (`+`, `-`, `?`, `_`), whether a program gave it, and why there is none."""

    mark: str
    by_program: bool
    reason: str | None


@dataclass(frozen=True)
class Row:
    """One response of the ranked pool. `rank` is shared by tied responses and None without a score.

    `place` counts the rows from 1. `ends_top` marks the last row of the top, over which ties are counted.
    """

    place: int
    rank: int | None
    is_tied: bool
    ends_top: bool
    response: Response
    score: float | None
    is_asked: bool
    coverage: float
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Side:
    """One response of a pair, and its scores under the old and the proposed rubric."""

    response: Response
    before: float | None
    after: float | None


@dataclass(frozen=True)
class Step:
    """One round: its pair, what the proposal changed (nothing to show when none could be read), and how many
    of the responses in play were not asked, since they could not matter."""

    round: Round
    sides: tuple[Side, Side]
    changes: tuple[Change, ...]
    count: dict[str, int]
    n_not_asked: int


@dataclass(frozen=True)
class Unjudged:
    """A reason for missing verdicts, and where it left them open: criterion ids, each with its rows."""

    why: str
    places: tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class PromptView:
    """All that the page shows of one prompt. `rows` are in file order, without verdicts, if ungraded.

    `has_gaps` says whether some verdict is missing, `has_open` whether some was not asked for, `has_gold`
    whether some response has a gold score.
    """

    record: PromptRecord
    prompt: str
    criteria: tuple[Criterion, ...]
    programmed: frozenset[str]
    rows: tuple[Row, ...]
    is_graded: bool
    has_gaps: bool
    has_open: bool
    has_gold: bool
    steps: tuple[Step, ...]
    unjudged_share: Estimate | None
    unjudged: tuple[Unjudged, ...]
    set_aside: tuple[SetAside, ...]


def view_of(record: PromptRecord, pool: Pool) -> PromptView:
    """The view of a prompt.

    Raises:
        DataError: the pool lacks a response that the record speaks of.
    """
    by_key = {response.key: response for response in pool.responses}
    missing = next((key for key in _keys(record) if key not in by_key), None)
    if missing is not None:
        raise DataError(
            "pool.jsonl",
            f"has no response {missing} for the prompt {record.id!r}, which the journal speaks of; "
            "pool and journal are of different runs",
        )
    criteria = record.rubric.criteria if record.rubric else ()
    rows = tuple(_rows(record.standings, criteria, by_key)) or tuple(_ungraded(pool.responses))
    marks = [cell.mark for row in rows for cell in row.cells]
    return PromptView(
        record=record,
        prompt=pool.prompt.text,
        criteria=criteria,
        programmed=_programmed(criteria, rows),
        rows=rows,
        is_graded=bool(record.standings),
        has_gaps="?" in marks or NOT_ASKED in marks,
        has_open=NOT_ASKED in marks,
        has_gold=any(response.gold is not None for response in pool.responses),
        steps=tuple(_steps(record, by_key)),
        unjudged_share=rate(marks.count("?"), len(marks) - marks.count(NOT_ASKED)),
        unjudged=_unjudged(criteria, rows),
        set_aside=record.set_aside,
    )


def _keys(record: PromptRecord) -> Iterator[str]:
    yield from (standing.response for standing in record.standings)
    for round in record.rounds:
        yield from round.pair


def _rows(
    standings: Sequence[Standing], criteria: Sequence[Criterion], by_key: dict[str, Response]
) -> Iterator[Row]:
    scores = {standing.response: standing.score for standing in standings}
    times = Counter(scores.values())
    last_of_top = (top_of(scores, TOP) or (None,))[-1]
    rank_by_score: dict[float, int] = {}
    for place, standing in enumerate(standings, 1):
        score = standing.score
        yield Row(
            place=place,
            rank=None if score is None else rank_by_score.setdefault(score, place),
            is_tied=score is not None and times[score] > 1,
            ends_top=standing.response == last_of_top and place < len(standings),
            response=by_key[standing.response],
            score=score,
            is_asked=standing.is_asked,
            coverage=standing.coverage,
            cells=tuple(_cells(standing, criteria)),
        )


def _cells(standing: Standing, criteria: Sequence[Criterion]) -> Iterator[Cell]:
    by_program = standing.by_program or "." * len(criteria)
    for criterion, mark, program in zip(criteria, standing.marks, by_program, strict=True):
        reason = "it could not matter" if mark == NOT_ASKED else standing.reasons.get(criterion.id)
        yield Cell(mark, program == "x", reason)


def _ungraded(responses: Sequence[Response]) -> Iterator[Row]:
    for place, response in enumerate(responses, 1):
        yield Row(place, None, False, False, response, None, True, 0.0, ())


def _programmed(criteria: Sequence[Criterion], rows: Sequence[Row]) -> frozenset[str]:
    """Ids of the criteria that a program decided for every response for which they are decided at all."""
    ids = set()
    for column, criterion in enumerate(criteria):
        decided = [
            row.cells[column].by_program for row in rows if row.cells and row.cells[column].mark in "+-"
        ]
        if decided and all(decided):
            ids.add(criterion.id)
    return frozenset(ids)


def _unjudged(criteria: Sequence[Criterion], rows: Sequence[Row]) -> tuple[Unjudged, ...]:
    places_by_why: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for column, criterion in enumerate(criteria):
        for row in rows:
            cell = row.cells[column] if row.cells else None
            if cell and cell.mark == "?":
                places_by_why[cell.reason or "no reason was given"][criterion.id].append(row.place)
    return tuple(
        Unjudged(why, tuple((id, tuple(places)) for id, places in by_id.items()))
        for why, by_id in places_by_why.items()
    )


def _steps(record: PromptRecord, by_key: dict[str, Response]) -> Iterator[Step]:
    rubric_by_key: dict[str, Rubric] = rubrics_of(record)
    for round in record.rounds:
        changes = changes_between(rubric_by_key[round.before], round.proposed) if round.proposed else ()
        count = Counter[str](change.how for change in changes)
        first, second = (
            Side(by_key[key], before, after)
            for key, before, after in zip(
                round.pair, round.pair_scores_before, round.pair_scores_after, strict=True
            )
        )
        n_not_asked = sum(not standing.is_asked for standing in round.standings)
        yield Step(round, (first, second), changes, dict(count), n_not_asked)
