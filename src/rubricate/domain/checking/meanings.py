"""From the match of a phrase to the constraint that it states, or None after all."""

from __future__ import annotations

import re
from collections.abc import Callable

from rubricate.domain.checking.constraints import (
    All,
    CharacterFrequency,
    Constraint,
    Contains,
    Count,
    Edge,
    Form,
    Frequency,
    Is,
    Language,
    Not,
    Postscript,
    Range,
    Sections,
)
from rubricate.domain.checking.quantities import range_of
from rubricate.domain.checking.quoting import Masked
from rubricate.domain.checking.units import BARE_IS_VAGUE, COUNTABLE_ALONE, unit_of


def _group(match: re.Match[str], name: str) -> str:
    return match.groupdict().get(name) or ""


def counted(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """A number of something, or its mere presence where that can be asked for."""
    unit, quantity, suffix = (
        unit_of(match["unit"]),
        _group(match, "quantity").strip(),
        _group(match, "suffix"),
    )
    if not quantity:
        return Count(unit, Range(low=1)) if unit in COUNTABLE_ALONE and not suffix else None
    within = range_of(quantity, suffix)
    if within is None or (quantity.isdigit() and not suffix and quantity != "1" and unit in BARE_IS_VAGUE):
        return None
    return Count(unit, within)


def neither(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """ "no headings or bullet points"; with "any", what a negation turns into that."""
    within = range_of(match["none"])
    both = (Count(unit_of(match["unit"]), within), Count(unit_of(match["unit2"]), within)) if within else ()
    return (All(both) if match["none"] == "no" else Not(All((Not(both[0]), Not(both[1]))))) if both else None


def limited(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """ "is limited to 100 words": a bare number is an upper end."""
    within = range_of(match["quantity"])
    if within is None:
        return None
    return Count(unit_of(match["unit"]), Range(high=within.high) if match["quantity"].isdigit() else within)


def exceeding(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """ "exceeds 100 words"."""
    return Count(unit_of(match["unit"]), Range(low=int(match["number"]) + 1))


def around(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """ "100 words (±10%)": a number with its slack."""
    number, slack = int(match["number"]), int(_group(match, "slack") or _group(match, "slack2"))
    width = number * slack // 100 if "%" in match[0] or "percent" in match[0] else slack
    return Count(unit_of(match["unit"]), Range(number - width, number + width))


def paragraphs(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """Paragraphs with what separates them."""
    within, signs = range_of(match["quantity"]), quotes.texts_of(match["by"])
    if within is None or (signs and set(signs[0]) != {"*"}):
        return None
    by_divider = signs or re.search(r"\*|divider|rule|asterisk", match["by"])
    return Count("divided paragraphs" if by_divider else "paragraphs", within)


def sections(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """Sections with the label that begins each."""
    name = quotes.texts_of(match["signs"])[0]
    label = re.sub(r"\s*\b(?:\d+|[xn#]|[ivx]+)\W*$", "", name, flags=re.IGNORECASE).strip()
    within = range_of(match["quantity"])
    return Sections(label, within) if label and within else None


def _needles(match: re.Match[str], quotes: Masked) -> tuple[str, ...]:
    return quotes.texts_of(_group(match, "signs")) or (_group(match, "bare"),)


def keywords(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """Quoted words that must be there, or be there a number of times."""
    needles, times = _needles(match, quotes), _group(match, "times")
    if times:
        within = range_of(times, _group(match, "suffix"))
        return Frequency(needles, within) if within and len(needles) == 1 else None
    either = _group(match, "either") or re.search(r"\bor\b|\beither\b|\bany\b", _group(match, "signs"))
    return Contains(needles, "any" if either else "all")


def listed(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """Words listed without quotation marks after a colon."""
    words = tuple(re.split(r",? and |, ", match["bare"]))
    return None if any(" " in word for word in words) else Contains(words)


def character(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """One character and how often."""
    needle, times = _needles(match, quotes)[0], _group(match, "times")
    within = range_of(times, _group(match, "suffix")) if times else Range(low=1)
    return CharacterFrequency(needle, within) if len(needle) == 1 and within else None


def absent(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """Quoted words that must not be there."""
    return Not(Contains(_needles(match, quotes), "any", whole=True))


def starts(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """What the text starts with."""
    return Edge("start", _needles(match, quotes))


def ends(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """What the text ends with."""
    return Edge("end", _needles(match, quotes))


def options(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """One of several fixed texts."""
    options = quotes.texts_of(match["signs"])
    return Is(options) if _group(match, "whole") else Contains(options, "any", whole=True)


def postscript(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """A postscript and its mark."""
    mark = (quotes.texts_of(_group(match, "signs")) or (_group(match, "mark") or "P.S.",))[0]
    return Postscript(mark) if re.fullmatch(r"(?:[pP][.\s]*)+[sS][.:]*", mark) else None


def json_text(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """JSON of any kind, an object, or an array."""
    return Form("json object" if "object" in match[0] else "json array" if "array" in match[0] else "json")


def form(name: str) -> Callable[[re.Match[str], Masked], Constraint]:
    """The same form for every match."""
    return lambda match, quotes: Form(name)


def language(match: re.Match[str], quotes: Masked) -> Constraint | None:
    """The language of the text."""
    return Language(match["language"])
