"""Rows by their keys: the condition for them, and long lists of keys in parts of which one statement has one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import REAL, Column, ColumnElement, Integer, String, Text, Uuid, and_, false, literal, or_, type_coerce
from sqlalchemy.sql.elements import NamedColumn
from sqlalchemy.sql.visitors import iterate

from exporters.sql.bulk import converted
from exporters.sql.coded_texts import CodedText
from exporters.sql.columns import FixedText, Single, SourceTime
from exporters.sql.identifiers import as_bytes, fitting, is_among
from exporters.sql.moments import utc_text
from exporters.sql.source import TableSource
from exporters.sql.values import WITHOUT_CHARACTERS, exact, field_type, readable
from portability.api import Cursor, Dataset, FieldType, RecordKey, Selection
from portability.api.errors import ExporterFault, SourceRefused

PART_KEYS = 1_000
"""Keys of one statement."""
WHOLE = frozenset({FieldType.STRING, FieldType.INTEGER, FieldType.DECIMAL})
"""Types of fields that have the text or number of an id as it is stored."""
PARAMETERS: Mapping[FieldType, Callable[[Any], Any]] = {
    FieldType.DECIMAL: Decimal,
    FieldType.NUMBER: float,
    FieldType.BOOLEAN: bool,
    FieldType.DATETIME: datetime.fromisoformat,
    FieldType.DATE: date.fromisoformat,
}
"""By the type of a field, how a value of an archive is compared with a column of the same type."""


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A field of a dataset's key."""

    selected: NamedColumn[Any]
    """What is selected for the field: the column, or an expression that gives the type of the field."""
    stored: Column[Any]
    """The column of the dataset's own table."""

    @property
    def kind(self) -> FieldType:
        return field_type(self.selected.type)


def key_columns(source: TableSource, dataset: Dataset) -> Sequence[KeyColumn]:
    """Return the fields of a dataset's key. Raises SourceRefused if one is not in the dataset's own table."""
    names = [field.name for field in source.dataset.fields]
    found = []
    for name in dataset.key:
        selected = source.columns[names.index(name)]
        columns = [one for one in iterate(selected) if isinstance(one, Column)]
        if len(columns) != 1 or columns[0].table is not source.table:
            raise SourceRefused(f"{dataset.name}: its key is not in its own table")
        found.append(KeyColumn(selected, columns[0]))
    return found


def selected_keys(columns: Sequence[KeyColumn]) -> Sequence[ColumnElement[Any]]:
    """Return what to select for `delivered_keys`."""
    return [exact(key.selected).label(f"k{place}") for place, key in enumerate(columns)]


def delivered_keys(columns: Sequence[KeyColumn], rows: Sequence[Sequence[Any]]) -> Sequence[RecordKey]:
    """Return the keys of rows, each with what `exact` selects for its fields, as archives have them.

    Raises one of NOT_JSON if JSON cannot represent one of them.
    """
    given = zip(columns, zip(*rows, strict=True), strict=False)
    values = [converted(key.kind, readable(key.selected.type, column)) for key, column in given]
    return list(zip(*values, strict=True))


def among(source: TableSource, keys: Sequence[RecordKey]) -> ColumnElement[bool]:
    """Return the condition for the rows with these keys, in a form that an index serves.

    Rows whose keys only look like them may fulfil it too. Raises SourceRefused for keys that no column can be
    compared with.
    """
    columns = key_columns(source, source.dataset)
    if len(columns) == 1:
        return _is_one_of(source, columns[0], [key[0] for key in keys])
    same = [
        and_(*(_is_one_of(source, column, [value]) for column, value in zip(columns, key, strict=True)))
        for key in keys
        if len(key) == len(columns)
    ]
    return or_(*same) if same else false()


def _is_one_of(source: TableSource, key: KeyColumn, values: Sequence[Any]) -> ColumnElement[bool]:
    column, kind = key.stored, key.kind
    if isinstance(column.type, WITHOUT_CHARACTERS):
        return column.in_([str(value).encode() for value in values])
    if isinstance(column.type, CodedText) and kind in WHOLE:
        texts = [str(value) for value in values]
        return or_(is_among(column, texts), as_bytes(column).in_([text for text in texts if not _is_plain(text)]))
    if kind in WHOLE and isinstance(column.type, Integer | Uuid | String):
        texts = [str(value) for value in values]
        if isinstance(column.type, FixedText):
            texts += [text.rstrip(" ") for text in texts]  # as PostgreSQL compares them
        if getattr(column.type, "zerofill", False):
            texts = [text.lstrip("0") or "0" for text in texts]  # as numbers, without the zeros that MariaDB writes
        found = fitting(column, texts)
        return is_among(column, found) if found else false()
    if isinstance(column.type, SourceTime) and kind is FieldType.DATETIME:
        return utc_text(column).in_([utc_text(literal(str(value))) for value in values])  # both to the millisecond
    if kind is field_type(column.type) and kind in PARAMETERS and not isinstance(column.type, Single | REAL):
        return column.in_([PARAMETERS[kind](value) for value in values])
    if kind is FieldType.STRING or kind is FieldType.DECIMAL:
        return type_coerce(exact(key.selected), Text()).in_([str(value) for value in values])
    raise SourceRefused(f"{source.dataset.name}: its key is stored in another form than it is delivered")


def _is_plain(text: str) -> bool:
    """Return whether every character set has only one notation of the text."""
    return text.isascii() and all(letter.isalnum() or letter in "-_" for letter in text)


def parts(selection: Selection, after: Cursor | None) -> Iterator[tuple[int, Selection, Cursor | None]]:
    """Yield what is read one after the other: its number, selection, and the cursor where it begins.

    Without keys it is the selection itself. Raises ExporterFault for an invalid cursor.
    """
    if selection.keys is None:
        yield 0, selection, after
        return
    begin, inner = (0, None) if after is None else _place(after)
    for number in range(begin, -(-len(selection.keys) // PART_KEYS)):
        keys = selection.keys[number * PART_KEYS : (number + 1) * PART_KEYS]
        yield number, replace(selection, keys=keys), inner if number == begin else None


def cursor(selection: Selection, number: int, inner: Cursor) -> Cursor:
    """Return the cursor of a batch of a part."""
    return inner if selection.keys is None else json.dumps([number, inner])


def _place(after: Cursor) -> tuple[int, Cursor]:
    try:
        number, inner = json.loads(after)
        return int(number), str(inner)
    except (TypeError, ValueError):
        raise ExporterFault("invalid cursor of records by keys: start again without it") from None
