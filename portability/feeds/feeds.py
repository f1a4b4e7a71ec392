"""Feeds as rows: begin, request the next archive, advance with it, and end, when everything delivered is forgotten.

A feed's first archive contains everything. Each later archive contains what has changed since the one before.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, insert, or_, select, update

from portability.api import JSON, SubjectKind
from portability.api.times import rfc3339
from portability.database import models
from portability.database.engine import now
from portability.feeds import parts, undelivered
from portability.feeds.errors import FeedEnded, FeedMoved, UnknownFeed
from portability.feeds.steps import FeedProgress
from portability.law.profiles import Profile
from portability.messages import outbox
from portability.messages.outbox import MessageKind
from portability.people import subjects
from portability.requests import exports, transfer_ends
from portability.requests.acceptance import Request
from portability.requests.policy import Actor
from portability.requests.states import ONGOING
from portability.settings import Settings
from portability.trust import audit

TABLE, EXPORT, PART, PSEUDONYM = models.feed, models.export, models.feed_part, models.feed_pseudonym
STEP, ARCHIVE, TRANSFER = models.feed_step, models.feed_archive, models.transfer
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class FeedTerms:
    """How a feed goes on after its first archive."""

    authorisation_id: str | None = None
    """The consent that it serves, and with which it ends."""
    every_days: int | None = None
    """How often the clock requests an archive; None: only on request."""
    until: datetime | None = None


def begin(connection: Connection, settings: Settings, request: Request, terms: FeedTerms, *, actor: Actor) -> str:
    """Begin a feed of what a request asks for, and return its id. Raises NoSigningKey."""
    feed_id = f"feed_{secrets.token_hex(10)}"
    whom = (request.subject_kind, request.subject_id, request.tenant)
    ref = subjects.pairwise_ref(connection, *whom)
    values: dict[str, Any] = {
        "id": feed_id,
        "profile": request.profile,
        "subject_kind": request.subject_kind,
        "subject_id": request.subject_id,
        "subject_ref": ref,
        "tenant": request.tenant,
        "include": list(request.include) if request.include else None,
        "formats": list(request.formats),
        "authorisation_id": terms.authorisation_id,
        "every_days": terms.every_days,
        "until": terms.until,
        "created_at": now(),
        "created_by": str(actor),
        "created_identity": actor.identity,
        "number": 0,
        "next_at": None if terms.every_days is None else now(terms.every_days * DAY_SECONDS),
        **parts.new_sealed_key(connection, settings.keys),
    }
    connection.execute(insert(TABLE).values(**values))
    detail: audit.Detail = {"feed": feed_id, "subject": ref, "profile": request.profile}
    audit.record(connection, "feed.begun", actor=str(actor), detail=detail)
    return feed_id


def asked_again(feed: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the arguments of `acceptance.check` by which a feed's next archive is requested."""
    kind = SubjectKind(feed["subject_kind"])
    return {
        "profile": Profile(feed["profile"]),
        "subject": f"{kind}:{feed['subject_id']}",
        "tenant": None if kind is SubjectKind.TENANT else feed["tenant"],
        "include": feed["include"],
        "formats": feed["formats"],
    }


def open_export(connection: Connection, feed_id: str) -> str | None:
    """Return the export of a feed that has not ended: there is one at most, because each begins where the last ends."""
    return connection.scalar(select(EXPORT.c.id).where(EXPORT.c.feed_id == feed_id, EXPORT.c.state.in_(ONGOING)))


def get(connection: Connection, feed_id: str) -> RowMapping:
    """Return a feed's row. Raises UnknownFeed."""
    row = connection.execute(select(TABLE).where(TABLE.c.id == feed_id)).mappings().one_or_none()
    if row is None:
        raise UnknownFeed(f"no feed has the id {feed_id!r}")
    return row


def lock(connection: Connection, feed_id: str) -> RowMapping:
    """Return a feed's row, locked: the locks of its exports come before. Raises UnknownFeed, FeedEnded."""
    locked = select(TABLE).where(TABLE.c.id == feed_id).with_for_update()
    row = connection.execute(locked).mappings().one_or_none()
    if row is None:
        raise UnknownFeed(f"no feed has the id {feed_id!r}")
    if row["ended_at"] is not None:
        raise FeedEnded(f"feed {feed_id} has ended")
    return row


def last_ready_at(connection: Connection, feed: Mapping[Any, Any]) -> datetime | None:
    """Return when a feed's last archive was ready; None: it is the first, or no longer known."""
    at: datetime | None = connection.scalar(select(EXPORT.c.ended_at).where(EXPORT.c.id == feed["export_id"]))
    return at


def listed(connection: Connection, which: ColumnElement[bool] | None = None) -> Sequence[RowMapping]:
    """Return feeds, the newest first."""
    query = select(TABLE).order_by(TABLE.c.created_at.desc(), TABLE.c.id)
    return connection.execute(query if which is None else query.where(which)).mappings().all()


def advance(
    connection: Connection,
    feed_id: str,
    number: int,
    export_id: str,
    *,
    is_full: bool,
    progress: FeedProgress | None = None,
) -> None:
    """Note that the archive after `number` is ready; `is_full`: it states all that is delivered, not only changes.

    The export is locked. Raises FeedMoved if the feed is not at `number`, or has ended.
    """
    here = (TABLE.c.id == feed_id, TABLE.c.number == number, TABLE.c.ended_at.is_(None))
    after = {"number": number + 1, "export_id": export_id, "progress": None if progress is None else progress.to_json()}
    if not connection.execute(update(TABLE).where(*here).values(**after)).rowcount:
        raise FeedMoved(f"feed {feed_id} is no longer at archive {number}, or has ended")
    # Of another attempt at the same number, and what this archive states anew.
    gone = PART.c.number <= number + 1
    if not is_full:
        gone = or_(PART.c.number == number + 1, and_(gone, PART.c.lookup.is_(None)))
    connection.execute(delete(PART).where(PART.c.feed_id == feed_id, PART.c.export_id != export_id, gone))
    connection.execute(delete(STEP).where(STEP.c.feed_id == feed_id))


def end(connection: Connection, feed_id: str, *, actor: str, reason: str | None = None) -> None:
    """End a feed: erase its keys and what it had delivered; cancel its open export.

    The person hears of an archive that was to be sent again, and never will be. `reason` is a code for the audit log:
    then another message says it. Raises: UnknownFeed, FeedEnded.
    """
    unsent = None if reason else undelivered.newest_transfer(connection, feed_id)
    transfer_ends.lock_exports(connection, TRANSFER.c.id == unsent)
    cancel_open(connection, TABLE.c.id == feed_id, actor=actor)
    lock(connection, feed_id)
    forget(connection, TABLE.c.id == feed_id, actor=actor)
    transfer_ends.tell(connection, TRANSFER.c.id == unsent)
    detail: audit.Detail = {"feed": feed_id, **({"reason": reason} if reason else {})}
    audit.record(connection, "feed.ended", actor=actor, detail=detail)


def give_up(connection: Connection, export_id: str, *, actor: str) -> bool:
    """End the feed of an archive that its recipient will never get, and inform the person; returns whether it ended.

    Raises FeedEnded if another process has ended it.
    """
    lost = undelivered.undeliverable().where(EXPORT.c.id == export_id).limit(1)
    row = connection.execute(lost).one_or_none()
    if row:
        outbox.queue(connection, MessageKind.FEED_STOPPED, export_id, occasion=row.feed)
        end(connection, row.feed, actor=actor, reason="undelivered")
    return bool(row)


def cancel_open(connection: Connection, which: ColumnElement[bool], *, actor: str) -> None:
    """Cancel the open exports of feeds, which are locked before the feeds."""
    running = (EXPORT.c.feed_id.in_(select(TABLE.c.id).where(which)), EXPORT.c.state.in_(ONGOING))
    for export_id in connection.scalars(select(EXPORT.c.id).where(*running).order_by(EXPORT.c.id)).all():
        exports.cancel(connection, export_id, actor=actor)


def end_of_consents(connection: Connection, authorisation_ids: Sequence[str], *, actor: str) -> Sequence[str]:
    """Erase the feeds of consents; returns their ids, whose events the caller records (`record_ended`)."""
    which = and_(TABLE.c.authorisation_id.in_(authorisation_ids), TABLE.c.ended_at.is_(None))
    found = connection.scalars(select(TABLE.c.id).where(which).order_by(TABLE.c.id).with_for_update()).all()
    forget(connection, TABLE.c.id.in_(found), actor=actor)
    return found


def record_ended(connection: Connection, feed_ids: Sequence[str], *, actor: str) -> None:
    """Write the events of feeds that ended."""
    for feed_id in feed_ids:
        audit.record(connection, "feed.ended", actor=actor, detail={"feed": feed_id})


def forget(connection: Connection, which: ColumnElement[bool], *, actor: str) -> None:
    """Erase what feeds have delivered, with their keys; a worker that writes for one of them stops."""
    chosen = select(TABLE.c.id).where(which)
    for table in (PART, PSEUDONYM, STEP):
        connection.execute(delete(table).where(table.c.feed_id.in_(chosen)))
    erased = {"progress": None, "sealed_key": None, "kid": None, "pseudonym_key": None, "next_at": None}
    connection.execute(update(TABLE).where(which).values(**erased, ended_at=now(), ended_by=actor))


def erase(connection: Connection, which: ColumnElement[bool]) -> None:
    """Delete feeds completely: of an erased subject, or of the past."""
    chosen = select(TABLE.c.id).where(which)
    for table in (PART, PSEUDONYM, STEP, ARCHIVE):
        connection.execute(delete(table).where(table.c.feed_id.in_(chosen)))
    connection.execute(update(EXPORT).where(EXPORT.c.feed_id.in_(chosen)).values(feed_id=None))
    connection.execute(delete(TABLE).where(which))


def view(connection: Connection, row: Mapping[Any, Any]) -> dict[str, JSON]:
    """Return a feed as JSON; its subject by the pseudonym."""
    names = ("id", "profile", "subject_kind", "include", "formats", "authorisation_id", "every_days", "number")
    times = ("created_at", "next_at", "until", "ended_at")
    content: dict[str, JSON] = {name: row[name] for name in (*names, "export_id")}
    running = open_export(connection, row["id"])
    return {
        **content,
        "subject": row["subject_ref"],
        "running": running,
        "undelivered": undelivered.first(connection, row["id"]) if row["authorisation_id"] else None,
        **{name: rfc3339(row[name]) for name in times},
    }
