"""Purge: records of requests are kept as long as the laws require, and no longer (R50; 11 CCR 7101, 45 CFR 164.316)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, delete, or_, select

from portability.database import deployment, models
from portability.database.engine import reading, writing
from portability.delivery import codes, downloads
from portability.desk import colleagues
from portability.feeds import feeds
from portability.inbox import received
from portability.law import deadlines
from portability.messages import outbox, recipient_notices
from portability.people import sessions, subject_locks, subjects
from portability.people.subject_locks import SubjectName
from portability.pulls import tokens
from portability.requests import earlier_revisions, exports, idempotency
from portability.requests.states import DISCARDED
from portability.retention import anonymise
from portability.trust import audit
from worker.clock import turns

EXPORT, VOLUME, RECALL, GONE = models.export, models.volume, models.recall, models.deleted_volume
RECEIVED = models.received_transfer
REFERRING = (EXPORT, models.authorisation, models.feed, models.schedule)
"""Tables whose rows state the pseudonym of their subject: pages and lists find them by it."""
ACTOR = "clock"
PAGE = 100


def purge(engine: Engine, months: int) -> int:
    """Delete records of requests that ended `months` ago; returns how many. Raises DatabaseUnavailable."""
    before = _months_ago(deployment.clock(engine), months)
    with reading(engine) as connection:
        found = connection.execute(select(EXPORT).where(*_over(before)).limit(PAGE)).mappings().all()
    subjects_of = {row["id"]: subject_locks.name_of_row(row) for row in found}

    def delete_one(export_id: str) -> int:
        return _delete_record(engine, before, export_id, subjects_of[export_id])

    gone = turns.take_each("purge", subjects_of, delete_one)
    others = {
        "ended": partial(_purge_what_ended, engine, before),
        "logins": partial(_purge_logins, engine),
        "keys": partial(_purge_keys, engine),
        "tokens": partial(_purge_tokens, engine),
        "downloads": partial(_end_downloads, engine),
        "revisions": partial(_purge_revisions, engine),
    }
    turns.take_steps("purge", others)
    return gone


def _delete_record(engine: Engine, before: datetime, export_id: str, subject: SubjectName) -> bool:
    with writing(engine) as connection:
        # A request that is accepted meanwhile keeps the subject's pseudonym.
        subject_locks.lock(connection, subject)
        row = exports.lock(connection, export_id)
        # Checked again under the lock: a retry, a hold or a recall may have begun meanwhile.
        is_over = connection.scalar(select(EXPORT.c.id).where(EXPORT.c.id == export_id, *_over(before)))
        if is_over:
            anonymise.delete_record(connection, export_id)
            if row["subject_id"] and not _asked(connection, row["subject_ref"]):
                _forget_unused(connection, subject)
                connection.execute(delete(models.review).where(subject_locks.of_row(models.review, row)))
            audit.record(connection, "request.purged", actor=ACTOR, export_id=export_id)
    return bool(is_over)


def _end_downloads(engine: Engine) -> None:
    with reading(engine) as connection:
        if not downloads.has_outdated(connection):
            return
    with writing(engine) as connection:
        downloads.end_idle(connection)


def _purge_logins(engine: Engine) -> None:
    """Delete sessions and colleagues whose time is over, and codes of people without account, with the addresses."""
    rooms = (codes.has_outdated_addresses, sessions.has_outdated, colleagues.has_outdated)
    with reading(engine) as connection:
        if not any(has_outdated(connection) for has_outdated in rooms):
            return
    with writing(engine) as connection:
        codes.purge_addresses(connection)
        sessions.purge(connection)
        colleagues.purge(connection)


def _purge_keys(engine: Engine) -> None:
    with reading(engine) as connection:
        if not idempotency.has_outdated(connection):
            return
    with writing(engine) as connection:
        idempotency.purge(connection)


def _purge_revisions(engine: Engine) -> None:
    with reading(engine) as connection:
        if not earlier_revisions.has_outdated(connection):
            return
    with writing(engine) as connection:
        earlier_revisions.purge(connection)


def _purge_tokens(engine: Engine) -> None:
    with reading(engine) as connection:
        if not tokens.has_outdated(connection):
            return
    with writing(engine) as connection:
        tokens.purge(connection)


def _over(before: datetime) -> Sequence[ColumnElement[bool]]:
    """Return the conditions for an export: ended before, nothing stored, unattested or unsent, no hold, no breach."""
    stored = select(VOLUME.c.id).where(VOLUME.c.export_id == EXPORT.c.id).exists()
    unattested = select(GONE.c.id).where(GONE.c.export_id == EXPORT.c.id, GONE.c.attestation_id.is_(None)).exists()
    breached = select(RECALL.c.id).where(RECALL.c.export_id == EXPORT.c.id, RECALL.c.closed_at.is_(None)).exists()
    # In two conditions, each of which an index answers. An export of version 0.1 may have no end.
    is_over = or_(EXPORT.c.ended_at < before, and_(EXPORT.c.ended_at.is_(None), EXPORT.c.created_at < before))
    unsent = recipient_notices.unsettled(EXPORT.c.id)
    over = (EXPORT.c.state.in_(DISCARDED), is_over, ~subject_locks.held())
    return (*over, ~stored, ~unattested, ~breached, ~unsent)


def _asked(connection: Connection, ref: str) -> bool:
    return connection.scalar(select(EXPORT.c.id).where(EXPORT.c.subject_ref == ref).limit(1)) is not None


def _forget_unused(connection: Connection, subject: SubjectName) -> None:
    """Unlink a locked subject from its pseudonym, unless rows are left by which the person finds their own."""
    named = (select(table.c.id).where(subject_locks.of(table, *subject)).limit(1) for table in REFERRING)
    if not any(connection.scalar(query) for query in named):
        subjects.forget_ref(connection, *subject)


def _purge_what_ended(engine: Engine, before: datetime) -> None:
    """Delete what names people and ended before: mandates, instructions, consents, holds, received transfers ..."""
    mandate, order, hold = models.mandate, models.instruction, models.legal_hold
    consent, sent = models.authorisation, models.transfer
    used = select(sent.c.id).where(sent.c.authorisation_id == consent.c.id).exists()
    spent = or_(
        consent.c.revoked_at < before, consent.c.expires_at < before, and_(consent.c.once, consent.c.used_at < before)
    )
    over: Sequence[tuple[Table, ColumnElement[bool]]] = (
        (mandate, or_(mandate.c.ended_at < before, mandate.c.expires_at < before)),
        (order, order.c.withdrawn_at < before),
        # A consent is kept as long as the record of a transfer that is based on it.
        (consent, and_(spent, ~used)),
        (models.feed, models.feed.c.ended_at < before),
        (models.schedule, models.schedule.c.ended_at < before),
        (hold, or_(hold.c.released_at < before, hold.c.until < before)),
    )
    received_over = RECEIVED.c.ended_at < before
    with reading(engine) as connection:
        has_received = connection.scalar(select(RECEIVED.c.id).where(received_over).limit(1)) is not None
        found = [(table, which) for table, which in over if connection.scalar(select(table.c.id).where(which).limit(1))]
    for table, which in found:
        with writing(engine) as connection:
            if table in REFERRING:
                _purge_of_subjects(connection, table, which)
            else:
                connection.execute(delete(table).where(which))
    if has_received:
        with writing(engine) as connection:
            received.forget(connection, received_over)


def _purge_of_subjects(connection: Connection, table: Table, which: ColumnElement[bool]) -> None:
    """Delete rows that state a pseudonym, at most a page, and each link to a pseudonym that no row states any more."""
    whom = (table.c.subject_kind, table.c.subject_id, table.c.tenant)
    rows = connection.execute(select(table.c.id, *whom).where(which).order_by(table.c.id).limit(PAGE)).mappings().all()
    named = {subject_locks.name_of_row(row) for row in rows}
    subject_locks.lock(connection, *named)
    gone = and_(table.c.id.in_([row["id"] for row in rows]), which)
    if table is models.feed:
        feeds.erase(connection, gone)
    else:
        connection.execute(delete(table).where(gone))
    if table is models.authorisation:
        outbox.purge_unowned(connection)
    for subject in named:
        _forget_unused(connection, subject)


def _months_ago(moment: datetime, months: int) -> datetime:
    day = deadlines.months_later(moment.date(), -months)
    return moment.replace(year=day.year, month=day.month, day=day.day)
