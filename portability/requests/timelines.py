"""The timeline of a request: its events, page by page, the newest first."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, func, select

from portability.requests import page_cursors
from portability.trust import audit

LOG = audit.LOG
PAGE = 50


def page(
    connection: Connection, export_id: str, *, after: str | None = None, limit: int = PAGE
) -> tuple[Sequence[RowMapping], str | None]:
    """Return a page of the events of a request, and the cursor of the next page (None after the last).

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
    rows = connection.execute(query.order_by(LOG.c.id.desc()).limit(limit + 1)).mappings().all()
    following = page_cursors.encoded(rows[limit - 1]["at"], rows[limit - 1]["entry"]) if len(rows) > limit else None
    return rows[:limit], following
