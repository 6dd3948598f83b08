"""The hard limits in one sentence of a prompt: amounts, words to use or to avoid, formats, language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rubricate.domain.checking.languages import LANGUAGES
from rubricate.domain.checking.quantities import QUANTITY, in_digits, range_of
from rubricate.domain.checking.units import UNIT, unit_of

Kind = Literal["rule", "principle"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing asked for: a criterion's text with its kind and weight."""

    text: str
    kind: Kind
    weight: float


def rules_of(sentence: str) -> list[Requirement]:
    """The rules that a sentence of a prompt states, in wordings that a program decides."""
    return [*_amounts(sentence), *_words_asked(sentence), *_forms(sentence)]


_ORDER = re.compile(
    r"\b(?:write|answer|give|use|using|reply|respond|keep|limit|make|should|must|need|want|contain|include|"
    r"with|in|end|at most|"
    r"no more|exactly|at least|under|max|maximum|minimum|up to|provide|list|generate|create|compose|"
    r"summari[sz]e|be)\b"
)
_AMOUNT = re.compile(
    rf"\b(?P<about>about |around |approximately |roughly |~ "
    rf"?)?(?P<quantity>{QUANTITY})[ -](?P<unit>{UNIT})(?P<max> max(?:imum)?| or (?:less|fewer|more))?"
    r"(?= ?(?:$|[.,;:!?)]|and\b|with\b|in\b|long\b|essay|article|story|summary|poem|blog|letter|post|speech|"
    r"paragraph|report|for me|please|or\b|then\b|because\b|total))"
)
_TEXT_LENGTHS = {"words", "characters", "sentences", "paragraphs", "lines"}
_NAMED = {
    "words": "words",
    "characters": "characters",
    "sentences": "sentences",
    "paragraphs": "paragraphs",
    "lines": "lines",
    "bullets": "bullet points",
    "numbered items": "numbered items",
    "hashtags": "hashtags",
    "emojis": "emojis",
    "headings": "headings",
    "placeholders": "placeholders",
    "questions": "questions",
    "tables": "tables",
}


def _amounts(sentence: str) -> Iterator[Requirement]:
    low = in_digits(sentence.lower())
    if not _ORDER.search(low):
        return
    for match in _AMOUNT.finditer(low):
        unit, quantity = unit_of(match["unit"]), match["quantity"]
        if (
            unit not in _NAMED
            or quantity in ("no", "any")
            or re.search(
                r"\b(?:these|the|this|my|end\w* with|start\w* with|begin\w* with) ?$", low[: match.start()]
            )
        ):
            continue
        name = _NAMED[unit]
        within = range_of(quantity, match["max"] or "")
        if within is None or within == range_of("0"):
            continue
        bare = quantity.isdigit() and not match["max"]
        if bare and unit == "words":
            number = int(quantity)
            limit = re.search(r"(?:limit|max|within|up to|keep)", low[: match.start()])
            if limit:
                yield Requirement(f"The response contains at most {number} words.", "rule", 3)
            else:
                yield Requirement(
                    f"The response contains between {number * 4 // 5} and {number * 6 // 5} words.",
                    "principle",
                    2,
                )
        elif bare and (unit not in _TEXT_LENGTHS or match["about"]):
            if not match["about"] and unit in ("bullets", "numbered items", "hashtags", "emojis", "headings"):
                yield Requirement(f"The response contains exactly {quantity} {name}.", "rule", 3)
        else:
            yield Requirement(
                f"The response contains {_amount_in_words(within.low, within.high)} {name}.", "rule", 3
            )


def _amount_in_words(low: int | None, high: int | None) -> str:
    if low is None:
        return f"at most {high}"
    if high is None:
        return f"at least {low}"
    return f"exactly {low}" if low == high else f"between {low} and {high}"


_QUOTE = r"[\"“‘'`]([^\"”’'`\n]{1,60})[\"”’'`]"
_AVOID = re.compile(
    r"\b(?:do not|don't|don’t|never|without|avoid|must not|should not|shouldn't)\b(?: (?:use|using|say|"
    r"saying|mention|mentioning|include|including|write|the|any|of|these|following|word|words|phrase|"
    r"phrases|ever|name|names))*:? (?=[\"“‘'`])",
    re.IGNORECASE,
)
_USE = re.compile(
    r"\b(?:use|include|contain|mention|with|containing|including)(?: (?:the|of|these|following|all|both|"
    r"exact|word|words|keyword|keywords|phrase|phrases|term|terms))+:? (?=[\"“‘'`])",
    re.IGNORECASE,
)


_NEGATED = re.compile(r"\b(?:not|never|n't|n’t|without|avoid) ?$", re.IGNORECASE)
_OF_A_LINE = re.compile(r"\b(last|first|final) (?:line|sentence|paragraph) (?:that |which )?$", re.IGNORECASE)


def _words_asked(sentence: str) -> Iterator[Requirement]:
    for pattern, wording in (
        (_AVOID, "The response does not use any of these words: {}."),
        (_USE, "The response includes each of these keywords: {}."),
    ):
        for match in pattern.finditer(sentence):
            if pattern is _USE and _NEGATED.search(sentence[: match.start()]):
                continue
            words = _leading_quotes(sentence[match.end() :])
            if words:
                yield Requirement(wording.format(", ".join(f'"{word}"' for word in words)), "rule", 3)
    for verb, wording in (("start|begin", "starts"), ("end|finish|conclude|close", "ends")):
        edge = re.search(
            rf"\b(?:{verb})(?:s|ing)? (?:\w+ ){{0,4}}with (?:the )?(?:\w+ ){{0,3}}{_QUOTE}",
            sentence,
            re.IGNORECASE,
        )
        if edge and not re.search(r"[<\[{]|\.\.\.", edge[1]):
            line = _OF_A_LINE.search(sentence[: edge.start()])
            subject = f"The {line[1].lower()} line" if line else "The response"
            yield Requirement(f'{subject} {wording} with "{edge[1].strip()}".', "rule", 3)


def _leading_quotes(text: str) -> list[str]:
    words = []
    while match := re.match(rf"(?:,? ?(?:and|or|nor)? ?){_QUOTE}", text):
        words.append(match[1].strip())
        text = text[match.end() :]
    return [word for word in words if word]


_LANGUAGE_NAMES = "|".join(sorted(LANGUAGES, key=len, reverse=True))
_FORMS: tuple[tuple[str, str], ...] = (
    (
        r"\b(?:no|without(?: any| using)?|avoid(?: using)?|do(?: not|n't) use(?: any)?) commas\b",
        "The response contains no commas.",
    ),
    (
        r"\b(?:in|all|only) (?:all )?lower-?case\b|\blowercase letters\b",
        "The response is in all lowercase letters.",
    ),
    (
        r"\bin (?:all )?(?:caps|capital letters|uppercase)\b|\ball caps\b",
        "The response is in all capital letters.",
    ),
    (r"\b(?:as|in|valid|only|return|output) (?:valid |a )?json\b", "The entire response is valid JSON."),
    (
        r"\b(?:in|as|use|using|with|create|make|design|into|template) (?:a |an )?(?:\w+ )?table\b",
        "The response contains a table.",
    ),
    (
        r"\b(?:in|as|use|using|with|into) (?:a |the )?(?:bullet(?:ed)?(?:[- ]points?| list)?s?)\b",
        "The response contains bullet points.",
    ),
    (r"\b(?:as|in|use|with|a) (?:a )?numbered list\b", "The response contains a numbered list."),
    (r"\bno (?:emojis?|emoticons)\b|\bwithout (?:any )?emojis?\b", "The response contains no emojis."),
    (
        r"\b(?:no|without|avoid|don't use|do not use)(?: any| using)? bullet points\b",
        "The response contains no bullet points.",
    ),
    (
        r"\bend\w*(?: \w+){0,2} with (?:exactly )?(?:a|1|one) (?:\w+ )?question\b",
        "The response ends with a question.",
    ),
    (r"\bwrap\w* .{0,40}\bin double quot", "The entire response is wrapped in double quotation marks."),
)
_CODE = re.compile(
    r"\b(?:write|implement|create|give|show|make|build|fix|refactor|complete)\b.{0,60}\b(?:code|function|"
    r"script|program|class|query|regex|snippet|"
    r"method)\b",
    re.IGNORECASE,
)


def _forms(sentence: str) -> Iterator[Requirement]:
    low = sentence.lower()
    for pattern, wording in _FORMS:
        if re.search(pattern, low):
            yield Requirement(wording, "rule", 3)
    language = re.search(
        rf"\b(?:answer|write|respond|reply|written|translate\b.{{0,40}}|response|speak)\b.{{0,40}}?\b(?:in|"
        rf"into|to) ({_LANGUAGE_NAMES})\b(?! (?:cuisine|style|food|history))",
        low,
    )
    if language:
        yield Requirement(f"The response is written in {language[1].title()}.", "rule", 3)
    if _CODE.search(sentence):
        yield Requirement("The response contains a code block.", "principle", 2)
