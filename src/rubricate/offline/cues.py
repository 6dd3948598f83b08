"""Qualities that leave a mark on the surface: an example, a reason, a limit, a step, a figure.

For a quality like "Gives a concrete example" there are no content words to look for, but there are words that
such a passage rarely lacks. This is a proxy and says so: a cue can be there without the quality. The
proposer writes these criteria in the wordings below, the grader knows them again by exactly these wordings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rubricate.offline.stock import without_stock
from rubricate.offline.words import Passage


@dataclass(frozen=True, slots=True)
class Cue:
    """`wanted` sentences must carry the mark; `kinds` of request make the quality worth asking for."""

    text: str
    mark: re.Pattern[str]
    wanted: int
    kinds: frozenset[str]


def _cue(text: str, mark: str, wanted: int, kinds: str) -> Cue:
    return Cue(text, re.compile(mark, re.IGNORECASE), wanted, frozenset(kinds.split()))


CUES = (
    _cue(
        "Gives reasons and does not only assert.",
        r"\bbecause\b|\bsince\b|\btherefore\b|\bthus\b|\bso that\b|\bdue to\b|\bas a result\b|\bwhich "
        r"means\b|\bthis means\b|"
        r"\bhelps? (?:to )?\w+|\ballow(?:s|ing)\b|\bensur(?:es?|ing)\b|\bthat is why\b|\breason\b",
        2,
        "explain compare advice opinion",
    ),
    _cue(
        "Names a limit, a risk or an exception.",
        r"\bhowever\b|\bunless\b|\bexcept\b|\bavoid\b|\bcaution\b|\bcareful\b|\brisks?\b|\bdepend(?:s|"
        r"ing)\b|\balthough\b|"
        r"\bnot (?:always|all|every)\b|\bif (?:you|it|the|they|there|she|he)\b|\bdo(?:n't| not)\b|\bnever\b|"
        r"\bcan't\b|\bcannot\b",
        2,
        "advice howto opinion compare",
    ),
    _cue(
        "Gives concrete figures, such as amounts, times or dates.",
        r"\d",
        3,
        "advice howto recipe figures",
    ),
    _cue(
        "Includes direct speech.",
        r"[\"“][^\"”\n]{8,}[,.!?][\"”]|[\"“][^\"”\n]{8,}[\"”] (?:he|she|they|I|we) |^[A-Z][\w .'-]{1,40}: ",
        2,
        "story",
    ),
)
_BY_TEXT = {cue.text: cue for cue in CUES}


def cue_of(criterion_text: str) -> Cue | None:
    """The cue that is asked for in exactly its own words, or None."""
    return _BY_TEXT.get(criterion_text)


def sentences_with(cue: Cue, sentences: Sequence[str]) -> list[str]:
    """The sentences that carry the mark of the cue."""
    return [sentence for sentence in sentences if cue.mark.search(sentence)]


_KINDS = {
    "story": r"\b(?:story|interview|dialogue|conversation between|scene|fairy tale|novel|screenplay|"
    r"script)\b",
    "compare": r"\b(?:difference|differences|compare|comparison|versus|vs\.?|better than|pros and cons|"
    r"advantages)\b",
    "howto": r"\bhow (?:to|do|can|should|would)\b|\bsteps?\b|\brecipe\b|\bguide\b|\btutorial\b|"
    r"\binstructions?\b",
    "recipe": r"\brecipe\b",
    "advice": r"\bshould (?:i|we)\b|\badvice\b|\btips?\b|\bsuggest\w*\b|\brecommend\w*\b|\bwhat (?:can|do|"
    r"should) i\b|\bplan\b",
    "opinion": r"\b(?:is|are) .{0,60}\b(?:wrong|right|good|bad|worth|better|ethical|legal)\b|\bopinion\b|"
    r"\bargu\w+\b|\bessay\b",
    "explain": r"\bexplain\b|\bwhat (?:is|are|was|were|does)\b|\bwhy\b|\bdescribe\b|\bhow (?:does|do|is|are|"
    r"did)\b|\bdifference\b",
    "figures": r"\bdoses?\b|\bcost\w*\b|\bhow (?:much|many|long)\b|\bcalculat\w+\b|\bbudget\b",
}
_PATTERNS = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _KINDS.items()}


def cues_for(prompt: str, most: int = 2) -> list[Cue]:
    """The qualities worth asking of an answer to this prompt, at most `most`; none for what is unknown."""
    kinds = {kind for kind, pattern in _PATTERNS.items() if pattern.search(prompt[:4_000])}
    return [cue for cue in CUES if cue.kinds & kinds][:most]


_BREADTH = "Covers the subject in breadth: at least {} different content words of its own."
_BREADTH_AGAIN = re.compile(re.escape(_BREADTH).replace(r"\{\}", r"(\d+)"))


def breadth(at_least: int) -> str:
    """The criterion that a response says so many different things.

    Counts different content words that the prompt has not; sentences with stock phrases do not count. A
    proxy, but one that does not grow by repetition.
    """
    return _BREADTH.format(at_least)


def breadth_asked(criterion_text: str) -> int | None:
    """The number in a criterion of `breadth`, or None for any other text."""
    match = _BREADTH_AGAIN.fullmatch(criterion_text)
    return int(match[1]) if match else None


def breadth_of(sentences: Sequence[str], prompt: str) -> int:
    """How many different content words these sentences have of their own."""
    return Passage(without_stock(sentences)).n_own_words(prompt)


_CREATIVE = re.compile(
    r"\b(?:story|poem|song|lyrics|joke|haiku|limerick|eulogy|speech|novel|scene|dialogue|fiction|screenplay|"
    r"rap|sonnet|riddle|"
    r"caption|slogan|tweet|script|toast|interview)s?\b",
    re.IGNORECASE,
)


def is_creative(prompt: str) -> bool:
    """Whether the prompt asks for something invented, where another answer's details are nobody's duty."""
    return bool(_CREATIVE.search(prompt[:4_000]))
