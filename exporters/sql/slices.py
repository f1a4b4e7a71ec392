"""Where to cut a dataset: one statement sums the weight of rows in the order of reading."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, case, cast, func, literal, select

from exporters.sql.cursors import cursor
from exporters.sql.rows import keys_of
from exporters.sql.source import FileColumns, TableSource
from exporters.sql.values import exact

KIB = 1024
FILE_BYTES_MAX = 1 << 40


def cuts(connection: Connection, source: TableSource, rows: ColumnElement[bool], n: int) -> list[str]:
    """Return the begins of all slices after the first: at most n - 1 keys, encoded like cursors.

    A row belongs to that n-th part of the total weight in which its middle lies, so that a slice exceeds its share by
    at most half of its first and last row. A part without a middle gives no slice.
    """
    weight = _weight(source)
    total = select(func.sum(weight)).select_from(source.origin).where(rows).scalar_subquery()
    middle = 2 * func.sum(weight).over(order_by=source.order, rows=(None, 0)) - weight
    weighed = (
        select(*(column.label(f"k{place}") for place, column in enumerate(source.order)), middle.label("middle"))
        .select_from(source.origin)
        .where(rows)
        .subquery()
    )
    *keys, doubled = weighed.c
    part = doubled * n // (2 * total)
    parted = select(*keys, part.label("part"), func.lag(part).over(order_by=keys).label("before")).subquery()
    *keys, own_part, before = parted.c
    # The first row has no previous one: its NULL counts as different.
    first = select(*(exact(key.label(None)) for key in keys)).where(own_part != before).order_by(*keys)
    return [cursor(key) for key in keys_of(source, connection.execute(first).all())]


def stated_bytes(file: FileColumns) -> ColumnElement[Any]:
    """Return the stated size of a row's file; 0 for impossible sizes, whose sum would overflow."""
    return case((file.bytes.between(0, FILE_BYTES_MAX), file.bytes), else_=0)


def _weight(source: TableSource) -> ColumnElement[Any]:
    """Return the weight of a row in KiB: 1 plus its file; without files all rows weigh the same."""
    if source.file is None:
        return literal(1, Integer)
    return cast(1 + stated_bytes(source.file) // KIB, Integer)
