"""Rows: records of one shape, with their JSON text beside them.

To whoever looks they are a sequence of records like any other. A source that has its values in columns makes them in
one go, and a format that writes lines of JSON takes the text as it is: most of what an archive costs is spent here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

import orjson

from portability.api import JSON, Record

SAFE_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps (RFC 7493 section 2.2); a larger one is written as a string."""
_LINE = orjson.OPT_STRICT_INTEGER | orjson.OPT_APPEND_NEWLINE


class Rows(Sequence[Record]):
    """One column of JSON values for each name, and one line of JSON for each row.

    With `texts` there is JSON of the single values too, by column, strings with or without their quotes.
    """

    __slots__ = ("_columns", "lines", "names", "texts")

    def __init__(
        self,
        names: Sequence[str],
        columns: Sequence[Sequence[JSON]] | None,
        lines: bytes,
        texts: Sequence[Sequence[str]] | None = None,
    ) -> None:
        self._columns = columns
        self.names = names
        self.lines = lines
        self.texts = texts

    @property
    def columns(self) -> Sequence[Sequence[JSON]]:
        """Values by column; slim rows keep none."""
        if self._columns is not None:
            return self._columns
        records = list(map(orjson.loads, self.lines.splitlines()))
        return [[record[name] for record in records] for name in self.names]

    def slim(self) -> Rows:
        """The same rows in a tenth of the memory: their values are read again from the lines if they are asked for."""
        return Rows(self.names, None, self.lines)

    def __len__(self) -> int:
        return self.lines.count(b"\n") if self._columns is None else len(self._columns[0])

    def __iter__(self) -> Iterator[Record]:
        names = self.names
        return (dict(zip(names, row, strict=True)) for row in zip(*self.columns, strict=True))

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return list(Rows(self.names, [column[index] for column in self.columns], b""))
        return {name: column[index] for name, column in zip(self.names, self.columns, strict=True)}

    def only(self, names: Sequence[str]) -> Rows:
        """The same rows with these of the fields, one at least, in this order."""
        if list(names) == list(self.names):
            return self
        columns = [self.columns[self.names.index(name)] for name in names]
        return Rows(names, columns, bytes(lines(names, columns)))


class Batched(Iterable[Record]):
    """Records that arrive in batches, to be iterated once: one by one, or batch by batch."""

    def __init__(self, batches: Iterable[Sequence[Record]]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Record]:
        return (record for batch in self._batches for record in batch)

    def batches(self) -> Iterator[Sequence[Record]]:
        """As they arrive."""
        return iter(self._batches)


def text(value: JSON) -> bytes:
    """A value as JSON; integers beyond SAFE_INTEGER are strings. Raises TypeError, as `line`."""
    try:
        return orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)
    except TypeError:
        return orjson.dumps(_safe(value))


def line(names: Sequence[str], values: Sequence[JSON]) -> bytes:
    """One record as a line of JSON, LF at its end; integers beyond SAFE_INTEGER are strings, in objects too.

    Raises: TypeError for what JSON cannot carry; NaN and infinities must have been found before.
    """
    return _line(dict(zip(names, values, strict=True)))


def lines(names: Sequence[str], columns: Sequence[Sequence[JSON]]) -> bytearray:
    """As `line`, for all rows of columns."""
    record: dict[str, JSON] = dict.fromkeys(names)
    text = bytearray()
    for row in zip(*columns, strict=True):
        # One dictionary for all: making one costs as much as its text.
        record.update(zip(names, row, strict=True))
        text += _line(record)
    return text


def woven(parts: Sequence[str | Sequence[str]], count: int) -> str:
    """So many rows as one text: of each part in turn the text itself, or what a column has for the row."""
    pieces = [""] * (len(parts) * count)
    for place, part in enumerate(parts):
        pieces[place :: len(parts)] = [part] * count if isinstance(part, str) else part
    return "".join(pieces)


def _line(record: Mapping[str, JSON]) -> bytes:
    try:
        return orjson.dumps(record, option=_LINE)
    except TypeError:
        return orjson.dumps(_safe(record), option=_LINE)


def _safe(value: JSON) -> JSON:
    if isinstance(value, int) and not -SAFE_INTEGER <= value <= SAFE_INTEGER:
        return str(value)
    if isinstance(value, Mapping):
        return {name: _safe(inner) for name, inner in value.items()}
    return [_safe(inner) for inner in value] if isinstance(value, list | tuple) else value
