"""Reads records from JSON Lines in bounded memory, for any length of line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from portability import strict_json
from receiver.importer.faults import BadArchive
from receiver.importer.values import Reason

LINE_BYTES = 64 << 20
"""A longer line is not a valid record: a batch of an exporter has about a mebibyte."""
_SHAPES = bytes(
    code if chr(code) in "e-" else {**dict.fromkeys(b"0123456789.", ord("0")), ord("E"): ord("e")}.get(code, ord(" "))
    for code in range(256)
)
"""Bytes by what they are in a number: digits and points are 0."""
_LONG, _TINY = b"0" * 19, b"e-000"
"""What a number that a double changes has in its shape: 18 digits and a point, or an exponent of three."""
_DOUBLE_DIGITS = 17
"""Digits that write any double so that it is read again: 0.10000000000000001 is how some programs write 0.1."""
_SMALLEST, _LARGEST = -(1 << 63), (1 << 64) - 1
"""Integers that the parser keeps; others become doubles."""


class _InexactNumber(ValueError):
    """A number that a double changes."""


def records(blocks: Iterable[bytes]) -> Iterator[tuple[dict[str, Any] | Reason, int]]:
    """Yield the records in order, each with the size of its line; an invalid line becomes the reason why.

    Raises: BadArchive for a line without end.
    """
    for line in _lines(blocks):
        try:
            record = strict_json.parse(line)
        except strict_json.DoubleName:
            yield Reason.DOUBLE_NAME, len(line)
            continue
        except ValueError:
            yield Reason.NOT_JSON, len(line)
            continue
        if not isinstance(record, dict):
            yield Reason.NOT_AN_OBJECT, len(line)
        else:
            yield record if _is_exact(line) else Reason.OUT_OF_RANGE, len(line)


def count(blocks: Iterable[bytes]) -> int:
    """Count the records. Raises: BadArchive as `records`, and what the blocks raise."""
    return sum(1 for _line in _lines(blocks))


def _is_exact(line: bytes) -> bool:
    """Return whether the parser has kept every number of a valid line."""
    shape = line.translate(_SHAPES)
    if _LONG not in shape and _TINY not in shape:
        return True
    try:
        json.loads(line, parse_int=_checked, parse_float=_checked)
    except (_InexactNumber, RecursionError):  # the importer refuses deep nesting anyway
        return False
    return True


def _checked(number: str) -> None:
    if not _is_kept(number):
        raise _InexactNumber


def _is_kept(number: str) -> bool:
    exact, double = Decimal(number), float(number)
    is_integer = "." not in number and "e" not in number.lower()
    if is_integer and _SMALLEST <= exact <= _LARGEST:
        return True
    digits = len(exact.as_tuple().digits)
    return Decimal(repr(double)) == exact or (not is_integer and digits <= _DOUBLE_DIGITS and double != 0)


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest: list[bytes] = []
    size = 0
    for block in blocks:
        first, *others = block.split(b"\n")
        rest.append(first)
        size += len(first)
        for line in others:
            yield b"".join(rest)
            rest, size = [line], len(line)
        if size > LINE_BYTES:
            raise BadArchive(f"a line of more than {LINE_BYTES} bytes")
    if size:
        yield b"".join(rest)
