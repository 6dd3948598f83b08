"""What PostgreSQL and its driver say, in the words of the user: what is wrong, where, and how to go on.

The first line of what they say is repeated: neither the server nor the driver ever repeats a password.
"""

from __future__ import annotations

from typing import Any

from rubricate.errors import DataError, RubricateError, RunError, SettingsError, first_line
from rubricate.llm.postgres.address import Address

INSTEAD = "or keep replies on this machine with ledger=workflow_outs/ledger.sqlite"
RESUME = "then run the same command with --resume: all replies kept so far are reused"

_PASSING = ("08", "40001", "40P01", "53300", "55P03", "57P01", "57P02", "57P03", "57P05")
"""The connection is gone, the server stops or starts, it is crowded, two transactions met: try again."""


def driver() -> Any:
    """The module asyncpg.

    Raises:
        SettingsError: it is not installed; names the extra.
    """
    try:
        import asyncpg
    except ModuleNotFoundError:
        raise SettingsError(
            f"a ledger in PostgreSQL needs asyncpg: pip install 'rubricate[postgres]', {INSTEAD}"
        ) from None
    return asyncpg


def passes(error: BaseException) -> bool:
    """Whether the same statement on a new connection may succeed."""
    state = getattr(error, "sqlstate", None)
    return state is not None and state.startswith(_PASSING)


def unreachable(address: Address, error: BaseException) -> RubricateError:
    """A connection that could not be opened."""
    state = getattr(error, "sqlstate", None) or ""
    if state in ("28P01", "28000"):
        how = (
            "give the password in PGPASSWORD, a password file or RUBRICATE_LEDGER"
            if address.password is None
            else "correct the user or the password"
        )
        return SettingsError(
            f"ledger: {address.told}, refuses the login ({first_line(error)}): {how}, {INSTEAD}"
        )
    if state == "3D000":
        return SettingsError(f"ledger: {address.told}, does not exist: create it with createdb, {INSTEAD}")
    if state == "53300":
        return RunError(
            f"ledger: {address.told}, has no free connection ({first_line(error)}): raise max_connections (a "
            f"process takes two), {INSTEAD}"
        )
    if state:
        return in_words(address, error)
    return RunError(
        f"ledger: {address.told}, cannot be reached ({first_line(error)}): start it or correct "
        f"`ledger`, {INSTEAD}"
    )


def lost(address: Address, error: BaseException, patience_s: float) -> RunError:
    """A connection that was lost and could not be opened again."""
    if not patience_s:
        return RunError(
            f"ledger: {address.told}, was lost ({first_line(error)}): start it, then run the same "
            "command again"
        )
    return RunError(
        f"ledger: {address.told}, was lost and did not come back within {patience_s:g} s "
        f"({first_line(error)}): start it, {RESUME}"
    )


def in_words(address: Address, error: BaseException) -> RubricateError:
    """What the server says of a statement, as an error that says what to do."""
    state, said = getattr(error, "sqlstate", None) or "", first_line(error)
    if state == "53100":
        return RunError(f"ledger: {address.told}, has a full disk; make room, {RESUME}")
    if state == "42501":
        return SettingsError(
            f"ledger: {address.told}, does not let this user write ({said}): grant the rights on schema "
            f"{address.schema} and its tables, or create on the database, {INSTEAD}"
        )
    if state == "25006":
        return SettingsError(
            f"ledger: {address.told}, is read-only, as a standby is: name its primary, {INSTEAD}"
        )
    if state in ("42P01", "3F000"):
        return RunError(
            f"ledger: {address.told}, has lost the tables of schema {address.schema} ({said}): restore them, "
            f"or let the next run make new ones, {RESUME}"
        )
    if state in ("42P07", "42703"):
        return DataError(
            address.url,
            f"schema {address.schema} holds tables of another program: name another one with ?schema=",
        )
    return RunError(f"ledger: {address.told}, cannot be used ({type(error).__name__}: {said})")
