"""Verbs that open an order or a piece of advice, and how they read in a criterion."""

from __future__ import annotations

_ORDERS = (
    "explain describe write give list provide create compose develop discuss compare contrast summarize "
    "summarise outline identify name suggest recommend propose tell show draft design generate make find "
    "calculate compute solve translate rewrite rephrase paraphrase edit improve correct fix analyze "
    "analyse evaluate classify decide determine choose select pick answer define state mention include "
    "imagine come think act pretend plan prepare build implement convert extract categorize argue justify "
    "prove derive estimate predict complete continue finish highlight teach add use avoid keep end start "
    "begin report organize organise invent brainstorm construct formulate clarify elaborate illustrate "
    "interpret rank review reply respond assume do help simulate produce craft return run"
)
_ADVICE = (
    "take call check ask put set turn remove wash clean open close place pour mix stir heat cook bake cut "
    "chop slice wait try go get bring send note record measure repeat stop start move drink eat sleep rest "
    "apply press hold read look watch test save store install run click enter type practice practise focus "
    "consider ensure remember let leave offer talk speak listen photograph document contact visit buy pay "
    "tell explain set choose limit replace cover combine season serve drain simmer boil fry roast preheat "
    "whisk fold knead sprinkle garnish transfer reduce increase allow refrigerate marinate soak rinse dry "
    "wear sit stand breathe schedule track break divide multiply subtract add monitor treat consult seek "
    "inform notify request plan prepare use avoid keep make give write find create build define import "
    "return pass"
)


def _third_person(verb: str) -> str:
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else "s")


THIRD_PERSON = {verb: _third_person(verb) for verb in _ORDERS.split()}
"""The verbs that open an order ("explain") and their third person ("explains")."""

_NO_TASKS = "does states mentions includes names identifies gives uses avoids adds"
DOES = frozenset({*THIRD_PERSON.values(), "addresses"}) - frozenset(_NO_TASKS.split())
"""Verbs of criteria about a whole task ("explains", "compares"), not about a point that is made somewhere."""

ADVICE = frozenset(_ADVICE.split()) | frozenset(THIRD_PERSON)
"""The verbs that open a piece of advice in an answer: "Take 5 ml", "Call the landlord"."""
