"""The grader and the judge of the world: they read the texts, and err by the dials."""

from __future__ import annotations

import msgspec

from rubricate.domain.identity import chance_of
from rubricate.world.criteria import claim_of
from rubricate.world.dials import GraderDials, JudgeDials
from rubricate.world.questions import Question
from rubricate.world.reading import Reading, read
from rubricate.world.topics import Topic

_LONG = 300


class WorldGrader:
    """One model that gives verdicts. A verdict is fixed by seed, model, response and criterion, whatever else
    is asked in the same call."""

    def __init__(self, dials: GraderDials, seed: int, model: str):
        self._dials, self._seed, self._model = dials, seed, model

    def grade(self, question: Question) -> str:
        """The reply to a grading question, in the form that it asks for."""
        reading = read(question.responses[0])
        verdicts = {id: "met" if self.is_met(reading, text) else "unmet" for id, text in question.criteria}
        return msgspec.json.encode(verdicts).decode()

    def is_met(self, reading: Reading, criterion: str) -> bool:
        """The verdict on one criterion."""
        dials, about = self._dials, (self._seed, self._model, reading.key)
        if reading.flatters and dials.gullibility and chance_of(*about, "gullible") < dials.gullibility:
            return True
        if claim_of(criterion).holds(reading):
            said_met = dials.sensitivity
        else:
            said_met = 1 - dials.specificity + dials.length_bias * reading.n_words / _LONG
        if said_met in (0.0, 1.0):
            return said_met == 1
        is_shared = dials.correlated and chance_of(*about, criterion, "shared") < dials.correlated
        return chance_of(*about, *([] if is_shared else [criterion])) < said_met


class WorldJudge:
    """One model that compares. Without position bias both orders of a pair get the same winner."""

    def __init__(self, dials: JudgeDials, seed: int, model: str):
        self._dials, self._seed, self._model = dials, seed, model

    def compare(self, topic: Topic | None, question: Question) -> str:
        """The reply to a question for the better one of two."""
        return msgspec.json.encode({"better": 1 if self._is_first(topic, question) else 2}).decode()

    def _is_first(self, topic: Topic | None, question: Question) -> bool:
        first, second = (read(text) for text in question.responses)
        pair = sorted((first.key, second.key))

        def coin(what: str) -> float:
            return chance_of(self._seed, self._model, *pair, what)

        if coin("position") < self._dials.position_bias:
            return True
        if first.n_words != second.n_words and coin("length") < self._dials.length_bias:
            return first.n_words > second.n_words
        golds = [topic.gold(text) if topic else 0.0 for text in question.responses]
        if golds[0] == golds[1]:
            return (coin("equal") < 0.5) == (first.key == pair[0])
        return (golds[0] > golds[1]) == (coin("accuracy") < self._dials.accuracy)
