"""tinker-cookbook: a conversation with rubric items, each a text and how its grader is to answer.

Fields (thinking-machines-lab/tinker-cookbook, recipes/rubric/data.py at commit 0fafd14): a line has
`convo`, a list of messages, and `rubric_items`, a list of `{rubric_str, extraction_regex,
grader_output_format_instruction}`, all three required. The reward is the mean of the items, so weights
cannot be said; a pitfall can, by its instruction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rubricate.dialects.fields import (
    Draft,
    id_of,
    left_over,
    list_of,
    messages_of,
    object_of,
    prompt_of,
    rubric_of,
    text_of,
)
from rubricate.dialects.losses import of_prompt, unsaid
from rubricate.dialects.losses import prompt_of as needed
from rubricate.dialects.seam import Dialect, Entry, Loss, Row, Taken, Written

REGEX = "<score>(.*)</score>"
MET = "Answer <score>1</score> if the response does what the rubric says, else <score>0</score>."
HAPPENED = (
    "The rubric says something bad. Answer <score>0</score> if the response does it, else <score>1</score>."
)


def _knows(value: Any) -> bool:
    return isinstance(value, Mapping) and "rubric_items" in value


def _read(row: Row) -> Iterator[Taken]:
    value = object_of(row, row.value)
    losses, drafts = list(left_over(value, ("id", "convo", "rubric_items"))), list[Draft]()
    for place, given in enumerate(list_of(row, value.get("rubric_items"), "rubric_items")):
        field = f"rubric_items[{place}]"
        item = object_of(row, given, field)
        how = item.get("grader_output_format_instruction")
        if how not in (MET, HAPPENED) or item.get("extraction_regex", REGEX) != REGEX:
            losses.append(Loss("a score that the grader is told to give becomes yes or no", field))
        text = text_of(row, item.get("rubric_str"), f"{field}.rubric_str")
        drafts.append(Draft(text, -1.0 if how == HAPPENED else 1.0, field))
        losses += left_over(
            item, ("rubric_str", "extraction_regex", "grader_output_format_instruction"), f"{field}."
        )
    rubric = rubric_of(row, drafts, losses, "rubric_items")
    if rubric is not None:
        prompt = prompt_of(row, value.get("convo"), "convo", id_of(row, value, ("id",)))
        yield Taken(Entry(prompt.id, prompt, rubric), losses)


def _write(entry: Entry) -> Written:
    prompt, losses = needed(entry, "tinker"), list[Loss]()
    items = []
    for criterion in entry.rubric.criteria:
        if abs(criterion.weight) != 1:
            losses.append(Loss("a weight is left out: the reward is the mean of the items", criterion.id))
        items.append(
            {
                "rubric_str": criterion.text,
                "extraction_regex": REGEX,
                "grader_output_format_instruction": MET if criterion.weight > 0 else HAPPENED,
            }
        )
    losses += [*of_prompt(entry, ids=False, turns=True), *unsaid(entry.rubric)]
    return Written({"convo": messages_of(prompt), "rubric_items": items}, losses)


TINKER = Dialect("tinker", "JSON Lines of tinker-cookbook's rubric recipe", "rows", _knows, _read, _write)
