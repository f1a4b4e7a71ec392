"""What messages say of another provider: its name, and how a transfer to it ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, or_, select

from portability.database import deployment, models
from portability.database.engine import now
from portability.feeds import feeds, undelivered
from portability.messages.outbox import MessageKind
from portability.people import subject_locks
from portability.requests import transfer_ends
from portability.requests.states import TRANSFERS_FETCHABLE, TransferState
from portability.requests.transfer_ends import TransferEnd
from portability.transfers import authorisations, recipients, sending

AWAITED = "awaited"
"""Of an archive that ends: a provider gets the archives of a feed, and has not confirmed it."""


class ConsentEnd(StrEnum):
    """Why a consent ended: the letter has a sentence for each."""

    WITHDRAWN = "withdrawn"
    REMOVED = "removed"
    """Its provider was removed: nothing can be sent to it, also if the person has withdrawn the consent."""


def named(connection: Connection, kind: MessageKind, occasion: str) -> str:
    """Return the provider that a message names: of a transfer, or of a feed."""
    match kind:
        case MessageKind.TRANSFERRED | MessageKind.NOT_TRANSFERRED:
            sent = sending.get(connection, occasion)
        case MessageKind.FEED_STOPPED:
            sent = authorisations.get(connection, feeds.get(connection, occasion)["authorisation_id"])
        case _:
            return ""
    return recipients.known_as(connection, sent["recipient_id"])


def end(connection: Connection, kind: MessageKind, occasion: str) -> TransferEnd | None:
    """Return how the transfer ended that a message is about; None: it is delivered after all, or about no end."""
    if kind is MessageKind.NOT_TRANSFERRED:
        return transfer_ends.of(connection, sending.get(connection, occasion))
    return None


def is_true(connection: Connection, kind: MessageKind, occasion: str) -> bool:
    """Return whether a message about a transfer still says what is so; others have no condition here.

    A provider can fetch until the transfer ends, such as by the person's withdrawal. Of a delivered copy the person
    hears later, too, unless the consent was revoked. A transfer that was not completed may be delivered after all.
    """
    match kind:
        case MessageKind.TRANSFERRED:
            table, consent = models.transfer, models.authorisation
            revoked = select(consent.c.id).where(
                consent.c.id == table.c.authorisation_id, consent.c.revoked_at.is_not(None)
            )
            delivered = and_(table.c.state == TransferState.DELIVERED, ~revoked.exists())
            fetchable = and_(table.c.state.in_(TRANSFERS_FETCHABLE), table.c.expires_at > now())
            same = table.c.id == occasion
            return bool(connection.scalar(select(table.c.id).where(same, or_(delivered, fetchable))))
        case MessageKind.NOT_TRANSFERRED:
            return bool(end(connection, kind, occasion))
        case _:
            return True


def is_over(connection: Connection, kind: MessageKind, export: Mapping[Any, Any]) -> bool:
    """Return whether nothing is written about an export any more: its subject was erased, or is being erased.

    While it is being erased, a recall is still reported: its data has gone to another person.
    """
    is_silent = kind is not MessageKind.RECALLED
    return bool(export["erased_at"]) or (is_silent and _is_erasing(connection, export))


def _is_erasing(connection: Connection, row: Mapping[Any, Any]) -> bool:
    return subject_locks.is_erasing(connection, subject_locks.name_of_row(row))


def is_consent_true(connection: Connection, kind: MessageKind, consent: Mapping[Any, Any]) -> bool:
    """Return whether a message about a consent is still so: it is not decided yet, or data may be sent under it.

    No consent of a person is left who is being erased.
    """
    if _is_erasing(connection, consent):
        return False
    match kind:
        case MessageKind.CONSENT_ASKED:
            return not (consent["confirmed_at"] or consent["revoked_at"])
        case MessageKind.CONSENT_GIVEN:
            ends_at = consent["expires_at"]
            return not (consent["revoked_at"] or (ends_at and ends_at <= deployment.clock_of(connection)))
        case _:
            return True


def offer_end(connection: Connection, kind: MessageKind, occasion: str) -> datetime | None:
    """Return until when a provider can fetch the copy that a message offers; None: the message is about no offer."""
    if kind is MessageKind.TRANSFERRED:
        found: datetime | None = sending.get(connection, occasion)["expires_at"]
        return found
    return None


def awaits(connection: Connection, kind: MessageKind, export_id: str) -> str | None:
    """Return what the notice of an archive's end adds: its feed ends with it, unless a provider gets it before."""
    if kind is MessageKind.EXPIRING:
        query = undelivered.awaited().where(models.export.c.id == export_id).limit(1)
        return AWAITED if connection.execute(query).first() else None
    return None


def end_of_consent(connection: Connection, consent: Mapping[Any, Any]) -> ConsentEnd | None:
    """Return why a consent ended; None: it is not revoked."""
    if not consent["revoked_at"]:
        return None
    recipient = models.recipient
    removed_at = connection.scalar(select(recipient.c.removed_at).where(recipient.c.id == consent["recipient_id"]))
    return ConsentEnd.REMOVED if removed_at else ConsentEnd.WITHDRAWN
