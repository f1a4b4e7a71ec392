"""Which lines may hold what the rules look for: a few passes over whole blocks, in C and Rust, instead of over values.

For numbers a copy is made in which each digit is `0`, what may stand between digits is left out, and every other byte
is one of few; thirteen zeros are then found as they are. What is found here is only suspected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Self

from worker.screening import numbers

BLOCK_BYTES = 96 << 10
"""Fits into a processor's cache together with its copy."""
LITERALS_MAX = 60
"""Of one pass: with more the library gives up its vector instructions."""
LITERAL_BYTES = 4
"""A shorter one gets a pass of its own: it would slow down the pass of all others."""

_ZEROS = b"0" * 13
_LEFT_OUT = b" ,-" + bytes(range(128, 256))
_CLASSES = {b"0123456789": b"0", b"abcdefABCDEF": b"h", b"\n": b"\n", b".": b".", b"+": b"+"}
"""Every other byte is `x`. What stands before the zeros tells whether they are worth a look."""
_NUMBERS = (
    b"x" + _ZEROS,
    b"x." + _ZEROS,  # behind another point it is a decimal fraction
    b"h." + _ZEROS,
    b"." + b"0" * numbers.FRACTION_DIGITS,
    b"+" + b"0" * numbers.PLUS_DIGITS_MIN,
    b".0000.0000.",
    b".000000.0000",
)
_BEHIND_HEX = b"h" + _ZEROS
_UUID = re.compile(rb"(?<![h0])(?=h*+0[h0]*?h0{13})[h0]{32}(?![h0])")
"""Its hyphens are left out. A digit stands before the letter, so that the zeros are part of a name for sure."""
_UUID_DIGITS = 32
_BESIDE = tuple(f". {digit}".encode() for digit in range(10)) + tuple(chr(0xFF10 + d).encode() for d in range(10))
"""What the copy does not show: a number that begins a sentence, and digits of Chinese and Japanese keyboards."""

_LONG_BYTES = 60
"""Thirteen digits with all that may stand between them are no longer."""

_Finder = Callable[[bytes], Sequence[int]]


@dataclass(slots=True)
class Suspects:
    """Lines, counted from 0."""

    numbers: set[int] = field(default_factory=set)
    """May hold a card number or an identity number."""
    words: set[int] = field(default_factory=set)
    """Hold a literal of a rule."""

    def __bool__(self) -> bool:
        return bool(self.numbers or self.words)

    def __ior__(self, other: Self) -> Self:
        self.numbers |= other.numbers
        self.words |= other.words
        return self


class Prefilter:
    """Made once for the literals of the rules in force."""

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
        """Lines, each ended by a newline, that may hold something."""
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
    """Whole lines, so many that they make a block."""
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
    """Whether a line that has digits enough has a number that stands the checks; an escape may hide its beginning."""
    return b"\\u" in line or any(numbers.find(line.decode("utf-8", "replace")))


def _is_long(block: bytes, offset: int) -> bool:
    """Whether what was found beside the copy begins a long number; a wide digit may."""
    if block[offset : offset + 1] != b".":
        return True
    return block[offset : offset + _LONG_BYTES].translate(None, b"." + _LEFT_OUT)[: len(_ZEROS)].isdigit()


def _in_uuid(plain: bytes, offset: int) -> bool:
    """Whether zeros behind a letter are the end of a UUID, as they are in one of fifty."""
    begin = max(0, offset - _UUID_DIGITS)
    return _UUID.search(plain, begin, offset + 2 * _UUID_DIGITS) is not None


def _finder(patterns: Sequence[bytes]) -> _Finder:
    """Offsets of what is found, in order."""
    library = _library()
    if library is None:
        either = re.compile(b"|".join(map(re.escape, patterns)))
        return lambda block: [match.start() for match in either.finditer(block)]
    automaton = library.BytesAhoCorasick(list(patterns), matchkind=library.MatchKind.LeftmostFirst)
    return lambda block: [start for _pattern, start, _end in automaton.find_matches_as_indexes(block)]


def _library() -> ModuleType | None:
    try:
        return import_module("ahocorasick_rs")
    except ImportError:  # no wheel for this platform: slower, with the same result
        return None


def _table() -> bytes:
    table = bytearray(b"x" * 256)
    for members, stands_for in _CLASSES.items():
        for member in members:
            table[member] = ord(stands_for)
    return bytes(table)
