"""All dialects by name, and which one a row speaks."""

from __future__ import annotations

import difflib
from typing import Any

from rubricate.dialects.files.autorubric import AUTORUBRIC
from rubricate.dialects.files.openai import OPENAI
from rubricate.dialects.files.verifiers import VERIFIERS
from rubricate.dialects.rows.healthbench import HEALTHBENCH
from rubricate.dialects.rows.open_instruct import OPEN_INSTRUCT
from rubricate.dialects.rows.own import DATASET, OWN, PAPER
from rubricate.dialects.rows.rar import RAR
from rubricate.dialects.rows.rubrichub import RUBRICHUB
from rubricate.dialects.rows.tinker import TINKER
from rubricate.dialects.seam import Dialect
from rubricate.errors import SettingsError

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        OWN,
        PAPER,
        DATASET,
        HEALTHBENCH,
        RAR,
        RUBRICHUB,
        VERIFIERS,
        AUTORUBRIC,
        TINKER,
        OPEN_INSTRUCT,
        OPENAI,
    )
}
"""Every dialect, in the order in which they are listed."""

_MOST_TELLING_FIRST = (
    TINKER, OPENAI, OPEN_INSTRUCT, HEALTHBENCH, RUBRICHUB, RAR, AUTORUBRIC, VERIFIERS, PAPER, OWN, DATASET,
)  # fmt: skip


def dialect_named(name: str) -> Dialect:
    """A dialect by its name.

    Raises:
        SettingsError: there is none; with the nearest name.
    """
    if name in DIALECTS:
        return DIALECTS[name]
    close = difflib.get_close_matches(name, DIALECTS, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(DIALECTS)}"
    raise SettingsError(f"no dialect {name!r}; {hint}")


def dialect_of(value: Any) -> Dialect | None:
    """The dialect that a row speaks, or None if it is like none of them."""
    return next((dialect for dialect in _MOST_TELLING_FIRST if dialect.knows(value)), None)
