"""Until when an archive is kept: letters, pages and offers to other providers state this time, and no other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from portability.database import deployment, models
from portability.database.engine import now
from portability.law import deadlines
from portability.law.deadlines import EXPIRY_NOTICE
from portability.messages.outbox import MessageKind
from portability.requests.states import TRANSFERS_FETCHABLE, TRANSFERS_LIVE, ExportState
from portability.settings import Settings

EXPORT, TRANSFER, NOTIFICATION = models.export, models.transfer, models.notification
UNREACHED = TRANSFERS_LIVE & TRANSFERS_FETCHABLE
"""States of a transfer whose recipient has an offer, and has not confirmed that it has everything."""


def archive_end(connection: Connection, settings: Settings, export: Mapping[Any, Any]) -> datetime | None:
    """Return until when the archive of an export is kept; None for an export without an archive."""
    return kept_until(connection, settings, export) if export["state"] == ExportState.READY else None


def kept_until(connection: Connection, settings: Settings, export: Mapping[Any, Any]) -> datetime:
    """Return until when a ready archive is kept at least, as far as is known now.

    It is deleted after its time, and 48 hours after the notice of its end: a clock that was stopped announces it late.
    It outlives the offers of it, whose end is signed: a shorter time in the settings ends none of them. An archive
    whose time is over may last until the clock deletes it.
    """
    present = deployment.clock_of(connection)
    ready_at = export["ended_at"] or present
    ttl_seconds = settings.ttl_seconds(export["subject_kind"])
    end = deadlines.kept_until(ready_at, ttl_seconds, export["retrieval_ends_at"])
    notice = (NOTIFICATION.c.export_id == export["id"], NOTIFICATION.c.kind == MessageKind.EXPIRING)
    given = select(func.min(NOTIFICATION.c.created_at)).where(*notice, NOTIFICATION.c.created_at >= ready_at)
    of_offers = select(func.max(TRANSFER.c.expires_at)).where(TRANSFER.c.export_id == export["id"], _is_offered())
    return max(end, (connection.scalar(given) or present) + EXPIRY_NOTICE, connection.scalar(of_offers) or end)


def is_promised(before_seconds: float = 0) -> ColumnElement[bool]:
    """Return the condition for exports: an offer of the archive, with a signed end, lasts longer than some seconds."""
    lasting = (TRANSFER.c.export_id == EXPORT.c.id, _is_offered(), TRANSFER.c.expires_at > now(before_seconds))
    return select(TRANSFER.c.id).where(*lasting).exists()


def _is_offered() -> ColumnElement[bool]:
    return TRANSFER.c.state.in_(UNREACHED)
