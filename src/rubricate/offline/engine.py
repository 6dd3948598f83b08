"""The offline engine: a proposer and a grader that need no model, no key and no network.

Small, and says what it is: rules are decided by program, everything else by the words of criterion and
response. What that is worth on real data is measured by `benchmarks/offline_engine.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from rubricate.domain.checks import decide, is_decidable
from rubricate.domain.conversation import Prompt, Response
from rubricate.domain.judgement import Verdict, unjudged
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.offline.contrast import better_supported, points_of
from rubricate.offline.cues import (
    breadth,
    breadth_asked,
    breadth_of,
    cue_of,
    cues_for,
    is_creative,
    sentences_with,
)
from rubricate.offline.hostile import speaks_to_the_grader, without_such
from rubricate.offline.limits import Requirement
from rubricate.offline.requirements import requirements_of
from rubricate.offline.verbs import DOES
from rubricate.offline.words import Passage, criterion_terms, overlap, sentences_of

_ENOUGH = 0.6
_STEEPNESS = 6.0
_NUMBER_MISSING = 0.15
_BREADTH_STEP = 5
_EVIDENCE = 300
_MOST_CRITERIA = 10
_MOST_AFTER_REFINING = 14
_NEW_PER_ROUND = 3
_TASK = re.compile(rf"(?:The (?:response|answer) )?(?:{'|'.join(sorted(DOES))})\b(?! that\b)", re.IGNORECASE)
_NEGATED = re.compile(
    r"(?:the (?:response|answer|text|summary) )?(?:is )?(?:does not|doesn't|do not|don't|avoids?|never|must "
    r"not|should not|"
    r"contains no|has no|makes no|gives no|refrains from|free (?:of|from))\b",
    re.IGNORECASE,
)


class OfflineGrader:
    """Gives verdicts by program and by words.

    What `domain/checks.py` claims is decided there (`by` is "check"). Known surface qualities are decided by
    their cues, and other criteria by the share of their words that a stretch of neighbouring sentences has
    (`by` is "offline", with that sentence as evidence): met from 0.6 on, less 0.15 when a number of the
    criterion is nowhere in the response. `probability` is a smooth function of the same share, not a
    calibrated one. Unjudged are criteria without content words ("Is clear and well organised"), and
    criteria of absence once the words are there: words alone cannot tell "do not give aspirin" from "give
    aspirin".
    """

    name = "offline-words/1"

    async def grade(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict, ...]:
        """One verdict per criterion, in order. Sentences that speak to the grader are not read."""
        passage = Passage(without_such(sentences_of(response.text), prompt.text))
        return tuple(self._verdict(prompt, response, passage, criterion.text) for criterion in criteria)

    async def known(
        self, prompt: Prompt, response: Response, criteria: Sequence[Criterion]
    ) -> tuple[Verdict | None, ...]:
        """All of them: no model is asked, so that a run always has every score."""
        return await self.grade(prompt, response, criteria)

    def _verdict(self, prompt: Prompt, response: Response, passage: Passage, text: str) -> Verdict:
        if is_decidable(text):
            decided = decide(text, prompt.text, response.text)
            if decided is None:
                return unjudged("a program cannot tell from this response", by="check")
            return Verdict("met" if decided else "unmet", by="check")
        cue = cue_of(text)
        if cue is not None:
            marked = sentences_with(cue, passage.sentences)
            evidence = marked[0][:_EVIDENCE] if marked else None
            return Verdict("met" if len(marked) >= cue.wanted else "unmet", by="offline", evidence=evidence)
        asked = breadth_asked(text)
        if asked is not None:
            reached = breadth_of(passage.sentences, prompt.text) >= asked
            return Verdict("met" if reached else "unmet", by="offline")
        return self._by_words(passage, text)

    def _by_words(self, passage: Passage, text: str) -> Verdict:
        wanted = criterion_terms(text)
        if not wanted:
            return unjudged("names nothing whose words could be looked for", by="offline")
        is_task = _TASK.match(text)
        support = passage.uptake(wanted) if is_task else passage.support(wanted)
        share = support.score - (0.0 if support.numbers_agree else _NUMBER_MISSING)
        probability = 1 / (1 + math.exp(-_STEEPNESS * (share - _ENOUGH)))
        evidence = support.sentence[:_EVIDENCE] or None
        if _NEGATED.match(text):
            if share >= _ENOUGH:
                return unjudged("its words are there, but words cannot tell a denial", by="offline")
            return Verdict("met", by="offline", probability=round(1 - probability, 4))
        is_met = share >= _ENOUGH
        return Verdict(
            "met" if is_met else "unmet", by="offline", probability=round(probability, 4), evidence=evidence
        )


class OfflineProposer:
    """Writes rubrics from what the prompt asks for, and refines them by what the better answer adds.

    `seed` enters the name only through what it changes: nothing is drawn here but ties.
    """

    def __init__(self, seed: int = 0):
        self.seed = seed

    @property
    def name(self) -> str:
        """Who writes: the engine, its version and the seed."""
        return f"offline-words/1 seed {self.seed}"

    async def propose(self, prompt: Prompt) -> Rubric:
        """The prompt's own requirements as criteria, then qualities that suit the kind of request."""
        text = prompt.messages[-1].content if prompt.messages else ""
        asked = requirements_of(text)
        if not asked and criterion_terms(text):
            asked = [Requirement(f"Addresses the request: {_clip(text)}", "principle", 2)]
        if not asked:
            asked = [Requirement("The response contains at least 1 sentence.", "principle", 1)]
        fitting = [Requirement(cue.text, "principle", 1) for cue in cues_for(text)]
        chosen = [*asked[: _MOST_CRITERIA - len(fitting)], *fitting]
        return Rubric(
            tuple(
                Criterion(f"c{place}", requirement.text, requirement.weight, requirement.kind)
                for place, requirement in enumerate(chosen, 1)
            )
        )

    async def refine(self, prompt: Prompt, rubric: Rubric, pair: tuple[Response, Response]) -> Rubric:
        """The rubric with up to three criteria that only the better of the pair is meant to meet.

        Better is the one that keeps more of the rules, else the better supported one. New are a breadth
        between the two, and points that only the better one makes. The rubric itself when the two say the
        same or no point stands on its own. The order of the pair does not matter.
        """
        first, second = sorted(response.text for response in pair)
        better = _by_rules(rubric, prompt.text, first, second)
        if better is None:
            better = better_supported(first, second, prompt.text)
        room = min(_NEW_PER_ROUND, _MOST_AFTER_REFINING - len(rubric.criteria))
        if better is None or room <= 0:
            return rubric
        winner, loser = (first, second) if better == 0 else (second, first)
        known = [criterion.text for criterion in rubric.criteria]
        broader = [] if _limits_length(rubric) else _breadth_between(loser, winner, prompt.text)
        new = [(text, 2.0) for text in broader if text not in known]
        new += [(text, 1.0) for text in _new_points(winner, loser, prompt.text, known)]
        added = [
            Criterion(id, text, weight)
            for id, (text, weight) in zip(_free_ids(rubric), new[:room], strict=False)
        ]
        return Rubric((*rubric.criteria, *added), rubric.version, rubric.lineage) if added else rubric


def _by_rules(rubric: Rubric, prompt: str, first: str, second: str) -> int | None:
    """Which text keeps more of the rules that a program decides: 0, 1, or None when they keep as much."""
    kept = [
        sum(
            rule.weight for rule in rubric.criteria if rule.kind == "rule" and decide(rule.text, prompt, text)
        )
        for text in (first, second)
    ]
    return None if kept[0] == kept[1] else int(kept[1] > kept[0])


def _breadth_between(less: str, more: str, prompt: str) -> list[str]:
    """The criterion of a breadth, in a round number, that the second text reaches and the first does not."""
    sides = [without_such(sentences_of(text), prompt) for text in (less, more)]
    low, high = (breadth_of(side, prompt) for side in sides)
    number = math.ceil((low + high) / 2 / _BREADTH_STEP) * _BREADTH_STEP
    return [breadth(number)] if low < number <= high else []


def _limits_length(rubric: Rubric) -> bool:
    return any(
        re.search(r"contains (?:at most|exactly|between) .*(?:words|sentences|characters|lines)", c.text)
        for c in rubric.criteria
    )


def _new_points(winner: str, loser: str, prompt: str, known: list[str]) -> list[str]:
    """Points of the winner that the rubric does not already make; none where things are invented."""
    if is_creative(prompt):
        return []
    return [
        point.text
        for point in points_of(winner, loser, prompt, most=2 * _NEW_PER_ROUND)
        if not speaks_to_the_grader(point.text) and all(overlap(point.text, text) < 0.8 for text in known)
    ]


def _free_ids(rubric: Rubric) -> Iterator[str]:
    taken = {criterion.id for criterion in rubric.criteria}
    return (f"c{place}" for place in range(1, 10**6) if f"c{place}" not in taken)


def _clip(text: str, most: int = 200) -> str:
    text = " ".join(text[: 4 * most].split())
    return text if len(text) <= most else text[: most - 1].rsplit(" ", 1)[0] + "…"
