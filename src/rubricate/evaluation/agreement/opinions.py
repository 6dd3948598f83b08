"""What graders said of the items: verdicts of files, matched to the items by response and criterion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rubricate.domain.record import Spend
from rubricate.errors import DataError
from rubricate.evaluation.agreement.items import Items, mark_of
from rubricate.evaluation.agreement.measures import UNJUDGED, Marks
from rubricate.evaluation.entries import Entry, Stated
from rubricate.evaluation.totals import Floats


@dataclass(frozen=True)
class Opinion:
    """One grader's verdicts, a row of `marks` for each draw, shape (draws, items).

    `absent` says where no verdict was ever asked for or given: the file has none, or the call failed; that
    is neither unjudged nor unmet. `probability` of "met" by item, NaN where none was stated. `by_program`
    marks what a program decided. `reasons` counts why items are unjudged, `failed` names the responses whose
    calls failed. `foreign` counts rows of a file that belong to no response here.
    """

    name: str
    marks: Marks
    absent: NDArray[np.bool_]
    probability: Floats
    by_program: NDArray[np.bool_]
    reasons: Counter[str] = field(default_factory=Counter)
    failed: tuple[str, ...] = ()
    foreign: int = 0
    spend: Spend | None = None

    @property
    def draws(self) -> int:
        """How often each item was judged."""
        return len(self.marks)


def own_opinion(name: str, items: Items) -> Opinion | None:
    """The verdicts that the file of the items carries itself; None when it has none."""
    stated = [criterion for entry in items.entries for criterion in entry.criteria]
    if not any(criterion.has_verdict for criterion in stated):
        return None
    return _opinion(name, [[(place, criterion, True) for place, criterion in enumerate(stated)]], len(items))


def opinion_of_files(name: str, items: Items, files: Mapping[str, Sequence[Entry]]) -> Opinion:
    """The verdicts of one grader from its files, by path; each file, and each `draw` in it, is a draw.

    An entry belongs to the response of the same id; without one, to that of the same prompt, generator and
    text; without a generator, to every response of that prompt and text. In it a criterion is found by its
    text. A second label file is a grader as well: its labels are taken where it has no verdicts.

    Raises:
        DataError: a file has no entry that belongs here, or judges an item twice in one draw.
    """
    places = _Places(items)
    draws, foreign = list[list[tuple[int, Stated, bool]]](), 0
    for path, entries in files.items():
        by_draw: dict[int, list[tuple[int, Stated, bool]]] = {}
        judged_by_verdict = any(stated.has_verdict for entry in entries for stated in entry.criteria)
        seen, strangers = set[tuple[int, int]](), 0
        for entry in entries:
            found = list(places.of(entry))
            strangers += not found
            for place, stated in found:
                by_draw.setdefault(entry.draw, []).append((place, stated, judged_by_verdict))
                if (entry.draw, place) in seen:
                    raise DataError(
                        path, f"{entry.place} judges a criterion that was judged before: {stated.text!r:.80}"
                    )
                seen.add((entry.draw, place))
        if not by_draw:
            raise DataError(path, "none of its rows is about a response and a criterion of the label file")
        foreign += strangers
        draws += [by_draw[draw] for draw in sorted(by_draw)]
    opinion = _opinion(name, draws, len(items))
    return Opinion(
        name,
        opinion.marks,
        opinion.absent,
        opinion.probability,
        opinion.by_program,
        opinion.reasons,
        (),
        foreign,
    )


class _Places:
    """Where the items of a response are."""

    def __init__(self, items: Items):
        self._by_id: dict[str, int] = {}
        self._by_text: dict[tuple[str, str], list[int]] = {}
        self._entries = items.entries
        self._starts = np.searchsorted(items.cases, np.arange(len(items.entries)))
        for case, entry in enumerate(items.entries):
            if entry.id is not None:
                self._by_id.setdefault(entry.id, case)
            self._by_text.setdefault((entry.prompt_id, entry.response), []).append(case)

    def of(self, entry: Entry) -> Iterator[tuple[int, Stated]]:
        """Place and verdict of every item that the entry judges."""
        said = {stated.text: stated for stated in entry.criteria}
        for case in self._cases(entry):
            for offset, own in enumerate(self._entries[case].criteria):
                if own.text in said:
                    yield int(self._starts[case]) + offset, said[own.text]

    def _cases(self, entry: Entry) -> Iterable[int]:
        if entry.id is not None and entry.id in self._by_id:
            case = self._by_id[entry.id]
            return [case] if self._entries[case].response == entry.response else []
        cases = self._by_text.get((entry.prompt_id, entry.response), [])
        if entry.generator is None:
            return cases
        same = [case for case in cases if self._entries[case].generator == entry.generator]
        return same or [case for case in cases if self._entries[case].generator is None]


def _opinion(name: str, draws: Sequence[Sequence[tuple[int, Stated, bool]]], n_items: int) -> Opinion:
    marks = np.full((len(draws), n_items), UNJUDGED, dtype=np.int8)
    absent = np.ones((len(draws), n_items), dtype=bool)
    probability = np.full((len(draws), n_items), np.nan)
    by_program = np.zeros(n_items, dtype=bool)
    reasons = Counter[str]()
    for draw, judged in enumerate(draws):
        for place, stated, by_verdict in judged:
            said = stated.verdict if by_verdict else stated.label
            marks[draw, place], absent[draw, place] = mark_of(said), False
            if stated.probability is not None:
                probability[draw, place] = stated.probability
            by_program[place] |= stated.by == "check"
            if said is None:
                reasons[stated.reason or "the file says null"] += 1
    return Opinion(name, marks, absent, mean_known(probability), by_program, reasons)


def mean_known(values: Floats) -> Floats:
    """The mean over draws of what is known, shape (draws, items) to (items,); NaN where nothing is."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(1, known.sum(axis=0)), np.nan)
