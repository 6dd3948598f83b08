"""preferences.jsonl: what a judge said of each pair, named by content, so that it serves again elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from rubricate.domain.judgement import Answer, Preference
from rubricate.errors import DataError
from rubricate.evaluation.judging.pairs import Label, Pair, pair_key
from rubricate.runs.rows import rows_of
from rubricate.runs.writing import replacing


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One side of a pair by the content key of its text; who wrote it, if that is known."""

    key: str
    generator: str | None = None


class Judged(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line: a pair and what a judge said of it.

    `prompt` is the content key of the prompt, `id` the file's name for it. `winner` is first, second, tie or
    unjudged; `answers` are one for each order that was asked, none from a scorer or a file of labels. `label`
    is who ought to win, if the source said so, `cluster` what the source calls the prompt where several have
    one text.
    """

    key: str
    id: str
    prompt: str
    first: Named
    second: Named
    winner: str
    judge: str
    answers: tuple[Answer, ...] = ()
    reason: str | None = None
    label: Label | None = None
    cluster: str = ""

    @property
    def unit(self) -> str:
        """What is drawn with again for an interval: its prompt."""
        return self.cluster or self.prompt

    def __post_init__(self) -> None:
        if self.winner not in ("first", "second", "tie", "unjudged"):
            raise ValueError(f"a winner is first, second, tie or unjudged, not {self.winner!r}")
        if self.key != pair_key(self.prompt, self.first.key, self.second.key):
            raise ValueError("the key is not that of the prompt and the two texts")


def judged(pair: Pair, preference: Preference, judge: str, answers: tuple[Answer, ...] = ()) -> Judged:
    """The line of a pair."""
    return Judged(
        key=pair.key,
        id=pair.id,
        prompt=pair.prompt.key,
        first=Named(pair.first.text_key, pair.first.generator),
        second=Named(pair.second.text_key, pair.second.generator),
        winner=preference.winner,
        judge=judge,
        answers=answers,
        reason=preference.reason,
        label=pair.label,
        cluster=pair.cluster,
    )


def write_preferences(lines: Iterable[Judged], path: Path) -> None:
    """Writes the file whole or not at all."""
    with replacing(path) as draft, draft.open("wb") as target:
        for line in lines:
            target.write(msgspec.json.encode(line) + b"\n")


def read_preferences(source: str) -> list[Judged]:
    """The lines of a file, in its order.

    Raises:
        DataError: a line is none; one pair comes twice; the file is empty.
    """
    found: dict[str, Judged] = {}
    for row in rows_of(source):
        try:
            line = msgspec.convert(row.value, Judged)
        except (msgspec.ValidationError, ValueError) as problem:
            raise row.error(f"not a preference as `rubricate compare` writes it: {problem}") from None
        if found.setdefault(line.key, line) is not line:
            raise row.error(f"the pair {line.key} comes twice", "key")
    if not found:
        raise DataError(source, "there is no preference in it")
    return list(found.values())
