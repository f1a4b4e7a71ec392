"""Where to cut a dataset: the database weighs its rows in the order of their reader, in one statement."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, case, cast, func, literal, select

from exporters.rows import cursor
from exporters.source import FileColumns, Source

KIB = 1024
FILE_BYTES_MAX = 1 << 40


def cuts(connection: Connection, source: Source, rows: ColumnElement[bool], n: int) -> list[str]:
    """Where the second slice begins, and every later one: at most n - 1 keys, encoded as cursors are.

    A row belongs to the n-th part of the whole weight in which its middle lies, so that a slice is heavier than its
    share by half of its first and last row at most. A part without a middle becomes no slice.
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
    *keys, mine, before = parted.c
    # The first row has none before it, and NULL differs from nothing.
    first = select(*keys).where(mine != before).order_by(*keys)
    return [cursor(tuple(row)) for row in connection.execute(first)]


def promised_bytes(file: FileColumns) -> ColumnElement[Any]:
    """Of a row's file; 0 for what no file can have: the sum of such promises would overflow."""
    return case((file.bytes.between(0, FILE_BYTES_MAX), file.bytes), else_=0)


def _weight(source: Source) -> ColumnElement[Any]:
    """Of a row, in KiB: 1 for itself, and its file; without files all rows weigh the same."""
    if source.file is None:
        return literal(1, Integer)
    return cast(1 + promised_bytes(source.file) // KIB, Integer)
