"""Until when an archive is kept: letters, pages and offers to other providers state this time, and no other.

The end is recorded when the archive becomes ready: later settings are for later archives. An archive that a release
without this record has made, or made again, is kept for the time in the settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from portability.api import SubjectKind
from portability.database import deployment, models
from portability.database.engine import now
from portability.law import deadlines
from portability.law.deadlines import EXPIRY_NOTICE
from portability.messages.outbox import MessageKind
from portability.requests import earlier_revisions
from portability.requests.states import TRANSFERS_FETCHABLE, TRANSFERS_LIVE
from portability.settings import Settings

EXPORT, TRANSFER, NOTIFICATION = models.export, models.transfer, models.notification
UNREACHED = TRANSFERS_LIVE & TRANSFERS_FETCHABLE
"""States of a transfer whose recipient has an offer, and has not confirmed that it has everything."""


def recorded(settings: Settings, export: Mapping[Any, Any], present: datetime) -> dict[str, datetime]:
    """Return the columns of an export whose archive becomes ready now: the end of an archive, as it is stated from now.

    A further revision, or an archive that is made again, ends no earlier than what was recorded before it.
    """
    end = deadlines.kept_until(present, settings.ttl_seconds(export["subject_kind"]))
    return {"ended_at": present, "kept_since": present, "kept_until": max(end, export["kept_until"] or end)}


def archive_end(connection: Connection, settings: Settings, export: Mapping[Any, Any]) -> datetime | None:
    """Return until when the archive of an export is kept; None for an export without an archive."""
    archive = earlier_revisions.archive(connection, export)
    return kept_until(connection, settings, archive) if archive else None


def kept_until(connection: Connection, settings: Settings, export: Mapping[Any, Any]) -> datetime:
    """Return until when a ready archive is kept at least, as far as is known now.

    It is deleted after its time (`is_over`), and 48 hours after the notice of its end: a clock that was stopped
    announces it late. It outlives the offers of it, whose end is signed. An archive whose time is over may last until
    the clock deletes it.
    """
    present = deployment.clock_of(connection)
    ready_at = export["ended_at"] or present
    is_recorded = export["kept_until"] and export["kept_since"] == export["ended_at"]
    computed = deadlines.kept_until(ready_at, settings.ttl_seconds(export["subject_kind"]))
    end = export["kept_until"] if is_recorded else computed
    end = max(end, export["retrieval_ends_at"] or end)
    notice = (NOTIFICATION.c.export_id == export["id"], NOTIFICATION.c.kind == MessageKind.EXPIRING)
    given = select(func.min(NOTIFICATION.c.created_at)).where(*notice, NOTIFICATION.c.created_at >= ready_at)
    of_offers = select(func.max(TRANSFER.c.expires_at)).where(TRANSFER.c.export_id == export["id"], _is_offered())
    return max(end, (connection.scalar(given) or present) + EXPIRY_NOTICE, connection.scalar(of_offers) or end)


def is_over(settings: Settings, before_seconds: float = 0) -> ColumnElement[bool]:
    """Return the condition for exports: the time of the archive is over in some seconds, as `kept_until` states it.

    An archive of a switch is kept until the end of the period of retrieval, and one that is offered to other providers
    until the end of the offers, if that is later. The notice of the end is the caller's.
    """
    recorded_end = and_(EXPORT.c.kept_since == EXPORT.c.ended_at, EXPORT.c.kept_until <= now(before_seconds))
    kinds = ((kind, now(before_seconds - settings.ttl_seconds(kind))) for kind in SubjectKind)
    computed_end = or_(*(and_(EXPORT.c.subject_kind == kind, EXPORT.c.ended_at <= since) for kind, since in kinds))
    retrieved = or_(EXPORT.c.retrieval_ends_at.is_(None), EXPORT.c.retrieval_ends_at <= now(before_seconds))
    return and_(or_(recorded_end, and_(_is_unrecorded(), computed_end)), retrieved, ~is_promised(before_seconds))


def near_end(
    settings: Settings, present: datetime, before_seconds: float = 0
) -> Sequence[tuple[ColumnElement[bool], ColumnElement[Any]]]:
    """Return conditions of which one holds wherever `is_over` holds, each with the column of its index.

    `present` is the time of the database as a value: it is a bound of the indexes.
    """
    end = present + timedelta(seconds=before_seconds)
    shortest = timedelta(seconds=min(settings.ttl_seconds(kind) for kind in SubjectKind))
    unrecorded = and_(_is_unrecorded(), EXPORT.c.ended_at <= end - shortest)
    return (EXPORT.c.kept_until <= end, EXPORT.c.kept_until), (unrecorded, EXPORT.c.ended_at)


def _is_unrecorded() -> ColumnElement[bool]:
    return EXPORT.c.kept_since.is_distinct_from(EXPORT.c.ended_at)


def is_promised(before_seconds: float = 0) -> ColumnElement[bool]:
    """Return the condition for exports: an offer of the archive, with a signed end, lasts longer than some seconds."""
    lasting = (TRANSFER.c.export_id == EXPORT.c.id, _is_offered(), TRANSFER.c.expires_at > now(before_seconds))
    return select(TRANSFER.c.id).where(*lasting).exists()


def _is_offered() -> ColumnElement[bool]:
    return TRANSFER.c.state.in_(UNREACHED)
