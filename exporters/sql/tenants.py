"""Tenants of two rows, compared exactly: usual collations of MariaDB, and others, take `ACME` for `acme`.

Where the type or the database has no such texts, a statement is that of the usual comparison.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, String, Text, and_, cast
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.types import NullType

from exporters.sql.columns import AlikeText
from exporters.sql.identifiers import as_bytes, plain_type, same_bytes, written

Expression = ColumnElement[Any]


def same_tenant(one: Expression, other: Expression) -> ColumnElement[bool]:
    """Return the condition that two columns name the same tenant."""
    pairs = list(zip(*exact_tenants(one, other), strict=True))
    if not pairs:
        return one == other
    # On PostgreSQL the second comparison is left out, so that of a column that ignores case is part of the first.
    first = and_(
        one == other, *(a == b for a, b in pairs if not isinstance(a, as_bytes) or not isinstance(b, as_bytes))
    )
    return same_bytes(first, and_(*(a == b for a, b in pairs)))


def exact_tenants(one: Expression, other: Expression) -> tuple[list[Expression], list[Expression]]:
    """Return what two rows have to have in common beside their tenants, for comparisons of several columns at once.

    Empty if the tenants are not texts: then equal means the same.
    """
    if not any(isinstance(plain_type(column.type), String | NullType) for column in (one, other)):
        return [], []
    return [_exact(one)], [_exact(other)]


def _exact(column: Expression) -> Expression:
    kind = plain_type(column.type)
    if isinstance(kind, CITEXT):
        return cast(column, Text)
    return written(column) if isinstance(kind, AlikeText) else as_bytes(column)
