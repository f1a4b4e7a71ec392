"""Lists of the messages to people, page by page, of all exports."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, select

from portability.database import models
from portability.messages.outbox import MessageState
from portability.requests import page_cursors

TABLE = models.notification


def page(
    connection: Connection, state: MessageState, *, after: str | None, limit: int
) -> tuple[Sequence[RowMapping], str | None]:
    """Return a page of the messages in a state, and the cursor of the next page (None: the last).

    Those that wait are in the order of their age, because an alert is about the oldest; the others begin with the
    newest. The index of messages begins with the state, so there is no list of all states.

    Raises: BadInput for a cursor.
    """
    list_page = page_cursors.oldest if state is MessageState.QUEUED else page_cursors.newest
    query = select(TABLE).where(TABLE.c.state == state)
    return list_page(connection, query, TABLE.c.created_at, TABLE.c.id, after, limit)
