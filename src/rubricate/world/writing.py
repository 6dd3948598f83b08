"""The proposer of the world: a first rubric from what it knows, a better one from what it sees in a pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from rubricate.domain.identity import chance_of, key_of
from rubricate.world.criteria import Claim, claim_of, forms_of
from rubricate.world.dials import ProposerDials
from rubricate.world.foreign import foreign_claims, foreign_differences
from rubricate.world.questions import Listed, Question
from rubricate.world.reading import read
from rubricate.world.topics import Facet, Tier, Topic
from rubricate.world.vocabulary import STYLES

Coin = Callable[..., float]
_MOST = 60  # what the schema of the steps takes


class Writer:
    """One model that writes rubrics. What it writes is fixed by the seed, its name and the question."""

    def __init__(self, dials: ProposerDials, seed: int, model: str):
        self._dials, self._seed, self._model = dials, seed, model

    def propose(self, topic: Topic | None, question: Question) -> str:
        """The reply with a first rubric."""
        coin = self._coin("propose", question.prompt)
        if topic is None:
            found = [self._worded(claim, 2, coin) for claim in foreign_claims(self._seed, question.prompt)]
        else:
            found = list(self._known(topic, question.with_pitfalls, coin))
        found += self._fancied(sorted(STYLES), coin)
        return _reply(found if any(entry.kind != "pitfall" for entry in found) else [_LAST_RESORT, *found])

    def refine(self, topic: Topic | None, question: Question) -> str:
        """The reply with the whole new rubric: what is kept, sharpened, dropped, and what is new."""
        readings = [read(text) for text in question.responses]
        pair = sorted(reading.key for reading in readings)
        shown = [(listed.text, listed.weight, listed.kind) for listed in question.rubric]
        coin = self._coin("refine", question.prompt, pair, shown)
        new = list(self._differences(topic, question, coin))
        sharpened = {thing for entry in new for thing in read(entry.text).things}
        kept = []
        for listed in question.rubric:
            claim = claim_of(listed.text)
            if claim.about == "thing" and claim.what in sharpened:
                continue
            in_both = all(claim.holds(reading) for reading in readings) and listed.kind != "pitfall"
            if in_both and coin("drops", listed.text) < self._dials.drops:
                continue
            kept.append(self._kept(listed, claim, coin))
        fancied = self._fancied(sorted(readings[0].styles ^ readings[1].styles), coin)
        rubric = [*kept, *new, *fancied]
        return _reply(rubric if any(entry.kind != "pitfall" for entry in rubric) else list(question.rubric))

    def _known(self, topic: Topic, with_pitfalls: bool, coin: Coin) -> Iterator[Listed]:
        dials = self._dials
        idle = dials.knows_telling * (1 - dials.discerns)
        chances: dict[Tier, float] = {
            "common": dials.knows_common,
            "telling": dials.knows_telling,
            "rare": dials.knows_rare,
            "idle": idle,
            "pitfall": dials.knows_pitfall,
        }
        for facet in topic.facets:
            if coin("knows", facet.advice) >= chances[facet.tier]:
                continue
            if facet.weight < 0:
                yield self._warning(facet, with_pitfalls, coin)
            elif coin("precise", facet.advice) < dials.precise:
                yield self._worded(Claim("advice", facet.advice), max(1, facet.weight), coin)
            else:
                yield self._worded(Claim("thing", facet.thing), max(1, facet.weight), coin)

    def _differences(self, topic: Topic | None, question: Question, coin: Coin) -> Iterator[Listed]:
        """A criterion for each difference that is seen and thought to matter."""
        first, second = (read(text) for text in question.responses)
        claims = {claim_of(listed.text) for listed in question.rubric}
        covered = {claim.what for claim in claims if claim.about == "advice"}
        if topic is None:
            for claim in foreign_differences(self._seed, *question.responses):
                if claim not in claims and coin("notices", claim.what) < self._dials.notices:
                    yield self._worded(claim, 2, coin)
            return
        for advice in sorted(first.advice ^ second.advice):
            if coin("notices", advice) >= self._dials.notices:
                continue
            if advice in covered and coin("repeats", advice) >= self._dials.repeats:
                continue
            entry = self._valued(topic.facet(advice), advice, question.with_pitfalls, coin)
            if entry is not None and all(entry.text != listed.text for listed in question.rubric):
                yield entry

    def _valued(self, facet: Facet | None, advice: str, with_pitfalls: bool, coin: Coin) -> Listed | None:
        """What the writer thinks of a piece of advice; what it does not discern once, it never does."""
        worth = 0 if facet is None else facet.weight
        discerned = chance_of(self._seed, self._model, "discerns", advice) < self._dials.discerns
        if not discerned:
            return None if worth > 0 else self._worded(Claim("advice", advice), 2, coin)
        if worth == 0 or facet is None:
            return None
        if worth < 0:
            return self._warning(facet, with_pitfalls, coin)
        return self._worded(Claim("advice", advice), worth, coin)

    def _warning(self, facet: Facet, with_pitfalls: bool, coin: Coin) -> Listed:
        if with_pitfalls:
            worded = self._worded(Claim("advice", facet.advice), -facet.weight, coin)
            return Listed("pitfall", worded.weight, worded.text)
        return self._worded(Claim("advice", facet.advice, negated=True), -facet.weight, coin)

    def _kept(self, listed: Listed, claim: Claim, coin: Coin) -> Listed:
        if claim.about in ("style", "words") or coin("rewords", listed.text) >= self._dials.rewords:
            return listed
        return Listed(listed.kind, listed.weight, _one_of(forms_of(claim), coin("form", listed.text)))

    def _fancied(self, styles: Sequence[str], coin: Coin) -> list[Listed]:
        """A criterion on style, if the writer falls for one."""
        if not styles or coin("spurious") >= self._dials.spurious:
            return []
        claim = Claim("style", _one_of(tuple(styles), coin("style")))
        return [Listed("principle", 1, forms_of(claim)[0])]

    def _worded(self, claim: Claim, weight: int, coin: Coin) -> Listed:
        if coin("misweighs", claim.what) < self._dials.misweighs:
            weight = 1 + int(3 * coin("weight", claim.what))
        return Listed("principle", weight, _one_of(forms_of(claim), coin("form", claim.what)))

    def _coin(self, *about: object) -> Coin:
        digest = key_of("question", self._model, *about)
        return lambda *parts: chance_of(self._seed, digest, *parts)


_LAST_RESORT = Listed("principle", 1, "The response answers the question that was asked.")


def _one_of(options: tuple[str, ...], chance: float) -> str:
    return options[int(chance * len(options))]


def _reply(rubric: Sequence[Listed]) -> str:
    by_text = {entry.text: entry for entry in rubric}
    criteria = [
        {"criterion": entry.text, "weight": entry.weight, "kind": entry.kind}
        for entry in list(by_text.values())[:_MOST]
    ]
    return msgspec.json.encode({"criteria": criteria}).decode()
