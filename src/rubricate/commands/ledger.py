"""`rubricate ledger`: what a ledger holds, and moving house with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from rich.console import Console

from rubricate.commands.session import Interrupted, in_loop
from rubricate.errors import SettingsError
from rubricate.llm.shelf import Copied, Holdings, copy, open_shelf
from rubricate.llm.store import Place
from rubricate.settings.secrets import environment, ledger_of

_MB = 2**20


def show(written: str, *, as_json: bool, console: Console) -> int:
    """Prints what a ledger holds; the exit code.

    Raises:
        SettingsError, DataError, RunError: there is none, or it cannot be read.
    """
    place = _place(written, "LEDGER")
    holdings = in_loop(_holdings(place))
    if as_json:
        console.print_json(json.dumps(_plain(place, holdings)))
        return 0
    lines = [f"{'ledger':<11}{place}", f"{'replies':<11}{holdings.n_replies:,}"]
    lines += [
        f"{'':<11}{share.n_replies:,} of {share.model}, {share.n_bytes / _MB:,.1f} MiB"
        for share in holdings.models
    ]
    lines += [f"{'verdicts':<11}{holdings.n_verdicts:,}", f"{'facts':<11}{holdings.n_facts:,}"]
    lines += [f"{'on disk':<11}{holdings.n_bytes / _MB:,.1f} MiB"]
    if holdings.oldest is not None and holdings.newest is not None:
        lines += [f"{'written':<11}{_when(holdings.oldest)} to {_when(holdings.newest)}"]
    _say(console, *lines)
    return 0


def move(written_from: str, written_to: str, console: Console) -> int:
    """Copies one ledger into another; the exit code.

    Raises:
        SettingsError, DataError, RunError: one of them cannot be used, or both are the same.
    """
    source, target = _place(written_from, "FROM"), _place(written_to, "TO")
    if str(source) == str(target):
        raise SettingsError(f"FROM and TO are the same ledger, {source}")
    try:
        copied = in_loop(_copied(source, target))
    except Interrupted as stop:
        _say(console, f"Stopped by {stop}: the same command goes on.")
        return 128 + stop.signal_number
    for name, (n_new, n) in (
        ("replies", copied.replies),
        ("verdicts", copied.verdicts),
        ("facts", copied.facts),
    ):
        _say(console, f"{name:<11}{n_new:,} copied, {n - n_new:,} were there")
    if copied.is_same:
        _say(console, f"Runs that were begun with {source} can go on with resume.path=... ledger={target}")
    else:
        _say(
            console,
            f"{target} held other verdicts, so those copied have new numbers: finish runs that were begun "
            f"with {source} there",
        )
    return 0


async def _holdings(place: Place) -> Holdings:
    async with open_shelf(place) as shelf:
        return await shelf.holdings()


async def _copied(source: Place, target: Place) -> Copied:
    async with open_shelf(source) as giving, open_shelf(target, make=True) as taking:
        return await copy(giving, taking)


def _place(written: str, name: str) -> Place:
    env = environment()
    try:
        return Place.parse(written).with_access(env, ledger_of(env))
    except ValueError as mistake:
        raise SettingsError(f"{name} {mistake}") from None


def _plain(place: Place, holdings: Holdings) -> dict[str, object]:
    return {
        "ledger": str(place),
        "replies": holdings.n_replies,
        "models": [
            {"model": share.model, "replies": share.n_replies, "bytes": share.n_bytes}
            for share in holdings.models
        ],
        "verdicts": holdings.n_verdicts,
        "watermark": holdings.watermark,
        "facts": holdings.n_facts,
        "bytes_on_disk": holdings.n_bytes,
        "oldest": None if holdings.oldest is None else _when(holdings.oldest),
        "newest": None if holdings.newest is None else _when(holdings.newest),
    }


def _when(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
