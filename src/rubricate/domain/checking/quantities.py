"""Amounts in words ("no more than twenty", "between 3 and 5", "at least twice") as ranges."""

from __future__ import annotations

import re

from rubricate.domain.checking.constraints import Range

_UNIT_LIST = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TEN_LIST = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS, _TENS = _UNIT_LIST.split(), _TEN_LIST.split()
_SMALL = {word: number for number, word in enumerate(_UNITS)} | {
    word: 10 * number for number, word in enumerate(_TENS, 2)
}
_ANY_SMALL = "|".join(sorted(_SMALL, key=len, reverse=True))
_BIG = re.compile(
    rf"\b(?:(?P<lead>a|{_ANY_SMALL}|\d+) (?P<scale>hundred|thousand|dozen)"
    rf"(?: (?:and )?(?P<rest>(?:{_ANY_SMALL})(?:[- ](?:{_ANY_SMALL}))?))?"
    rf"|(?P<tens>{'|'.join(_TENS)})[- ](?P<ones>{'|'.join(_UNITS[1:10])})|(?P<small>{_ANY_SMALL}))\b"
)
_TIMES = {"once": "1 time", "twice": "2 times", "thrice": "3 times"}
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 1000}


def in_digits(text: str) -> str:
    """The text, in lower case already, with number words and grouped digits as plain digits.

    "a hundred and fifty" becomes 150, "1,200" 1200, "twice" "2 times".
    """
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"\b(?:once|twice|thrice)\b", lambda match: _TIMES[match[0]], text)
    return re.sub(r"\ba single\b|\bone single\b|\ba sole\b", "1", _BIG.sub(_number, text))


def _number(match: re.Match[str]) -> str:
    if match["scale"]:
        lead = match["lead"]
        times = 1 if lead == "a" else int(lead) if lead.isdigit() else _SMALL[lead]
        rest = sum(_SMALL[word] for word in re.split(r"[- ]", match["rest"])) if match["rest"] else 0
        return str(times * _SCALES[match["scale"]] + rest)
    if match["tens"]:
        return str(_SMALL[match["tens"]] + _SMALL[match["ones"]])
    return str(_SMALL[match["small"]])


_N = r"(\d{1,9})"
_AT_LEAST = (
    r"at least|greater than or equal to|more than or equal to|no fewer than|no less than|not fewer "
    r"than|not less than|(?:a |the )?minimum(?: of)?|>=|≥"
)
_AT_MOST = (
    r"at most|no more than|less than or equal to|fewer than or equal to|not more than|no greater than|up to|"
    r"(?:a |the )?maximum(?: of)?|<=|≤|no longer than|"
    r"not longer than|not over|not above|within|not exceeding"
)
_OVER = r"more than|greater than|over|above|longer than|>|in excess of|exceeding|upwards of"
_UNDER = r"fewer than|less than|under|below|shorter than|<|smaller than"
_EXACTLY = r"exactly|precisely|only|just|exactly equal to|equal to|strictly"
_SPAN = rf"(?:anywhere )?(?:between|from)? ?{_N} ?(?:and|to|-|–|—) ?{_N}"

QUANTITY = (
    rf"(?:(?:{_AT_LEAST}|{_AT_MOST}|{_OVER}|{_UNDER}|{_EXACTLY}) ?\d{{1,9}}|"
    rf"(?:anywhere )?(?:between|from)? ?\d{{1,9}} ?(?:and|to|-|–|—) ?\d{{1,9}}|"
    rf"\d{{1,9}} ?(?:\+|or more|or fewer|or less)|\d{{1,9}}|no|any|0)"
)
"""What `range_of` understands, for use inside a larger pattern; no groups of its own."""

SUFFIX = (
    r"(?: (?:or more|or fewer|or less|or above|or longer|or shorter|at least|at most|(?:at )?(?:a |the "
    r")?maximum|(?:at )?(?:a |the )?minimum|max|min|at the most|at the least))"
)
"""What may stand behind the unit instead: "200 words or fewer"."""


def range_of(quantity: str, suffix: str = "") -> Range | None:
    """The range that a quantity means, or None when it is none. A bare number means exactly that number."""
    quantity, suffix = quantity.strip(), suffix.strip()
    if quantity in ("no", "any"):
        return Range(high=0) if quantity == "no" else Range(low=1)
    if span := re.fullmatch(_SPAN, quantity):
        low, high = int(span[1]), int(span[2])
        return Range(low, high) if low <= high else None
    for wording, low_step, high_step in (
        (_AT_LEAST, 0, None),
        (_AT_MOST, None, 0),
        (_OVER, 1, None),
        (_UNDER, None, -1),
        (_EXACTLY, 0, 0),
    ):
        if match := re.fullmatch(rf"(?:{wording}) ?{_N}", quantity):
            number = int(match[1])
            return Range(
                None if low_step is None else number + low_step,
                None if high_step is None else number + high_step,
            )
    if match := re.fullmatch(rf"{_N} ?(\+|or more|or fewer|or less)?", quantity):
        return _with_suffix(int(match[1]), match[2] or suffix)
    return None


def _with_suffix(number: int, suffix: str) -> Range:
    if re.search(r"\+|more|above|longer|least|min", suffix):
        return Range(low=number)
    if re.search(r"fewer|less|shorter|most|max", suffix):
        return Range(high=number)
    return Range(number, number)
