"""Verdicts: not to judge is a value of its own, and says why."""

import msgspec
import pytest

from rubricate.domain.judgement import Verdict, unjudged
from tests.builders import marks, marks_of


def test_unjudged_says_why() -> None:
    """A criterion without a verdict has a reason, in code and in files."""
    assert unjudged("cut off", by="m") == Verdict("unjudged", by="m", reason="cut off")
    for nothing in (None, ""):
        with pytest.raises(ValueError, match="says why"):
            Verdict("unjudged", reason=nothing)
    with pytest.raises(msgspec.ValidationError, match="says why"):
        msgspec.json.decode(b'{"outcome": "unjudged"}', type=Verdict)


def test_only_three_outcomes_exist() -> None:
    """A file cannot bring a fourth."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"outcome": "partly"}', type=Verdict)


def test_unmet_is_judged_and_unjudged_is_not() -> None:
    """A poor response and a silent grader are told apart."""
    assert [verdict.is_judged for verdict in marks("+-?")] == [True, True, False]
    assert marks_of(marks("+-?")) == "+-?"
