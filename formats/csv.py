# the entry point names this module; the standard library's csv is not used here
"""CSV (RFC 4180) that a spreadsheet can open safely: UTF-8 without BOM, CRLF, a header, and no formulas.

Text is always quoted; numbers, dates and booleans are unquoted; an unquoted empty cell is NULL, `""` is the empty text.
Objects are JSON text. A quoted cell that a spreadsheet could take for a formula gets a leading `'`
(portability/api/cells.py).

Python's own csv cannot distinguish NULL from the empty text before 3.12, hence the small encoder and parser.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import orjson

from formats.values import RecordWriter, malformed
from portability.api import JSON, Dataset, Field, FieldType, FormatWriter, Record, Sink, Unit, encoded, rows
from portability.api.cells import RISKY, defused

Cell = tuple[str, bool]
"""A cell without its quotes, and whether it had quotes."""

_BARE = {
    FieldType.DECIMAL: re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?"),
    FieldType.DATE: re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    FieldType.DATETIME: re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z"),
}
_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)
_HEADER = re.compile(r"[A-Za-z0-9_]+")
_CELL = re.compile(r'(?:"([^"]*+(?:""[^"]*+)*+)"|([^",\r\n]*+))(,|\r\n)')


class Csv:
    """The format `csv`."""

    unit = Unit.PIECE

    @property
    def suffix(self) -> str:
        return ".csv"

    @property
    def media_type(self) -> str:
        return "text/csv"

    def encode(self, dataset: Dataset, records: Iterable[Record]) -> Iterator[bytes]:
        """Yield blocks of at least 256 KiB, except the last; only the header without records.

        In a dataset with one field, NULL is an empty line, which some readers skip.

        Raises: FormatError for NaN, infinity, lone surrogates, undeclared fields and values of another type.
        """
        return encoded(self, dataset, records)

    def open(self, out: Sink) -> FormatWriter:
        """Write blocks of at least 256 KiB, except the last; only the header without records."""
        return RecordWriter(out, _line, whole=lambda dataset: partial(_lines, _types(dataset)), head=_head)

    def decode(self, dataset: Dataset, data: bytes | Iterable[bytes]) -> Iterator[Record]:
        """Yield the records of a whole document, given in one piece or in blocks cut anywhere.

        Raises: FormatError for invalid CSV: another header, a wrong number of cells, an incomplete last line.
        """
        names = [field.name for field in dataset.fields]
        found = _rows(dataset, [data] if isinstance(data, bytes) else data)
        header = next(found, None)
        if header is None or [_unquoted(cell) for cell in header] != names:
            raise malformed(dataset, 0, "the header does not match the dataset")
        for number, row in enumerate(found, 1):
            if len(row) != len(names):
                raise malformed(dataset, number, f"found {len(row)} cells, expected {len(names)}")
            try:
                values = [_value(field, cell) for field, cell in zip(dataset.fields, row, strict=True)]
            except _WrongCell as wrong:
                raise malformed(dataset, number, f"not a valid {wrong.field.type}", wrong.field) from None
            yield dict(zip(names, values, strict=True))


def _types(dataset: Dataset) -> Sequence[FieldType]:
    return [field.type for field in dataset.fields]


def _head(dataset: Dataset) -> bytes:
    names = [field.name for field in dataset.fields]
    return (",".join(name if _HEADER.fullmatch(name) else _quoted(name) for name in names) + "\r\n").encode()


def _line(dataset: Dataset) -> Callable[[Sequence[JSON]], bytes]:
    types = _types(dataset)

    def line(values: Sequence[JSON]) -> bytes:
        return (",".join(map(_cell, types, values)) + "\r\n").encode()

    return line


class _WrongCell(Exception):
    def __init__(self, field: Field) -> None:
        super().__init__(field.name)
        self.field = field


def _cell(kind: FieldType, value: JSON) -> str:
    if value is None:
        return ""
    if kind is FieldType.OBJECT:
        return _quoted(rows.text(value).decode())
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))
    text = str(value)
    bare = _BARE.get(kind)
    return text if bare and bare.fullmatch(text) else _quoted(text)


def _lines(types: Sequence[FieldType], batch: rows.Rows) -> bytes:
    """Encode rows column by column; their values are known to have their types."""
    parts: list[str | Sequence[str]] = []
    before = ""
    for kind, column, texts in zip(types, batch.columns, batch.texts or [()] * len(types), strict=True):
        quote, cells = _cells(kind, column, texts)
        parts += [f"{before}{quote}", cells]
        before = f"{quote},"
    return rows.interleave([*parts, f"{before[:-1]}\r\n"], len(batch)).encode()


def _cells(kind: FieldType, column: Sequence[Any], texts: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return a column's cells, and the quotes still to be put around each.

    If no cell needs more than quotes, one check of the column is enough, instead of one for each cell.
    """
    if kind in _NUMBERS:
        return "", ["" if value is None else str(value) for value in column]
    if kind in _BARE:
        return "", ["" if value is None else value for value in column] if None in column else column
    if None not in column:
        if kind is FieldType.STRING and not _needs_care(column):
            return '"', column
        if kind is FieldType.BOOLEAN and texts:
            return "", texts
        if kind is FieldType.OBJECT and texts and {text[:1] for text in texts} <= {"{", "["}:
            return '"', "\n".join(texts).replace('"', '""').split("\n")
    return "", [_cell(kind, value) for value in column]


def _needs_care(column: Sequence[str]) -> bool:
    return '"' in "".join(column) or any(map(RISKY.match, {text[:1] for text in column}))


def _quoted(text: str) -> str:
    return '"' + defused(text).replace('"', '""') + '"'


def _unquoted(cell: Cell) -> str:
    text, quoted = cell
    return text[1:] if quoted and text.startswith("'") else text


def _value(field: Field, cell: Cell) -> JSON:
    text, quoted = cell
    if not text and not quoted:
        return None
    try:
        if field.type is FieldType.OBJECT:
            return _object(_unquoted(cell))
        if field.type is FieldType.INTEGER:
            return int(text)
        if field.type is FieldType.NUMBER:
            return float(text) if set(text) & set(".eE") else int(text)
        if field.type is FieldType.BOOLEAN:
            return {"true": True, "false": False}[text]
    except (ValueError, KeyError):
        raise _WrongCell(field) from None
    return _unquoted(cell)


def _object(text: str) -> JSON:
    value: JSON = orjson.loads(text)
    return value


def _rows(dataset: Dataset, blocks: Iterable[bytes]) -> Iterator[list[Cell]]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    rest = ""
    row: list[Cell] = []
    count = 0
    try:
        for block in blocks:
            rest += decoder.decode(block)
            end = 0
            while found := _CELL.match(rest, end):
                end = found.end()
                quoted, bare, delimiter = found.groups()
                row.append((bare, False) if quoted is None else (quoted.replace('""', '"'), True))
                if delimiter != ",":
                    yield row
                    row = []
                    count += 1
            rest = rest[end:]
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise malformed(dataset, count, "not UTF-8") from None
    if rest or row:
        raise malformed(dataset, count, "not CSV, or the last line is incomplete")


format = Csv()  # noqa: A001  # the name in the entry point and the plug-in guide
