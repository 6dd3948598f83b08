"""An audit in the terminal: one short table, what was left out, and what to read from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rubricate.domain.intervals import Estimate
from rubricate.evaluation.audit.auditing import Audit, RewardAudit
from rubricate.report import words

LONGEST_NAME = 24
NONE = "–"


class Line(NamedTuple):
    """A row of the table: what it says and which metric that is; `heading` opens a group."""

    label: str
    metric: str
    heading: str = ""


LINES = (
    Line("all pairs, ties wrong", "pair_accuracy", "the better of two gets the higher score"),
    Line("all pairs, ties half", "pair_accuracy_half"),
    Line("all pairs, without ties", "pair_accuracy_decided"),
    Line("both in the top 50%", "tail_accuracy@50%"),
    Line("both in the top 25%", "tail_accuracy@25%"),
    Line("both in the top 10%", "tail_accuracy@10%"),
    Line("both in the bottom 25%", "band_accuracy@0-25%"),
    Line("of about one length", "length_matched_accuracy"),
    Line("Kendall's tau-b", "kendall_tau"),
    Line("tied pairs", "tie_share", "where it says nothing"),
    Line("tied among its best 4", "tie_share_top@4"),
    Line("tied in the top 25%", "tail_tie_share@25%"),
    Line("unjudged responses", "unjudged"),
    Line("gold of its best", "best_gold", "choosing with it"),
    Line("regret, in gold", "regret"),
    Line("regret, 1 = chance", "regret_share"),
    Line("best of 4, gold", "best_of_gold@4"),
    Line("win rate at KL 0.5", "win_rate@0.5", "training on it, without training"),
    Line("win rate at KL 1", "win_rate@1"),
    Line("win rate at KL 2", "win_rate@2"),
    Line("highest win rate", "peak_win_rate"),
    Line("  at KL", "peak_kl"),
    Line("gold turns at KL", "turn_kl"),
    Line("ties allow at most", "plateau_ceiling"),
    Line("reversed tail, estimate", "misranked_tail"),
    Line("correlation with length", "length_correlation", "what else it may be"),
    Line("wins of its top source", "source_top_share"),
)


def audit_lines(audit: Audit, source: str) -> Iterator[str]:
    """The lines, without markup; foreign names in them are made visible and short."""
    low, middle, high = audit.sizes
    per = f"{low}" if low == high else f"{low} to {high}, median {middle}"
    yield (
        f"{words.one_line(source, 100)}: {words.count(audit.n_prompts)} prompts, "
        f"{words.count(audit.n_responses)} responses ({per} a prompt), {words.count(audit.n_pairs)} pairs"
    )
    for note in audit.notes:
        yield f"  note: {words.one_line(note, 220)}"
    yield ""
    yield from _table(audit.rewards)
    yield ""
    yield from _gold(audit)
    yield "95% intervals over prompts in brackets; random, longer and gold stand beside for scale."
    for reward in audit.proxies:
        yield from readings(audit, reward)


def comparison_lines(one: str, other: str, differences: Mapping[str, Estimate | None]) -> Iterator[str]:
    """What one reward has more than another, for the metrics of the table."""
    yield ""
    yield f"{words.one_line(one, 40)} less {words.one_line(other, 40)}, on the same prompts"
    for line in LINES:
        found = differences.get(line.metric)
        if found is not None:
            apart = found.low is not None and found.high is not None and (found.low > 0 or found.high < 0)
            yield f"  {line.label.strip():<26}{cell(found, signed=True)}{'  differs' if apart else ''}"


def readings(audit: Audit, reward: RewardAudit) -> Iterator[str]:
    """What the numbers of one proxy say, in sentences."""
    name, numbers = words.one_line(reward.name, LONGEST_NAME), reward.estimates
    longer = audit.reward("longer")
    tail, overall = numbers.get("tail_accuracy@25%"), numbers.get("pair_accuracy")
    if tail and overall:
        ties = numbers.get("tail_ties@25%")
        tied = f", {words.percent(ties.value)} of them tied" if ties and ties.value >= 0.05 else ""
        yield (
            f"{name}: right on {words.percent(overall.value)} of all pairs, on {words.percent(tail.value)} "
            f"in the top quarter{tied}."
        )
        if longer is not None and longer.name != reward.name:
            length = longer.estimates.get("tail_accuracy@25%")
            if length and tail.low is not None and tail.low <= length.value:
                yield (
                    f'{name}: in the top quarter it is not shown to beat "longer is better" '
                    f"({words.percent(length.value)})."
                )
    fall, peak, turn = numbers.get("fall"), numbers.get("peak_win_rate"), numbers.get("turn_kl")
    if fall and peak and fall.low is not None and fall.low > 0.002:
        at = numbers["peak_kl"]
        where = f" at KL {at.value:.2g}" if at else ""
        yield f"{name}: trained without end it over-optimises: win rate {peak.value:.3f}{where}, then less."
    elif turn and peak:
        yield f"{name}: gold falls a little after KL {turn.value:.2g}, within what chance explains."


def _table(rewards: Sequence[RewardAudit]) -> Iterator[str]:
    names = [words.one_line(reward.name, LONGEST_NAME) for reward in rewards]
    cells = [[cell(reward.estimates.get(line.metric), reward.kind == "proxy") for line in LINES]
             for reward in rewards]  # fmt: skip
    shown = [place for place in range(len(LINES)) if any(column[place] != NONE for column in cells)]
    widths = [
        max(len(name), *(len(column[place]) for place in shown))
        for name, column in zip(names, cells, strict=True)
    ]
    left = max(len(LINES[place].label) for place in shown) + 4
    yield (
        " " * left + "  ".join(f"{name:<{width}}" for name, width in zip(names, widths, strict=True)).rstrip()
    )
    for place, line in enumerate(LINES):
        if line.heading:
            yield line.heading
        if place in shown:
            row = "  ".join(f"{column[place]:<{width}}" for column, width in zip(cells, widths, strict=True))
            yield f"{'  ' + line.label:<{left}}{row}".rstrip()


def cell(found: Estimate | None, has_interval: bool = True, *, signed: bool = False) -> str:
    if found is None:
        return NONE
    sign = "+" if signed else ""
    value = format(found.value, f"{sign}{_form(found.value)}")
    if not has_interval or found.low is None or found.high is None:
        return value
    return f"{value} [{format(found.low, _form(found.low))}, {format(found.high, _form(found.high))}]"


def _form(value: float) -> str:
    return ".3f" if abs(value) < 1000 else ".4g"


def _gold(audit: Audit) -> Iterator[str]:
    law = audit.gold
    if law.distance is not None:
        yield (
            f"gold is {law.distance.value:.2f} from uniform "
            f"(uniform scores would show {law.distance_if_uniform:.2f})"
            + (f", {words.percent(law.tie_share.value)} of its pairs tie" if law.tie_share else "")
        )
    at_one = next((row for row in law.at_kl if row.kl == 1.0), None)
    if at_one is not None and at_one.as_given is not None and at_one.in_quantiles is not None:
        yield (
            f"  win rate of perfect ranking at KL 1: {at_one.as_given:.3f} with these gold scores, "
            f"{at_one.in_quantiles:.3f} with their ranks, {at_one.theorem:.3f} by Theorem 1"
        )
