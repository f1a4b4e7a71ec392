"""Notifications: messages to people about their export, queued in the transaction of the change that they report.

They go by mail, to a subject that is a phone number by SMS. A row contains no address, no text and no code: those are
looked up, or derived, when it is sent (worker/clock/message_delivery.py). The account page shows the same rows as
messages (docs/mail.md).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    String,
    and_,
    case,
    cast,
    delete,
    func,
    insert,
    select,
    update,
)

from portability.api import JSON, SubjectKind
from portability.api.times import rfc3339
from portability.database import models
from portability.database.engine import now
from portability.database.rows import insert_row, inserting
from portability.trust import audit

TABLE, EXPORT, AUDIT = models.notification, models.export, audit.LOG


class MessageKind(StrEnum):
    """What a message reports."""

    ACKNOWLEDGED = "acknowledged"
    """The request was received, and when it is due (11 CCR 7021(a))."""
    READY = "ready"
    EXPIRING = "expiring"
    """The archive will be deleted soon."""
    EXTENDED = "extended"
    """The answer takes longer than the law's first deadline; with the reason (GDPR Art. 12(3))."""
    FAILED = "failed"
    LOG_IN = "log_in"
    """The address of the request belongs to an account: the person logs in and makes the request there."""
    DENIED = "denied"
    """A person has refused the request; with the person's remedies (GDPR Art. 12(4))."""
    NOT_FOUND = "not_found"
    """No source knows the person under the name of the request; a person has checked it."""
    REFERRED = "referred"
    """To a tenant: a person asked for data that it decides over. Never shown to the person."""
    LINK_MADE = "link_made"
    """A link to the archive was made."""
    DOWNLOADED = "downloaded"
    """The archive was downloaded; with the time and the device."""
    FETCHED = "fetched"
    """An operator has taken a copy."""
    RECALLED = "recalled"
    """The archive was recalled: it went, or may have gone, to the wrong person."""
    ADDRESS_CHANGED = "address_changed"
    """The data is requested soon after the address of the account has changed."""
    TRANSFERRED = "transferred"
    """Another provider can fetch a copy now."""
    NOT_TRANSFERRED = "not_transferred"
    """A transfer to another provider was not completed; once for each transfer."""
    FEED_STOPPED = "feed_stopped"
    """An archive of a feed could not be delivered to another provider: no more are sent."""
    CONSENT_ASKED = "consent_asked"
    """Another person has recorded that the subject consents to transfers: the subject confirms it, or objects."""
    CONSENT_GIVEN = "consent_given"
    CONSENT_REVOKED = "consent_revoked"
    RECEIVED_FOR_YOU = "received_for_you"
    """Data that another provider has sent was imported."""
    RECEIVED_UNDONE = "received_undone"
    """The import was undone."""
    CODE = "code"
    """A one-time code for a person without login. Never shown on a page."""
    ADDRESS_CODE = "address_code"
    """A one-time code that proves an address, for a person without account. About no export."""


CODES = (MessageKind.CODE, MessageKind.ADDRESS_CODE)
"""Messages that a person waits for; without a way to send them they cannot arrive."""
ABOUT_CONSENT = (MessageKind.CONSENT_ASKED, MessageKind.CONSENT_GIVEN, MessageKind.CONSENT_REVOKED)
"""Messages about an authorisation, whose id is their occasion, and about no export."""
ABOUT_RECEIVED = (MessageKind.RECEIVED_FOR_YOU, MessageKind.RECEIVED_UNDONE)
"""Messages about a received transfer, whose id is their occasion, and about no export."""
HIDDEN = (*CODES, MessageKind.REFERRED)
"""Messages that a page never shows."""


ABOUT_ARCHIVE = (MessageKind.READY, MessageKind.NOT_FOUND, MessageKind.EXPIRING)
"""Messages that are true as long as the archive of their occasion is ready."""
OUTDATED = "outdated"
"""The reason of a message that was not true any more when it was to be sent."""


class Channel(StrEnum):
    """How a message is sent."""

    MAIL = "mail"
    SMS = "sms"


class MessageState(StrEnum):
    """The state of a message."""

    QUEUED = "queued"
    """To be sent; it always ends as `sent`, `page` or `failed`."""
    SENT = "sent"
    """A mail server, or the SMS gateway, has accepted it."""
    PAGE = "page"
    """Not sent, for its `reason`; shown on the account page."""
    FAILED = "failed"
    """It should be sent and cannot be, for its `reason`; an operator has to look at it."""


FIRST_OCCASION = "1.1"
"""Of messages about the first attempt of an export and the first revision of its archive."""


def queue(
    connection: Connection, kind: MessageKind, export_id: str, *, occasion: str | None = None, device: str | None = None
) -> str | None:
    """Queue a message about an export in the caller's transaction; returns its id, None if it was already queued.

    There is one message for each `occasion`: the id of what it reports, or by default this attempt and revision of the
    export. `device` is browser and system of a download. Another transaction with the same message waits for this:
    call it before the audit log is written.
    """
    of_subject = select(EXPORT.c.subject_kind).where(EXPORT.c.id == export_id).scalar_subquery()
    by_kind = case((of_subject == SubjectKind.PHONE, Channel.SMS), else_=Channel.MAIL)
    channel = Channel.MAIL if kind is MessageKind.REFERRED else by_kind
    row = _row(kind, occasion or _present(export_id), channel) | {"export_id": export_id, "device": device}
    once = inserting(connection, TABLE).on_conflict_do_nothing(index_elements=["export_id", "kind", "occasion"])
    return insert_row(connection, once.returning(TABLE.c.id), row).scalar_one_or_none()


def renew_outdated(connection: Connection, export_id: str, revision: int) -> None:
    """Queue again what was not sent about a revision of an archive because a further revision was being made.

    That was given up: nothing else informs the person of the archive, or of its end.
    """
    attempt, _, _ = present_occasion(connection, export_id).partition(".")
    about = (
        TABLE.c.export_id == export_id,
        TABLE.c.kind.in_(ABOUT_ARCHIVE),
        TABLE.c.occasion == f"{attempt}.{revision}",
    )
    unsent = update(TABLE).where(*about, TABLE.c.state == MessageState.PAGE, TABLE.c.reason == OUTDATED)
    connection.execute(unsent.values(state=MessageState.QUEUED, reason=None, attempts=0, created_at=now()))


def queue_acknowledgement(connection: Connection, export_id: str, subject_kind: str) -> None:
    """Queue the first message about a new export, in the caller's transaction."""
    row = _row(MessageKind.ACKNOWLEDGED, FIRST_OCCASION, _channel(subject_kind))
    insert_row(connection, insert(TABLE), row | {"export_id": export_id})


def queue_consent(connection: Connection, kind: MessageKind, authorisation_id: str, subject_kind: str) -> None:
    """Queue a message about an authorisation, in the caller's transaction."""
    insert_row(connection, insert(TABLE), _row(kind, authorisation_id, _channel(subject_kind)))


def queue_received(connection: Connection, kind: MessageKind, received_id: str, subject_kind: str) -> None:
    """Queue a message about a received transfer, in the caller's transaction."""
    insert_row(connection, insert(TABLE), _row(kind, received_id, _channel(subject_kind)))


def queue_code(connection: Connection, code_id: str, channel: Channel, language: str) -> None:
    """Queue the message with the code that proves an address."""
    row = _row(MessageKind.ADDRESS_CODE, code_id, channel)
    insert_row(connection, insert(TABLE), row | {"language": language})


def purge_codes(connection: Connection, kept_seconds: float) -> None:
    """Delete the messages with codes that prove addresses, after some time."""
    old = (TABLE.c.kind == MessageKind.ADDRESS_CODE, TABLE.c.created_at < now(-kept_seconds))
    connection.execute(delete(TABLE).where(*old))


def purge_unowned(connection: Connection) -> None:
    """Delete the messages about authorisations and received transfers that were deleted."""
    for kinds, table in ((ABOUT_CONSENT, models.authorisation), (ABOUT_RECEIVED, models.received_transfer)):
        kept = select(table.c.id).where(table.c.id == TABLE.c.occasion).exists()
        connection.execute(delete(TABLE).where(_about(kinds), ~kept))


def about_consent(authorisation_id: str | ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition for the messages about an authorisation."""
    return and_(_about(ABOUT_CONSENT), TABLE.c.occasion == authorisation_id)


def about_received(received_id: str | ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition for the messages about a received transfer."""
    return and_(_about(ABOUT_RECEIVED), TABLE.c.occasion == received_id)


def _about(kinds: Sequence[MessageKind]) -> ColumnElement[bool]:
    return and_(TABLE.c.export_id.is_(None), TABLE.c.kind.in_(kinds))


def _channel(subject_kind: str) -> Channel:
    return Channel.SMS if subject_kind == SubjectKind.PHONE else Channel.MAIL


def _row(
    kind: MessageKind, occasion: str | ColumnElement[str], channel: Channel | ColumnElement[str]
) -> dict[str, object]:
    return {
        "id": f"ntf_{secrets.token_hex(16)}",
        "kind": kind,
        "occasion": occasion,
        "channel": channel,
        "state": MessageState.QUEUED,
        "attempts": 0,
        "created_at": now(),
    }


def present_occasion(connection: Connection, export_id: str) -> str:
    """Return the attempt and the archive's revision: a retried export sends all messages again."""
    return connection.execute(select(_present(export_id))).scalar_one()


def _present(export_id: str) -> ColumnElement[str]:
    """Return the same as a part of a statement."""
    retried = (AUDIT.c.export_id == export_id, AUDIT.c.action == "export.retried")
    retries = select(func.count()).select_from(AUDIT).where(*retried).scalar_subquery()
    occasion = cast(1 + retries, String).concat(".").concat(cast(EXPORT.c.revision, String))
    return select(occasion).where(EXPORT.c.id == export_id).scalar_subquery()


def messages(connection: Connection, export_ids: Sequence[str], occasions: Sequence[str] = ()) -> Sequence[RowMapping]:
    """Return the messages about exports, oldest first: no codes and no messages to tenants.

    `occasions` are ids of authorisations and received transfers, whose messages are returned too.
    """
    about_exports = and_(TABLE.c.export_id.in_(export_ids), TABLE.c.kind.not_in(HIDDEN))
    about_others = and_(_about((*ABOUT_CONSENT, *ABOUT_RECEIVED)), TABLE.c.occasion.in_(occasions))
    # Two queries: PostgreSQL reads all messages for one with `or`.
    found = [
        row
        for which in (about_exports, about_others)
        for row in connection.execute(select(TABLE).where(which)).mappings()
    ]
    return sorted(found, key=lambda row: (row["created_at"], row["id"]))


def view(row: Mapping[Any, Any]) -> dict[str, JSON]:
    """Return a message as JSON for operators: ids, a code and times, and no device of a person.

    A message about no export has the id of the authorisation or the received transfer that it is about.
    """
    names = ("id", "export_id", "kind", "channel", "state", "reason", "attempts")
    times = ("created_at", "not_before", "sent_at")
    about = {"authorisation_id": ABOUT_CONSENT, "received_id": ABOUT_RECEIVED}
    return {
        **{name: row[name] for name in names},
        **{name: row["occasion"] if row["kind"] in kinds else None for name, kinds in about.items()},
        **{name: rfc3339(row[name]) for name in times},
    }
