"""How far a text says what a criterion says, by its words: stems, names and numbers, no model.

Words are compared by stem, rare-looking ones count more than common ones, and the best stretch of
neighbouring sentences counts, so that a point is found where it is made and not pieced together from all
over a long answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)?")
_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)*_]*\s+|\n+|(?<=[;])\s+")
_MARKDOWN = re.compile(
    r"^\s*(?:#{1,6}\s+|[-*•+]\s+|\d{1,3}[.)]\s+|>\s*)+|[*`|]{1,3}|(?<!\w)_{1,2}(?=\w)|(?<=\w)_{1,2}(?!\w)"
)
_READ = 100_000

_STOP_LIST = (
    "a an the of to in on at by for with from as is are was were be been being it its this that these "
    "those and or but if then than so do does did has have had having i you he she we they his her their "
    "our your my me him them us who whom which what when where why how not no nor can could will would "
    "shall should may might must there here also very just about into over after before up down out off "
    "some any all each both such more most other only own same too s t re ve ll d m don doesn isn aren "
    "wasn one's etc"
)
_STOP = frozenset(_STOP_LIST.split())
_TASK_LIST = (
    "response answer reply text summary states state mention mentions address addresses include includes "
    "explain explains describe describes give gives provide provides write writes discuss discusses cover "
    "covers question questions user user's advises advise says say tells tell shows show contains contain "
    "lists list names name takes take account point points least following identifies identify uses use "
    "makes make clear clearly correctly fact facts asked recommends recommend suggests suggest notes note "
    "warns"
)
_TASK = frozenset(_TASK_LIST.split())
_NUMBER_LIST = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBER_WORDS = {word: str(number) for number, word in enumerate(_NUMBER_LIST.split())}
_ENDINGS = (
    ("ational", "ate"),
    ("ization", "ize"),
    ("isation", "ize"),
    ("fulness", "ful"),
    ("iveness", "ive"),
    ("ically", "ic"),
    ("ations", "ate"),
    ("ation", "ate"),
    ("ingly", ""),
    ("edly", ""),
    ("ments", "ment"),
    ("ness", ""),
    ("ies", "y"),
    ("ied", "y"),
    ("ing", ""),
    ("ed", ""),
    ("est", ""),
    ("ers", "er"),
    ("ly", ""),
    ("es", "e"),
    ("s", ""),
)


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A short form that inflections share: "studies" and "studied" are one. Numbers stay as they are.

    Endings are cut in the manner of Porter (1980), with fewer rules.
    """
    word = word.lower().replace("’", "'")
    if word[:1].isdigit():
        return word.replace(",", "").rstrip(".:")
    if word in _NUMBER_WORDS:
        return _NUMBER_WORDS[word]
    word = re.sub(r"n't$|'\w{1,2}$|'$", "", word)
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: len(word) - len(ending)] + instead
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
        word = word[:-1]
    if len(word) > 4 and word.endswith("e"):
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 4 and word.endswith("y") else word


@dataclass(frozen=True, slots=True)
class Term:
    """A content word: its stem and how much it counts."""

    stem: str
    weight: float

    @property
    def is_number(self) -> bool:
        """Whether it is a number, which agrees exactly or not at all."""
        return self.stem[:1].isdigit()


def terms(text: str) -> list[Term]:
    """The content words of a text in order. Long words, names and numbers count more: they are rarer."""
    found = []
    for word in _TOKEN.findall(text[:_READ]):
        if word.lower() in _STOP:
            continue
        root = stem(word)
        if root and (len(root) > 1 or root.isdigit()):
            found.append(Term(root, _weight(root, word)))
    return found


def _weight(root: str, word: str) -> float:
    if word[0].isdigit():
        return 1.5
    return (1.2 if word[0].isupper() else 1.0) * (0.5 + min(len(root), 9) / 9)


def criterion_terms(text: str) -> list[Term]:
    """The distinct content words of a criterion, without the words of the form ("The response explains")."""
    by_stem = {term.stem: term for term in reversed(terms(text)) if term.stem not in _TASK_STEMS}
    return list(reversed(by_stem.values()))


_TASK_STEMS = frozenset(stem(word) for word in _TASK)


def sentences_of(text: str) -> list[str]:
    """The sentences and lines of the first 100,000 characters, without markdown, in order."""
    pieces = _SENTENCE_END.split(text[:_READ])
    plain = (" ".join(_MARKDOWN.sub("", piece).split()) for piece in pieces)
    return [piece for piece in plain if re.search(r"\w", piece)]


@dataclass(frozen=True, slots=True)
class Support:
    """How far a passage carries a criterion: `score` in [0, 1], and the sentence that carries most of it.

    `numbers_agree` is False when the criterion has a number that the whole passage lacks.
    """

    score: float
    sentence: str
    numbers_agree: bool


@dataclass(frozen=True)
class Passage:
    """A text made ready for many comparisons."""

    sentences: Sequence[str]

    @classmethod
    def of(cls, text: str) -> Passage:
        """The passage of a whole text."""
        return cls(sentences_of(text))

    @cached_property
    def _stems(self) -> list[set[str]]:
        return [{term.stem for term in terms(sentence)} for sentence in self.sentences]

    @cached_property
    def _places(self) -> dict[str, set[int]]:
        places: dict[str, set[int]] = {}
        for place, stems in enumerate(self._stems):
            for root in stems:
                places.setdefault(root, set()).add(place)
        return places

    @cached_property
    def _families(self) -> dict[str, list[str]]:
        families: dict[str, list[str]] = {}
        for root in sorted(self._places):
            families.setdefault(root[:4], []).append(root)
        return families

    def _where(self, term: Term) -> dict[int, float]:
        """For each sentence that has the term, or a word of its family: 1, or 0.8."""
        found = dict.fromkeys(self._places.get(term.stem, ()), 1.0)
        if term.is_number or len(term.stem) < 4:
            return found
        for root in self._families.get(term.stem[:4], ()):
            if _are_kin(root, term.stem):
                for place in self._places[root]:
                    found.setdefault(place, 0.8)
        return found

    def uptake(self, wanted: Sequence[Term]) -> Support:
        """How far the terms are taken up after the first sentence, and by how many sentences.

        For tasks ("Explains ...", "Answers ..."): an opening that repeats the request does not
        answer it. The share of the terms, by weight, times a quarter for each sentence that has one.
        """
        total = sum(term.weight for term in wanted)
        where = [(term, self._where(term)) for term in wanted]
        from_place = 1 if len(self.sentences) > 1 else 0
        touched = sorted({place for _, places in where for place in places if place >= from_place})
        if not touched or not total:
            return Support(0.0, "", not any(term.is_number for term in wanted))
        got = sum(
            term.weight * max((found for place, found in places.items() if place >= from_place), default=0.0)
            for term, places in where
        )
        carrier = max(
            touched, key=lambda at: (sum(term.weight * places.get(at, 0.0) for term, places in where), -at)
        )
        depth = 1.0 if not from_place else min(1.0, len(touched) / 4)
        agree = all(places for term, places in where if term.is_number)
        return Support(got / total * depth, self.sentences[carrier], agree)

    def n_own_words(self, prompt: str) -> int:
        """How many different content words the passage has that the prompt has not."""
        return len(self._places.keys() - {term.stem for term in terms(prompt)})

    def support(self, wanted: Sequence[Term]) -> Support:
        """The mean of what the best two and the best four neighbouring sentences have, by weight.

        0 without a sentence or a term. Cost: terms times the sentences that share one.
        """
        total = sum(term.weight for term in wanted)
        if not self.sentences or not total:
            return Support(0.0, "", True)
        where = [(term, self._where(term)) for term in wanted]
        touched = sorted({place for _, places in where for place in places})
        if not touched:
            return Support(0.0, "", not any(term.is_number for term in wanted))
        share = {
            width: max(
                sum(
                    term.weight
                    * max((places.get(at, 0.0) for at in range(start, start + width)), default=0.0)
                    for term, places in where
                )
                for start in touched
            )
            / total
            for width in (2, 4)
        }
        carrier = max(
            touched, key=lambda at: (sum(term.weight * places.get(at, 0.0) for term, places in where), -at)
        )
        agree = all(places for term, places in where if term.is_number)
        return Support((share[2] + share[4]) / 2, self.sentences[carrier], agree)


def _are_kin(one: str, other: str) -> bool:
    if one == other:
        return True
    shared = next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return shared >= 4 and shared >= 0.6 * max(len(one), len(other))


def overlap(one: str, other: str) -> float:
    """Share of content words that two criteria have in common, in [0, 1].

    Of the shorter one, unless that has fewer than three: a single common word makes no duplicate.
    """
    less, more = sorted(({term.stem for term in criterion_terms(text)} for text in (one, other)), key=len)
    base = less if len(less) > 2 else more
    return len(less & more) / len(base) if base else 0.0
