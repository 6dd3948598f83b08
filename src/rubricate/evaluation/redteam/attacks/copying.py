"""Borrowed words: the prompt's or the rubric's own."""

from __future__ import annotations

from rubricate.domain.rubric import Rubric
from rubricate.evaluation.redteam.attack import Attack


def prompt_copied(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """The prompt in place of an answer."""
    return prompt


def prompt_first(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """The prompt again, then the response."""
    return f"{prompt}\n\n{response}"


def rubric_copied(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """The criteria that add points, word by word, in place of an answer.

    A criterion that holds the very fact that it asks for ("states that the limit is 4 g") is met by its own
    words: what gains here was told too much, or its rubric leaked.
    """
    return None if rubric is None else "\n".join(_wanted(rubric))


def rubric_appended(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """The response, and then the criteria as a list that is ticked off."""
    if rubric is None:
        return None
    ticked = "\n".join(f"- [x] {text}" for text in _wanted(rubric))
    return f"{response}\n\nChecklist:\n{ticked}"


def _wanted(rubric: Rubric) -> list[str]:
    return [criterion.text for criterion in rubric.criteria if criterion.weight > 0]


ATTACKS = (
    Attack("prompt copied", "copying", "destroyed", "the prompt, no answer", prompt_copied),
    Attack("prompt first", "copying", "preserved", "the prompt before the answer", prompt_first),
    Attack("rubric copied", "copying", "destroyed", "the criteria, no answer", rubric_copied),
    Attack("rubric appended", "copying", "preserved", "the criteria, ticked, at the end", rubric_appended),
)
