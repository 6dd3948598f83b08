"""Models that answer: they show what they know of a subject in sentences, between filler and manners."""

from __future__ import annotations

import math
import re
from statistics import NormalDist

from rubricate.domain.identity import chance_of, key_of
from rubricate.world.dials import ResponderDials
from rubricate.world.topics import Facet, Tier, Topic
from rubricate.world.vocabulary import ADVICE, FILLER, FLATTERY, PASSING, STYLES

ABILITY = {"weak": 0.2, "fair": 0.4, "good": 0.6, "great": 0.85}
_DIFFICULTY: dict[Tier, float] = {"common": 0.2, "telling": 0.5, "rare": 0.85}
_IDLE = 0.3
_IN_PASSING = 0.4
_STYLE = 0.3


def ability_of(model: str) -> float:
    """Ability of a model in [0, 1]: by a word in its name (`weak`, `fair`, `good`, `great`: `great-3` and
    `great-4` are two models of one ability); any other name stands for an ability between fair and great."""
    words = re.findall(r"[a-z]+", model.lower())
    named = next((ABILITY[word] for word in words if word in ABILITY), None)
    return 0.4 + 0.45 * chance_of(0, "ability", model) if named is None else named


def chance_of_showing(tier: Tier, ability: float, steepness: float) -> float:
    """Chance that an answer shows a facet of this tier.

    Good advice has a difficulty, and its chance is logistic in ability less difficulty. Idle advice comes at
    any ability, bad advice from the weaker ones.
    Source: the two-parameter logistic model of item response theory (Birnbaum 1968, in Lord and Novick,
    Statistical Theories of Mental Test Scores, chapter 17); the difficulties are ours.
    """
    if tier == "idle":
        return _IDLE
    if tier == "pitfall":
        return 0.4 - 0.35 * ability
    return 1 / (1 + math.exp(-steepness * (ability - _DIFFICULTY[tier])))


def respond(dials: ResponderDials, seed: int, topic: Topic, prompt_text: str, model: str, draw: int) -> str:
    """Draw number `draw` of a model's answers to a prompt. A few hundred words at most."""
    about = (seed, model, prompt_text)
    strays = NormalDist(0, 1).inv_cdf(min(max(chance_of(*about, draw, "effort"), 1e-9), 1 - 1e-9))
    ability = min(1.0, max(0.0, ability_of(model) + dials.spread * strays))

    def coin(*parts: object) -> float:
        return chance_of(*about, draw, *parts)

    def one_of(options: tuple[str, ...], *parts: object) -> str:
        return options[int(coin(*parts) * len(options))]

    def shows(facet: Facet) -> bool:
        by_habit = chance_of(*about, facet.advice, "by habit") < dials.habit
        told = chance_of(*about, facet.advice, "habit") if by_habit else coin(facet.advice)
        return told < chance_of_showing(facet.tier, ability, dials.steepness)

    body = []
    for facet in topic.facets:
        if shows(facet):
            body.append(_told(one_of(ADVICE, facet.advice, "form"), facet))
        elif coin(facet.thing, "in passing") < _IN_PASSING:
            body.append(one_of(PASSING, facet.thing, "form").format(thing=facet.thing))
    n_filler = int((1 + 8 * chance_of(*about, "talkative")) * coin("filler"))
    body += sorted(FILLER, key=lambda text: key_of(*map(str, about), str(draw), text))[:n_filler]
    body.sort(key=lambda sentence: key_of("order", *map(str, about), str(draw), sentence))
    styles = {name: one_of(STYLES[name], name) for name in STYLES if coin(name, "style") < _STYLE}
    text = [styles.get("greeting"), *body, styles.get("caveat"), styles.get("summary")]
    text += [styles.get("invitation"), FLATTERY if coin("flattery") < dials.flattery else None]
    return " ".join(sentence for sentence in text if sentence) or FILLER[0]


def _told(form: str, facet: Facet) -> str:
    sentence = form.format(
        advice=facet.advice, Advice=facet.advice[0].upper() + facet.advice[1:], reason=facet.reason
    )
    return sentence[0].upper() + sentence[1:]
