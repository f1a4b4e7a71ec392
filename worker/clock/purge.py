"""Purge: records of requests are kept as long as the laws require, and no longer (R50; 11 CCR 7101, 45 CFR 164.316)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    and_,
    delete,
    or_,
    select,
)

from portability.api import SubjectKind
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
ORDER, HOLD, MANDATE = models.instruction, models.legal_hold, models.mandate
NAMING = (EXPORT, models.authorisation, models.feed, models.schedule, HOLD, MANDATE, RECEIVED, ORDER)
"""Tables whose rows name a subject: as long as one of them has a row, the subject keeps its pseudonym."""
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
    """Unlink a locked subject from its pseudonym, unless a row is left that names the subject."""
    named = (select(table.c.id).where(_is_about(table, subject)).limit(1) for table in NAMING)
    if not any(connection.scalar(query) for query in named):
        subjects.forget_ref(connection, *subject)


def _purge_what_ended(engine: Engine, before: datetime) -> None:
    """Delete what names people and ended before: mandates, instructions, consents, holds, received transfers ...

    What names a subject under an active legal hold stays, as the records of its requests do.
    """
    consent, sent = models.authorisation, models.transfer
    used = select(sent.c.id).where(sent.c.authorisation_id == consent.c.id).exists()
    spent = or_(
        consent.c.revoked_at < before, consent.c.expires_at < before, and_(consent.c.once, consent.c.used_at < before)
    )
    over: Sequence[tuple[Table, ColumnElement[bool]]] = (
        (
            MANDATE,
            and_(or_(MANDATE.c.ended_at < before, MANDATE.c.expires_at < before), ~subject_locks.is_agent_held()),
        ),
        (ORDER, ORDER.c.withdrawn_at < before),
        # A consent is kept as long as the record of a transfer that is based on it.
        (consent, and_(spent, ~used)),
        (models.feed, models.feed.c.ended_at < before),
        (models.schedule, models.schedule.c.ended_at < before),
        (RECEIVED, RECEIVED.c.ended_at < before),
    )
    ended = [(table, and_(which, ~subject_locks.is_held(*subject_locks.name_columns(table)))) for table, which in over]
    ended.append((HOLD, or_(HOLD.c.released_at < before, HOLD.c.until < before)))
    with reading(engine) as connection:
        found = [pair for pair in ended if connection.scalar(select(pair[0].c.id).where(pair[1]).limit(1))]
    for table, which in found:
        with writing(engine) as connection:
            _purge_of_subjects(connection, table, which)


def _purge_of_subjects(connection: Connection, table: Table, which: ColumnElement[bool]) -> None:
    """Delete rows that name subjects, at most a page, and each link to a pseudonym whose subject no row names now."""
    kind, identifier, tenant = subject_locks.name_columns(table)
    whom = (kind.label("subject_kind"), identifier.label("subject_id"), tenant.label("tenant"))
    agent = (MANDATE.c.agent,) if table is MANDATE else ()
    query = select(table.c.id, *whom, *agent).where(which).order_by(table.c.id)
    rows = connection.execute(query.limit(PAGE)).mappings().all()
    # An officer may have refused a received transfer before saying whose data it is.
    named = {subject_locks.name_of_row(row) for row in rows if row["subject_id"]}
    named |= {_agent(row["agent"]) for row in rows if agent}
    subject_locks.lock(connection, *named)
    gone = and_(table.c.id.in_([row["id"] for row in rows]), which)
    if table is models.feed:
        feeds.erase(connection, gone)
    elif table is RECEIVED:
        received.forget(connection, gone)
    else:
        connection.execute(delete(table).where(gone))
    if table is models.authorisation:
        outbox.purge_unowned(connection)
    for subject in named:
        _forget_unused(connection, subject)


def _is_about(table: Table, subject: SubjectName) -> ColumnElement[bool]:
    """Return the condition for rows of a table that name a subject: of a mandate also as the agent."""
    kind, identifier, tenant = subject_locks.name_columns(table)
    about = and_(kind == subject[0], identifier == subject[1], tenant.is_not_distinct_from(subject[2]))
    if table is ORDER:
        return and_(about, ORDER.c.tenant == subject[2])  # an index has the company
    if table is MANDATE and subject[0] == SubjectKind.USER:
        return or_(about, MANDATE.c.agent == f"subject:{subject[1]}")
    return about


def _agent(actor: str) -> SubjectName:
    """Return the subject that the agent of a mandate is: agents have accounts."""
    return str(SubjectKind.USER), actor.partition(":")[2], None


def _months_ago(moment: datetime, months: int) -> datetime:
    day = deadlines.months_later(moment.date(), -months)
    return moment.replace(year=day.year, month=day.month, day=day.day)
