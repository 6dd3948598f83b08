"""Laws of words: nothing hidden stays hidden, nothing is rounded into a lie, None is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubricate.domain.intervals import Estimate
from rubricate.report import words


@given(st.text())
def test_visible_text_holds_nothing_unseen_and_visible_again_changes_nothing(text):
    """Every control but tab and line feed is written out, once."""
    shown = words.visible(text)
    assert words.visible(shown) == shown
    assert not any((ord(c) < 32 and c not in "\t\n") or 0x7F <= ord(c) < 0xA0 for c in shown)
    shown.encode("utf-8")


def test_what_shapes_letters_stays():
    """Joiners of emoji and of Persian words, accents, and right-to-left letters are text."""
    for text in ("👩‍👩‍👧", "می‌خواهم", "e\u0301", "שלום", "a\tb\nc"):
        assert words.visible(text) == text
    assert words.visible("a\r\nb\rc") == "a\nb⟨U+000D⟩c"


def test_a_cut_says_how_much():
    """The number of characters that are missing stands at the end."""
    assert words.short("x" * 1005, 5) == "xxxxx… (+1,000 characters)"
    assert words.short("xxxxx", 5) == "xxxxx"


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (None, "price not known"),
        (0.0, "$0.00"),
        (1234.5, "$1,234.50"),
        (0.0042, "$0.0042"),
        (0.000012, "$0.000012"),
    ],
)
def test_money(cost, said):
    """A small sum is not rounded to nothing, an unknown one not to zero."""
    assert words.usd(cost) == said


def test_estimates_carry_interval_and_n():
    """None is said; a mean of one value has no interval."""
    assert words.share_estimate(Estimate(0.417, 1200, 0.33, 0.501)) == "41.7% [33.0, 50.1], n = 1,200"
    assert words.mean_estimate(Estimate(8.25, 1, None, None)) == "8.2, n = 1"
    assert words.change_estimate(Estimate(-0.25, 9, -0.5, 0.0)) == "−25.0 points [−50.0, 0.0], n = 9"
    assert words.share_estimate(None) == words.mean_estimate(None) == words.percent(None) == "not measured"
