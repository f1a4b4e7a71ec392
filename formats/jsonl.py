"""JSON Lines: one JSON object per line, the lossless copy of the records (jsonlines.org; RFC 8259, RFC 7493).

UTF-8 without BOM, lines end with LF, all fields are present in declared order; a missing value is null.
Integers beyond 2^53 - 1 are strings; in an integer or number field they are read back as integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import orjson

from formats.values import RecordWriter, dataset_names, malformed
from portability.api import JSON, Dataset, FieldType, FormatWriter, Record, Sink, Unit, encoded, rows

_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)


class JsonLines:
    """The format `jsonl`."""

    unit = Unit.PIECE

    @property
    def suffix(self) -> str:
        return ".jsonl"

    @property
    def media_type(self) -> str:
        return "application/jsonl"

    def encode(self, dataset: Dataset, records: Iterable[Record]) -> Iterator[bytes]:
        """Yield blocks of at least 256 KiB, except the last; nothing without records.

        Raises: FormatError for NaN, infinity, lone surrogates, undeclared fields and values of another type.
        """
        return encoded(self, dataset, records)

    def open(self, out: Sink) -> FormatWriter:
        """Write blocks of at least 256 KiB, except the last; nothing without records."""
        return RecordWriter(out, _line, whole=lambda _dataset: _text)

    def decode(self, dataset: Dataset, data: bytes | Iterable[bytes]) -> Iterator[Record]:
        """Yield the records of a whole document, given in one piece or in blocks cut anywhere.

        Raises: FormatError for anything that `encode` would not have written.
        """
        names = dataset_names(dataset)
        numbers = [field for field in dataset.fields if field.type in _NUMBERS]
        for number, line in enumerate(_lines(dataset, data), 1):
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                raise malformed(dataset, number, "not JSON") from None
            if not isinstance(record, dict) or record.keys() != names:
                raise malformed(dataset, number, "not an object with the dataset's fields")
            for field in numbers:
                if isinstance(value := record[field.name], str):
                    try:
                        record[field.name] = int(value)
                    except ValueError:
                        raise malformed(dataset, number, "not an integer", field) from None
            yield record


def _line(dataset: Dataset) -> Callable[[Sequence[JSON]], bytes]:
    names = [str.__str__(field.name) for field in dataset.fields]  # orjson refuses subclasses as keys
    return partial(rows.line, names)


def _text(batch: rows.Rows) -> bytes:
    return batch.lines


def _lines(dataset: Dataset, data: bytes | Iterable[bytes]) -> Iterator[bytes]:
    count = 0
    rest: list[bytes] = []
    for block in [data] if isinstance(data, bytes) else data:
        first, *others = block.split(b"\n")
        rest.append(first)
        for line in others:
            count += 1
            yield b"".join(rest)
            rest = [line]
    if any(rest):
        raise malformed(dataset, count + 1, "the last line is incomplete")


format = JsonLines()  # noqa: A001  # the name in the entry point and the plug-in guide
