"""Rows that name a subject outside of its exports: an erasure deletes them, except what a legal hold protects.

A hold of another subject protects a mandate for or by that subject, an instruction about it, and the record of its
requests: who requested it, and about whom a company has answered. That stays until the hold ends, and is without effect
from the erasure on. A question to a company that is not answered loses the name: the answer would have an effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Table,
    Text,
    and_,
    cast,
    delete,
    exists,
    or_,
    select,
    update,
)

from portability.api import ADDRESS_KINDS, SubjectKind
from portability.database import models
from portability.database.engine import now
from portability.feeds import feeds
from portability.inbox import received
from portability.people import subject_locks, subjects
from portability.people.subject_locks import SubjectName
from portability.requests.referrals import ReferralState

EXPORT, APPROVAL, REFERRAL = models.export, models.approval, models.referral
MANDATE, ORDER, CODE = models.mandate, models.instruction, models.code
PLAIN = (models.legal_hold, models.authorisation, models.review, models.schedule)
"""Tables whose rows are deleted, and no others with them."""
WHOLE = (*PLAIN, models.feed, models.received_transfer)


def is_stored(connection: Connection, subject: SubjectName) -> bool:
    """Return whether there is something of a subject that an erasure would delete, or make anonymous."""
    kind, identifier, tenant = subject
    found = [exists().where(subject_locks.of(table, *subject)) for table in (EXPORT, *WHOLE)]
    found += [exists().where(which, ~_is_protected(table)) for table, which in _protectable(subject)]
    if kind == SubjectKind.USER:
        found += [exists().where(which, ~protected) for *_, which, protected in _asked_by(identifier)]
    if kind in ADDRESS_KINDS:
        found.append(exists().where(CODE.c.subject_kind == kind, CODE.c.subject_id == identifier))
    if kind == SubjectKind.CONTACT:
        found.append(exists().where(REFERRAL.c.tenant == tenant, _names(identifier), ~_is_answer_held()))
    is_named = subjects.ref_row(connection, *subject)
    return bool(is_named or connection.scalar(select(or_(*found))))


def forget(connection: Connection, subject: SubjectName) -> int:
    """Delete what names the subject: mandates, holds, consents, schedules, reviews ...

    Returns the number of rows that a legal hold of another subject keeps.
    """
    kind, identifier, tenant = subject
    kept = sum(_delete_unless_protected(connection, table, which) for table, which in _protectable(subject))
    if kind == SubjectKind.USER:
        kept += _forget_asking(connection, identifier)
    if kind == SubjectKind.TENANT:
        part, turn = models.slice, models.turn
        waits = select(part.c.tenant).where(part.c.tenant == turn.c.tenant).exists()
        connection.execute(delete(turn).where(turn.c.tenant == tenant, ~waits))
    if kind in ADDRESS_KINDS:
        connection.execute(delete(CODE).where(CODE.c.subject_kind == kind, CODE.c.subject_id == identifier))
    if kind == SubjectKind.CONTACT:
        kept += _forget_referred(connection, subject)
    feeds.erase(connection, subject_locks.of(models.feed, *subject))
    for table in PLAIN:
        connection.execute(delete(table).where(subject_locks.of(table, *subject)))
    received.forget_subject(connection, *subject)
    return kept


def forget_orders(connection: Connection, export: RowMapping) -> None:
    """Delete what companies ordered about a user of their staff: their answers to an export name the account.

    An instruction does not say whether its id is a contact's: what was ordered otherwise, or by another company, stays
    as long as a contact may have the same id (`forget_orders_by_hand`).
    """
    asked = select(REFERRAL.c.tenant).where(REFERRAL.c.export_id == export["id"], _names(export["subject_id"]))
    if export["subject_kind"] == SubjectKind.USER:
        about = and_(ORDER.c.contact_id == export["subject_id"], ORDER.c.tenant.in_(asked))
        _delete_unless_protected(connection, ORDER, about)


def ordering(connection: Connection, user_id: str) -> Sequence[str]:
    """Return the companies with instructions whose id is that of a user."""
    query = select(ORDER.c.tenant).where(ORDER.c.contact_id == user_id).distinct().order_by(ORDER.c.tenant)
    return connection.scalars(query).all()


def forget_orders_by_hand(connection: Connection, user_id: str, tenants: Sequence[str]) -> bool:
    """Delete what companies ordered about an id of a user that none of their contacts has; returns whether they had.

    A legal hold of such a contact protects it.
    """
    subject_locks.lock(connection, *((str(SubjectKind.CONTACT), user_id, tenant) for tenant in tenants))
    about = and_(ORDER.c.contact_id == user_id, ORDER.c.tenant.in_(tenants))
    return bool(connection.execute(delete(ORDER).where(about, ~_is_protected(ORDER))).rowcount)


def _protectable(subject: SubjectName) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Yield the rows that name a subject, and may name another one who is under a legal hold."""
    kind, identifier, tenant = subject
    mandates = subject_locks.of(MANDATE, *subject)
    if kind == SubjectKind.USER:
        mandates = or_(mandates, MANDATE.c.agent == f"subject:{identifier}")
    yield MANDATE, mandates
    if kind == SubjectKind.TENANT:
        yield ORDER, ORDER.c.tenant == tenant
    if kind == SubjectKind.CONTACT:
        yield ORDER, and_(ORDER.c.tenant == tenant, ORDER.c.contact_id == identifier)


def _is_protected(table: Table) -> ColumnElement[bool]:
    """Return the condition for mandates or instructions that a legal hold protects."""
    held = subject_locks.is_held(*subject_locks.name_columns(table))
    return or_(held, subject_locks.is_agent_held()) if table is MANDATE else held


def _delete_unless_protected(connection: Connection, table: Table, which: ColumnElement[bool]) -> int:
    """Delete rows; end those that a legal hold protects, and return their number."""
    protected, ended = _is_protected(table), table.c.ended_at if table is MANDATE else table.c.withdrawn_at
    connection.execute(delete(table).where(which, ~protected))
    still = update(table).where(which, protected)
    connection.execute(still.where(ended.is_(None)).values({ended: now()}))
    return len(connection.execute(select(table.c.id).where(which)).all())


def _asked_by(user_id: str) -> Iterator[tuple[Table, str, ColumnElement[bool], ColumnElement[bool]]]:
    """Yield where a user is named as who has asked: table, prefix of columns, rows, and which a hold protects."""
    me = f"subject:{user_id}"
    yield EXPORT, "requested", EXPORT.c.requested_by == me, subject_locks.held()
    yield APPROVAL, "asked", APPROVAL.c.asked_by == me, _is_of_held(APPROVAL)


def _forget_asking(connection: Connection, user_id: str) -> int:
    """Make a user anonymous as who has asked for an export or a decision; returns how many rows a hold protects."""
    kept = 0
    for table, verb, which, protected in _asked_by(user_id):
        anonymous: dict[str, str | None] = {f"{verb}_by": "subject", f"{verb}_identity": None}
        connection.execute(update(table).where(which, ~protected).values(**anonymous))
        kept += len(connection.execute(select(table.c.id).where(which)).all())
    return kept


def _is_of_held(table: Table) -> ColumnElement[bool]:
    """Return the condition for rows about an export whose subject is under a legal hold."""
    return select(EXPORT.c.id).where(EXPORT.c.id == table.c.export_id, subject_locks.held()).exists()


def _is_answer_held() -> ColumnElement[bool]:
    """Return the condition for the answers of companies that a legal hold protects."""
    return and_(REFERRAL.c.state != ReferralState.OPEN, _is_of_held(REFERRAL))


def _forget_referred(connection: Connection, contact: SubjectName) -> int:
    """Remove a contact from the questions to its company: an answer would record an order about it again.

    Returns how many answers keep the name, because a legal hold protects them.
    """
    _kind, identifier, tenant = contact
    of_contact = (REFERRAL.c.tenant == tenant, _names(identifier))
    query = select(REFERRAL).where(*of_contact, ~_is_answer_held()).order_by(REFERRAL.c.id)
    for row in connection.execute(query.with_for_update()).mappings().all():
        others = [person for person in row["people"] if person != identifier]
        connection.execute(update(REFERRAL).where(REFERRAL.c.id == row["id"]).values(people=others))
    return len(connection.execute(select(REFERRAL.c.id).where(*of_contact)).all())


def _names(person: str) -> ColumnElement[bool]:
    """Return the condition for referrals that name a person: ids have no quotation marks."""
    return cast(REFERRAL.c.people, Text).contains(f'"{person}"', autoescape=True)
