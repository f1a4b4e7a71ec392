"""Removal of a recipient: what people have allowed it ends with it, so that nothing is made for it or sent to it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, or_, select, update

from portability.database import models
from portability.database.engine import now
from portability.feeds import feeds
from portability.messages import outbox, recipient_notices
from portability.messages.outbox import MessageKind
from portability.messages.recipient_notices import NoticeKind
from portability.requests.states import ONGOING, TRANSFERS_LIVE, TransferState
from portability.requests.transition import end_transfers
from portability.transfers import authorisations, recipients
from portability.transfers.recipients import UnknownRecipient
from portability.trust import audit

TABLE, CONSENT, FEED = models.recipient, models.authorisation, models.feed
TRANSFER, EXPORT = models.transfer, models.export


def remove(connection: Connection, identifier: str, *, actor: str) -> str:
    """Remove a recipient, and return its id. Its transfers, the consents to them and their feeds end.

    Another recipient with the same name or domain is recorded anew: the person has not consented to that.

    Raises UnknownRecipient.
    """
    recipient_id = str(recipients.get(connection, identifier)["id"])
    sent = TRANSFER.c.recipient_id == recipient_id
    served = FEED.c.authorisation_id.in_(select(CONSENT.c.id).where(CONSENT.c.recipient_id == recipient_id))
    _lock_exports(connection, sent, served)
    ended = end_transfers(connection, sent, TransferState.REVOKED, actor=actor)
    gone = update(TABLE).where(TABLE.c.id == recipient_id, TABLE.c.removed_at.is_(None))
    if not connection.execute(gone.values(removed_by=actor, removed_at=now())).rowcount:
        raise UnknownRecipient("unknown recipient: it was removed meanwhile")
    consents = _end_consents(connection, recipient_id, actor=actor)
    feed_ids = feeds.end_of_consents(connection, [row["id"] for row in consents], actor=actor)
    # The links have ended: no download begins after this query.
    informed = and_(sent, TRANSFER.c.state == TransferState.REVOKED, recipient_notices.fetched())
    notices = recipient_notices.queue(connection, NoticeKind.WITHDRAWN, informed)
    feeds.cancel_open(connection, served, actor=actor)
    ended.record(connection, TransferState.REVOKED, actor=actor)
    recipient_notices.record(connection, notices, actor=actor)
    feeds.record_ended(connection, feed_ids, actor=actor)
    for row in consents:
        audit.record(connection, "authorisation.revoked", actor=actor, detail={"authorisation": row["id"]})
    audit.record(connection, "recipient.removed", actor=actor, detail={"recipient": recipient_id})
    return recipient_id


def _lock_exports(connection: Connection, sent: ColumnElement[bool], served: ColumnElement[bool]) -> None:
    """Lock the exports whose transfer or feed ends, before the transfers and the recipient."""
    of_transfers = select(TRANSFER.c.export_id).where(sent, TRANSFER.c.state.in_(TRANSFERS_LIVE))
    of_feeds = and_(EXPORT.c.feed_id.in_(select(FEED.c.id).where(served)), EXPORT.c.state.in_(ONGOING))
    which = or_(EXPORT.c.id.in_(of_transfers), of_feeds)
    connection.execute(select(EXPORT.c.id).where(which).order_by(EXPORT.c.id).with_for_update()).all()


def _end_consents(connection: Connection, recipient_id: str, *, actor: str) -> Sequence[RowMapping]:
    """Revoke the consents of a removed recipient that have not ended, and inform each person; returns the consents."""
    of_recipient = (CONSENT.c.recipient_id == recipient_id, authorisations.unended())
    query = select(CONSENT.c.id, CONSENT.c.subject_kind).where(*of_recipient).order_by(CONSENT.c.id)
    found = connection.execute(query.with_for_update()).mappings().all()
    ended = update(CONSENT).where(CONSENT.c.id.in_([row["id"] for row in found]))
    connection.execute(ended.values(revoked_at=now(), revoked_by=actor))
    for row in found:
        outbox.queue_consent(connection, MessageKind.CONSENT_REVOKED, row["id"], row["subject_kind"])
    return found
