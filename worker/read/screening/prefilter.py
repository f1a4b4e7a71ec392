"""Finds lines that may match a rule: a few passes over whole blocks, in C and Rust, instead of over values.

For numbers a copy is made in which each digit is `0`, separators are removed, and every other byte is one of few;
then thirteen zeros can be found by a plain search. The results are only suspects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Self

from worker.read.screening import numbers

BLOCK_BYTES = 96 << 10
"""Fits into a processor's cache together with its copy."""
LITERALS_MAX = 60
"""Literals of one pass: with more of them the library stops using vector instructions."""
LITERAL_BYTES = 4
"""Shorter literals get a separate pass, because they would slow down all others."""

_ZEROS = b"0" * 13
_LEFT_OUT = b" ,-" + bytes(range(128, 256))
_CLASSES = {b"0123456789": b"0", b"abcdefABCDEF": b"h", b"\n": b"\n", b".": b".", b"+": b"+"}
"""Every other byte is `x`. The byte before the zeros says whether they need a check."""
_NUMBERS = (
    b"x" + _ZEROS,
    b"x." + _ZEROS,  # after another point it is a decimal fraction
    b"h." + _ZEROS,
    b"." + b"0" * numbers.FRACTION_DIGITS,
    b"+" + b"0" * numbers.PLUS_DIGITS_MIN,
    b".0000.0000.",
    b".000000.0000",
)
_BEHIND_HEX = b"h" + _ZEROS
_UUID = re.compile(rb"(?<![h0])(?=h*+0[h0]*?h0{13})[h0]{32}(?![h0])")
"""Hyphens are removed. A digit before the letter proves that the zeros are part of a name."""
_UUID_DIGITS = 32
_BESIDE = tuple(f". {digit}".encode() for digit in range(10)) + tuple(chr(0xFF10 + d).encode() for d in range(10))
"""Not visible in the copy: a number at the beginning of a sentence, and full-width digits."""

_LONG_BYTES = 60
"""The maximum length of thirteen digits with separators."""

_Finder = Callable[[bytes], Sequence[int]]


@dataclass(slots=True)
class Suspects:
    """Line numbers, counted from 0."""

    numbers: set[int] = field(default_factory=set)
    """Lines that may contain a card number or an identity number."""
    words: set[int] = field(default_factory=set)
    """Lines that contain a literal of a rule."""

    def __bool__(self) -> bool:
        return bool(self.numbers or self.words)

    def __ior__(self, other: Self) -> Self:
        self.numbers |= other.numbers
        self.words |= other.words
        return self


class Prefilter:
    """Made once for the literals of the active rules."""

    def __init__(self, literals: Iterable[str]) -> None:
        words = [literal.encode() for literal in dict.fromkeys(literals)]
        long = [word for word in words if len(word) >= LITERAL_BYTES]
        self._words = [_finder(long[at : at + LITERALS_MAX]) for at in range(0, len(long), LITERALS_MAX)]
        self._words += [_finder([word]) for word in words if len(word) < LITERAL_BYTES]
        self._numbers = [_finder([pattern]) for pattern in _NUMBERS]
        self._behind_hex = _finder([_BEHIND_HEX])
        self._beside = _finder(_BESIDE)
        self._table = _table()

    def suspects(self, lines: bytes) -> Suspects:
        """Return the lines that may match; each line ends with a newline."""
        found = Suspects()
        begin = line = counted = 0
        for block in _blocks(lines):
            words = {at for finder in self._words for at in _lines_of(block, finder(block))}
            digits = {at for at, raw in _picked(block, self._with_digits(block)) if _is_likely(raw)}
            if words or digits:
                line, counted = line + lines.count(b"\n", counted, begin), begin
                found.words.update(line + at for at in words)
                found.numbers.update(line + at for at in digits)
            begin += len(block)
        return found

    def _with_digits(self, block: bytes) -> set[int]:
        plain = block.translate(self._table, _LEFT_OUT)
        lines = set(_lines_of(block, [at for at in self._beside(block) if _is_long(block, at)]))
        lines.update(_lines_of(plain, [at for at in self._behind_hex(plain) if not _in_uuid(plain, at)]))
        for finder in self._numbers:
            if offsets := finder(plain):
                lines.update(_lines_of(plain, offsets))
        return lines


def _blocks(lines: bytes) -> Iterator[bytes]:
    """Yield groups of whole lines that fill a block."""
    begin = 0
    while begin < len(lines):
        end = lines.find(b"\n", begin + BLOCK_BYTES) + 1 or len(lines)
        yield lines[begin:end]
        begin = end


def _lines_of(block: bytes, offsets: Sequence[int]) -> Iterator[int]:
    line = at = 0
    for offset in offsets:
        line += block.count(b"\n", at, offset)
        at = offset
        yield line


def _picked(block: bytes, wanted: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    line = begin = 0
    for number in sorted(wanted):
        for _line in range(number - line):
            begin = block.index(b"\n", begin) + 1
        line = number
        end = block.find(b"\n", begin)
        yield number, block[begin : end if end >= 0 else None]


def _is_likely(line: bytes) -> bool:
    """Return whether a line with enough digits has a number that passes the checks; an escape may hide its start."""
    return b"\\u" in line or any(numbers.find(line.decode("utf-8", "replace")))


def _is_long(block: bytes, offset: int) -> bool:
    """Return whether a match outside the copy begins a long number; a full-width digit may."""
    if block[offset : offset + 1] != b".":
        return True
    return block[offset : offset + _LONG_BYTES].translate(None, b"." + _LEFT_OUT)[: len(_ZEROS)].isdigit()


def _in_uuid(plain: bytes, offset: int) -> bool:
    """Return whether zeros after a letter are the end of a UUID, as in one of fifty UUIDs."""
    begin = max(0, offset - _UUID_DIGITS)
    return _UUID.search(plain, begin, offset + 2 * _UUID_DIGITS) is not None


def _finder(patterns: Sequence[bytes]) -> _Finder:
    """Return the offsets of all matches, in order."""
    library = _library()
    if library is None:
        either = re.compile(b"|".join(map(re.escape, patterns)))
        return lambda block: [match.start() for match in either.finditer(block)]
    automaton = library.BytesAhoCorasick(list(patterns), matchkind=library.MatchKind.LeftmostFirst)
    return lambda block: [start for _pattern, start, _end in automaton.find_matches_as_indexes(block)]


def _library() -> ModuleType | None:
    try:
        return import_module("ahocorasick_rs")
    except ImportError:  # no wheel for this platform: slower, same result
        return None


def _table() -> bytes:
    table = bytearray(b"x" * 256)
    for members, stands_for in _CLASSES.items():
        for member in members:
            table[member] = ord(stands_for)
    return bytes(table)
