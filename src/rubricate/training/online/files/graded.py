"""What was graded in a training, by every process of it: one file for each process that gives rewards."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

from rubricate.domain.conversation import Prompt
from rubricate.domain.rubric import Rubric
from rubricate.rewards.batch.graded import Batch, Graded
from rubricate.training.online.files.lines import Hold, Lines
from rubricate.training.online.files.records import Done, GradedLine, Group, Met, Row, Silent

_NAME = "graded_online-{}.jsonl"


class Placed(NamedTuple):
    """Where a line stands; sorts by step, then by file and place."""

    step: int
    file: int
    at: int
    life: int


class Kept(NamedTuple):
    """One batch: the places of its groups, and of its end."""

    done: Placed
    groups: tuple[Placed, ...]


class GradedLog:
    """The files together. Memory holds places, some 100 bytes a group; texts are read when needed."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._files: dict[int, Lines[GradedLine]] = {}
        self._met: dict[str, tuple[int, int]] = {}
        self._groups: dict[str, list[Placed]] = defaultdict(list)
        self._batches: dict[int, list[Kept]] = defaultdict(list)
        self._own: tuple[int, int, Hold] | None = None
        self._noted: set[str] = set()

    def look(self) -> None:
        """Takes up what was added to any of the files.

        Raises:
            DataError: a file holds something else.
        """
        for number in count():
            path = self._folder / _NAME.format(number)
            if number not in self._files:
                if not path.exists():
                    return
                self._files[number] = _lines(path)
            for transaction in self._files[number].new():
                done = transaction[-1].line
                assert isinstance(done, Done)
                inside = []
                for at, line in transaction:
                    if isinstance(line, Met):
                        self._met.setdefault(line.prompt.key, (number, at))
                    elif isinstance(line, Group):
                        inside.append(Placed(line.step, number, at, done.life))
                        self._groups[line.prompt].append(inside[-1])
                end = Placed(done.step, number, transaction[-1].at, done.life)
                self._batches[done.step].append(Kept(end, tuple(inside)))

    @property
    def prompts(self) -> list[str]:
        """The keys of all prompts that came up, sorted."""
        return sorted(self._met)

    @property
    def steps(self) -> list[int]:
        """The steps at which something was graded, in any life, in order."""
        return sorted(self._batches)

    def met(self, key: str) -> Met | None:
        """A prompt with the rubric that it began with."""
        place = self._met.get(key)
        if place is None:
            return None
        line = self._files[place[0]].at(place[1])
        assert isinstance(line, Met)
        return line

    def groups(self, key: str) -> list[Placed]:
        """Where the groups of a prompt stand, of all lives, by step."""
        return sorted(self._groups.get(key, ()))

    def group(self, place: Placed) -> Group:
        """The group of a place."""
        line = self._files[place.file].at(place.at)
        assert isinstance(line, Group)
        return line

    def batches(self, step: int) -> list[Kept]:
        """The batches of a step, of all lives, by file and place."""
        return sorted(self._batches.get(step, ()), key=lambda kept: kept.done)

    def latest(self) -> Iterator[Placed]:
        """The groups of all prompts, of all lives, the latest step first."""
        for step in reversed(self.steps):
            for kept in reversed(self.batches(step)):
                yield from reversed(kept.groups)

    def done(self, place: Placed) -> Done:
        """The end of a batch."""
        line = self._files[place.file].at(place.at)
        assert isinstance(line, Done)
        return line

    def add(self, batch: Batch, life: int, firsts: Mapping[str, tuple[Prompt, Rubric]]) -> None:
        """Writes a batch down, before anybody gets its rewards. `firsts` are the rubrics that its prompts
        began with.

        Raises:
            RunError: it cannot be written.
        """
        lines: list[GradedLine] = []
        for key in dict.fromkeys(one.prompt.key for one in batch.graded if one.verdicts and one.prompt):
            if key not in self._noted and key not in self._met:
                lines.append(Met(*firsts[key]))
        noted = [line.prompt.key for line in lines if isinstance(line, Met)]
        groups: dict[tuple[str, int], list[Row]] = defaultdict(list)
        silent = []
        for at, one in enumerate(batch.graded):
            if one.prompt is None or one.text is None or one.rubric is None or not one.verdicts:
                silent.append(_silent(at, one))
            else:
                groups[one.prompt.key, one.rubric.version].append(Row(at, one.text, one.verdicts))
        lines += [Group(key, batch.step, version, tuple(rows)) for (key, version), rows in groups.items()]
        lines.append(Done(batch.step, life, len(batch.graded), tuple(silent)))
        self._written(lines)
        self._noted.update(noted)

    def close(self) -> None:
        """Lets go of the file that is written here."""
        if self._own is not None:
            self._own[2].let_go()
            self._own = None

    def _written(self, lines: Sequence[GradedLine]) -> None:
        if self._own is None or self._own[0] != os.getpid():
            self._own = (os.getpid(), *self._taken())
        _lines(self._folder / _NAME.format(self._own[1])).add(lines)

    def _taken(self) -> tuple[int, Hold]:
        """The first file that no living process writes, what a killed one left half written cut off."""
        for number in count():
            hold = Hold(self._folder / _NAME.format(number))
            if hold.is_taken():
                _lines(self._folder / _NAME.format(number)).cut()
                return number, hold
            hold.let_go()
        raise AssertionError("numbers are without end")


def _lines(path: Path) -> Lines[GradedLine]:
    return Lines(path, GradedLine, (Done,))


def _silent(at: int, one: Graded) -> Silent:
    asked = one.prompt.key if one.prompt is not None else None
    return Silent(at, one.why or "no reason given", asked, one.text if asked is not None else None)
