"""Laws of the summary: counted by hand on four prompts, one pass, bounded lists, same bytes."""

import tracemalloc
from collections.abc import Iterator

import msgspec
import pytest

from rubricate.domain.conversation import SetAside
from rubricate.domain.intervals import rate
from rubricate.domain.record import PromptRecord, Round, Spend, Standing
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.runs.summary import (
    DISTINCT_REASONS,
    LISTED,
    REASONS,
    FailedPrompt,
    Reason,
    Summary,
    summarize,
    summary_json,
)


def a_rubric(size: int, version: int = 0) -> Rubric:
    return Rubric(tuple(Criterion(f"c{n}", f"statement {n} of {size}") for n in range(size)), version)


def a_record(
    id: str = "p", state: str = "kept", why: str = "nothing to gain", **fields: object
) -> PromptRecord:
    return PromptRecord(key=id, id=id, prompt=id, state=state, why=why, **fields)  # type: ignore[arg-type]


def a_round(number, before, decision, proposed=None, ties=(None, None)) -> Round:
    return Round(
        number, before.key, (), ("a", "b"), decision, "so", proposed,
        tie_share_before=ties[0], tie_share_after=ties[1],
    )  # fmt: skip


TWO, THREE, FIVE = a_rubric(2), a_rubric(3, 1), a_rubric(5, 2)

REFINED = a_record(
    "p1",
    "refined",
    "all rounds were played",
    initial=TWO,
    rubric=FIVE,
    rounds=(
        a_round(1, TWO, "accepted", THREE, (1.0, 0.5)),
        a_round(2, THREE, "refused", a_rubric(9), (0.5, 0.9)),
        a_round(3, THREE, "accepted", FIVE, (0.5, 0.25)),
    ),
    standings=(Standing("a", 1.0, 1.0, "++++?"), Standing("b", None, 0.4, "+-???")),
    tie_share_before=1.0,
    tie_share_after=0.25,
    spend={"propose": Spend(1, 10, 20, 5, 0.1), "grade": Spend(4, 100, 40, 0, 0.3, 20, 6, 2, 4, 1)},
)
KEPT = a_record(
    "p2",
    initial=TWO,
    rubric=TWO,
    rounds=(a_round(1, TWO, "failed", None, (0.5, None)),),
    standings=(Standing("a", 0.5, 1.0, "+-"),),
    tie_share_before=0.5,
    tie_share_after=0.5,
    spend={"grade": Spend(2, 50, 20, 0, 0.2, 3, 1, 0, 0, 0)},
    set_aside=(SetAside("p2", "response 3", "empty"), SetAside("p2", "response 4", "empty")),
)
FAILED = a_record("p3", "failed", "no rubric could be read", spend={"propose": Spend(3, 30, 60, 0, None)})
UNMEASURED = a_record("p4", "kept", "one response", initial=THREE, rubric=THREE, tie_share_before=0.5)


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarize([REFINED, KEPT, FAILED, UNMEASURED])


def test_every_prompt_is_in_exactly_one_state(summary):
    """The states add up, those without prompts are there too, and each has its reasons."""
    assert summary.prompts == 4
    assert summary.by_state == {"refined": 1, "kept": 2, "failed": 1}
    assert summary.refined_share == rate(1, 4)
    assert summary.reasons["kept"].common == (Reason("nothing to gain", 1), Reason("one response", 1))
    assert summary.reasons["kept"].others == 0
    assert summary.failed == (FailedPrompt("p3", "no rubric could be read"),)
    assert summary.failed_not_listed == 0


def test_before_and_after_are_over_the_same_prompts(summary):
    """A prompt with one of the two numbers counts for neither; a prompt without a rubric has no criteria."""
    assert (summary.criteria.before.value, summary.criteria.before.n) == (7 / 3, 3)
    assert (summary.criteria.after.value, summary.criteria.after.n) == (10 / 3, 3)
    assert summary.criteria.change.value == 1
    assert (summary.tie_share.before.value, summary.tie_share.before.n) == (0.75, 2)
    assert (summary.tie_share.after.value, summary.tie_share.change.value) == (0.375, -0.375)


def test_a_round_compares_the_rubrics_in_force(summary):
    """A refused or failed proposal leaves size and tie share as they were: its own do not count."""
    first, second, third = summary.rounds
    assert (first.number, first.prompts, first.accepted, first.refused, first.failed) == (1, 2, 1, 0, 1)
    assert first.accepted_share == rate(1, 2)
    assert (first.criteria.before.value, first.criteria.after.value) == (2, 2.5)
    assert (first.tie_share.before.value, first.tie_share.after.value) == (0.75, 0.5)
    assert (second.prompts, second.refused) == (1, 1)
    assert (second.criteria.before.value, second.criteria.after.value) == (3, 3)
    assert (second.tie_share.before.value, second.tie_share.after.value) == (0.5, 0.5)
    assert (third.criteria.before.value, third.criteria.after.value) == (3, 5)


def test_a_round_whose_ties_were_not_measured_says_nothing_of_them():
    """Accepted unseen: the tie share of the round is None, not the old one."""
    unseen = a_record("p", "refined", initial=TWO, rubric=THREE, rounds=(a_round(1, TWO, "accepted", THREE),))
    assert summarize([unseen]).rounds[0].tie_share is None


def test_unjudged_is_counted_over_the_final_standings(summary):
    """4 of 12 marks, clustered by prompt; a response below the floor is counted apart."""
    assert (summary.unjudged.value, summary.unjudged.n) == (4 / 12, 12)
    assert (summary.responses_graded, summary.responses_without_score) == (3, 1)


def test_spend_adds_up_by_step(summary):
    """Calls, tokens and verdicts by step and in total; one unknown price makes its sums unknown."""
    assert list(summary.spend) == ["grade", "propose"]
    assert summary.spend["grade"] == Spend(6, 150, 60, 0, 0.5, 23, 7, 2, 4, 1)
    assert summary.spend["propose"] == Spend(4, 40, 80, 5, None)
    assert summary.total == Spend(10, 190, 140, 5, None, 23, 7, 2, 4, 1)


def test_a_step_without_calls_has_no_price_to_know():
    """Everything reused or decided by a program costs nothing, whatever the price table knows."""
    free = a_record(spend={"grade": Spend(verdicts_reused=4), "propose": Spend(1, cost_usd=0.25)})
    assert summarize([free]).total.cost_usd == 0.25


def test_what_was_set_aside_is_counted_and_listed(summary):
    """By reason, and one by one."""
    assert summary.set_aside_total == 2 and summary.set_aside_not_listed == 0
    assert summary.set_aside_reasons.common == (Reason("empty", 2),)
    assert [thing.what for thing in summary.set_aside] == ["response 3", "response 4"]


def test_lists_are_capped_and_the_rest_is_counted():
    """Past the caps nothing is lost from the counts."""
    aside = (SetAside("p", "response 1", "empty"),)
    many = LISTED + 30
    summary = summarize(a_record(f"p{n}", "failed", f"why {n}", set_aside=aside) for n in range(many))
    assert len(summary.failed) == LISTED and summary.failed_not_listed == 30
    assert summary.failed[0] == FailedPrompt("p0", "why 0")
    assert len(summary.set_aside) == LISTED and summary.set_aside_not_listed == 30
    assert len(summary.reasons["failed"].common) == REASONS
    assert summary.reasons["failed"].others == many - REASONS


def test_reasons_beyond_those_told_apart_are_still_counted():
    """A thousand and five different reasons: five are others, and none is forgotten."""
    records = (a_record(f"p{n}", "kept", f"why {n}") for n in range(DISTINCT_REASONS + 5))
    assert summarize(records).reasons["kept"].others == DISTINCT_REASONS + 5 - REASONS


def test_one_pass_and_a_few_numbers_a_prompt():
    """An iterator that can be read once is enough, and 5,000 more prompts take less than 1 MB more."""

    def run(prompts: int) -> Iterator[PromptRecord]:
        return (msgspec.structs.replace(REFINED, id=f"p{n}", key=f"p{n}") for n in range(prompts))

    def peak(prompts: int) -> int:
        tracemalloc.start()
        assert summarize(run(prompts)).prompts == prompts
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    assert peak(6_000) - peak(1_000) < 1_000_000


def test_no_prompts_are_no_numbers():
    """An empty run has counts of zero, and None where there is nothing to measure."""
    empty = summarize([])
    assert empty.prompts == 0 and empty.by_state == {"refined": 0, "kept": 0, "failed": 0}
    assert empty.refined_share is empty.criteria is empty.tie_share is empty.unjudged is None
    assert empty.total == Spend(cost_usd=0.0)


def test_the_same_run_gives_the_same_bytes(summary):
    """Indented JSON with a line end that reads back as it was; a session stands apart and alone."""
    text = summary_json(summary)
    assert text == summary_json(summarize([REFINED, KEPT, FAILED, UNMEASURED]))
    assert text.endswith(b"}\n") and b'\n  "prompts": 4,\n' in text
    assert msgspec.json.decode(text, type=Summary) == summary
    with_session = msgspec.structs.replace(summary, session={"seconds": 1.5, "paid_calls": 3})
    assert msgspec.json.decode(summary_json(with_session))["session"] == {"seconds": 1.5, "paid_calls": 3}
