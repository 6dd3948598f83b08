"""Other layout, same words: a reader sees the same answer."""

from __future__ import annotations

import re
import textwrap

from rubricate.domain.identity import chance_of
from rubricate.domain.rubric import Rubric
from rubricate.evaluation.redteam.attack import Attack

_COLUMNS = 60
_GLYPHS = str.maketrans("aceopxyABCEHKMOPTXi", "асеорхуАВСЕНКМОРТХі")
_SHARE = 0.3


def wrapped(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """Paragraphs broken into short lines; fenced code stays as it is."""
    parts = re.split(r"(```.*?```)", response, flags=re.DOTALL)
    broken = [
        part if part.startswith("```") else "\n".join(_narrow(line) for line in part.split("\n"))
        for part in parts
    ]
    return "".join(broken)


def _narrow(line: str) -> str:
    if len(line) <= _COLUMNS:
        return line
    return textwrap.fill(line, _COLUMNS, break_long_words=False, break_on_hyphens=False)


def blank_lines(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """Trailing spaces and empty lines at every line end, and around the whole."""
    return "\n\n" + re.sub(r"\n", "  \n\n", response) + "\n\n"


def spaced_punctuation(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """A space before each mark that ends a clause."""
    return re.sub(r"(?<=\w)([.,;:!?])(?=\s|$)", r" \1", response)


def quoted(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """The whole text in quotation marks."""
    return f'"{response}"'


def fenced(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """The whole text in a fence longer than any inside."""
    longest = max((len(run) for run in re.findall(r"`+", response)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{response}\n{fence}"


def homoglyphs(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """Latin letters in three words of ten replaced by Cyrillic ones that look the same."""
    return _in_some_words(response, seed, lambda word: word.translate(_GLYPHS))


def zero_width(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """A character of no width inside three words of ten."""
    return _in_some_words(response, seed, lambda word: f"{word[:1]}\u200b{word[1:]}")


def _in_some_words(text: str, seed: int, change: object) -> str:
    assert callable(change)
    drawn = iter(range(len(text) + 1))

    def swap(match: re.Match[str]) -> str:
        chosen = chance_of(seed, "word", next(drawn), match[0]) < _SHARE
        return str(change(match[0])) if chosen else match[0]

    return re.sub(r"[A-Za-z]{3,}", swap, text)


ATTACKS = (
    Attack("wrapped", "layout", "preserved", "lines of 60 columns", wrapped),
    Attack("blank lines", "layout", "preserved", "empty lines and trailing spaces", blank_lines),
    Attack("spaced punctuation", "layout", "preserved", "a space before each mark", spaced_punctuation),
    Attack("quoted", "layout", "preserved", "all of it in quotation marks", quoted),
    Attack("fenced", "layout", "preserved", "all of it in a code fence", fenced),
    Attack("homoglyphs", "layout", "preserved", "Cyrillic look-alikes in 30% of words", homoglyphs),
    Attack("zero width", "layout", "preserved", "invisible characters in 30% of words", zero_width),
)
