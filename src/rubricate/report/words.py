"""Numbers and foreign text as a reader sees them, on the page and in the terminal alike."""

from __future__ import annotations

import math
import re

from rubricate.domain.intervals import Estimate
from rubricate.domain.record import Spend

_LINE_ENDS = re.compile("\r\n")
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls but tab and line feed
    "\u200b\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff"  # zero width, line ends, bidi orders
    "\ud800-\udfff\ufff9-\ufffb"  # lone halves, annotations
    "\U000e0000-\U000e007f]"  # tags: text that a model reads and a person does not see
)


def visible(text: str) -> str:
    """The text with everything that hides, reorders or controls written out, as in ⟨U+202E⟩.

    Tab and line feed stay, CR LF becomes a line feed. The joiners of emoji and of Persian or Indic words
    stay as well: they shape letters and hide nothing.
    """
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", _LINE_ENDS.sub("\n", text))


def short(text: str, limit: int) -> str:
    """The text in at most about `limit` characters; what was cut is counted."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… (+{count(len(text) - limit)} characters)"


def one_line(text: str, limit: int) -> str:
    """`short` and `visible`, on one line."""
    return visible(short(" ".join(text.split()), limit))


def count(n: int) -> str:
    """12345 -> 12,345."""
    return f"{n:,}"


def percent(share: float | None) -> str:
    """0.4167 -> 41.7%; None -> not measured."""
    return "not measured" if share is None else f"{100 * share:.1f}%"


def score(value: float | None) -> str:
    """Three decimals; None -> no score."""
    return "no score" if value is None else f"{value:.3f}"


def number(value: float) -> str:
    """At most four significant digits, without needless zeros: weights, gold scores."""
    return f"{value:.4g}".replace("-", "−")


def share_interval(estimate: Estimate) -> str:
    """41.7% [33.0, 50.1]."""
    return f"{percent(estimate.value)}{_interval(estimate, 100)}"


def share_estimate(estimate: Estimate | None) -> str:
    """41.7% [33.0, 50.1], n = 120; None -> not measured."""
    return "not measured" if estimate is None else f"{share_interval(estimate)}, n = {count(estimate.n)}"


def mean_interval(estimate: Estimate) -> str:
    """8.2 [7.9, 8.5]."""
    return f"{estimate.value:.1f}{_interval(estimate, 1)}"


def mean_estimate(estimate: Estimate | None) -> str:
    """8.2 [7.9, 8.5], n = 120; None -> not measured."""
    return "not measured" if estimate is None else f"{mean_interval(estimate)}, n = {count(estimate.n)}"


def change_estimate(estimate: Estimate) -> str:
    """A difference of two shares, in percentage points: −29.2 points [−40.1, −18.0], n = 120."""
    points = f"{100 * estimate.value:+.1f} points".replace("-", "−")
    return f"{points}{_interval(estimate, 100)}, n = {count(estimate.n)}"


def usd(cost: float | None) -> str:
    """Dollars and cents, small sums in two significant digits; None -> price not known."""
    if cost is None:
        return "price not known"
    decimals = 2 if cost == 0 or cost >= 0.1 else min(8, 1 - math.floor(math.log10(cost)))
    return f"${cost:,.{decimals}f}"


def calls(spend: Spend) -> str:
    """1 call; 1,234 calls."""
    return f"{count(spend.calls)} call{'' if spend.calls == 1 else 's'}"


def _interval(estimate: Estimate, unit: int) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    low, high = f"{unit * estimate.low:.1f}", f"{unit * estimate.high:.1f}"
    return f" [{low}, {high}]".replace("-", "−")
