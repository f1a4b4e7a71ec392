"""Rows by their keys: the condition for them, and long lists of keys in parts of which one statement has one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Integer, String, Text, Uuid, and_, cast, false, or_
from sqlalchemy.sql.elements import NamedColumn

from exporters.sql.identifiers import fitting, is_among
from exporters.sql.source import TableSource
from exporters.sql.values import WITHOUT_CHARACTERS
from portability.api import Cursor, Dataset, RecordKey, Selection
from portability.api.errors import ExporterFault, SourceRefused

PART_KEYS = 1_000
"""Keys of one statement."""


def key_columns(source: TableSource, dataset: Dataset) -> Sequence[NamedColumn[Any]]:
    """Return the columns of a dataset's key. Raises SourceRefused if one is not in the dataset's own table."""
    names = [field.name for field in source.dataset.fields]
    columns = [source.columns[names.index(name)] for name in dataset.key]
    if any(getattr(column, "table", None) is not source.table for column in columns):
        raise SourceRefused(f"{dataset.name}: its key is not in its own table")
    return columns


def among(source: TableSource, keys: Sequence[RecordKey]) -> ColumnElement[bool]:
    """Return the condition for the rows with these keys, in a form that an index serves. Raises SourceRefused."""
    columns = key_columns(source, source.dataset)
    if len(columns) == 1:
        return _is_one_of(columns[0], [key[0] for key in keys])
    same = [
        and_(*(_is_one_of(column, [value]) for column, value in zip(columns, key, strict=True)))
        for key in keys
        if len(key) == len(columns)
    ]
    return or_(*same) if same else false()


def _is_one_of(column: NamedColumn[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    if isinstance(column.type, Integer | Uuid | String):
        found = fitting(column, [str(value) for value in values])
        return is_among(column, found) if found else false()
    if isinstance(column.type, WITHOUT_CHARACTERS):
        return column.in_([str(value).encode() for value in values])
    return cast(column, Text).in_([str(value) for value in values])


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
