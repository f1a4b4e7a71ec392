"""Until when an archive is kept: letters, pages and offers to other providers state this time, and no other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from portability.database import deployment, models
from portability.law import deadlines
from portability.law.deadlines import EXPIRY_NOTICE
from portability.messages.outbox import MessageKind
from portability.requests.states import ExportState
from portability.settings import Settings

NOTIFICATION = models.notification


def archive_end(connection: Connection, settings: Settings, export: Mapping[Any, Any]) -> datetime | None:
    """Return until when the archive of an export is kept; None for an export without an archive."""
    return kept_until(connection, settings, export) if export["state"] == ExportState.READY else None


def kept_until(connection: Connection, settings: Settings, export: Mapping[Any, Any]) -> datetime:
    """Return until when a ready archive is kept at least, as far as is known now.

    It is deleted after its time, and 48 hours after the notice of its end: a clock that was stopped announces it late.
    An archive whose time is over may last until the clock deletes it.
    """
    present = deployment.clock_of(connection)
    ready_at = export["ended_at"] or present
    ttl_seconds = settings.ttl_seconds(export["subject_kind"])
    end = deadlines.kept_until(ready_at, ttl_seconds, export["retrieval_ends_at"])
    notice = (NOTIFICATION.c.export_id == export["id"], NOTIFICATION.c.kind == MessageKind.EXPIRING)
    given = select(func.min(NOTIFICATION.c.created_at)).where(*notice, NOTIFICATION.c.created_at >= ready_at)
    return max(end, (connection.scalar(given) or present) + EXPIRY_NOTICE)
