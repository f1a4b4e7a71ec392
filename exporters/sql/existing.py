"""Which keys a table still stores, for whomever: why a record is no longer among a subject's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Integer, String, Text, cast, select, tuple_

from exporters.sql.bulk import converted
from exporters.sql.faults import reading
from exporters.sql.source import TableSource
from exporters.sql.values import field_type
from portability.api import JSON, Dataset, Sources
from portability.api.errors import SourceRefused

KEYS_MAX = 200
"""Keys of one statement."""


def stored_keys(
    sources: Sources, source: TableSource, dataset: Dataset, keys: Sequence[tuple[JSON, ...]]
) -> Collection[tuple[JSON, ...]]:
    """Return those of the keys that the dataset's own table stores, without any filter by subject.

    Databases compare texts by their collation: the values that they give are compared again.
    Raises: SourceUnavailable; SourceRefused if the key is not in that table.
    """
    names = [field.name for field in source.dataset.fields]
    columns = [source.columns[names.index(name)] for name in dataset.key]
    if any(getattr(column, "table", None) is not source.table for column in columns):
        raise SourceRefused(f"{dataset.name}: its key is not in its own table")
    wanted, found = frozenset(keys), set[tuple[JSON, ...]]()
    with reading(sources.database, f"{dataset.name}: keys") as connection:
        for begin in range(0, len(keys), KEYS_MAX):
            some = keys[begin : begin + KEYS_MAX]
            query = select(*columns).where(tuple_(*map(_compared, columns)).in_(some))
            given = zip(*connection.execute(query).all(), strict=True)
            values = [converted(field_type(of.type), column) for of, column in zip(columns, given, strict=False)]
            found |= wanted.intersection(zip(*values, strict=True))
    return found


def _compared(column: Any) -> ColumnElement[Any]:  # noqa: ANN401  # a named column
    """Return what is compared with a key's value: other types than texts and integers by their text."""
    plain: ColumnElement[Any] = column
    return plain if isinstance(column.type, String | Integer) else cast(plain, Text)
