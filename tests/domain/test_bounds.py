"""Bounds on scores: whom a choice hangs on, and that who is passed over could not have mattered.

A table of verdicts is drawn in full; of each response some verdicts are known from the start, and the rest is
uncovered only for those that the rule names. What comes out must be what the whole table gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.bounds import Reach, next_of, next_wave, reach_of, settled, tie_share_of_top
from rubricate.domain.conversation import Response
from rubricate.domain.judgement import Verdict
from rubricate.domain.rubric import Criterion, Rubric
from rubricate.domain.scoring import score, tie_share, top_of, top_tie_share
from rubricate.domain.selection import Policy, select
from rubricate.domain.top_ties import top_ties
from tests.builders import a_rubric, marks

SCORED: tuple[Policy, ...] = ("exclude_used", "top2", "contested")
WHOLE, BROKEN = (-3.0, -1.0, 1.0, 1.0, 2.0, 3.0), (-0.7, -0.1, 0.1, 0.3, 0.7, 1.1)


class Table(NamedTuple):
    """A rubric, and for each response all its verdicts and which of them are known from the start."""

    rubric: Rubric
    truth: dict[str, tuple[Verdict, ...]]
    is_known: dict[str, tuple[bool, ...]]
    floor: float

    def scores(self) -> dict[str, float | None]:
        """What full grading gives."""
        return {key: score(self.rubric, verdicts, self.floor) for key, verdicts in self.truth.items()}

    def reach(self, key: str, is_known: Sequence[bool]) -> Reach:
        """Where the score of a response can end, given that so much is known."""
        known = [verdict if seen else None for verdict, seen in zip(self.truth[key], is_known, strict=True)]
        return reach_of(self.rubric, known, self.floor)

    def reaches(self, asked: frozenset[str] = frozenset()) -> dict[str, Reach]:
        """Where all scores can end, once these were asked."""
        return {
            key: self.reach(key, [True] * len(self.truth[key]) if key in asked else self.is_known[key])
            for key in self.truth
        }

    def asked_for(self, policy: Policy) -> frozenset[str]:
        """Who is asked until the choice of the policy is certain, wave by wave."""
        asked: frozenset[str] = frozenset()
        while wave := next_wave(self.reaches(asked), policy):
            assert set(wave) & asked == set() and len(set(wave)) == len(wave)
            asked |= set(wave)
        return asked


def rubrics(weights: Sequence[float]) -> st.SearchStrategy[Rubric]:
    """Up to six criteria, at least one of them with a positive weight; some are decisive."""
    lists = st.lists(st.sampled_from(weights), min_size=1, max_size=6).filter(lambda ws: max(ws) > 0)
    decisive = st.sampled_from([(), (0,), (0, 2), (1,)])
    return st.builds(
        lambda ws, which: Rubric(
            tuple(
                Criterion(f"c{n}", f"says {n}", w, "pitfall" if w < 0 else "principle", n in which)
                for n, w in enumerate(ws)
            )
        ),
        lists,
        decisive,
    )


@st.composite
def tables(
    draw: st.DrawFn, least: int = 0, most: int = 9, alphabets: Sequence[str] = ("+-", "++++-", "++--?")
) -> Table:
    """Few criteria, so that ties abound; silent graders, pitfalls, floors; keys in any order."""
    rubric = draw(rubrics(draw(st.sampled_from([WHOLE, BROKEN]))))
    n = len(rubric.criteria)
    said = st.text(draw(st.sampled_from(alphabets)), min_size=n, max_size=n)
    keys = draw(st.permutations([f"k{place}" for place in range(draw(st.integers(least, most)))]))
    seen = st.tuples(*[st.booleans()] * n)
    blank = draw(st.booleans())
    truth = {key: marks(draw(said)) for key in keys}
    known = {
        key: (False,) * n
        if blank
        # What is unjudged is never known beforehand: it would be asked again.
        else tuple(
            is_seen and verdict.is_judged for is_seen, verdict in zip(draw(seen), truth[key], strict=True)
        )
        for key in keys
    }
    return Table(rubric, truth, known, draw(st.sampled_from([0.0, 0.5, 0.8, 1.0])))


def responses_of(table: Table) -> tuple[tuple[Response, ...], dict[str, str]]:
    """A response for each key of the table, and its real content key."""
    found = {key: Response(f"{key} says words", f"m{place % 3}") for place, key in enumerate(table.truth)}
    return tuple(found.values()), {key: response.key for key, response in found.items()}


@given(tables(), st.sampled_from(SCORED), st.data())
def test_the_choice_is_that_of_full_grading(table: Table, policy: Policy, data: st.DataObject) -> None:
    """For every policy that scores: the same pair in the same order, or none for the same reason, whatever
    was tried before, with ties, pitfalls, unjudged verdicts and floors."""
    pool, real = responses_of(table)
    renamed = Table(
        table.rubric,
        {real[key]: value for key, value in table.truth.items()},
        {real[key]: value for key, value in table.is_known.items()},
        table.floor,
    )
    pairs = [(one.key, other.key) for one in pool for other in pool if one.key < other.key]
    tried = data.draw(st.lists(st.sampled_from(pairs), max_size=3)) if pairs else []
    if policy == "exclude_used":
        tried = []
    asked = renamed.asked_for(policy)
    known = {key: reach.score for key, reach in renamed.reaches(asked).items()}
    full = renamed.scores()
    assert select(policy, pool, known, tried) == select(policy, pool, full, tried)
    for key, value in known.items():
        assert value in (None, full[key])


@given(tables(most=6), st.sampled_from(SCORED), st.data())
def test_who_is_passed_over_could_not_have_mattered(
    table: Table, policy: Policy, data: st.DataObject
) -> None:
    """Whatever the open verdicts of those who were not asked had been, the choice would be the same."""
    asked = table.asked_for(policy)
    others = sorted(set(table.truth) - asked)
    other_truth = dict(table.truth)
    for key in others:
        drawn = marks(data.draw(st.text("+-?", min_size=len(table.rubric.criteria), max_size=6)))
        other_truth[key] = tuple(
            verdict if seen else new
            for verdict, seen, new in zip(table.truth[key], table.is_known[key], drawn, strict=False)
        )

    def chosen(truth: dict[str, tuple[Verdict, ...]]) -> object:
        # The rule broke ties by the keys of the table, so they are compared on those.
        scores = {key: score(table.rubric, verdicts, table.floor) for key, verdicts in truth.items()}
        if policy == "contested":
            return [(key, scores[key]) for key in top_of(scores)[:8]]
        return [(key, scores[key]) for key in top_of(scores, 2)[:2]]

    assert chosen(other_truth) == chosen(table.truth)


@given(tables(most=5), st.sampled_from(SCORED))
def test_nobody_is_asked_for_nothing(table: Table, policy: Policy) -> None:
    """Who is named among the first of a wave can still change the choice: there are verdicts under which the
    choice with and without asking differs. Seen from the other side: its best case reaches the last place."""
    asked: frozenset[str] = frozenset()
    while wave := next_wave(reaches := table.reaches(asked), policy):
        first = wave[0]
        best = {key: reach.score for key, reach in reaches.items()} | {first: reaches[first].high}
        places = top_of(best, 2)[:2] if policy != "contested" else top_of(best)[:8]
        assert first in places
        asked |= set(wave)


@given(tables(), st.data())
def test_a_reach_holds_the_score_and_is_reached(table: Table, data: st.DataObject) -> None:
    """Every completion lies between the bounds, and both are had by one (exactly, for whole weights)."""
    for key in table.truth:
        reach = table.reach(key, table.is_known[key])
        value = table.scores()[key]
        if value is None:
            assert reach.may_lack
        else:
            assert reach.may_have and reach.low <= value <= reach.high
        if reach.is_settled:
            assert reach == settled(value)
        elif reach.may_have:
            for bound, is_good in ((reach.high, True), (reach.low, False)):
                filled = [
                    verdict if seen else marks("+" if (c.weight > 0) == is_good else "-")[0]
                    for verdict, seen, c in zip(
                        table.truth[key], table.is_known[key], table.rubric.criteria, strict=True
                    )
                ]
                assert score(table.rubric, filled, table.floor) == pytest.approx(bound, abs=1e-11)


def test_bounds_by_hand() -> None:
    """Weights 3, 2, 1 and a pitfall of -2. Known: the 3 is met. Best: 6 of 6. Worst: 3 - 2 of 6. Of 8 in all
    3 are judged, less than the floor, so it may lack a score; with the 2 judged too, 5 of 6 positive and 5 of
    8 are, and it still may; a floor of 0.6 holds."""
    rubric = a_rubric("3:a", "2:b", "1:c", "-2:d")
    met, unmet = marks("+-")
    reach = reach_of(rubric, [met, None, None, None])
    assert (reach.low, reach.high, reach.may_lack) == (1 / 6, 1.0, True)
    reach = reach_of(rubric, [met, unmet, None, None])
    assert (reach.low, reach.high, reach.may_lack) == (1 / 6, 4 / 6, True)
    assert not reach_of(rubric, [met, unmet, None, None], 0.6).may_lack
    assert reach_of(rubric, [None] * 4).is_blank
    silent = marks("?")[0]
    assert not reach_of(rubric, [silent, None, None, None]).may_have


def test_who_may_end_without_a_score_holds_up_no_threshold() -> None:
    """Two whose lowest score beats the third's highest do not push it out while they may have no score."""
    sure = {"a": Reach(0.9, 1.0, may_lack=True), "b": Reach(0.8, 0.9, may_lack=True), "c": settled(0.3)}
    assert next_of(sure, 2, 2) == ("a", "b")
    assert next_of({**sure, "a": settled(None), "b": settled(0.9)}, 2, 2) == ()
    assert next_of({**sure, "a": settled(1.0)}, 2, 2) == ("b",)


def test_ties_are_settled_by_key() -> None:
    """With two known at 0.5, an upper bound of 0.5 matters for the first key and for no later one."""
    known = {"b": settled(0.5), "c": settled(0.5)}
    tied = Reach(0.0, 0.5, may_lack=True)
    assert next_of({**known, "a": tied}, 2, 2) == ("a",)
    assert next_of({**known, "d": tied}, 2, 2) == ()
    assert next_of({**known, "d": tied}) == ("d",)  # it may tie with the last of the top
    four = {key: settled(value) for key, value in zip("abcd", [0.9, 0.8, 0.7, 0.5], strict=True)}
    assert next_of({**four, "e": tied}) == ("e",)
    assert next_of({**four, "e": Reach(0.0, 0.49, may_lack=True)}) == ()
    assert next_of({**four, "e": tied}, most=4) == ()


def test_of_whom_nothing_is_known_a_quarter_is_asked_at_a_time() -> None:
    """At least four at a time, by key; with two at the greatest score, no later key is asked any more."""
    blank = Reach(0.0, 1.0, may_lack=True, is_blank=True)
    assert next_wave({f"k{n:02}": blank for n in range(16)}, "top2") == ("k00", "k01", "k02", "k03")
    assert len(next_wave({f"k{n:02}": blank for n in range(32)}, "top2")) == 8
    assert len(next_wave({f"k{n:02}": blank for n in range(3)}, "top2")) == 3
    known = {"k00": settled(1.0), "k03": settled(1.0)}
    assert next_wave({f"k{n:02}": blank for n in range(16)} | known, "top2") == ("k01", "k02", "k04", "k05")
    known = {"k00": settled(1.0), "k01": settled(1.0)}
    assert next_wave({f"k{n:02}": blank for n in range(16)} | known, "top2") == ()
    assert next_wave({f"k{n}": blank for n in range(16)}, "first_two") == ()


@given(tables())
def test_a_tie_share_of_the_top_is_the_true_one_or_none(table: Table) -> None:
    """What is told of the top without all scores is what all scores tell; with all, it is always told."""
    full = table.scores()
    for asked in (frozenset[str](), table.asked_for("top2"), table.asked_for("contested")):
        assert tie_share_of_top(table.reaches(asked)) in (None, top_tie_share(full))
    assert tie_share_of_top({key: settled(value) for key, value in full.items()}) == top_tie_share(full)


def drawn_table(chance: Random, keys: Sequence[str], floor: float) -> Table:
    """A small table by a seed: silence is rare, so that most tops are tied in part."""
    weights = [chance.choice([1.0, 1.0, 1.0, 2.0, 3.0, -1.0]) for _ in range(chance.randint(0, 4))] + [1.0]
    rubric = a_rubric(*(f"{weight}:says {n}" for n, weight in enumerate(weights)))
    alphabet = chance.choice(["+-", "+++-", "+++++-?", "++-?"])
    truth = {key: marks("".join(chance.choice(alphabet) for _ in weights)) for key in keys}
    share = chance.choice([0.0, 0.3, 0.5, 0.8])
    known = {
        key: tuple(verdict.is_judged and chance.random() < share for verdict in verdicts)
        for key, verdicts in truth.items()
    }
    return Table(rubric, truth, known, floor)


@given(st.integers(0, 10**9))
def test_the_gate_decides_as_on_full_grading(seed: int) -> None:
    """No more ties of the old top, or more of them: as from all scores, with the same shares where they are
    told, and always told where it is refused. 120 pairs of tables a seed: what breaks a careless bound
    (who may lack a score, who may not be in the top) is rare."""
    chance = Random(seed)
    for _ in range(120):
        keys = [f"k{place}" for place in range(chance.randint(2, 9))]
        chance.shuffle(keys)
        floor = chance.choice([0.0, 0.5, 0.8])
        old, new = drawn_table(chance, keys, floor), drawn_table(chance, keys, floor)
        before, after = old.scores(), new.scores()
        scored = [key for key in top_of(before)[:8] if after[key] is not None]
        pairs = [(one, other) for one, other in combinations(scored, 2) if after[one] != after[other]]
        if not pairs:
            continue
        pair = chance.choice(pairs)
        asked_old = frozenset(keys if chance.random() < 0.3 else old.asked_for("top2") | set(pair))
        asked_new = frozenset(pair)
        while (found := top_ties(old.reaches(asked_old), new.reaches(asked_new))).to_ask:
            assert not found.no_more
            assert set(found.to_ask) - (asked_old & asked_new), "who is named has something left to ask"
            asked_old, asked_new = asked_old | set(found.to_ask), asked_new | set(found.to_ask)
        counted = [key for key in top_of(before) if after[key] is not None]
        share_before = tie_share(before[key] for key in counted)
        share_after = tie_share(after[key] for key in counted)
        assert share_before is not None and share_after is not None
        assert found.no_more == (share_after <= share_before)
        assert found.share_before in (None, share_before) and found.share_after in (None, share_after)
        if not found.no_more:
            assert (found.share_before, found.share_after) == (share_before, share_after)


def test_a_top_that_was_tied_throughout_needs_nobody_else() -> None:
    """Four at 1.0 and the pair told apart: whatever the others do, it ties no more."""
    before = {key: settled(1.0) for key in "abcd"} | {"e": Reach(0.0, 1.0, may_lack=True)}
    open_ = Reach(0.5, 1.0, may_lack=False)
    after = {
        "a": settled(1.0),
        "b": settled(0.9),
        "c": open_,
        "d": open_,
        "e": Reach(0.0, 1.0, may_lack=True),
    }
    found = top_ties(before, after)
    assert found.no_more and found.to_ask == () and found.share_after is None


def test_a_top_without_ties_needs_the_rest_of_it_alone() -> None:
    """Nothing was tied, so nothing may be: the third and the fourth are asked, the fifth never."""
    before = {key: settled(value) for key, value in zip("abcde", [0.9, 0.8, 0.7, 0.6, 0.5], strict=True)}
    open_ = Reach(0.5, 0.95, may_lack=False)
    after = {"a": settled(1.0), "b": settled(0.9), "c": open_, "d": open_, "e": open_}
    assert top_ties(before, after).to_ask == ("c", "d")
    apart = {**after, "c": Reach(0.5, 0.6, may_lack=False), "d": Reach(0.7, 0.8, may_lack=False)}
    assert top_ties(before, apart).no_more


def test_one_tie_lost_pays_for_one_that_may_come() -> None:
    """The pair was tied and is not any more; one open response can tie with one other at most."""
    before = {key: settled(value) for key, value in zip("abcd", [0.9, 0.9, 0.7, 0.6], strict=True)}
    open_ = Reach(0.5, 1.0, may_lack=False)
    after = {"a": settled(1.0), "b": settled(0.9), "c": open_, "d": open_}
    assert top_ties(before, after).to_ask == ("c",)
    assert top_ties(before, {**after, "c": settled(0.7)}).no_more
    assert top_ties(before, {**after, "c": settled(0.9)}).to_ask == ("d",)
