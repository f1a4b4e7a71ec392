"""Rows: records of one shape, with their JSON text beside them.

They are a sequence of records like any other. A source that has its values in columns converts them all at once, and
a format that writes lines of JSON uses the text as it is: this step is the largest cost of an archive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

import orjson

from portability.api.nouns import JSON, Record

SAFE_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader represents exactly (RFC 7493 section 2.2); larger integers are strings."""
_LINE = orjson.OPT_STRICT_INTEGER | orjson.OPT_APPEND_NEWLINE


class Rows(Sequence[Record]):
    """One column of JSON values for each name, and one line of JSON for each row.

    `texts` adds the JSON of the single values, by column; strings with or without their quotes.
    """

    __slots__ = ("_columns", "_count", "_numbers", "lines", "names", "texts")

    def __init__(
        self,
        names: Sequence[str],
        columns: Sequence[Sequence[JSON]] | None,
        lines: bytes,
        texts: Sequence[Sequence[str]] | None = None,
        numbers: frozenset[str] = frozenset(),
    ) -> None:
        self._columns = columns
        self._count = len(columns[0]) if columns else lines.count(b"\n")
        self._numbers = numbers
        self.names = names
        self.lines = lines
        self.texts = texts

    @property
    def columns(self) -> Sequence[Sequence[JSON]]:
        """Return the values by column; `slim` rows do not store them."""
        if self._columns is not None:
            return self._columns
        records = list(map(orjson.loads, self.lines.splitlines()))
        return [
            [_number(record[name]) for record in records]
            if name in self._numbers
            else [record[name] for record in records]
            for name in self.names
        ]

    def slim(self, numbers: frozenset[str] = frozenset()) -> Rows:
        """Keep only the lines, a tenth of the memory; values are parsed from them again when they are needed.

        `numbers` names the columns of numbers: an integer beyond SAFE_INTEGER is a string in its line and is read back.
        """
        return Rows(self.names, None, self.lines, numbers=numbers)

    def parts(self, count: int) -> Iterator[Rows]:
        """Yield the rows in parts of at most `count`, each with its values: those of slim rows are parsed once."""
        lines = self.lines.splitlines(keepends=True)
        for begin in range(0, len(lines), count):
            text = b"".join(lines[begin : begin + count])
            if self._columns is None:
                yield Rows(self.names, Rows(self.names, None, text, numbers=self._numbers).columns, text)
            else:
                yield Rows(self.names, [column[begin : begin + count] for column in self._columns], text)

    def __len__(self) -> int:
        return self._count

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
        """Return the same rows with only these fields (at least one), in this order."""
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
        """Yield the batches as they arrive."""
        return iter(self._batches)


def text(value: JSON) -> bytes:
    """Return a value as JSON; integers beyond SAFE_INTEGER become strings. Raises TypeError, as `line` does."""
    try:
        return orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)
    except TypeError:
        return orjson.dumps(_safe(value))


def line(names: Sequence[str], values: Sequence[JSON]) -> bytes:
    """Return one record as a line of JSON with LF at its end; integers beyond SAFE_INTEGER become strings, also nested.

    Raises: TypeError for a value that JSON cannot represent. Callers must have rejected NaN and infinities before.
    """
    return _line(dict(zip(names, values, strict=True)))


def lines(names: Sequence[str], columns: Sequence[Sequence[JSON]]) -> bytearray:
    """Return the lines of all rows of the columns, each as `line` makes it."""
    record: dict[str, JSON] = dict.fromkeys(names)
    text = bytearray()
    for row in zip(*columns, strict=True):
        # One dictionary for all rows: making a dictionary costs as much as making its text.
        record.update(zip(names, row, strict=True))
        text += _line(record)
    return text


def interleave(parts: Sequence[str | Sequence[str]], count: int) -> str:
    """Join `count` rows into one text: each part in turn gives its own text, or its value for the row."""
    pieces = [""] * (len(parts) * count)
    for place, part in enumerate(parts):
        pieces[place :: len(parts)] = [part] * count if isinstance(part, str) else part
    return "".join(pieces)


def _number(value: JSON) -> JSON:
    return int(value) if isinstance(value, str) else value


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
