"""What messages say of another provider: its name, and how a transfer to it ended."""

from __future__ import annotations

from sqlalchemy import Connection

from portability.feeds import feeds
from portability.messages.outbox import MessageKind
from portability.requests import transfer_ends
from portability.requests.transfer_ends import TransferEnd
from portability.transfers import authorisations, recipients, sending


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
