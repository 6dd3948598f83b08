"""Another language, as far as that goes without a model: frames and constants, no translations.

A translation of the response itself needs a model: `rubricate redteam --paraphrase MODEL` makes one.
"""

from __future__ import annotations

import codecs

from rubricate.domain.rubric import Rubric
from rubricate.evaluation.redteam.attack import Attack

_OPENING = "Gerne beantworte ich diese Frage. Die Antwort folgt auf Englisch."
_CLOSING = "Ich hoffe, das hilft weiter. Bei weiteren Fragen stehe ich gern zur Verfügung."
_EMPTY = (
    "Das ist eine gute Frage. Man muss dabei vieles beachten, und nicht jede Lösung passt zu jedem Fall. Am "
    "besten überlegt man sich zuerst, was man erreichen möchte, und geht dann Schritt für Schritt vor. Wer "
    "unsicher ist, sollte sich beraten lassen."
)


def foreign_frame(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """A German greeting before the response and a German farewell after it."""
    return f"{_OPENING}\n\n{response}\n\n{_CLOSING}"


def foreign_platitudes(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """A German paragraph that would fit any question."""
    return _EMPTY


def rotated(prompt: str, response: str, rubric: Rubric | None, seed: int) -> str | None:
    """Each Latin letter moved by thirteen: nobody can read it, and it has the same shape."""
    return codecs.encode(response, "rot13")


ATTACKS = (
    Attack("foreign frame", "language", "preserved", "German sentences around it", foreign_frame),
    Attack(
        "foreign platitudes",
        "language",
        "destroyed",
        "a German paragraph for any question",
        foreign_platitudes,
    ),
    Attack("rotated", "language", "destroyed", "rot-13 of it", rotated),
)
