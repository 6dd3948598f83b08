"""Kinds by word cues: what costs nothing and needs nobody. It sees words, not what is meant by them.

Cues find a type by how such demands are usually worded in English. A paraphrase without the word is missed,
and a word used otherwise is a false find; how often either happens on a small set of hand-labelled cases
is measured in tests/evaluation/kinds/test_cues.py.
"""

from __future__ import annotations

import re

from rubricate.evaluation.kinds.refinements import Difference, content_words


def _cue(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)


_SAID = {
    "explicit statements": _cue(r"explicit(?:ly)?|clearly stat\w+|spells? out|outright|by name"),
    "substance over surface": _cue(
        r"substan\w+|rather than (?:merely|just|only|simply)|not (?:merely|just|only)|in depth|"
        r"meaningful\w*|beyond (?:a )?mention\w*"
    ),
    "penalties and prohibitions": _cue(
        r"avoid\w*|does not|do not|must not|never|without|no \w+ (?:is|are)|penali[sz]\w*|free of|"
        r"refrain\w*"
    ),
    "comparing alternatives": _cue(
        r"alternatives?|compar\w+|versus|vs|trade-?offs?|rul\w+ out|differential|other options?|"
        r"instead of|weighs?"
    ),
    "more approaches accepted": _cue(
        r"or (?:an )?equivalent|any of|either|at least one|such as|one of (?:the )?following|"
        r"or similar|accept\w*|equally valid"
    ),
    "conditional rules": _cue(
        r"if|when|unless|whenever|depending on|in cases? (?:of|where)|provided that|only where"
    ),
    "timing and sequence": _cue(
        r"before|after|first|then|within \d+|hours?|days?|weeks?|minutes?|immediately|timing|"
        r"timeline|sequence|in order|order of|schedule|followed by"
    ),
    "precise language": _cue(
        r"precise(?:ly)?|technical|terminology|exact(?:ly)?|correct (?:terms?|names?|units?)|"
        r"units?|jargon"
    ),
    "causal explanation": _cue(
        r"why|because|cause[sd]?|causal|mechanis\w+|leads? to|due to|underlying|results? in"
    ),
    "verification and evidence": _cue(
        r"evidence|verif\w+|confirm\w*|sources?|cit(?:es?|ed|ations?)|references?|tests?|imaging|"
        r"stud(?:y|ies)|checked?|data"
    ),
    "structure and format": _cue(
        r"format\w*|structur\w+|headings?|bullet\w*|lists?|numbered|paragraphs?|sections?|table|"
        r"at most \d+ words|at least \d+ words|words long|sentences?"
    ),
    "justified decisions": _cue(
        r"justif\w+|rationale|reasons? (?:for|why)|reasoning|"
        r"explains? (?:the )?(?:choice|decision|recommendation)|"
        r"supports? (?:its|the) (?:choice|claim|recommendation)"
    ),
    "scope and limits": _cue(
        r"scope|limit\w*|limitations?|assum\w+|relevant|focus\w*|appl(?:y|ies) to|exceptions?|"
        r"boundar\w+|only what"
    ),
    "risk and safety": _cue(
        r"risks?|safe(?:ty|ly)?|warn\w*|danger\w*|precautions?|contraindicat\w+|side effects?|"
        r"emergency|urgent\w*|harm\w*|red flags?|complications?"
    ),
    "actionable advice": _cue(
        r"action\w*|concrete steps?|practical|steps? (?:to|that|the)|next steps?|how to|"
        r"recommend\w* (?:a |the )?specific|can (?:do|take|follow)"
    ),
    "errors corrected": _cue(
        r"correct(?:s|ed|ion) (?:an? |the )?(?:error|mistake|value|figure)|instead of the wrong|"
        r"mistaken\w*|erroneous\w*|wrongly"
    ),
    "tone and communication": _cue(
        r"tone|empath\w+|polite\w*|friendly|respectful\w*|compassion\w*|plain (?:words|language)|"
        r"lay(?:person|man)?|accessible|reassur\w+|supportive"
    ),
}
_DETAIL = re.compile(
    r"\d|\be\.g\.|\bfor example\b|\bspecific(?:ally)?\b|\bincluding\b|\bnamely\b|\([^)]+\)", re.IGNORECASE
)

_GROUP_CUES = (
    ("history", _cue(r"histor\w+|century|centuries|origins?|era|decades?|background of")),
    (
        "anomalies",
        _cue(
            r"anomal\w+|unusual\w*|inconsisten\w+|discrepan\w+|unexpected\w*|does not fit|outliers?|"
            r"atypical"
        ),
    ),
    (
        "calculation",
        _cue(r"calculat\w+|comput\w+|formula|equation|sums?|multipl\w+|divid\w+|arithmetic|derives?"),
    ),
    (
        "hypothesis testing",
        _cue(r"hypothes\w+|test(?:s|ed|ing)? whether|experiments?|falsif\w+|would confirm|next test"),
    ),
    (
        "safety disclaimers",
        _cue(
            r"disclaimers?|"
            r"(?:see|consult|seek|contact|ask) (?:an? |the |your )?"
            r"(?:doctor|physician|professional|lawyer|expert|medical|help)|"
            r"professional (?:help|advice)|emergency|not (?:a )?substitute|medical attention"
        ),
    ),
    (
        "risk evaluation",
        _cue(
            r"risks?|danger\w*|complications?|severity|urgen\w+|side effects?|contraindicat\w+|"
            r"harm\w*|red flags?|life-threatening|safety"
        ),
    ),
    (
        "eliminating alternatives",
        _cue(
            r"alternatives?|rul\w+ out|differential|exclud\w+|versus|compar\w+|trade-?offs?|"
            r"other (?:options?|causes|explanations)"
        ),
    ),
    (
        "causal analysis",
        _cue(
            r"why|because|caus\w+|mechanis\w+|leads? to|due to|underlying|results? in|consequences?|"
            r"effects? of"
        ),
    ),
    (
        "quantitative significance",
        _cue(
            r"thresholds?|percent\w*|ratios?|magnitude|statistic\w*|rates?|significan\w+|"
            r"how (?:much|many|large)|range of"
        ),
    ),
    (
        "clarity and uncertainty",
        _cue(
            r"clear(?:ly)?|uncertain\w*|unambiguous\w*|confiden\w+|understandable|"
            r"plain (?:words|language)|caveats?|readable|hedg\w+|tone"
        ),
    ),
    (
        "format",
        _cue(
            r"format\w*|headings?|bullet\w*|list(?:s|ed)?|numbered|paragraphs?|table|markdown|layout|"
            r"sections?"
        ),
    ),
    (
        "synthesising evidence",
        _cue(
            r"evidence|synthesi[sz]\w+|integrat\w+|combin\w+|"
            r"based on (?:the )?(?:findings|symptoms|results)|conclu\w+|findings|studies|sources?"
        ),
    ),
    (
        "formal rules",
        _cue(
            r"guidelines?|standards?|laws?|regulations?|protocols?|first-line|criteria|rules? of|"
            r"code of|legal\w*|official"
        ),
    ),
    (
        "strategic planning",
        _cue(
            r"plan\w*|steps?|strateg\w+|prioriti\w+|management|follow-?up|first|then|recommend\w*|"
            r"before|after|approach"
        ),
    ),
    (
        "systems",
        _cue(r"systems?|interact\w*|components?|feedback|pathways?|network|parts? of|works? together"),
    ),
    (
        "focus",
        _cue(
            r"focus\w*|irrelevant|off-topic|concise\w*|directly|digress\w*|avoid\w*|unnecessary|"
            r"stays? on|without"
        ),
    ),
    (
        "rules and scope",
        _cue(
            r"at most|at least|exactly|limit\w*|as (?:asked|requested|instructed)|instructions?|scope|"
            r"constraints?|words long|requested|only"
        ),
    ),
    (
        "concepts",
        _cue(
            r"explain\w*|defin\w+|concepts?|distinguish\w*|describes?|difference between|meaning|"
            r"principle"
        ),
    ),
    (
        "factual verification",
        _cue(r"correct(?:ly)?|accura\w+|states? that|true|factual\w*|identif\w+|recogni[sz]\w+|right"),
    ),
    ("fact retrieval", _cue(r"names?|mentions?|lists?|gives?|cites?|says|states?|contains?|provides?")),
)
"""The first that fits counts: particular groups stand before those whose words are everywhere."""


def types_of(difference: Difference) -> tuple[str, ...]:
    """The types of one difference, in the order of the vocabulary; empty where no cue fits.

    Of a changed criterion only cues count that its old wording did not have.
    """
    found = set[str]()
    was, now = " ".join(difference.was), " ".join(difference.now)
    if not difference.now:
        return ("redundancy removed",)
    if len(difference.now) > 1 and difference.was:
        found.add("splitting")
    if difference.weights is not None:
        found.add("weights and granularity")
    if was != now:
        found |= {name for name, cue in _SAID.items() if cue.search(now) and not cue.search(was)}
        is_rewritten = len(difference.was) == len(difference.now) == 1
        if is_rewritten and len(_DETAIL.findall(now)) > len(_DETAIL.findall(was)):
            found.add("vague to specific")
        if is_rewritten and not found and content_words(was) < content_words(now):
            found.add("vague to specific")
    order = (*_SAID, "splitting", "weights and granularity", "vague to specific")
    return tuple(name for name in order if name in found)


def group_of(criterion: str) -> str | None:
    """The group of a criterion; None where no cue fits."""
    return next((name for name, cue in _GROUP_CUES if cue.search(criterion)), None)
