"""What of an entry a dialect has no word for; each question once, asked by every dialect that writes."""

from __future__ import annotations

from collections.abc import Iterator

from rubricate.dialects.fields import is_plain
from rubricate.dialects.seam import Entry, Loss
from rubricate.domain.conversation import Prompt, derived_id
from rubricate.domain.rubric import Rubric


def unsaid(rubric: Rubric, *, ids: bool = False, tags: bool = False) -> Iterator[Loss]:
    """The losses of a dialect that knows text and signed weight alone; `ids` and `tags` if it has those."""
    for place, criterion in enumerate(rubric.criteria, 1):
        if criterion.kind == "rule":
            yield Loss("a rule is written as any other criterion", criterion.id)
        if criterion.is_decisive:
            word = "must-have" if criterion.weight > 0 else "veto"
            yield Loss(f"a {word} is written as a weighted criterion", criterion.id)
        if criterion.tags and not tags:
            yield Loss("the tags of a criterion are left out", criterion.id)
        if not ids and criterion.id != f"c{place}":
            yield Loss("the id of a criterion is left out", criterion.id)
    if rubric.version or rubric.lineage is not None:
        yield Loss("the version and lineage of a rubric are left out", "version")


def prompt_of(entry: Entry, dialect: str) -> Prompt:
    """The prompt, where a dialect needs one.

    Raises:
        ValueError: the entry has none.
    """
    if entry.prompt is None:
        raise ValueError(
            f"the rubric {entry.name!r} has no prompt, and {dialect} needs one; give the prompts (--prompts)"
        )
    return entry.prompt


def of_prompt(entry: Entry, *, ids: bool, turns: bool) -> Iterator[Loss]:
    """The losses of a dialect by whether it has ids of prompts, and conversations."""
    prompt = entry.prompt
    if not ids and entry.id is not None and (prompt is None or entry.id != derived_id(prompt.messages)):
        yield Loss("the id of a prompt is left out", entry.id)
    if prompt is not None and not turns and not is_plain(prompt):
        yield Loss("a conversation is written as one text", entry.name)
