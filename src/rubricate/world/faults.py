"""Every way in which the server can fail to answer. The odd answers are made from the good one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec

HUGE_BYTES = 32 * 1024 * 1024
_VERDICT = re.compile(r'"c(?P<number>\d+)":(?P<word>"met"|"unmet")')
_STATUS = re.compile(r"[45]\d\d(/\d+(\.\d+)?)?")

LINE_FAULTS: Mapping[str, str] = {
    "reset": "the connection is cut before the answer",
    "cut_body": "the connection is cut in the middle of the answer",
    "hang": "the call is never answered",
    "drip": "the answer comes byte by byte, one every server.drip_s seconds",
}


class Said:
    """An answer that can still go wrong: the body of a chat completion with one choice."""

    def __init__(self, body: dict[str, Any]):
        self.body = body
        self.content_type = "application/json"
        self.raw: bytes | None = None

    @property
    def choice(self) -> dict[str, Any]:
        """The only choice."""
        choice: dict[str, Any] = self.body["choices"][0]
        return choice

    @property
    def content(self) -> str:
        """What is said."""
        return str(self.choice["message"]["content"])

    @content.setter
    def content(self, text: str) -> None:
        self.choice["message"]["content"] = text

    def encoded(self) -> bytes:
        """The body as it goes over the wire."""
        return msgspec.json.encode(self.body) if self.raw is None else self.raw


def _empty(said: Said) -> None:
    said.content = ""


def _null(said: Said) -> None:
    said.choice["message"]["content"] = None


def _refusal(said: Said) -> None:
    said.choice["message"] |= {"content": None, "refusal": "I cannot help with that."}


def _length(said: Said) -> None:
    said.content = said.content[: len(said.content) // 2]
    said.choice["finish_reason"] = "length"


def _cut_json(said: Said) -> None:
    said.content = said.content[: len(said.content) // 2]


def _prose(said: Said) -> None:
    said.content = f"Sure! Here it is:\n\n{said.content}\n\nDo ask if anything is unclear."


def _wrong_ids(said: Said) -> None:
    said.content = _VERDICT.sub(lambda found: f'"criterion {found["number"]}":{found["word"]}', said.content)


def _doubled_ids(said: Said) -> None:
    opposite = {'"met"': '"unmet"', '"unmet"': '"met"'}
    said.content = _VERDICT.sub(
        lambda found: f'{found[0]},"c{found["number"]}":{opposite[found["word"]]}', said.content, count=1
    )


def _missing_ids(said: Said) -> None:
    said.content = re.sub(rf",?{_VERDICT.pattern}\}}$", "}", said.content)


def _wrong_type(said: Said) -> None:
    said.content_type, said.raw = "text/html; charset=utf-8", b"<html><body>Please sign in.</body></html>"


def _bad_utf8(said: Said) -> None:
    said.raw = said.encoded().replace(b'"content":"', b'"content":"\xff\xfe', 1)


def _huge(said: Said) -> None:
    said.raw = _huge_body()


@cache
def _huge_body() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "x" * HUGE_BYTES}}
    return msgspec.json.encode({"choices": [choice | {"finish_reason": "stop"}]})


def _no_choices(said: Said) -> None:
    said.body["choices"] = []


ODD_FAULTS: Mapping[str, tuple[Callable[[Said], None], str]] = {
    "empty": (_empty, "the answer is an empty text"),
    "null": (_null, "the answer has no text"),
    "refusal": (_refusal, "the model refuses"),
    "length": (_length, "the answer is cut off, and says so"),
    "cut_json": (_cut_json, "the answer is cut off, and does not say so"),
    "prose": (_prose, "the answer stands between polite words"),
    "wrong_ids": (_wrong_ids, "verdicts have ids that nobody asked for"),
    "doubled_ids": (_doubled_ids, "one criterion has two verdicts"),
    "missing_ids": (_missing_ids, "the last criterion has no verdict"),
    "wrong_type": (_wrong_type, "a web page comes instead of JSON"),
    "bad_utf8": (_bad_utf8, "the body is no valid UTF-8"),
    "huge": (_huge, "the body has 32 MiB"),
    "no_choices": (_no_choices, "the completion holds no choice"),
}
"""Answers with status 200 that are not what was asked for."""


def is_fault(name: str) -> bool:
    """Whether there is such a fault: a status (`503`; `429/2` with `Retry-After: 2`) or one of the named."""
    return name in LINE_FAULTS or name in ODD_FAULTS or _STATUS.fullmatch(name) is not None


def spoil(name: str, said: Said) -> None:
    """Makes the odd answer of this name out of a good one."""
    ODD_FAULTS[name][0](said)
