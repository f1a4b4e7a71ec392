"""Shared by the formats: packs records into blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import RawIOBase
from typing import Any

import orjson

from portability.api import JSON, Dataset, Field, Record, RecordChecker, Sink
from portability.api.errors import FormatError
from portability.api.rows import Rows

BLOCK_BYTES = 256 << 10
DELETE = 0x7F


class RecordWriter:
    """Packs the text of records into blocks of at least BLOCK_BYTES, except the last: a writer of pieces.

    `line` gets a record's values in declared order. `whole` gets rows with all declared fields in order, whose types
    their source has checked.
    """

    def __init__(
        self,
        out: Sink,
        line: Callable[[Dataset], Callable[[Sequence[JSON]], bytes]],
        *,
        whole: Callable[[Dataset], Callable[[Rows], bytes]] | None = None,
        head: Callable[[Dataset], bytes] = lambda _dataset: b"",
    ) -> None:
        self._out, self._line_of, self._whole_of, self._head_of = out, line, whole, head
        self._block = bytearray()

    @property
    def held(self) -> int:
        return len(self._block)

    def begin(self, exporter: str, dataset: Dataset) -> None:  # noqa: ARG002  # the host names the file
        self._checker = RecordChecker(dataset)
        self._line = self._line_of(dataset)
        self._whole = None if self._whole_of is None else self._whole_of(dataset)
        self._block += self._head_of(dataset)

    def write(self, records: Sequence[Record]) -> None:
        """Raise FormatError for a value that does not fit its field; it names field and record, not the value."""
        checker, block = self._checker, self._block
        if self._whole is not None and isinstance(records, Rows) and checker.knows(records):
            checker.count += len(records)
            text = self._whole(records)
            if not block and len(text) >= BLOCK_BYTES:
                self._out.write(text)  # without a copy, which would cost as much as hashing
            else:
                block += text
        else:
            for record in records:
                block += self._line(checker.values(record))
                if len(block) >= BLOCK_BYTES:
                    self._flush()
        if len(block) >= BLOCK_BYTES:
            self._flush()

    def close(self) -> Mapping[str, int]:
        if self._block:
            self._flush()
        return {}

    def abort(self) -> None:
        self._block.clear()

    def _flush(self) -> None:
        self._out.write(bytes(self._block))
        self._block.clear()


class UnseekableStream(RawIOBase):
    """A stream for libraries that write to files; it has no positions, so they never go back."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write: Callable[[bytes], object] | None = write

    def writable(self) -> bool:
        return True

    def write(self, block: Any, /) -> int:  # noqa: ANN401  # any buffer
        if self._write is not None:
            self._write(bytes(block))
        return len(block)

    def drop(self) -> None:
        """Ignore what the library writes from now on, such as the end of a file that is given up."""
        self._write = None


def visible_sign(found: re.Match[str]) -> str:
    """Return the visible sign of a control character that a form cannot hold."""
    code = ord(found[0])
    if code == DELETE:
        return "\N{SYMBOL FOR DELETE}"
    return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"  # noqa: PLR2004  # the first printable character


def whole_characters(text: bytes, first: int, others: int) -> Iterator[bytes]:
    """Yield UTF-8 in parts that end between characters, of at most these bytes; one if there is nothing."""
    begin, room = 0, first
    while len(text) - begin > room:
        end = begin + room
        while text[end] & 0xC0 == 0x80:  # noqa: PLR2004  # a later byte of a character in UTF-8
            end -= 1
        yield text[begin:end]
        begin, room = end, others
    yield text[begin:]


def dataset_names(dataset: Dataset) -> frozenset[str]:
    """Return the names of the declared fields."""
    return frozenset(field.name for field in dataset.fields)


def malformed(dataset: Dataset, number: int, fault: str, field: Field | None = None) -> FormatError:
    """Return the error for bytes that are not a valid document."""
    where = f"{dataset.name}.{field.name}" if field else dataset.name
    return FormatError(
        f"{where}, record {number}: {fault}", hint="the file was changed or cut, or belongs to another dataset"
    )


def json_text(value: JSON) -> bytes:
    """Return a checked value as JSON."""
    return orjson.dumps(value)
