"""Lists of recipients, and of the transfers, webhooks and notices to them, page by page."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, RowMapping, and_, case, literal, or_, select, tuple_

from portability.database import models
from portability.database.engine import UtcTime
from portability.messages.webhooks import WebhookState
from portability.requests import page_cursors

TABLE, NOTICE = models.recipient, models.recipient_notice
TRANSFER, HOOK = models.transfer, models.webhook
PAGE = 50


def newest(
    connection: Connection, *, after: str | None = None, limit: int = PAGE
) -> tuple[Sequence[RowMapping], str | None]:
    """Return a page of all recipients, and the cursor of the next page (None: the last). Raises BadInput for a cursor.

    Those that wait for an approval come first, then the newest.
    """
    is_waiting = TABLE.c.approved_at.is_(None) & TABLE.c.removed_at.is_(None)
    part = case((is_waiting, 0), else_=1).label("part")
    query = select(TABLE, part)
    if after:
        last_part, at, last_id = page_cursors.decoded_in_part(after)
        older = tuple_(TABLE.c.created_at, TABLE.c.id) < tuple_(literal(at, UtcTime()), literal(last_id))
        query = query.where(or_(part.element > last_part, and_(part.element == last_part, older)))
    ordered = query.order_by(part, TABLE.c.created_at.desc(), TABLE.c.id.desc())
    found = connection.execute(ordered.limit(limit + 1)).mappings().all()
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], page_cursors.encoded_in_part(last["part"], last["created_at"], last["id"])


def oldest(
    connection: Connection, *, approved_only: bool, after: str | None = None, limit: int = PAGE
) -> tuple[Sequence[RowMapping], str | None]:
    """Return a page of recipients, the oldest first, and the cursor of the next page (None: the last).

    Raises: BadInput for a cursor.
    """
    query = select(TABLE)
    if approved_only:
        query = query.where(TABLE.c.approved_at.is_not(None), TABLE.c.removed_at.is_(None))
    return page_cursors.oldest(connection, query, TABLE.c.created_at, TABLE.c.id, after, limit)


def notices(
    connection: Connection, *, recipient_ids: Collection[str] | None = None, after: str | None = None, limit: int
) -> tuple[Sequence[RowMapping], str | None]:
    """Return a page of the notices to all or some recipients, the oldest first, and the cursor of the next page.

    The cursor is None after the last. Raises BadInput for a cursor.
    """
    query = select(NOTICE)
    if recipient_ids is not None:
        query = query.where(NOTICE.c.recipient_id.in_(recipient_ids))
    return page_cursors.oldest(connection, query, NOTICE.c.created_at, NOTICE.c.id, after, limit)


def transfers(
    connection: Connection, *, export_id: str | None, state: str | None, after: str | None, limit: int
) -> tuple[Sequence[RowMapping], str | None]:
    """Return a page of the transfers of an export, the oldest first, or of all transfers, the newest first.

    The second value is the cursor of the next page, or None if this page is the last. Raises BadInput if `after` is not
    a cursor.
    """
    query = select(TRANSFER)
    if state:
        query = query.where(TRANSFER.c.state == state)
    if export_id:
        query = query.where(TRANSFER.c.export_id == export_id)
    list_page = page_cursors.oldest if export_id else page_cursors.newest
    return list_page(connection, query, TRANSFER.c.created_at, TRANSFER.c.id, after, limit)


def webhooks(
    connection: Connection, *, state: str | None, after: str | None, limit: int
) -> tuple[Sequence[RowMapping], str | None]:
    """Return a page of all webhooks, each with the ids of its export and recipient.

    Those that wait (`queued`) are in the order of their age, because an alert is about the oldest; other lists begin
    with the newest. The second value is the cursor of the next page, or None if this page is the last. Raises BadInput
    if `after` is not a cursor.
    """
    query = select(HOOK, TRANSFER.c.export_id, TRANSFER.c.recipient_id)
    query = query.join(TRANSFER, TRANSFER.c.id == HOOK.c.transfer_id)
    if state:
        query = query.where(HOOK.c.state == state)
    list_page = page_cursors.oldest if state == WebhookState.QUEUED else page_cursors.newest
    return list_page(connection, query, HOOK.c.created_at, HOOK.c.id, after, limit)
