"""The prompts on which a policy is watched: fixed for the whole training, and never trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from rubricate.domain.conversation import Message, Prompt
from rubricate.domain.identity import key_of
from rubricate.domain.rubric import Rubric
from rubricate.errors import DataError
from rubricate.runs.intake import entry_of
from rubricate.runs.rows import Row, rows_of
from rubricate.runs.rubric_files import rubric_of_row

_REFERENCE = "reference"
_RUBRIC = ("criteria", "rubrics", "rubric")


class Watch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One held-out prompt.

    `is_text` says that it came as a bare text, and is given to the policy as one; else as messages, through
    the chat template. `reference` is what a judge holds the policy's answer against, `rubric` its own rubric.
    """

    prompt: Prompt
    is_text: bool
    reference: str | None = None
    rubric: Rubric | None = None

    @property
    def given(self) -> str | list[dict[str, str]]:
        """The prompt as trainers hand it over."""
        if self.is_text:
            return self.prompt.text
        return [{"role": turn.role, "content": turn.content} for turn in self.prompt.messages]


class HeldOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Held-out prompts in the order of their file."""

    prompts: tuple[Watch, ...]

    @cached_property
    def key(self) -> str:
        """Content key of the prompts in order, with their references: readings of one key can be paired."""
        return key_of("held-out", [(one.prompt.key, one.is_text, one.reference) for one in self.prompts])

    @property
    def given(self) -> list[str | list[dict[str, str]]]:
        """The prompts as trainers hand them over."""
        return [one.given for one in self.prompts]

    @property
    def rubrics(self) -> list[Rubric | None] | None:
        """Their rubrics, or None where no prompt has one."""
        found = [one.rubric for one in self.prompts]
        return found if any(rubric is not None for rubric in found) else None


def read_held_out(source: str | Path) -> HeldOut:
    """The held-out prompts of a file that `rubricate` reads: rows with a prompt, a text or messages.

    The reference is the field `reference`, else the first response of the row; the rubric that of the row, in
    any dialect. A row without either is a prompt alone.

    Raises:
        DataError: the file is missing or malformed, holds no prompt, or one prompt twice.
    """
    prompts, seen = list[Watch](), dict[str, Row]()
    for row in rows_of(str(source)):
        entry = entry_of(row)
        prompt = Prompt(entry.id, entry.messages)
        if prompt.key in seen:
            raise row.error("this prompt is in the file already; a held-out prompt counts once", "prompt")
        seen[prompt.key] = row
        value: Mapping[str, Any] = row.value if isinstance(row.value, Mapping) else {}
        reference = value.get(_REFERENCE)
        if reference is not None and not isinstance(reference, str):
            raise row.error("a reference is a text", _REFERENCE)
        if reference is None and entry.responses:
            reference = entry.responses[0].text
        rubric = rubric_of_row(row) if any(value.get(name) for name in _RUBRIC) else None
        is_text = isinstance(value.get("prompt"), str)
        prompts.append(Watch(prompt, is_text, reference, rubric))
    if not prompts:
        raise DataError(source, "there is no prompt in it")
    return HeldOut(tuple(prompts))


def held_out_of(prompts: list[Any]) -> HeldOut:
    """Held-out prompts from texts, lists of messages, or rows of a dataset with a `prompt`."""
    return HeldOut(tuple(_each(prompts)))


def _each(prompts: list[Any]) -> Iterator[Watch]:
    for number, given in enumerate(prompts, start=1):
        row = Row(given if isinstance(given, Mapping) else {"prompt": given}, "held_out", None, number=number)
        entry = entry_of(row)
        rubric = rubric_of_row(row) if any(row.value.get(name) for name in _RUBRIC) else None
        reference = row.value.get(_REFERENCE)
        yield Watch(Prompt(entry.id, entry.messages), isinstance(row.value["prompt"], str), reference, rubric)


def with_rubric(one: Watch, rubric: Rubric) -> str | list[dict[str, str]]:
    """The prompt with its rubric told to the policy, at the end of the last turn."""
    criteria = "\n".join(f"- {criterion.text}" for criterion in rubric.criteria if criterion.weight > 0)
    told = f"\n\nA good answer meets all of these criteria:\n{criteria}"
    if one.is_text:
        return one.prompt.text + told
    *before, last = one.prompt.messages
    turns = [*before, Message(last.role, last.content + told)]
    return [{"role": turn.role, "content": turn.content} for turn in turns]
