"""What one answer has and another lacks, and which of the two is better supported, from the texts alone."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from rubricate.domain.checking.measures import words as words_in
from rubricate.domain.identity import chance_of
from rubricate.offline.hostile import without_such
from rubricate.offline.stock import stock_share, without_stock
from rubricate.offline.verbs import ADVICE
from rubricate.offline.words import Passage, Term, criterion_terms, sentences_of, terms

_SHORTEST, _LONGEST = 5, 32
_MOST_SENTENCES = 200
_FINITE = re.compile(
    r"\b(?:is|are|was|were|has|have|had|can|will|would|may|might|must|should|does|do|means?|needs?|gives?|"
    r"makes?|helps?|"
    r"causes?|takes?|costs?|leads?|uses?|contains?|includes?|requires?|allows?|becomes?|provides?|shows?|"
    r"works?|protects?|"
    r"reduces?|increases?|remains?|stays?|comes?|goes|runs?|lasts?|counts?|prevents?|keeps?|holds?|occurs?|"
    r"happens?|"
    r"applies|depends?|\w{3,}ed)\b"
)
_LEANS_ON_BEFORE = re.compile(
    r"^(?:it|its|this|these|those|that|they|their|he|she|his|her|him|such|and|but|or|so|then|also|however|"
    r"therefore|thus|"
    r"moreover|furthermore|additionally|here|there|otherwise|instead|both|one|another|finally|next|in "
    r"addition|in conclusion|"
    r"overall|in summary|to summari[sz]e|lastly|as mentioned|which|who|because|similarly|likewise|"
    r"consequently|hence|"
    r"meanwhile|in particular|in this case|either|neither|whether|what|recall|note|observe|suppose|let|see|"
    r"imagine|now|yes|no|"
    r"still|even|again|first|second|third|afterwards?|in short|for (?:example|instance)|that said|of these|"
    r"like)\b",
    re.IGNORECASE,
)
_ABOUT_ITSELF = re.compile(
    r"\b(?:i|i'm|i’m|i'd|i'll|we|let me|let's|my|our|sure|certainly|hope|happy to|glad to|as an ai|language "
    r"model|"
    r"below (?:is|are)|following|feel free|let me know|hello|hi|dear|thank you|thanks|(?:great|good) "
    r"question|of course)\b",
    re.IGNORECASE,
)
_LABEL = re.compile(r"^([A-Z][\w'’/&-]*(?: [\w'’/&-]+){0,4}): +(\S.{8,})$")
_BARE_OBJECT = re.compile(
    r"^\w+ (?:(?:to|for|with|on|at|of|about) )?(?:it|this|that|them|these|those|him|her|one|both)\b",
    re.IGNORECASE,
)
_NUMBERED_LABEL = re.compile(
    r"(?:step|phase|day|part|week|stage|section|point|tip|option|example|note|remember|(?:short |final |"
    r"quick )?answer|summary|"
    r"verdict|conclusion|bottom line|result)s?\b",
    re.IGNORECASE,
)
_FRAGMENT = re.compile(r"^[^,]{1,60}, (?:which|who|where|whose)\b|^\w+ing\b|^(?:you|your)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Point:
    """Something that one answer says: a criterion's text, how much it adds, and the sentence it is from."""

    text: str
    worth: float
    sentence: str


def points_of(better: str, worse: str, prompt: str, most: int = 3) -> list[Point]:
    """Up to `most` points that `better` makes and `worse` does not, the worthiest first, each self-contained.

    A point is a short whole sentence or labelled item. It is worth what its words are worth that the other
    answer lacks, more if it has a number or a name, and if it speaks of what the prompt speaks of. Text that
    addresses a grader, talk about the answer itself, stock phrases, and sentences that lean on the one before
    are never points. Reads the first 200 sentences of the one and 1,000 of the other.
    """
    there = Passage(without_such(sentences_of(worse), prompt)[: 5 * _MOST_SENTENCES])
    asked = {term.stem for term in terms(prompt)}
    names = _names_in(f"{prompt}\n{better[:_READ]}\n{worse[:_READ]}")
    found = []
    for sentence in without_stock(without_such(sentences_of(better), prompt))[:_MOST_SENTENCES]:
        text = _as_criterion(sentence, names)
        wanted = criterion_terms(text) if text else []
        if text is None or len(wanted) < 3:
            continue
        known = there.support(wanted)
        if known.score >= 0.5:
            continue
        found.append(Point(text, _worth(wanted, known.score, asked), sentence))
    found.sort(key=lambda point: (-round(point.worth, 6), chance_of(0, point.text)))
    return _unlike_each_other(found, most)


def _worth(wanted: list[Term], known: float, asked: set[str]) -> float:
    on_topic = sum(term.stem in asked for term in wanted)
    concrete = any(term.is_number for term in wanted) + any(term.weight > 1.3 for term in wanted)
    # Past a dozen words a sentence makes more than one point, and is met by nobody else.
    return (1 - known) * (1 + 0.4 * min(on_topic, 3) + 0.4 * concrete) / (1 + max(0, len(wanted) - 8) / 6)


def _unlike_each_other(points: list[Point], most: int) -> list[Point]:
    chosen: list[Point] = []
    for point in points:
        mine = {term.stem for term in criterion_terms(point.text)}
        if len(chosen) < most and all(
            len(mine & {term.stem for term in criterion_terms(other.text)}) < 0.5 * len(mine)
            for other in chosen
        ):
            chosen.append(point)
    return chosen


def _names_in(text: str) -> frozenset[str]:
    """Words with a capital inside a sentence: they keep it when they come to stand inside a criterion."""
    return frozenset(re.findall(r"(?<=[a-z,;] )[A-Z][\w'’-]*", text))


def _as_criterion(sentence: str, names: frozenset[str]) -> str | None:
    """The sentence as a criterion that stands on its own, or None when it cannot."""
    plain = sentence.strip(" .!;,")
    if not _SHORTEST <= len(plain.split()) <= _LONGEST or re.search(
        r"[?{}<>=\[\]\\|]|https?:|[\"“”]|:$", plain
    ):
        return None
    if _ABOUT_ITSELF.search(plain) or _LEANS_ON_BEFORE.match(plain) or not plain[0].isalnum():
        return None
    if plain.count("(") != plain.count(")"):
        return None
    label = _LABEL.match(plain)
    first = words_in(plain)[0].lower()
    if label and not _NUMBERED_LABEL.match(label[1]) and first not in ADVICE and not _FINITE.search(label[1]):
        return f"Covers {_inside(label[1], names)}: {_inside(label[2], names)}."
    if label or _BARE_OBJECT.match(plain):
        return None
    if first in ADVICE and not re.match(r"\w+ (?:of|is|are|was|were|has|at)\b", plain):
        return f"Advises to {_inside(plain, names)}."
    condition = re.match(r"((?:If|When|Once|Unless|Before|After|While|Until) [^,]+), (\w+)(.*)", plain)
    if condition and condition[2].lower() in ADVICE:
        return f"Says what to do {_inside(condition[1], names)}: {condition[2]}{condition[3]}."
    if plain[0].isupper() and _FINITE.search(plain) and not _FRAGMENT.match(plain):
        return f"States that {_inside(plain, names)}."
    return None


def _inside(text: str, names: frozenset[str]) -> str:
    """The text as it reads inside a sentence: a small first letter unless it opens with a name."""
    first = re.match(r"[\w'’-]*", text)
    word = first[0] if first else ""
    return text if word in names or word[1:] != word[1:].lower() else text[0].lower() + text[1:]


_READ = 50_000
_CLEARLY = 0.02


def better_supported(first: str, second: str, prompt: str) -> int | None:
    """0 or 1: which of two texts is the better supported answer; None when they are as good as equal.

    It is the one that says more different things (`bearing_of`). Length as such counts for nothing.
    """
    one, two = (" ".join(text.split()).lower() for text in (first, second))
    if one == two:
        return None
    gap = bearing_of(first, prompt) - bearing_of(second, prompt)
    return None if abs(gap) < _CLEARLY else 0 if gap > 0 else 1


def bearing_of(response: str, prompt: str) -> float:
    """What speaks for a response as an answer to the prompt; higher is better.

    The logarithm of the number of different content words that the prompt does not already have (repeating
    oneself or the question adds nothing), less the share of stock phrases. A refusal, an answer that breaks
    off, and text that speaks to a grader each take some of it away. Chosen among some twenty surface signals
    on preferences (`benchmarks/offline_engine.py` says what it is worth).
    """
    sentences = sentences_of(response)
    honest = without_such(sentences, prompt)
    passage, n_words = Passage(honest), len(words_in(response[:_READ]))
    substance = math.log1p(passage.n_own_words(prompt))
    refuses = re.search(
        r"\b(?:i(?:'m| am) (?:sorry|unable)|i can(?:not|'t|’t)|as an ai)\b", response[:400], re.IGNORECASE
    )
    end = response.rstrip(" \n\t*_`\"”'’)]|")
    breaks_off = bool(end) and end[-1].isalpha() and len(sentences) > 3
    substance -= 15 * stock_share(response[:_READ], n_words)
    return substance - 0.4 * bool(refuses) - 0.1 * breaks_off - 0.4 * (len(honest) < len(sentences))
