"""Quoted texts of a criterion, taken out so that the grammar sees one sign for each."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIRST = 0xE000  # private use: the sign of the first quoted text
SIGN = "[\ue000-\uf8ff]"
"""Matches the sign of a quoted text."""

SIGNS = rf"{SIGN}(?:(?:,? and/or |,? and |,? or |, ?| ?/ ?| ){SIGN})*"
"""Matches a list of them."""

_QUOTED = re.compile(
    r"\"([^\"\n]+)\"|“([^”\n]+)”|«([^»\n]+)»|‘([^’\n]+)’|`([^`\n]+)`|"
    r"(?<![^\s(\[,:/])'([^'\n]+(?:'\w[^'\n]*)*)'(?![^\s).,;:!?\]/])"
)


@dataclass(frozen=True, slots=True)
class Masked:
    """`text` in lower case with single spaces and a sign for each of `quoted`, which keep their case."""

    text: str
    quoted: tuple[str, ...]

    def texts_of(self, signs: str) -> tuple[str, ...]:
        """The quoted texts behind the signs in a piece of `text`, in order."""
        return tuple(self.quoted[ord(sign) - _FIRST] for sign in re.findall(SIGN, signs))


def masked(text: str) -> Masked | None:
    """The text with its quotations taken out; None when it already holds such signs."""
    if re.search(SIGN, text):
        return None
    quoted: list[str] = []

    def sign(match: re.Match[str]) -> str:
        quoted.append(next(group for group in match.groups() if group is not None).strip())
        return chr(_FIRST + len(quoted) - 1)

    plain = _QUOTED.sub(sign, text)
    plain = plain.replace("’", "'")
    if any(not piece for piece in quoted):
        return None
    return Masked(" ".join(plain.lower().split()), tuple(quoted))
