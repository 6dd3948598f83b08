"""Values of a ledger as bytes: JSON, compressed against a dictionary of what replies look like.

The first byte of a value names the dictionary, so that a later one can stand beside it. A dictionary that
has ever been used is never edited: what was packed with it would be lost.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TypeVar

import msgspec
import zstandard

Record = TypeVar("Record")

_PLAIN, _DICTIONARY_1 = 0, 1
_LEVEL = 3
_TOO_SHORT = 48
"""Bytes below which a compressed value is no shorter than a plain one: most verdicts."""


class Packer:
    """Packs and unpacks. Holds state that two threads must not share: one for each.

    A grading reply of 7 verdicts, 470 bytes of JSON, takes about 65 bytes; a response of 2.5 KB about half.
    """

    def __init__(self) -> None:
        dictionary = _dictionary()
        self._pack = zstandard.ZstdCompressor(_LEVEL, dict_data=dictionary, write_checksum=True).compress
        self._unpack = zstandard.ZstdDecompressor(dict_data=dictionary).decompress

    def pack(self, text: bytes) -> bytes:
        """The bytes to be stored for a text."""
        if len(text) < _TOO_SHORT:
            return bytes([_PLAIN]) + text
        return bytes([_DICTIONARY_1]) + self._pack(text)

    def unpack(self, value: bytes) -> bytes:
        """The text that was packed.

        Raises:
            ValueError: the bytes are not what was packed; says how.
        """
        if not value:
            raise ValueError("it is empty")
        if value[0] == _PLAIN:
            return value[1:]
        if value[0] != _DICTIONARY_1:
            raise ValueError(f"it needs dictionary {value[0]}, which a newer rubricate may have")
        try:
            text = self._unpack(memoryview(value)[1:])
        except zstandard.ZstdError as error:
            raise ValueError(f"its bytes are damaged ({error})") from error
        if len(text) < _TOO_SHORT:  # a header that lost its size: such a text is not compressed
            raise ValueError("its bytes are damaged (no content)")
        return text


@cache
def _dictionary() -> zstandard.ZstdCompressionDict:
    content = files("rubricate.data").joinpath("ledger_dictionary_1.txt").read_bytes()
    dictionary = zstandard.ZstdCompressionDict(content, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    dictionary.precompute_compress(level=_LEVEL)
    return dictionary


def encoded(record: msgspec.Struct) -> bytes:
    """A record as JSON. Half a surrogate pair, which UTF-8 cannot hold, is written as its escape."""
    try:
        return msgspec.json.encode(record)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(record)).encode("ascii")


def decoded(text: bytes, type: type[Record]) -> Record:
    """The record that was encoded.

    Raises:
        ValueError: the JSON is broken or of another shape; says how.
    """
    try:
        return msgspec.json.decode(text, type=type)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    except msgspec.DecodeError:
        return _decoded_leniently(text, type)


def _decoded_leniently(text: bytes, type: type[Record]) -> Record:
    """As `decoded`, with halves of surrogate pairs, which msgspec does not read."""
    try:
        return msgspec.convert(json.loads(text), type)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
