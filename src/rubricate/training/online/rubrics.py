"""The rubrics of a training by step: what they were, and what any of its rewards was made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from rubricate.domain.conversation import Prompt
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.errors import DataError, RunError, SettingsError
from rubricate.rewards.batch.graded import Batch
from rubricate.rewards.batch.versions import Seen
from rubricate.rewards.options import Options
from rubricate.training.online.files.graded import GradedLog, Kept, Placed
from rubricate.training.online.files.lines import Hold, Lines
from rubricate.training.online.files.records import (
    FORMAT,
    Group,
    Head,
    Learnt,
    Refreshed,
    Resumed,
    RubricLine,
    Version,
)
from rubricate.training.online.rules import OnlineRules
from rubricate.training.online.turns.criteria import whole

RUBRICS = "rubrics_online.jsonl"


class _At(NamedTuple):
    """A version: from which step on, its number, where it stands, and in which life it was made."""

    step: int
    number: int
    at: int
    life: int
    is_new: bool


class OnlineRubrics:
    """Keeps them in a folder, which belongs to one training; see records.py for its files.

    Give it to a reward as its `versions`, and to whatever refreshes (`refresh.py`, `callback.py`). Any number
    of processes may give rewards by one folder; a refresh by any of them is taken up by all others with their
    next batch, whole or not at all. `reference` are responses to compare the policy with, by prompt key.
    Pickles; nothing is opened before the first batch.
    """

    def __init__(
        self,
        folder: str | Path,
        rules: OnlineRules | None = None,
        reference: Mapping[str, Sequence[str]] | None = None,
    ):
        self.folder, self.reference = Path(folder), dict(reference or {})
        self._given_rules = rules
        self._about: dict[str, Any] = {}
        self._start()

    def _start(self) -> None:
        self._lines: Lines[RubricLine] = Lines(self.folder / RUBRICS, RubricLine, (Head, Refreshed, Resumed))
        self.graded = GradedLog(self.folder)
        self.head: Head | None = None
        self._versions: dict[str, list[_At]] = defaultdict(list)
        self._refreshed: list[tuple[Refreshed, int]] = []
        self._learnt: list[tuple[int, int]] = []
        self.resumes: list[int] = []
        self._firsts: dict[str, tuple[Prompt, Rubric]] = {}
        self._news: dict[str, float] = {}
        self._version_at = lru_cache(maxsize=4_096)(self._read)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "folder": self.folder,
            "rules": self._given_rules,
            "reference": self.reference,
            "about": self._about,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["folder"], state["rules"], state["reference"])  # type: ignore[misc]
        self._about = state["about"]

    @property
    def rules(self) -> OnlineRules:
        """Those that were given, else those of the folder, else the defaults."""
        return self._given_rules or (self.head.rules if self.head is not None else OnlineRules())

    def bind(self, rule: str, floor: float, options: object) -> None:
        """See `Versions.bind`."""
        self._about = {"rule": rule, "floor": floor, "options": msgspec.to_builtins(options)}

    def open(self, grader: str) -> None:
        """Takes up what other processes wrote. The first who comes makes the folder.

        Raises:
            SettingsError: the folder belongs to another training.
            DataError: it holds something else.
            RunError: it cannot be written.
        """
        if self.head is None:
            self.look()
        if self.head is None:
            self._made(grader)
        assert self.head is not None, "it was made or read"
        mine = Head(grader=grader, rules=self.rules, format=FORMAT, **self._about)
        if mine != self.head:
            self._refuse(mine, self.head)
        self.look()

    def look(self) -> None:
        """Takes up what was added to the file of versions; to the log of what was graded only at first, for
        its prompts."""
        if self.head is None:
            self.graded.look()
        for transaction in self._lines.new():
            for at, line in transaction:
                if isinstance(line, Head):
                    if line.format != FORMAT:
                        raise DataError(self._lines.path, f"format {line.format}, and {FORMAT} can be read")
                    self.head = line
                elif isinstance(line, Version):
                    new = _At(line.step, line.rubric.version, at, len(self.resumes), line.is_new)
                    self._versions[line.prompt].append(new)
                elif isinstance(line, Learnt):
                    closing = transaction[-1].line
                    assert isinstance(closing, Refreshed)
                    self._learnt.append((closing.step, at))
                elif isinstance(line, Refreshed):
                    self._refreshed.append((line, len(self.resumes)))
                elif isinstance(line, Resumed):
                    self.resumes.append(line.step)

    def seen(self, n: int) -> Iterator[Seen]:
        """What was graded latest, in any life, and what refreshes were told since; oldest first, `n` verdicts
        and those of the group that goes beyond."""
        groups, total = list[Group](), 0
        for place in self.graded.latest():
            groups.append(self.graded.group(place))
            total += sum(len(row.said) for row in groups[-1].rows)
            if total >= n:
                break
        since = groups[-1].step if groups else 0
        for _, at in (placed for placed in self._learnt if placed[0] >= since):
            learnt = self._lines.at(at)
            assert isinstance(learnt, Learnt)
            met = self.graded.met(learnt.prompt)
            if met is not None:
                said = {Criterion("any", text): verdict for text, verdict in learnt.said.items()}
                yield Seen(met.prompt, learnt.text, said)
        for group in reversed(groups):
            met = self.graded.met(group.prompt)
            rubric = self.numbered(group.prompt, group.version)
            if met is not None and rubric is not None:
                for row in group.rows:
                    yield Seen(met.prompt, row.text, dict(zip(rubric.criteria, row.said, strict=True)))

    def first(self, prompt: Prompt) -> Rubric | None:
        """The rubric that a prompt began with, where it came up before."""
        if prompt.key not in self._firsts:
            met = self.graded.met(prompt.key)
            if met is None:
                return None
            self._firsts[prompt.key] = (met.prompt, met.rubric)
        return self._firsts[prompt.key][1]

    def at(self, prompt: Prompt, first: Rubric, step: int | None, *, evaluation: bool = False) -> Rubric:
        """See `Versions.at`."""
        known = self.first(prompt)
        if known is None:
            self._firsts[prompt.key] = (prompt, first)
        elif known.key != first.key:
            raise DataError(
                self.folder,
                f"the prompt {prompt.text[:60]!r} began with another rubric in this training; a training "
                "with other rubrics needs a folder of its own",
            )
        else:
            first = known
        version = self.version(prompt.key, step)
        if version is None:
            return first
        return whole(version.rubric, version.retired) if evaluation else version.rubric

    def version(self, key: str, step: int | None = None) -> Version | None:
        """What the last refresh up to a step (None: now) made of the rubric of a prompt, by prompt key; None
        while it is as it began."""
        live = [each for each in self._versions.get(key, ()) if self._is_live(each.step, each.life)]
        fit = [each for each in live if step is None or each.step <= step]
        return self._version_at(fit[-1].at) if fit else None

    def numbered(self, key: str, number: int) -> Rubric | None:
        """The rubric of a prompt by its version number, also one of a life that is over."""
        for each in self._versions.get(key, ()):
            if each.number == number:
                return self._version_at(each.at).rubric
        met = self.graded.met(key)
        return met.rubric if met is not None and met.rubric.version == number else None

    def next_number(self, key: str, first: Rubric) -> int:
        """A version number that this prompt never had, in any life."""
        return 1 + max([first.version, *(each.number for each in self._versions.get(key, ()))])

    def history(self, key: str, step: int | None = None) -> list[Version]:
        """What each refresh up to a step made of the rubric of a prompt, in this life, oldest first."""
        return [
            self._version_at(each.at)
            for each in self._versions.get(key, ())
            if self._is_live(each.step, each.life) and (step is None or each.step <= step)
        ]

    def is_refreshed(self, step: int) -> bool:
        """Whether the refresh of a step was done in this life of the training."""
        return any(done == step for done, _ in self.refreshes(step))

    def refreshes(self, step: int | None = None) -> list[tuple[int, dict[str, float]]]:
        """The refreshes up to a step in this life, with their figures."""
        return [
            (done.step, done.figures)
            for done, life in self._refreshed
            if self._is_live(done.step, life) and (step is None or done.step <= step)
        ]

    def last_graded(self, key: str, before: int) -> int | None:
        """The latest step before this one at which completions of a prompt were graded in this life."""
        return max(
            (
                place.step
                for place in self.graded.groups(key)
                if place.step < before and self.was_in_this_life(place.step, place.life)
            ),
            default=None,
        )

    def groups(self, key: str, before: int) -> list[list[Group]]:
        """The latest groups of a prompt that were graded before a step in this life, oldest first: as many
        as the rules look at. A group is all of one step, for trainers share it among processes."""
        by_step: dict[int, list[Placed]] = defaultdict(list)
        for place in self.graded.groups(key):
            if place.step < before and self.was_in_this_life(place.step, place.life):
                by_step[place.step].append(place)
        latest = list(by_step.values())[-self.rules.groups :]
        return [[self.graded.group(place) for place in places] for places in latest]

    def batches(self, step: int) -> list[Kept]:
        """Where the batches of a step stand, of this life."""
        return [kept for kept in self.graded.batches(step) if self.was_in_this_life(step, kept.done.life)]

    def was_in_this_life(self, step: int, life: int) -> bool:
        """Whether what was graded at a step, in some life, was not undone by going back."""
        return all(step < back for back in self.resumes[life:])

    def now(self) -> int:
        """See `Versions.now`."""
        return max((step for step, _ in self.refreshes()), default=0)

    def saw(self, batch: Batch) -> None:
        """Writes a batch of the training down."""
        self.graded.add(batch, len(self.resumes), self._firsts)

    def news(self) -> dict[str, float]:
        """The figures of the last refresh, once."""
        news, self._news = self._news, {}
        return news

    def add(
        self, versions: Sequence[Version], learnt: Sequence[Learnt], step: int, figures: Mapping[str, float]
    ) -> None:
        """Writes a refresh down, whole or not at all. The caller holds the right to (`holding`).

        Raises:
            RunError: it cannot be written.
        """
        self._lines.add([*versions, *learnt, Refreshed(step, dict(figures))])
        self._news = dict(figures)
        self.look()

    def resume(self, step: int) -> None:
        """Tells that the training goes on from a step, as after a kill: whatever was done at or after it does
        not count any more. Nothing is deleted. Without anything to undo, nothing is written.

        Raises:
            RunError: it cannot be written.
        """
        if not (self.folder / RUBRICS).exists():
            return
        self.look()
        self.graded.look()
        if not any(self.batches(done) for done in self.graded.steps if done >= step) and not any(
            done > step for done, _ in self.refreshes()
        ):
            return
        hold = self.holding()
        try:
            self._lines.cut()
            self._lines.add([Resumed(step)])
        finally:
            hold.let_go()
        self.look()

    def holding(self) -> Hold:
        """The right to change rubrics.

        Raises:
            RunError: another process has it.
        """
        hold = Hold(self.folder / f"{RUBRICS}.lock")
        if not hold.is_taken():
            hold.let_go()
            raise RunError(f"{self.folder}: another process is refreshing the rubrics")
        return hold

    def cut(self) -> None:
        """Cuts off what a killed refresh left half written. The caller holds the right to."""
        self.look()
        self._lines.cut()

    @property
    def options(self) -> Options:
        """The options by which rewards are made."""
        assert self.head is not None, "the folder was opened"
        return msgspec.convert(self.head.options, Options)

    def close(self) -> None:
        """Lets go of files; the next batch takes them again."""
        self.graded.close()

    def _is_live(self, step: int, life: int) -> bool:
        """Whether what counts from a step on, made in some life, was not undone by going back."""
        return all(step <= back for back in self.resumes[life:])

    def _read(self, at: int) -> Version:
        line = self._lines.at(at)
        assert isinstance(line, Version)
        return line

    def _made(self, grader: str) -> None:
        """Makes the folder, if nobody else has meanwhile."""
        hold = Hold(self.folder / f"{RUBRICS}.lock")
        try:
            hold.is_taken(waiting=True)
            self._lines.cut()
            self.look()
            if self.head is None:
                self._lines.add([Head(grader=grader, rules=self.rules, **self._about)])
                self.look()
        finally:
            hold.let_go()

    def _refuse(self, mine: Head, there: Head) -> None:
        for name in Head.__struct_fields__:
            here, known = getattr(mine, name), getattr(there, name)
            if here != known:
                raise SettingsError(
                    f"{self.folder} belongs to a training with {name} {_said(known)}, and this one has "
                    f"{_said(here)}; its rewards could not be made again: use another folder"
                )


def _said(value: object) -> str:
    return repr(value) if isinstance(value, str | int | float) else msgspec.json.encode(value).decode()
