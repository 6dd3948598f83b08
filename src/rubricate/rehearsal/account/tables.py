"""The tables of a rehearsal, as cells: for the page, for the terminal and for Markdown alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rubricate.rehearsal.account.summary import NAMES, Account, readings, shown


class Table(NamedTuple):
    """A table with its heading; `rows` are as long as `head`."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables_of(account: Account) -> list[Table]:
    """All of them; those without rows are left out."""
    tables = [_standings(account), _comparisons(account), _agreements(account), _course(account)]
    return [table for table in tables if table.rows]


def markdown(account: Account) -> Iterator[str]:
    """The readings and the tables, as lines."""
    for line in readings(account):
        yield f"- {line}"
    for table in tables_of(account):
        yield from ("", f"**{table.title}**", "")
        yield from (f"| {' | '.join(row)} |" for row in (table.head, ["---"] * len(table.head), *table.rows))


def _standings(account: Account) -> Table:
    head = ("paid by", "peak at step", "at KL", "win rate there", "at the end", "lost from the peak")
    rows = [
        (
            NAMES[each.reward],
            shown(each.step, digits=0),
            shown(each.kl),
            shown(each.peak, 100),
            shown(each.last, 100),
            shown(each.lost, 100),
        )
        for each in account.standings
    ]
    return Table("Gold win rate against great models on held-out prompts, in percent", head, rows)


def _comparisons(account: Account) -> Table:
    head = ("difference, paired by seed", "peak at step", "at KL", "win rate there", "at the end", "lost")
    rows = [
        (
            f"{NAMES[each.one]} less {NAMES[each.other]}",
            shown(each.step, digits=0, sign=True),
            shown(each.kl, sign=True),
            shown(each.peak, 100, sign=True),
            shown(each.last, 100, sign=True),
            shown(each.lost, 100, sign=True),
        )
        for each in account.comparisons
    ]
    return Table("One reward against another", head, rows)


def _agreements(account: Account) -> Table:
    head = ("paid by", "KL", "said by the audit", "came of training", "difference", "seeds")
    rows = [
        (
            NAMES[each.reward],
            f"{each.kl:g}",
            shown(each.predicted, 100),
            shown(each.measured, 100),
            shown(each.error, 100, sign=True),
            str(each.error.n),
        )
        for each in account.agreements
    ]
    return Table(
        "Gold win rate against the starting policy on the prompts of training, in percent", head, rows
    )


def _course(account: Account) -> Table:
    head = (
        *("paid by", "step", "KL", "beats great", "beats start", "gold", "gold, trained on"),
        *("paid", "tokens", "advice", "ties", "no spread"),
    )
    rows = [
        (
            NAMES[row.reward],
            str(row.step),
            shown(row.kl),
            shown(row.great_wins, 100),
            shown(row.start_wins, 100),
            shown(row.gold, 100),
            shown(row.asked_gold, 100),
            shown(row.pay, digits=2),
            f"{row.tokens.value:.1f}",
            f"{row.advice.value:.1f}",
            f"{100 * row.ties.value:.0f}",
            f"{100 * row.flat.value:.0f}",
        )
        for row in account.rows
    ]
    return Table("Step by step", head, rows)
