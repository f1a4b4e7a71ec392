"""Notifications: what people are told about their export, queued in the transaction of the change that it tells of.

A row holds no address, no text and no code: those are looked up, or derived, when it is mailed (worker/deliver.py).
The account page shows the same rows as messages (docs/mail.md).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, func, select
from sqlalchemy.dialects import postgresql, sqlite

from portability import models
from portability.db import now

TABLE, EXPORT, AUDIT = models.notification, models.export, models.audit_event


class Kind(StrEnum):
    """What is told."""

    ACKNOWLEDGED = "acknowledged"
    """The request has come in, and when it is due (11 CCR 7021(a))."""
    READY = "ready"
    EXPIRING = "expiring"
    """The archive will be deleted soon."""
    EXTENDED = "extended"
    """It takes longer than the law's first deadline; with the reason (GDPR Art. 12(3))."""
    FAILED = "failed"
    DENIED = "denied"
    """A person has refused the request; with the remedies (GDPR Art. 12(4))."""
    CODE = "code"
    """A one-time code for whoever has no login. Never shown on a page."""


class State(StrEnum):
    """What became of it."""

    QUEUED = "queued"
    """To be mailed; never given up without becoming `page` or `failed`."""
    SENT = "sent"
    """A mail server has taken it."""
    PAGE = "page"
    """Not mailed, for its `reason`; it stands on the account page."""
    FAILED = "failed"
    """Cannot be mailed, for its `reason`, though it should: somebody has to look."""


def queue(connection: Connection, kind: Kind, export_id: str, *, occasion: str | None = None) -> str | None:
    """Tell of an export in the caller's transaction; returns the notification's id, None where it was told already.

    `occasion` is what it is told once for: a code's id; by default this try and revision of the export.
    """
    identifier = f"ntf_{secrets.token_hex(16)}"
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {
        "id": identifier,
        "export_id": export_id,
        "kind": kind,
        "occasion": occasion or present_occasion(connection, export_id),
        "state": State.QUEUED,
        "attempts": 0,
        "created_at": now(),
    }
    once = insert(TABLE).values(row).on_conflict_do_nothing(index_elements=["export_id", "kind", "occasion"])
    new = connection.execute(once.returning(TABLE.c.id)).scalar_one_or_none()
    return None if new is None else identifier


def present_occasion(connection: Connection, export_id: str) -> str:
    """Which try, and which revision of its archive: of a retried export everything is told anew."""
    retried = (AUDIT.c.export_id == export_id, AUDIT.c.action == "export.retried")
    retries = select(func.count()).select_from(AUDIT).where(*retried).scalar_subquery()
    again, revision = connection.execute(select(retries, EXPORT.c.revision).where(EXPORT.c.id == export_id)).one()
    return f"{1 + again}.{revision}"


def messages(connection: Connection, export_id: str) -> Sequence[RowMapping]:
    """What was told of an export, oldest first, for its page: everything but codes."""
    query = select(TABLE).where(TABLE.c.export_id == export_id, TABLE.c.kind != Kind.CODE)
    return connection.execute(query.order_by(TABLE.c.created_at, TABLE.c.id)).mappings().all()
