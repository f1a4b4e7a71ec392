"""How transfers end that their recipient has not confirmed, and who hears of it.

The person asked for the transfer, so silence would be a broken promise. Each transfer has one message at most.
docs/transfers.md#what-the-person-hears has the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select

from portability.database import models
from portability.messages import outbox
from portability.messages.outbox import MessageKind
from portability.requests.states import ExportState, TransferState, transfers_where

TRANSFER, EXPORT, FEED, ARCHIVE = models.transfer, models.export, models.feed, models.feed_archive
CONSENT, PULL, LINK, CLAIM = models.authorisation, models.pull, models.link, models.link_claim
TOLD = transfers_where(lambda state: state.is_told)
REPEATED = transfers_where(lambda state: state.is_repeated)
NOT_AUTHORISED = "not_authorised"
"""Code of a transfer that failed because its consent had ended, or covers less than the archive."""


class TransferEnd(StrEnum):
    """How a transfer ended without a receipt: letters and pages have a sentence for each."""

    REFUSED = "refused"
    """The recipient has refused it; it may try again until the end of its link."""
    REFUSED_FINALLY = "refused_finally"
    """The recipient has refused it, and its link has ended since."""
    DENIED = "denied"
    """The person who reviewed it refused."""
    REVOKED = "revoked"
    """The platform has stopped it, or removed the recipient; or the person has revoked it."""
    EXPIRED = "expired"
    """The recipient did not download all of it in time."""
    UNCONFIRMED = "unconfirmed"
    """The recipient has downloaded all of it, and has signed no receipt."""
    UNSENT = "unsent"
    """The archive was deleted before the transfer could be offered."""
    UNAUTHORISED = "unauthorised"
    """The consent had ended, or did not cover all of the archive."""
    FAILED = "failed"
    """A fault of the platform."""


_ENDS: Mapping[TransferState, TransferEnd] = {
    TransferState.REFUSED: TransferEnd.REFUSED,
    TransferState.DENIED: TransferEnd.DENIED,
    TransferState.REVOKED: TransferEnd.REVOKED,
    TransferState.EXPIRED: TransferEnd.EXPIRED,
    TransferState.FAILED: TransferEnd.FAILED,
}


def of(connection: Connection, transfer: Mapping[Any, Any]) -> TransferEnd | None:
    """Return how a transfer ended; None: it is under way, or delivered."""
    match end := _ENDS.get(TransferState(transfer["state"])):
        case TransferEnd.FAILED if transfer["error_code"] == NOT_AUTHORISED:
            return TransferEnd.UNAUTHORISED
        case TransferEnd.EXPIRED:
            return _of_expired(connection, transfer)
        case _:
            return end


def shown_state(connection: Connection, transfer: Mapping[Any, Any]) -> TransferState:
    """Return the state that people read: a transfer that expired because its archive was lost has failed."""
    is_fault = of(connection, transfer) is TransferEnd.FAILED
    return TransferState.FAILED if is_fault else TransferState(transfer["state"])


def _of_expired(connection: Connection, transfer: Mapping[Any, Any]) -> TransferEnd:
    if transfer["offered_at"] and transfer["error_code"]:
        return TransferEnd.REFUSED_FINALLY
    is_whole = connection.scalar(select(TRANSFER.c.id).where(TRANSFER.c.id == transfer["id"], is_taken()))
    if is_whole:
        return TransferEnd.UNCONFIRMED
    if _is_lost(connection, transfer):
        return TransferEnd.FAILED
    return TransferEnd.EXPIRED if transfer["offered_at"] else TransferEnd.UNSENT


def _is_lost(connection: Connection, transfer: Mapping[Any, Any]) -> bool:
    """Return whether an expired transfer ended because its archive was lost, whatever has become of the export since.

    It ended with its archive if it had no offer, or the offer ended that moment. An archive that did not expire was
    lost then; nor did one expire that was made only later.
    """
    if transfer["offered_at"] and transfer["expires_at"] != transfer["ended_at"]:
        return False
    query = select(EXPORT.c.state, EXPORT.c.ended_at).where(EXPORT.c.id == transfer["export_id"])
    export = connection.execute(query).one()
    is_expired = export.state == ExportState.EXPIRED
    return not is_expired or bool(export.ended_at and export.ended_at > transfer["ended_at"])


def lock_exports(connection: Connection, which: ColumnElement[bool]) -> None:
    """Lock the exports of some transfers, before the transfers: the message about an end refers to its export."""
    of_transfers = EXPORT.c.id.in_(select(TRANSFER.c.export_id).where(which))
    connection.execute(select(EXPORT.c.id).where(of_transfers).order_by(EXPORT.c.id).with_for_update()).all()


def tell(connection: Connection, which: ColumnElement[bool]) -> None:
    """Queue the message about each of some transfers that has ended; one that has its message gets no other.

    Call it in the transaction of the change, before the audit log is written, with the exports locked.
    """
    ended = select(TRANSFER.c.id, TRANSFER.c.export_id).where(which, TRANSFER.c.state.in_(TOLD))
    for row in connection.execute(ended.where(~_is_sent_again(), ~_is_pulled_whole()).order_by(TRANSFER.c.id)).all():
        outbox.queue(connection, MessageKind.NOT_TRANSFERRED, row.export_id, occasion=row.id)


def is_taken() -> ColumnElement[bool]:
    """Return the condition: a recipient has downloaded every volume of an offer that has ended, and refused nothing.

    Its receipt may still follow, because a person there decides first; or it sends none.
    """
    volume, of_transfer = CLAIM.c.volume.distinct(), LINK.c.transfer_id == TRANSFER.c.id
    counted = select(func.count(volume)).join(LINK, LINK.c.id == CLAIM.c.link_id)
    whole = counted.where(of_transfer, CLAIM.c.downloaded_at.is_not(None)).scalar_subquery()
    return and_(TRANSFER.c.state == TransferState.EXPIRED, TRANSFER.c.error_code.is_(None), TRANSFER.c.volumes == whole)


def _is_sent_again() -> ColumnElement[bool]:
    """Return the condition: the clock sends the archive again for its feed, or ends the feed, which has a message."""
    of_feed = select(FEED.c.id).join(ARCHIVE, ARCHIVE.c.feed_id == FEED.c.id)
    of_feed = of_feed.join(CONSENT, CONSENT.c.id == FEED.c.authorisation_id)
    served = (
        ARCHIVE.c.export_id == TRANSFER.c.export_id,
        CONSENT.c.recipient_id == TRANSFER.c.recipient_id,
        FEED.c.ended_at.is_(None),
    )
    pulled = select(PULL.c.id).where(PULL.c.export_id == TRANSFER.c.export_id).exists()
    return and_(TRANSFER.c.state.in_(REPEATED), of_feed.where(*served).exists(), ~pulled)


def _is_pulled_whole() -> ColumnElement[bool]:
    """Return the condition: a provider has fetched all of a copy that it asked for; it may never send receipts."""
    return and_(select(PULL.c.id).where(PULL.c.transfer_id == TRANSFER.c.id).exists(), is_taken())
