"""The timeline of a request: its events, page by page, the newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Select, func, select

from portability.requests import page_cursors
from portability.trust import audit, chain_events, unchained

LOG, EVENT, UNCHAINED = audit.LOG, audit.EVENT, audit.UNCHAINED
PAGE = 50


def page(
    connection: Connection, export_id: str, *, after: str | None = None, limit: int = PAGE
) -> tuple[Sequence[Mapping[Any, Any]], str | None]:
    """Return a page of the events of a request, and the cursor of the next page (None after the last).

    A damaged event has the values that can be read (`chain_events.salvaged`).

    A cursor names the last event by its `entry`, which stays when the event is chained and gets another id. Raises
    BadInput for a cursor.
    """
    query = select(LOG).where(LOG.c.export_id == export_id)
    if after:
        _at, entry = page_cursors.decoded(after)
        last = (LOG.c.export_id == export_id, LOG.c.entry == entry)
        if not connection.scalar(select(LOG.c.entry).where(*last)):
            raise page_cursors.invalid()
        # Within the statement: the event may be chained between two of them.
        query = query.where(LOG.c.id < select(func.min(LOG.c.id)).where(*last).scalar_subquery())
    rows = _rows(connection, query.order_by(LOG.c.id.desc()).limit(limit + 1))
    following = page_cursors.encoded(rows[limit - 1]["at"], rows[limit - 1]["entry"]) if len(rows) > limit else None
    return rows[:limit], following


def _rows(connection: Connection, query: Select[*tuple[Any, ...]]) -> Sequence[Mapping[Any, Any]]:
    with suppress(*chain_events.UNREADABLE):
        rows = connection.execute(query).mappings().all()
        if all(isinstance(row["detail"], Mapping) for row in rows):
            return rows
    ids = connection.scalars(query.with_only_columns(LOG.c.id)).all()
    recorded = select(UNCHAINED).where((UNCHAINED.c.id + audit.UNCHAINED_IDS).in_(ids)).order_by(UNCHAINED.c.id.desc())
    return [
        *unchained.salvaged(connection, recorded),
        *chain_events.salvaged(connection, select(EVENT).where(EVENT.c.id.in_(ids)).order_by(EVENT.c.id.desc())),
    ]
