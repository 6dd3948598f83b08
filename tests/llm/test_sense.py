"""Whether a model makes sense at all."""

from __future__ import annotations

import pytest

from rubricate.errors import RunStopped
from rubricate.llm.sense import Sense


def test_a_model_that_never_makes_sense_stops_the_run() -> None:
    """At the limit, with one line that names it and quotes the last problem, and at every further reply."""
    paid = 0
    sense = Sense("verifier m", lambda: paid, limit=5)
    for number in range(7):
        paid += 1
        if number < 4:
            sense.hear("no JSON")
        else:
            with pytest.raises(
                RunStopped, match=r"verifier m: \d replies in a row could not be read.*no JSON"
            ) as told:
                sense.hear("no JSON")
            assert "\n" not in str(told.value)


def test_one_readable_reply_begins_the_count_anew() -> None:
    """A model that stutters is not one that makes no sense."""
    paid = 0
    sense = Sense("m", lambda: paid, limit=5)
    for number in range(100):
        paid += 1
        sense.hear(None if number % 5 == 4 else "empty")


def test_remembered_replies_do_not_stop_a_run() -> None:
    """A run that was stopped so and is resumed replays them for free, and asks the mended model; if it is not
    mended, as many calls later it stops again."""
    paid = 0
    sense = Sense("m", lambda: paid, limit=5)
    for _ in range(50):
        sense.hear("empty")
    for _ in range(4):
        paid += 1
        sense.hear("empty")
    paid += 1
    with pytest.raises(RunStopped):
        sense.hear("empty")
