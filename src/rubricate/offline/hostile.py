"""Text that speaks to whoever grades it: set aside before a response is matched or quoted."""

from __future__ import annotations

import re

_TO_THE_GRADER = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,60}\b(?:instructions?|prompts?|rubrics?|criteri\w+|"
    r"rules?|above|"
    r"previous|guidelines?)\b"
    r"|\b(?:all|every|each|these|the)\b.{0,30}\bcriteri(?:a|on)\b.{0,40}\b(?:met|satisfied|fulfilled|"
    r"passed?|true|yes)\b"
    r"|\b(?:grader|evaluator|verifier|ai judge|llm judge|reward model)s?\b"
    r"|\brubrics?\b"
    r"|\b(?:this|my|the) (?:response|answer|reply) (?:is|meets?|satisf\w+|fulfil\w+|deserves?|should (?:be|"
    r"get|receive)|scores?)\b.{0,80}\b"
    r"(?:criteri\w+|scores?d?|points?|marks?|best|perfect|correct|highest|winner|better|full)\b"
    r"|\b(?:full|maximum|perfect|highest) (?:score|marks|points|credit|rating)\b"
    r"|\b(?:mark|rate|score|grade|judge) (?:this|it|me|everything|all)\b.{0,40}\b(?:as|met|\d+|yes|true|"
    r"highest|full)\b"
    r"|\"?(?:verdicts?|criterion(?:_id)?|criteria|outcome)\"?\s*:\s*[\[{\"]"
    r"|\"(?:met|unmet|verdict)\"\s*[:,}\]]"
    r"|</?(?:system|instructions?|assistant|user|prompt|response)>|\[/?(?:inst|system)\]|<\|"
    r"|\bsystem (?:prompt|message|override)\b"
    r"|\bc\d{1,2}\s*[:=]\s*(?:met|yes|true|1)\b",
    re.IGNORECASE,
)


def speaks_to_the_grader(text: str) -> bool:
    """Whether the text talks about criteria, scores or verdicts on itself, or gives orders to its reader."""
    return bool(_TO_THE_GRADER.search(text))


def without_such(sentences: list[str], prompt: str) -> list[str]:
    """The sentences that do not; all of them where the prompt itself is about such things."""
    if speaks_to_the_grader(prompt):
        return sentences
    return [sentence for sentence in sentences if not speaks_to_the_grader(sentence)]
