"""What can be counted in a text: one function per thing, each from a text to a number.

`checks.py` compares these counts with what a criterion asks for. Every pattern here is linear in the
length of the text, so that a response of ten megabytes costs time but never hangs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_BULLET = re.compile(r"^[ \t]*(?:[-+•‣◦–][ \t]+\S|[-•‣◦][^\s\-]|\*[ \t]*[^\s*]|\*[ \t]+\*)", re.MULTILINE)
_NUMBERED = re.compile(r"^[ \t]*(?:\*\*)?\(?\d{1,3}[.):](?:\*\*)?[ \t]+\S", re.MULTILINE)
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+\S", re.MULTILINE)
_BOLD_LINE = re.compile(r"^[ \t]*\*\*[^*\n]+\*\*:?[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_TABLE_RULE = re.compile(
    r"^[ \t]*(?:\|[ \t]*)?:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)+\|?[ \t]*$|"
    r"^[ \t]*\|[ \t]*:?-{2,}:?[ \t]*\|[ \t]*$",
    re.MULTILINE,
)
_PLACEHOLDER = re.compile(r"\[[^\[\]\n]*\]")
_LINK = re.compile(r"\bhttps?://[^\s<>()]+|\bwww\.[^\s<>()]+")
_HASHTAG = re.compile(r"(?<![\w#&/])#[^\W\d_]\w*")
_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff\u2600-\u27bf\u2b50\u2b55\u231a\u231b\u23e9-\u23fa]"
)
_ITALIC = re.compile(r"(?<![*\w])\*(?![\s*])[^*\n]*\*(?!\*)|(?<![_\w])_(?![\s_])[^_\n]*_(?![\w_])")
_BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")
_LABELLED_SECTION = r"(?<!\w){label}[ \t]+(?:\d+|[IV]+|X[IVX]+)\b"

# A full stop after one of these, or after a single capital, does not end a sentence.
_SHORT_FORM_LIST = (
    "mr mrs ms dr prof st sr jr vs etc inc ltd co corp dept est fig no vol rev gen col sgt capt lt gov sen "
    "rep hon ave blvd rd approx e.g i.e a.m p.m u.s u.k u.n ph.d d.c al cf ca eq jan feb aug sept oct nov "
    "dec"
)
_SHORT_FORMS = frozenset(_SHORT_FORM_LIST.split())
_STOP = re.compile(r"(?<![.!?…।؟])[.!?…।؟]++[\"'”’)\]*_»]*+(?=\s|$)|[。！？]+")


def words(text: str) -> list[str]:
    """The words of a text: runs of letters and digits, an inner apostrophe kept ("don't" is one)."""
    return _WORD.findall(text)


def sentences(text: str) -> list[str]:
    """The sentences of a text, without white space at the ends; what has no letter or digit is none.

    A sentence ends at closing punctuation before white space, so a heading or a list item without any belongs
    to the next sentence. Short forms ("Dr.") and list numbers at the start of a line ("2.") end none.
    """
    found, start = [], 0
    for stop in _STOP.finditer(text):
        if stop.group().startswith(".") and len(stop.group()) == 1 and _is_short_form(text, stop.start()):
            continue
        found.append(text[start : stop.end()])
        start = stop.end()
    found.append(text[start:])
    return [piece.strip() for piece in found if _WORD.search(piece)]


def _is_short_form(text: str, stop: int) -> bool:
    before = text[max(0, stop - 24) : stop]
    token = re.search(r"\S*$", before)
    word = token.group().lstrip("(\"'“*").lower() if token else ""
    at_line_start = not before[: len(before) - len(word)].rpartition("\n")[2].strip()
    if word.isdigit():
        return at_line_start
    after = text[stop + 1 : stop + 3].strip()
    if word in _SHORT_FORMS and word not in ("etc", "inc", "co", "no", "a.m", "p.m", "u.s", "u.k"):
        return True
    if word in ("a.m", "p.m", "u.s", "u.k", "etc", "inc", "co"):
        return not after[:1].isupper()
    return len(word) == 1 and word.isalpha() and word != "i"


def paragraphs(text: str) -> list[str]:
    """The blocks of a text between empty lines; dividers such as *** are none."""
    return [block.strip() for block in re.split(r"\n[ \t]*\n\s*", text) if _WORD.search(block)]


def divided(text: str) -> list[str]:
    """The parts of a text between `***` dividers, empty ones at the two ends left out."""
    parts = [part.strip() for part in re.split(r"\*{3,}", text)]
    return parts[(not parts[0]) : len(parts) - (not parts[-1])] if len(parts) > 1 else parts


def lines(text: str) -> list[str]:
    """The lines of a text that are not blank."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def bullets(text: str) -> list[str]:
    """The lines that are bullet points, without their marks."""
    found = [line for line in text.splitlines() if _BULLET.match(line) and not _is_rule(line)]
    return [re.sub(r"^\s*[-+•‣◦–*]\s*", "", line).strip() for line in found]


def _is_rule(line: str) -> bool:
    return not line.strip(" \t-*_+")


def numbered_items(text: str) -> list[str]:
    """The lines that begin with a number and a point or bracket, without it."""
    found = [line for line in text.splitlines() if _NUMBERED.match(line)]
    return [re.sub(r"^\s*(?:\*\*)?\(?\d+[.):](?:\*\*)?\s+", "", line).strip() for line in found]


def highlighted(text: str) -> int:
    """How many pieces stand between single or double asterisks."""
    single = [piece for piece in re.findall(r"\*[^\n*]*\*", text) if piece.strip("*").strip()]
    double = [piece for piece in re.findall(r"\*\*[^\n*]*\*\*", text) if piece[2:-2].strip()]
    return len(single) + len(double)


def labelled_sections(text: str, label: str) -> int:
    """How many numbered marks such as "Section 3" stand in the text, in any letter case."""
    return len(re.findall(_LABELLED_SECTION.format(label=re.escape(label)), text, re.IGNORECASE))


def occurrences(text: str, needle: str) -> int:
    """How often `needle` stands in the text, in any letter case, also as the beginning of a longer word.

    "singles" counts in "singles-only" and "Singles'"; "dose" counts in "doses", not in "overdose".
    """
    left = r"(?<!\w)" if needle[:1].isalnum() else ""
    return len(re.findall(left + r"\s+".join(map(re.escape, needle.split())), text, re.IGNORECASE))


def has_word(text: str, needle: str) -> bool:
    """Whether `needle` stands in the text as a whole word or phrase, in any letter case."""
    left = r"(?<!\w)" if needle[:1].isalnum() else ""
    right = r"(?!\w)" if needle[-1:].isalnum() else ""
    spaced = r"\s+".join(map(re.escape, needle.split()))
    return bool(re.search(left + spaced + right, text, re.IGNORECASE))


def _capital_words(text: str) -> int:
    return sum(1 for word in re.findall(r"[^\s\W_](?:[\w'’.&-]*\w)?", text) if word.isupper())


def _matches(pattern: str) -> Callable[[str], int]:
    compiled = re.compile(pattern)
    return lambda text: len(compiled.findall(text))


def _headings(level: int = 0) -> Callable[[str], int]:
    if level:
        return lambda text: sum(1 for mark in _HEADING.findall(text) if len(mark) == level)
    return lambda text: len(_HEADING.findall(text)) + len(_BOLD_LINE.findall(text))


COUNTS: Mapping[str, Callable[[str], int]] = {
    "words": lambda text: len(words(text)),
    "unique words": lambda text: len({word.lower() for word in words(text)}),
    "sentences": lambda text: len(sentences(text)),
    "paragraphs": lambda text: len(paragraphs(text)),
    "divided paragraphs": lambda text: len(divided(text)) if all(divided(text)) else -1,
    "lines": lambda text: len(lines(text)),
    "characters": len,
    "characters without spaces": lambda text: sum(1 for char in text if not char.isspace()),
    "letters": lambda text: sum(1 for char in text if char.isalpha()),
    "bullets": lambda text: len(bullets(text)),
    "numbered items": lambda text: len(numbered_items(text)),
    "list items": lambda text: len(bullets(text)) + len(numbered_items(text)),
    "headings": _headings(),
    **{f"h{level}": _headings(level) for level in range(1, 7)},
    "code blocks": lambda text: len(_FENCE.findall(text)) // 2,
    "tables": lambda text: len(_TABLE_RULE.findall(text)),
    "placeholders": lambda text: len(_PLACEHOLDER.findall(text)),
    "highlights": highlighted,
    "bold": lambda text: len(_BOLD.findall(text)),
    "italic": lambda text: len(_ITALIC.findall(_BOLD.sub(" ", text))),
    "links": lambda text: len(_LINK.findall(text)),
    "hashtags": lambda text: len(_HASHTAG.findall(text)),
    "emojis": lambda text: len(_EMOJI.findall(text)),
    "capital words": _capital_words,
    "capital letters": lambda text: sum(1 for char in text if char.isupper()),
    "lowercase letters": lambda text: sum(1 for char in text if char.islower()),
    "questions": _matches(r"[?？؟]+"),
    "question marks": _matches(r"[?？؟]"),
    "exclamation marks": _matches(r"[!！]"),
    "commas": _matches(r"[,，،、]"),
    "semicolons": _matches(r"[;；]"),
    "colons": _matches(r"[:：]"),
    "full stops": _matches(r"[.。]"),
    "dashes": _matches(r"[—–]"),
    "hyphens": _matches(r"-"),
    "parentheses": _matches(r"\([^()\n]*\)"),
    "apostrophes": _matches(r"['’]"),
    "quotation marks": _matches(r"[\"“”«»]"),
    "asterisks": _matches(r"\*"),
    "digits": _matches(r"\d"),
    "numbers": _matches(r"\d+(?:[.,]\d+)*"),
    "markdown": lambda text: sum(
        len(pattern.findall(text)) for pattern in (_HEADING, _BOLD, _FENCE, _TABLE_RULE, _ITALIC, _BULLET)
    ),
}
"""What a criterion can bound, by name. `divided paragraphs` is -1 when a part between dividers is empty."""
