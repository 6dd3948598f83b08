"""From the wording of a criterion to the constraint that it states, or None.

The grammar matches the whole criterion or nothing: "is under 200 words" is a constraint, "is under 200 words
and explains tides" is not, because half of it would stay undecided. A criterion is a subject ("The response",
"Each bullet point", "The last sentence"), perhaps a negation, and one of the phrases below; several of
them joined by "and" make one criterion too. Quoted texts are taken out first, so their words never
count as grammar.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rubricate.domain.checking.constraints import (
    All,
    Constraint,
    Contains,
    Each,
    Not,
    Nth,
    Repeats,
)
from rubricate.domain.checking.phrases import phrase, statement
from rubricate.domain.checking.quantities import in_digits
from rubricate.domain.checking.quoting import Masked, masked

_LONGEST = 4_000
_LONGEST_GRAMMAR = 400
_MOST_JOINTS = 6
_GENRES = (
    "response|answer|reply|output|text|completion|message|submission|content|summary|essay|story|poem|"
    "letter|"
    "e-?mail|article|blog post|post|tweet|caption|speech|song|lyrics|review|description|explanation|"
    "paraphrase|"
    "translation|report|proposal|rewrite|pitch|dialogue|document|cover letter|advertisement|ad|itinerary|"
    "limerick|"
    "haiku|riddle|joke|resume|script|note"
)

_REPEATS = re.compile(
    r"(?:first |begins? by |starts? by )?(?:repeat(?:s|ing)?|restat(?:es?|ing)|copy(?:ing)?|copies|"
    r"quot(?:es?|ing)) "
    r"(?:the )?(?:\w+ )?(?:request|prompt|question|instruction|query|task|sentence)(?: (?:word for word|"
    r"verbatim|exactly as (?:it (?:is|was) )?(?:written|given|stated)|"
    r"exactly|without (?:any )?changes?|as (?:it )?(?:is|was) given)){1,2}(?:,? ?(?:first|before (?:the|"
    r"giving (?:the|an?|"
    r"its)|answering|its)(?: answer| response| reply)?(?: it)?|at the (?:start|beginning)))?"
)
_SUBJECT = re.compile(
    rf"(?:(?:the |this |that |its |your |an? )?(?:(?:entire|whole|full|complete|final|overall|generated|"
    rf"model's|"
    rf"assistant's|model|assistant|ai|written|total) ){{0,3}}(?:{_GENRES})(?:'s (?:text|content|body|"
    rf"length))?"
    rf"(?: as a whole| text| itself)?|it|everything) "
)
_PLACES = {
    "first": 1,
    "1st": 1,
    "opening": 1,
    "second": 2,
    "2nd": 2,
    "third": 3,
    "3rd": 3,
    "fourth": 4,
    "4th": 4,
    "fifth": 5,
    "5th": 5,
    "sixth": 6,
    "6th": 6,
    "seventh": 7,
    "7th": 7,
    "eighth": 8,
    "8th": 8,
    "last": -1,
    "final": -1,
    "closing": -1,
    "second-to-last": -2,
    "penultimate": -2,
}
_PARTS = {
    "word": "word",
    "sentence": "sentence",
    "paragraph": "paragraph",
    "stanza": "paragraph",
    "line": "line",
    "bullet point": "bullet",
    "bullet": "bullet",
    "bulleted item": "bullet",
    "numbered item": "numbered item",
}
_PART = "|".join(sorted(_PARTS, key=len, reverse=True))
_OF_IT = rf"(?: (?:of|in) (?:the|its) (?:{_GENRES}))?"
_NTH = re.compile(rf"(?:the |its )?({'|'.join(_PLACES)}) ({_PART}){_OF_IT} ")
_NUMBERED_PART = re.compile(rf"(?:the )?({_PART}) (?:number )?(\d{{1,3}}){_OF_IT} ")
_EACH = re.compile(
    rf"(?:each|every)(?: of the)?(?: single)? ({_PART})s?{_OF_IT} |all (?:of the )?({_PART})s{_OF_IT} "
)
_NONE = re.compile(rf"(?:no|none of the) ({_PART})s?{_OF_IT} ")
_NEGATION = re.compile(
    r"(?:does not|do not|doesn't|don't|should not|shouldn't|must not|mustn't|may not|cannot|can't|will not|"
    r"shall not|never|needs? not to|ought not to) |"
    r"(?P<be>(?:is|are|must|should)(?:n't| not) (?:be )?)|"
    r"(?P<use>(?:(?:completely |entirely |strictly )?(?:avoids?|refrains? from|excludes?|omits?|lacks?|"
    r"contains none of|"
    r"uses none of|includes none of)|is (?:written |composed )?(?:completely |entirely )?(?:free (?:of|"
    r"from)|"
    r"without|devoid of))(?: the use of| the usage of)? )"
)
_MODAL = re.compile(
    r"(?:(?:should|must|shall|will|can|needs? to|has to|have to|is required to|ought to)(?= "
    r"(?!not ))|does(?= (?!not )))"
    r" "
)
_ADVERB = re.compile(r"(?:(?:also|always|consistently|clearly|explicitly|correctly|strictly|actually) )+")
_TAIL = re.compile(
    rf"(?: (?:in|throughout|within|across|anywhere in|for)(?: the| its)?(?: entire| whole| full| final| "
    rf"complete)? (?:{_GENRES})"
    r"| in total| overall| at all| anywhere| altogether| in all| throughout| total| or explanations?)+$"
)
_EXAMPLE = re.compile(
    r"(?:,? ?\((?:[^()]*)\)|,? (?:such as|like|i\.e\.,?|e\.g\.,?|for example,?|for instance,?|example:) .{1,"
    r"60})$"
)
_JOINT = re.compile(r"(?:, and |, but |; and |; | and | but |, )")


@lru_cache(maxsize=4096)
def constraint_of(criterion: str) -> Constraint | None:
    """The constraint that the criterion states as a whole, or None. Depends on this text alone."""
    if len(criterion) > _LONGEST:
        return None
    if repeated := _repetition(criterion):
        return repeated
    text = masked(criterion)
    if text is None or len(text.text) > _LONGEST_GRAMMAR:
        return None
    return _clause(_question_as_statement(in_digits(text.text)), text, 0)


def _repetition(criterion: str) -> Constraint | None:
    head, colon, quoted = criterion.partition(': "')
    spaced = " ".join(head.lower().split()).rstrip(".")
    subject = _SUBJECT.match(spaced)
    phrase_text = _MODAL.sub("", spaced[subject.end() :] if subject else spaced, count=1)
    if not _REPEATS.fullmatch(phrase_text):
        return None
    if not colon:
        return Repeats(None)
    return Repeats(quoted.strip().rstrip(".").removesuffix('"'))


def _question_as_statement(text: str) -> str:
    asked = re.fullmatch(
        r"(does|do|is|are|has|whether|check that|check whether|ensure that|ensure)(?! not) (.*?)\??", text
    )
    if not asked:
        return text
    verb, rest = asked[1], asked[2]
    if verb in ("is", "are", "has") and text.endswith("?"):
        if rest.startswith("there "):
            return f"there {verb} {rest.removeprefix('there ')}"
        subject = _SUBJECT.match(rest + " ") or _NTH.match(rest) or _EACH.match(rest)
        return f"{rest[: subject.end()]}{verb} {rest[subject.end() :]}" if subject else text
    return text if verb in ("is", "are", "has") else rest


def _clause(text: str, quotes: Masked, depth: int) -> Constraint | None:
    """One subject with its phrase, or several joined by "and"."""
    text = text.strip(" .,;:!")
    for shorter in (text, _without_example(text)):
        found = _statement_about_part(shorter, quotes) or _statement_about_all(shorter, quotes)
        if found is not None:
            return found
    joints = list(_JOINT.finditer(text))
    if depth > 3 or len(joints) > _MOST_JOINTS:
        return None
    for joint in joints:
        first = _clause(text[: joint.start()], quotes, 4)
        if first is None:
            continue
        rest = text[joint.end() :]
        subject = _SUBJECT.match(text)
        second = _clause(rest, quotes, depth + 1)
        if second is None and subject:
            verb = re.match(r"(?:is|contains|includes|has|uses) ", text[subject.end() :])
            second = _clause(subject[0] + (verb[0] if verb else "") + rest, quotes, depth + 1)
        if second is not None:
            return All((first, second))
    return None


def _without_example(text: str) -> str:
    example = _EXAMPLE.search(text)
    if example is None:
        return text
    inner = example[0].strip(" ,()")
    formal = re.search(
        r"[\[\]<>*#\ue000-\uf8ff]|^(?:inclusive|included|including spaces|\d+|total|strictly|no exceptions?|"
        r"or "
        r"fewer|or less|"
        r"case[- ]insensitive|in any (?:letter )?case|\d+ or (?:more|fewer|less)|[^\w\s]{1,"
        r"6})$",
        inner,
    )
    return text[: example.start()].rstrip(" ,") if formal else text


def _statement_about_part(text: str, quotes: Masked) -> Constraint | None:
    if match := _NTH.match(text):
        inner = _predicate(text[match.end() :], quotes)
        return Nth(_PARTS[match[2]], _PLACES[match[1]], inner) if inner else None
    if match := _NUMBERED_PART.match(text):
        inner = _predicate(text[match.end() :], quotes)
        return Nth(_PARTS[match[1]], int(match[2]), inner) if inner else None
    if match := _EACH.match(text):
        inner = _predicate(text[match.end() :], quotes)
        return Each(_PARTS[match[1] or match[2]], inner) if inner else None
    if match := _NONE.match(text):
        inner = _predicate(text[match.end() :], quotes)
        return Each(_PARTS[match[1]], Not(inner)) if inner else None
    return None


def _statement_about_all(text: str, quotes: Masked) -> Constraint | None:
    short = _TAIL.sub("", text)
    if found := statement(short, quotes) or statement(text, quotes):
        return found
    subject = _SUBJECT.match(text)
    rest = text[subject.end() :] if subject else text
    return _predicate(_TAIL.sub("", rest), quotes) or _predicate(rest, quotes)


def _predicate(text: str, quotes: Masked) -> Constraint | None:
    text = _ADVERB.sub("", _MODAL.sub("", text, count=1), count=1)
    negation = _NEGATION.match(text)
    if not negation:
        return phrase(text, quotes)
    rest = text[negation.end() :]
    if negation["be"]:
        rest = "is " + rest
    if negation["use"] and not re.match(r"(?:using|including|containing|mentioning|having) ", rest):
        rest = "uses " + rest
    inner = phrase(rest, quotes)
    return None if inner is None else _opposite(inner)


def _opposite(inner: Constraint) -> Constraint:
    """What "does not ..." asks for: none of the listed words, as whole words; else plainly the opposite."""
    if isinstance(inner, Contains):
        return Not(Contains(inner.needles, "any", whole=True))
    return Not(inner)
