"""What a prompt asks for, in so many words: limits, formats, words to use or avoid, questions, tasks, facts.

Every criterion is built from the prompt's own words or from a fixed wording with the prompt's own number in
it; nothing is added that the prompt does not say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rubricate.domain.checks import is_decidable
from rubricate.offline.limits import Requirement, rules_of
from rubricate.offline.verbs import THIRD_PERSON
from rubricate.offline.words import criterion_terms, overlap

_READ = 6_000
_LONGEST = 220
_MOST_PARTS = 6
_MOST_FACTS = 3


def requirements_of(prompt: str) -> list[Requirement]:
    """What the prompt asks for, hard rules first, without near duplicates; may be empty.

    Reads the first and the last 6,000 characters: long prompts hold material in between.
    """
    text = prompt if len(prompt) <= 2 * _READ else f"{prompt[:_READ]}\n\n{prompt[-_READ:]}"
    found: list[Requirement] = []
    sentences = _sentences(_without_material(text))
    rules = [rule for sentence in sentences for rule in rules_of(sentence)]
    for new in [*rules, *_parts(text, sentences)]:
        if all(_differ(new, old) for old in found):
            found.append(new)
    return found


def _differ(one: Requirement, other: Requirement) -> bool:
    if "rule" in (one.kind, other.kind):
        return one.text != other.text
    return overlap(one.text, other.text) < 0.8


def _without_material(text: str) -> str:
    return re.sub(r"```.*?(?:```|\Z)", " ", text, flags=re.DOTALL)


def _sentences(text: str) -> list[str]:
    pieces = re.split(r"(?<=[.!?])\s+|(?<=[.!?][\"”')])\s+|\n+", text)
    return [" ".join(piece.split()) for piece in pieces if re.search(r"\w", piece)]


_ASKS = re.compile(
    r"^(?:so |and |then |also |but |or |now |ok,? |please |in the first \w+,? )*(?:how|what|why|when|where|"
    r"which|who|whom|whose|is|are|am|do|does|did|can|could|should|would|will|"
    r"was|were|has|have|may)\b",
    re.IGNORECASE,
)
_POLITE = re.compile(
    r"^(?:hi|hello|hey|ok|okay|so|now|then|also|and|please|kindly|thanks|finally|next|first|can you|could "
    r"you|would you|will you|"
    r"i want you to|i would like you to|i'd like you to|i need you to|help me(?: to)?|you should|you must|"
    r"let's|try to|"
    r"i need help (?:to|with)|your task is to|you are to|pls)\b[,:]? *",
    re.IGNORECASE,
)


def _parts(text: str, sentences: list[str]) -> Iterator[Requirement]:
    """What is to be done or answered, in the prompt's words; then the facts that the answer must fit."""
    yield from _listed(text)
    asked = [part for sentence in sentences for part in _request(sentence)]
    yield from asked[:_MOST_PARTS]
    if asked:
        told = [sentence for sentence in sentences if _is_a_fact(sentence)]
        for sentence in told[:_MOST_FACTS]:
            yield Requirement(f"Takes into account: {_clip(sentence)}", "principle", 1)


def _is_a_fact(sentence: str) -> bool:
    about_people = re.search(r"\b(?:I|I'm|I’m|my|we|our|he|she|they)\b", sentence)
    fits = 15 <= len(sentence) <= _LONGEST and not sentence.endswith((":", "?"))
    return bool(about_people and fits and not re.match(r"You\b|Email:|It must", sentence)) and not (
        _request(sentence) or rules_of(sentence)
    )


def _request(sentence: str) -> list[Requirement]:
    plain = sentence
    while (shorter := _POLITE.sub("", plain)) != plain:
        plain = shorter
    if _order_verb(plain):
        rules = rules_of(sentence)
        return [
            part
            for clause in _clauses(plain)
            if (part := Requirement(_as_statement(clause), "principle", 2))
            and _adds_something(part.text, rules)
        ]
    if plain.rstrip("\"') ").endswith("?") or (
        _ASKS.match(plain) and len(plain) < _LONGEST and plain[-1] not in ":,"
    ):
        return [
            Requirement(f"Answers the question: {_clip(question)}", "principle", 2)
            for question in _questions(plain)
            if criterion_terms(question)
        ]
    return []


def _adds_something(statement: str, rules: list[Requirement]) -> bool:
    """Whether a task says more than a program can decide, and than the rules read from its sentence."""
    ruled = {term.stem for rule in rules for term in criterion_terms(rule.text)}
    own = [term for term in criterion_terms(statement) if term.stem not in ruled]
    return len(own) > (3 if rules else 0) and not is_decidable(statement)


def _order_verb(text: str) -> str | None:
    first = re.match(r"([A-Za-z]+)[,:]? ", text)
    return first[1].lower() if first and first[1].lower() in THIRD_PERSON else None


def _clauses(order: str) -> list[str]:
    """The order cut where a new verb of ordering begins: "Develop an exercise and explain how it works"."""
    verbs = "|".join(sorted(THIRD_PERSON, key=len, reverse=True))
    pieces = re.split(
        rf",? (?:and|then|and then) (?:also )?(?=(?:{verbs})\b(?! of))|[;:] (?=(?:{verbs})\b)|, (?=(?:do "
        rf"not|don't|stay)\b)",
        order,
    )
    return [piece.strip(" ,") for piece in pieces if _order_verb(piece.strip(" ,"))]


def _as_statement(order: str) -> str:
    verb, rest = _order_verb(order), order.partition(" ")[2]
    if verb is None:
        return _clip(order)
    rest = re.sub(r"^(?:me|us)\b ?(?:with |a hand )?", "", rest)
    rest = re.sub(r"\bmy\b", "the user's", rest)
    statement = f"{THIRD_PERSON[verb]} {rest}"
    statement = statement[0].upper() + statement[1:]
    return _clip(statement.rstrip(" .!?:;,")) + ("." if len(statement) <= _LONGEST else "")


def _questions(text: str) -> list[str]:
    """The questions in a sentence: "How do I treat this, and when do I need a doctor?" has two."""
    pieces = re.split(r",? (?:and|or) (?=(?:how|what|why|when|where|which|who|whom)\b)|(?<=\?) ", text)
    pieces = [piece.strip(' ,.:;"') for piece in pieces if len(piece.split()) > 2] or [text]
    asked = [piece if piece.endswith("?") else piece + "?" for piece in pieces]
    return [piece[0].upper() + piece[1:] for piece in asked]


def _listed(text: str) -> Iterator[Requirement]:
    """The entries of a list after a colon: "these three facts: a; b; and c", or lines with marks."""
    inline = re.search(r":\s+([^:\n]{6,}?;[^:\n]{6,}?)(?:[.!?](?:\s|$)|\n|$)", text)
    if inline and inline[1].count(";") >= 1:
        entries = [re.sub(r"^(?:and |or |\(?\w\) )+", "", entry.strip()) for entry in inline[1].split(";")]
        weight = 3 if re.search(r"\bmust\b|\binclude\b|\bcontain\b", text[: inline.start()][-120:]) else 2
        for entry in entries:
            if 3 <= len(entry.split()) <= 40:
                yield Requirement(f"Includes this point: {_clip(entry)}", "principle", weight)
    marked = re.findall(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+(\S.{4,160})$", text, re.MULTILINE)
    if (
        2 <= len(marked) <= 8
        and re.search(r"[:\n]", text)
        and not re.search(r"^\s*[A-D1-4][.)]\s", text, re.MULTILINE)
    ):
        for entry in marked:
            if _order_verb(entry):
                yield Requirement(_as_statement(entry), "principle", 2)
            elif criterion_terms(entry):
                yield Requirement(f"Takes into account: {_clip(entry.strip())}", "principle", 1)


def _clip(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rsplit(" ", 1)[0] + "…"
