"""The kinds of constraint that a program can decide, each a small record with one method, `holds`.

`wordings.py` makes them from the text of a criterion, `checks.py` asks them. `holds` gives True, False, or
None where this very text cannot be decided (a language that nothing tells, a part that is not there).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from rubricate.domain.checking import measures
from rubricate.domain.checking.languages import is_written_in

_WRAPPING = " \t\r\n\"'“”‘’*_`"


class Constraint(Protocol):
    """Something that holds for a response or does not."""

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether it holds; None when it cannot be told here."""
        ...


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`, both included; None is open."""

    low: int | None = None
    high: int | None = None

    def covers(self, number: int) -> bool:
        """Whether `number` is within."""
        return (self.low is None or number >= self.low) and (self.high is None or number <= self.high)


@dataclass(frozen=True, slots=True)
class Count:
    """The number of things of one kind (a key of `measures.COUNTS`) is within the range."""

    what: str
    within: Range

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether the count is within the range."""
        return self.within.covers(measures.COUNTS[self.what](response))


@dataclass(frozen=True, slots=True)
class Sections:
    """The number of sections marked by `label` and a number is within the range."""

    label: str
    within: Range

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether the count is within the range."""
        return self.within.covers(measures.labelled_sections(response, self.label))


@dataclass(frozen=True, slots=True)
class Frequency:
    """All of `needles` together occur a number of times within the range."""

    needles: tuple[str, ...]
    within: Range

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether the sum of the occurrences is within the range."""
        return self.within.covers(sum(measures.occurrences(response, needle) for needle in self.needles))


@dataclass(frozen=True, slots=True)
class CharacterFrequency:
    """One character occurs a number of times within the range, in any letter case."""

    character: str
    within: Range

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether the count is within the range."""
        return self.within.covers(response.lower().count(self.character.lower()))


@dataclass(frozen=True, slots=True)
class Contains:
    """All, or any, of the texts stand in the response, in any letter case.

    `whole` asks for whole words; otherwise a longer word that begins with a text of three or more letters
    will do.
    """

    needles: tuple[str, ...]
    need: Literal["all", "any"] = "all"
    whole: bool = False

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether they are there."""
        found = (
            measures.has_word(response, needle)
            if self.whole or len(needle) < 3
            else measures.occurrences(response, needle) > 0
            for needle in self.needles
        )
        return all(found) if self.need == "all" else any(found)


@dataclass(frozen=True, slots=True)
class Edge:
    """The response starts, or ends, with one of the texts; quotes and emphasis around it do not count."""

    at: Literal["start", "end"]
    texts: tuple[str, ...]

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether it does, in any letter case and with any white space between words."""
        body = _plain(response)
        texts = [_plain(text) for text in self.texts]
        if self.at == "start":
            return any(body.startswith(text) for text in texts)
        return any(body.endswith(text) for text in texts)


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip(_WRAPPING)).lower().replace("’", "'")


@dataclass(frozen=True, slots=True)
class Is:
    """The whole response is one of the texts, but for case, quotes and the closing full stop."""

    texts: tuple[str, ...]

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether it is."""
        return _plain(response).rstrip(".") in {_plain(text).rstrip(".") for text in self.texts}


@dataclass(frozen=True, slots=True)
class Form:
    """A property of the whole text, by name (a key of `FORMS`)."""

    name: str

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether the text has it."""
        return FORMS[self.name](response)


@dataclass(frozen=True, slots=True)
class Language:
    """The response is written in a language, given by its English name."""

    name: str

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether it is; None where nothing tells the language."""
        return is_written_in(response, self.name)


@dataclass(frozen=True, slots=True)
class Postscript:
    """A line of the response begins with the mark of a postscript, such as "P.S."."""

    mark: str

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether one is there, with or without points and spaces between the letters."""
        letters = r"\.?\s?".join(char for char in self.mark.lower() if char.isalpha())
        return bool(re.search(rf"(?<![^\W_]){letters}(?![^\W_])", response.lower()))


@dataclass(frozen=True, slots=True)
class Repeats:
    """The response begins with the request, word for word; `text` is the request, None for the prompt."""

    text: str | None

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether it does. None when the request is only known as a part of the prompt, and may be meant."""
        body = _spaced(response)
        if self.text is not None:
            return body.startswith(_spaced(self.text))
        request = _spaced(prompt)
        if not request or body.startswith(request):
            return bool(request) or None
        opening = " ".join(request.split()[:3])
        return None if body.startswith(opening) else False


def _spaced(text: str) -> str:
    return " ".join(text.lower().split()).strip('"“”* ')


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of another constraint."""

    inner: Constraint

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether the other does not hold; None stays None."""
        held = self.inner.holds(response, prompt)
        return None if held is None else not held


@dataclass(frozen=True, slots=True)
class All:
    """Several constraints at once."""

    parts: tuple[Constraint, ...]

    def holds(self, response: str, prompt: str) -> bool | None:
        """False as soon as one does not hold; None when one cannot be told and no other fails."""
        return _all(part.holds(response, prompt) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Each:
    """A constraint on every part of one kind (a key of `PARTS`); there must be a part."""

    part: str
    inner: Constraint

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether it holds for all parts; None when there is none."""
        parts = PARTS[self.part](response)
        return _all(self.inner.holds(part, prompt) for part in parts) if parts else None


@dataclass(frozen=True, slots=True)
class Nth:
    """A constraint on one part of a kind: `place` counts from 1, or from the end when negative."""

    part: str
    place: int
    inner: Constraint

    def holds(self, response: str, prompt: str) -> bool | None:
        """Whether it holds there; False when there is no such part."""
        parts = PARTS[self.part](response)
        index = self.place - 1 if self.place > 0 else len(parts) + self.place
        return self.inner.holds(parts[index], prompt) if 0 <= index < len(parts) else False


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    seen = list(verdicts)
    return False if False in seen else None if None in seen else True


def _is_json(*types: type) -> Callable[[str], bool]:
    def decide(text: str) -> bool:
        body = text.strip()
        if body.startswith("```") and body.endswith("```"):
            body = re.sub(r"^```\w*|```$", "", body)
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return False
        return not types or isinstance(value, types)

    return decide


def _is_quoted(text: str) -> bool:
    body = text.strip()
    return len(body) > 1 and body[0] in '"“' and body[-1] in '"”'


def _has_two_responses(text: str) -> bool:
    parts = [part.strip() for part in text.split("******")]
    kept = [part for place, part in enumerate(parts) if part or 0 < place < len(parts) - 1]
    return len(kept) == 2 and all(kept) and kept[0] != kept[1]


def _has_marked_title(text: str) -> bool:
    return any(title.strip("<> \t") for title in re.findall(r"<<[^<\n]+>>", text))


def _is_title_case(text: str) -> bool | None:
    first_letters = [word[0] for word in measures.words(text) if word[0].isalpha() and len(word) > 3]
    return all(letter.isupper() for letter in first_letters) if first_letters else None


def _ends_with_question(text: str) -> bool:
    return text.rstrip(_WRAPPING + ")]").endswith(("?", "？", "؟"))


def _cased(text: str) -> bool:
    return any(char.isupper() or char.islower() for char in text)


FORMS: Mapping[str, Callable[[str], bool | None]] = {
    "json": _is_json(),
    "json object": _is_json(dict),
    "json array": _is_json(list),
    "lower case": lambda text: not any(char.isupper() for char in text) if _cased(text) else None,
    "upper case": lambda text: not any(char.islower() for char in text) if _cased(text) else None,
    "title case": _is_title_case,
    "in quotes": _is_quoted,
    "two responses": _has_two_responses,
    "marked title": _has_marked_title,
    "ends with question": _ends_with_question,
    "ends with exclamation": lambda text: text.rstrip(_WRAPPING + ")]").endswith(("!", "！")),
    "ends with full stop": lambda text: text.rstrip(_WRAPPING + ")]").endswith((".", "。")),
    "ends with punctuation": lambda text: text.rstrip(_WRAPPING + ")]").endswith(
        (".", "!", "?", "…", "。", "！", "？")
    ),
    "starts with question": lambda text: any(_ends_with_question(s) for s in measures.sentences(text)[:1]),
    "starts with capital": lambda text: next((char.isupper() for char in text if char.isalpha()), None),
    "empty": lambda text: not text.strip(),
    "ascii": str.isascii,
}

PARTS: Mapping[str, Callable[[str], list[str]]] = {
    "word": measures.words,
    "sentence": measures.sentences,
    "paragraph": measures.paragraphs,
    "divided paragraph": measures.divided,
    "line": measures.lines,
    "bullet": measures.bullets,
    "numbered item": measures.numbered_items,
}
