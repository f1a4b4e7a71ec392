"""What people hear of: the events that a message or an answer to them reports.

If such an event is lost and not restored, a person has to be informed that what they heard is not true any more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from portability.messages.outbox import MessageKind

REPORTED: Mapping[MessageKind, Collection[str]] = {
    MessageKind.ACKNOWLEDGED: {"request.accepted"},
    MessageKind.READY: {"export.ready"},
    MessageKind.EXPIRING: (),  # about a time that the archive has by itself
    MessageKind.EXTENDED: {"deadline.extended"},
    MessageKind.FAILED: {"export.failed"},
    MessageKind.LOG_IN: {"export.failed"},
    MessageKind.DENIED: {"export.denied"},
    MessageKind.NOT_FOUND: {"export.ready"},
    MessageKind.REFERRED: {"referral.made"},
    MessageKind.LINK_MADE: {"link.issued"},
    MessageKind.DOWNLOADED: {"link.downloaded", "link.url_issued"},
    MessageKind.FETCHED: {"export.fetched"},
    MessageKind.RECALLED: {"export.recalled"},
    MessageKind.ADDRESS_CHANGED: {"request.accepted"},
    MessageKind.TRANSFERRED: {"transfer.offered"},
    MessageKind.NOT_TRANSFERRED: {
        *("transfer.refused", "transfer.denied", "transfer.revoked", "transfer.expired", "transfer.failed"),
    },
    MessageKind.FEED_STOPPED: {"feed.ended"},
    MessageKind.CONSENT_ASKED: {"authorisation.given"},
    MessageKind.CONSENT_GIVEN: {"authorisation.given", "authorisation.confirmed"},
    MessageKind.CONSENT_REVOKED: {"authorisation.revoked"},
    MessageKind.RECEIVED_FOR_YOU: {"received.imported"},
    MessageKind.RECEIVED_UNDONE: {"received.undone"},
    MessageKind.CODE: (),  # valid for minutes
    MessageKind.ADDRESS_CODE: (),
}
"""The events that each message reports."""
ANSWERED = frozenset(
    {
        *("export.cancel_requested", "export.cancelled", "link.revoked", "transfer.started", "transfer.revoked"),
        *("schedule.begun", "schedule.ended", "pull.allowed", "pull.declined", "feed.begun", "feed.ended"),
        *("referral.instructed", "referral.refused", "erasure.begun", "mandate.added", "mandate.ended"),
    }
)
"""Events without a message that a person has made on a page, or heard of in an answer."""
HEARD = ANSWERED.union(*REPORTED.values())
WHAT = ("authorisation", "received", "schedule", "feed", "request", "mandate", "subject")
"""Names in an event's details of the thing that it reports, if it is about another thing than an export."""


def about(event: Mapping[Any, Any]) -> str | None:
    """Return the id of what an event reports: an export, or another thing; None: it names none."""
    named = event.get("detail", {})
    return event["export_id"] or next((named[name] for name in WHAT if name in named), None)
