"""Which column of a file is what: named by the user, else found by the names that such files use."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rubricate.errors import DataError

PROMPT = (
    "prompt_id",
    "prompt",
    "question",
    "instruction",
    "query",
    "messages",
    "conversation",
    "task_id",
    "id",
)
NESTED_PROMPT = (
    "prompt_id",
    "id",
    "task_id",
    "prompt",
    "question",
    "instruction",
    "messages",
    "conversation",
)
RESPONSE = ("response", "text", "output", "completion", "answer")
LENGTH = ("length", "n_chars", "characters")
SOURCE = ("generator", "model")
GOLD = ("gold", "gold_score", "reference_score", "reference", "human_score")
PROXY = ("score", "proxy", "reward", "proxy_score", "reward_score", "rm_score")
_ENDINGS = ("_score", "_reward", "_proxy")
_LISTED = 20


@dataclass(frozen=True)
class Wanted:
    """Columns as the user names them; None and empty: to be found."""

    prompt: str | None = None
    response: str | None = None
    gold: str | None = None
    proxies: tuple[str, ...] = ()
    weights: str | None = None
    source: str | None = None
    is_gold_given: bool = False
    """Gold comes from preferences instead of a column."""
    duplicates: str = "error"
    """What to do with a second row of one prompt, text and source: error, drop or keep."""


@dataclass(frozen=True)
class Columns:
    """The columns of one file; None where it has no such column."""

    prompt: str
    response: str | None
    length: str | None
    gold: str | None
    proxies: tuple[str, ...]
    weights: str | None
    source: str | None

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns that hold numbers."""
        return tuple(filter(None, (self.gold, *self.proxies, self.weights, self.length)))


def columns_of(
    path: str, names: Sequence[str], numeric: Collection[str], wanted: Wanted, *, nested: bool = False
) -> Columns:
    """Finds the columns among `names`, of which `numeric` hold numbers.

    Raises:
        DataError: a named column is not there (the nearest is named), or none can be found.
    """
    for asked in (
        wanted.prompt,
        wanted.response,
        wanted.gold,
        *wanted.proxies,
        wanted.weights,
        wanted.source,
    ):
        if asked is not None and asked not in names and asked.partition(".")[0] not in names:
            raise DataError(path, _unknown(asked, names), field=asked)
    prompt = wanted.prompt or _first(NESTED_PROMPT if nested else PROMPT, names)
    if prompt is None:
        raise DataError(
            path, f"no column says which prompt a row is of; name it with --prompt; {_all(names)}"
        )
    gold = None if wanted.is_gold_given else wanted.gold or _first(GOLD, names)
    if gold is None and not wanted.is_gold_given:
        raise DataError(
            path,
            "no gold: an audit needs a column of gold scores (--gold) or preferences (--pairs); "
            + _all(names),
        )
    response = wanted.response or _first(RESPONSE, names)
    length = None if response else _first(LENGTH, [name for name in names if name in numeric])
    source = wanted.source or _first(SOURCE, names)
    taken = {prompt, gold, response, length, source, wanted.weights, *GOLD}
    free = [name for name in names if name in numeric and name not in taken]
    proxies = wanted.proxies or tuple(name for name in free if name in PROXY or name.endswith(_ENDINGS))
    if len(set(proxies)) < len(proxies):
        raise DataError(path, "one column is named twice with --proxy")
    if not proxies and free and not nested:
        raise DataError(path, f"no column is called like a proxy; name it with --proxy: {_listed(free)}")
    return Columns(prompt, response, length, gold, proxies, wanted.weights, source)


def _first(candidates: Sequence[str], names: Sequence[str]) -> str | None:
    return next((name for name in candidates if name in names), None)


def _unknown(asked: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(asked, names, 1)
    return f"no such column{f', but {near[0]}' if near else ''}; {_all(names)}"


def _all(names: Sequence[str]) -> str:
    return f"the columns are {_listed(names)}" if names else "there are no columns"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name if len(name) <= 60 else f"{name[:57]}..." for name in names[:_LISTED])
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"
