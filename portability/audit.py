"""The audit log: what happened, when, by whom, to which export. Append-only: the database refuses the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, insert, select

from portability import models
from portability.db import now


def record(
    connection: Connection,
    action: str,
    *,
    actor: str,
    export_id: str | None = None,
    detail: Mapping[str, str | int | bool | None] | None = None,
) -> None:
    """Add an event in the caller's transaction: what is rolled back has not happened.

    `detail` holds opaque ids, codes and counts only, never personal data.
    """
    event = {"actor": actor, "action": action, "export_id": export_id, "detail": dict(detail or {}), "at": now()}
    connection.execute(insert(models.audit_event).values(event))


def events(
    connection: Connection, *, export_id: str | None = None, since: datetime | None = None
) -> Sequence[RowMapping]:
    """Events in the order in which they were written."""
    table = models.audit_event
    query = select(table).order_by(table.c.id)
    if export_id is not None:
        query = query.where(table.c.export_id == export_id)
    if since is not None:
        query = query.where(table.c.at >= since)
    return connection.execute(query).mappings().all()
