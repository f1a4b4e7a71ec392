"""Cursors of pages: the time and the id of the last row of a page, as one word."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, literal, tuple_

from portability.api.errors import BadInput
from portability.database.engine import UtcTime


def encoded(at: datetime, last_id: str) -> str:
    """Return the cursor after a row."""
    return base64.urlsafe_b64encode(f"{at.isoformat()} {last_id}".encode()).decode().rstrip("=")


def decoded(cursor: str) -> tuple[datetime, str]:
    """Return the time (UTC) and the id of the row that a cursor names. Raises BadInput."""
    try:
        named = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        at, _, last_id = named.partition(" ")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo and last_id.replace("_", "").isalnum():
            return moment.astimezone(UTC), last_id
    except (ValueError, OverflowError, binascii.Error):  # OverflowError: a time that UTC cannot express
        pass
    raise invalid()


def newest(
    connection: Connection,
    query: Select[Any],
    at: ColumnElement[datetime],
    key: ColumnElement[str],
    after: str | None,
    limit: int,
) -> tuple[Sequence[RowMapping], str | None]:
    """Return a page of the rows of a query, the newest first, and the cursor of the next page (None after the last).

    Args:
        connection: any transaction.
        query: without an order; its rows have both columns.
        at: the time by which a row is new.
        key: what is different in rows of equal time.
        after: the cursor of the page; None: the first page.
        limit: how many rows at most.

    Raises: BadInput for a cursor.
    """
    if after:
        last_at, last = decoded(after)
        query = query.where(tuple_(at, key) < tuple_(literal(last_at, UtcTime()), literal(last)))
    rows = connection.execute(query.order_by(at.desc(), key.desc()).limit(limit + 1)).mappings().all()
    following = encoded(rows[limit - 1][at], rows[limit - 1][key]) if len(rows) > limit else None
    return rows[:limit], following


def oldest(
    connection: Connection,
    query: Select[Any],
    at: ColumnElement[datetime],
    key: ColumnElement[str],
    after: str | None,
    limit: int,
) -> tuple[Sequence[RowMapping], str | None]:
    """Return a page as `newest`, the oldest first. Raises BadInput for a cursor."""
    if after:
        last_at, last = decoded(after)
        query = query.where(tuple_(at, key) > tuple_(literal(last_at, UtcTime()), literal(last)))
    rows = connection.execute(query.order_by(at, key).limit(limit + 1)).mappings().all()
    following = encoded(rows[limit - 1][at], rows[limit - 1][key]) if len(rows) > limit else None
    return rows[:limit], following


def encoded_in_part(part: int, at: datetime, last_id: str) -> str:
    """Return the cursor after a row of a list in two parts, 0 and 1."""
    return encoded(at, f"{part}{last_id}")


def decoded_in_part(cursor: str) -> tuple[int, datetime, str]:
    """Return the part, the time and the id of the row that a cursor of a list in two parts names. Raises BadInput."""
    at, last_id = decoded(cursor)
    if last_id[0] in "01":
        return int(last_id[0]), at, last_id[1:]
    raise invalid()


def invalid() -> BadInput:
    """Return the error for a cursor that no page has given."""
    return BadInput("invalid cursor", hint="use `next` of the previous page, or start again without a cursor")
