"""Opinions and the account of them: absent, unjudged and unmet are three things, and groups add up."""

from __future__ import annotations

import numpy as np
import pytest
from label_files import a_row, judged, write

from rubricate.errors import DataError
from rubricate.evaluation.agreement.account import account_of
from rubricate.evaluation.agreement.against import batching_of
from rubricate.evaluation.agreement.items import items_of, length_of
from rubricate.evaluation.agreement.opinions import opinion_of_files, own_opinion
from rubricate.evaluation.entries import read_entries


def items_in(tmp_path, rows):
    return items_of(read_entries(write(tmp_path / "labels.jsonl", rows)))


def opinion_in(tmp_path, items, *files, name="g"):
    paths = [write(tmp_path / f"{name}{number}.jsonl", rows) for number, rows in enumerate(files)]
    return opinion_of_files(name, items, {path: read_entries(path) for path in paths})


def overall(account):
    return account.against[0]


class TestOpinions:
    def test_absent_is_not_unjudged(self, tmp_path):
        """A criterion that the file does not name was never judged; one that it names with null is unjudged;
        neither is a no, and only the second counts in the unjudged rate."""
        row = a_row(1, "++++")
        items = items_in(tmp_path, [row])
        said = judged(row, "+-?+")
        said["criteria"] = said["criteria"][:3]
        opinion = opinion_in(tmp_path, items, [said])
        found = overall(account_of(items, [opinion]))
        assert opinion.absent.tolist() == [[False, False, False, True]]
        assert (found.n, found.accuracy.value, found.unjudged.value, found.unjudged.n) == (2, 0.5, 1 / 3, 3)

    def test_every_file_is_a_draw(self, tmp_path):
        """Two files of one grader, and draws within a file."""
        rows = [a_row(1, "+-"), a_row(2, "+-")]
        items = items_in(tmp_path, rows)
        first = [judged(row, "++") for row in rows]
        drawn = [judged(row, "--", draw=draw) for draw in (0, 1) for row in rows]
        opinion = opinion_in(tmp_path, items, first, drawn)
        assert opinion.marks.tolist() == [[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]

    def test_a_row_finds_its_response(self, tmp_path):
        """Without an id by prompt, generator and text; without a generator every response of that text."""
        rows = [a_row(1, "+", generator="a", id="x"), a_row(1, "+", generator="b", id="y")]
        items = items_in(tmp_path, rows)
        mine = judged(a_row(1, "+", generator="b", id=None), "-")
        assert opinion_in(tmp_path, items, [mine]).absent.tolist() == [[True, False]]
        anybody = judged(a_row(1, "+", generator=None, id=None), "-")
        assert opinion_in(tmp_path, items, [anybody]).absent.tolist() == [[False, False]]

    def test_strangers_are_counted(self, tmp_path):
        """A row about no response here is no verdict, and said; a file of such rows only is refused."""
        row = a_row(1, "+")
        items = items_in(tmp_path, [row])
        strange = judged(a_row(9, "+"), "-")
        assert opinion_in(tmp_path, items, [judged(row, "+"), strange]).foreign == 1
        with pytest.raises(DataError, match="none of its rows is about"):
            opinion_in(tmp_path, items, [strange])
        other_text = judged(a_row(1, "+", response="something else"), "-")
        with pytest.raises(DataError, match="none of its rows is about"):
            opinion_in(tmp_path, items, [other_text])

    def test_a_second_label_file_is_a_grader(self, tmp_path):
        """Its labels are its verdicts; null is unjudged."""
        items = items_in(tmp_path, [a_row(1, "+-+")])
        opinion = opinion_in(tmp_path, items, [a_row(1, "+?-")])
        assert opinion.marks.tolist() == [[1, -1, 0]]
        assert own_opinion("own", items) is None

    def test_one_verdict_a_draw(self, tmp_path):
        """Two rows on one response would count it twice."""
        row = a_row(1, "+", id=None)
        items = items_in(tmp_path, [row])
        twice = [judged(row, "+", generator=None), judged(row, "-")]
        with pytest.raises(DataError, match="line 2 judges a criterion that was judged before"):
            opinion_in(tmp_path, items, twice)


class TestAccount:
    def test_by_hand(self, tmp_path):
        """Labels ++-- and ++--? of two prompts, verdicts +--+ and +++-+: met 3 of 4 true, unmet 2 of 4."""
        rows = [a_row(1, "++--"), a_row(2, "++--?")]
        items = items_in(tmp_path, rows)
        opinion = opinion_in(tmp_path, items, [judged(rows[0], "+--+"), judged(rows[1], "+++-+")])
        account = account_of(items, [opinion])
        found = overall(account)
        # true_met 1 + 2, false_unmet 1 + 0, false_met 1 + 1, true_unmet 1 + 1
        assert (found.n, found.prompts, account.labelled) == (8, 2, 8)
        assert found.accuracy.value == 5 / 8
        assert (found.sensitivity.value, found.specificity.value) == (3 / 4, 2 / 4)
        assert found.balanced_accuracy.value == 5 / 8
        assert found.cohen_kappa.value == pytest.approx((5 / 8 - 1 / 2) / (1 / 2))
        # two raters, 8 items: o_01 = 3, n_1 = 4 + 5, n_0 = 4 + 3
        assert found.krippendorff_alpha.value == pytest.approx(1 - 15 * 3 / (9 * 7))

    def test_unjudged_is_no_no(self, tmp_path):
        """Turning wrong verdicts into unjudged ones raises accuracy, and the unjudged rate."""
        rows = [a_row(place, "+-") for place in range(4)]
        items = items_in(tmp_path, rows)
        wrong = opinion_in(tmp_path, items, [judged(row, "-+" if row is rows[0] else "+-") for row in rows])
        silent = opinion_in(tmp_path, items, [judged(row, "??" if row is rows[0] else "+-") for row in rows])
        one, other = (overall(account_of(items, [opinion])) for opinion in (wrong, silent))
        assert (one.accuracy.value, one.n, one.unjudged.value) == (6 / 8, 8, 0)
        assert (other.accuracy.value, other.n, other.unjudged.value) == (1, 6, 2 / 8)

    def test_groups_add_up(self, tmp_path):
        """Over the groups of every breakdown, items are all items; each group is what it says."""
        row = a_row(1, "+-+-")
        for place, change in enumerate(({"kind": "rule", "weight": 2}, {"weight": 3}, {"weight": -1}, {})):
            row["criteria"][place] |= change
        row["criteria"][0]["criterion"] = "The response contains at most 50 words."
        items = items_in(tmp_path, [row])
        said = {**row, "criteria": [{**given, "verdict": True} for given in row["criteria"]]}
        account = account_of(items, [opinion_in(tmp_path, items, [said])])
        groups = {(a.breakdown, a.group): a.n for a in account.against if a.breakdown != "all"}
        for breakdown in ("kind", "weight", "length", "decided by"):
            assert sum(n for (name, _), n in groups.items() if name == breakdown) == 4
        assert groups["kind", "rule"] == groups["kind", "pitfall"] == 1
        assert groups["kind", "not stated"] == 2
        assert groups["weight", "-1"] == groups["weight", "3"] == 1
        assert groups["decided by", "a program can"] == 1
        assert groups["length", "1 to 8 words"] == 4

    @pytest.mark.parametrize(
        ("n", "bin"),
        [
            (1, "1 to 8 words"),
            (8, "1 to 8 words"),
            (9, "9 to 12 words"),
            (20, "13 to 20 words"),
            (21, "over 20 words"),
        ],
    )
    def test_bins_of_length(self, n, bin):
        """Ends belong to the bin that names them."""
        assert length_of(" ".join(["word"] * n)) == bin

    def test_with_itself(self, tmp_path):
        """Three draws of two items: + + + and + + -; pairs agree in 3 + 1 of 6, one of two is unanimous."""
        rows = [a_row(1, "+"), a_row(2, "+")]
        items = items_in(tmp_path, rows)
        files = [[judged(rows[0], "+"), judged(rows[1], said)] for said in "++-"]
        (found, *groups) = account_of(items, [opinion_in(tmp_path, items, *files)]).with_itself
        assert (found.n, found.draws) == (2, 3)
        assert found.agreement.value == pytest.approx(4 / 6)
        assert found.unanimous.value == 0.5
        chance = (5 / 6) ** 2 + (1 / 6) ** 2
        assert found.fleiss_kappa.value == pytest.approx((4 / 6 - chance) / (1 - chance))
        # o_01 = 2 * 1 / 2 = 1; n_1 = 5, n_0 = 1
        assert found.krippendorff_alpha.value == pytest.approx(1 - 5 * 1 / 5)
        assert {group.breakdown for group in groups} == {"kind", "weight", "length", "decided by"}

    def test_the_majority_has_a_line_of_its_own(self, tmp_path):
        """Single draws are right in 4 of 6, their majority in 2 of 2."""
        rows = [a_row(1, "+"), a_row(2, "+")]
        items = items_in(tmp_path, rows)
        files = [[judged(rows[0], a), judged(rows[1], b)] for a, b in ("+-", "++", "-+")]
        single, together = account_of(items, [opinion_in(tmp_path, items, *files)]).against[:2]
        assert (single.accuracy.value, single.n) == (pytest.approx(4 / 6), 6)
        assert (together.grader, together.accuracy.value, together.n) == ("g, majority of 3", 1, 2)

    def test_votes_are_probabilities_of_last_resort(self, tmp_path):
        """Without stated probabilities the share of draws is calibrated: 2/3 and 1/3 against true, false."""
        rows = [a_row(1, "+"), a_row(2, "-")]
        items = items_in(tmp_path, rows)
        files = [[judged(rows[0], a), judged(rows[1], b)] for a, b in ("++", "+-", "--")]
        (found,) = account_of(items, [opinion_in(tmp_path, items, *files)]).calibration
        assert found.source == "share of 3 draws"
        assert found.brier.value == pytest.approx((1 / 9 + 1 / 9) / 2)

    def test_between_graders(self, tmp_path):
        """Kappa of the classic table, and differences on the items that both judged."""
        cells = "+" * 25 + "-" * 25, "+" * 20 + "-" * 5 + "+" * 10 + "-" * 15
        rows = [a_row(place, "+") for place in range(50)]
        items = items_in(tmp_path, rows)
        one, other = (
            opinion_in(tmp_path, items, [judged(r, s) for r, s in zip(rows, said, strict=True)], name=name)
            for name, said in zip("ab", cells, strict=True)
        )
        account = account_of(items, [one, other])
        found = account.between[0]
        assert (found.first, found.second, found.n) == ("a", "b", 50)
        assert found.cohen_kappa.value == pytest.approx(0.4)
        assert found.agreement.value == 0.7
        assert found.accuracy_difference.value == pytest.approx(25 / 50 - 30 / 50)
        assert found.balanced_accuracy_difference is None  # no label is false
        assert (account.panel.n_complete, account.panel.n_paired) == (50, 50)

    def test_equal_graders_differ_by_nothing(self, tmp_path):
        """A paired difference of one with itself is 0 with an interval of no width."""
        rows = [a_row(place, "+-") for place in range(5)]
        items = items_in(tmp_path, rows)
        said = [judged(row, "+-" if place else "-+") for place, row in enumerate(rows)]
        found = account_of(items, [opinion_in(tmp_path, items, said, name=name) for name in "ab"]).between[0]
        assert (found.accuracy_difference.value, found.accuracy_difference.low) == (0, 0)

    def test_labels_are_not_needed(self, tmp_path):
        """Without them there is no table against them, but agreement there is."""
        row = a_row(1, "??")
        items = items_in(tmp_path, [row])
        account = account_of(items, [opinion_in(tmp_path, items, [judged(row, "+-")], [judged(row, "++")])])
        assert account.against == ()
        assert account.with_itself[0].agreement.value == 0.5


def test_the_batching_effect_is_paired(tmp_path):
    """Only responses with two asked criteria count: there all at once is right in 2 of 4, one by one in 4."""
    rows = [a_row(1, "++"), a_row(2, "++"), a_row(3, "+")]
    items = items_in(tmp_path, rows)
    at_once = opinion_in(
        tmp_path, items, [judged(r, s) for r, s in zip(rows, ("+-", "-+", "-"), strict=True)]
    )
    singly = opinion_in(tmp_path, items, [judged(r, s) for r, s in zip(rows, ("++", "++", "+"), strict=True)])
    found = batching_of(items, at_once, singly, np.ones(5, dtype=bool))
    assert (found.n, found.all_at_once.n, found.one_by_one.n) == (4, 4, 4)
    assert (found.all_at_once.accuracy.value, found.one_by_one.accuracy.value) == (0.5, 1)
    assert (found.accuracy_difference.value, found.accuracy_difference.low) == (0.5, 0.5)
    assert found.agreement.value == 0.5
