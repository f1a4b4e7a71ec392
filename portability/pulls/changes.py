"""Copies of changes: each has what has changed since the last copy that the provider has confirmed by a receipt.

They are the archives of a feed that serves the consent (docs/feeds.md), and end with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from portability.database import models
from portability.feeds import feeds, intake
from portability.feeds.feeds import FeedTerms
from portability.pulls.refusals import OAuthFault, PullRefused
from portability.requests.acceptance import Request
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Actor
from portability.requests.states import TransferState
from portability.settings import Settings

EXPORT, TRANSFER = models.export, models.transfer


def take(
    connection: Connection,
    settings: Settings,
    consent: Mapping[Any, Any],
    request: Request,
    last: Mapping[Any, Any] | None,
    *,
    actor: Actor,
    contact_changed_at: datetime | None,
    is_restart: bool = False,
) -> str:
    """Request the next archive of a consent's feed; returns the export's id.

    If the provider has not confirmed the last copy, what it lacks is not known: a new feed begins with everything.

    Args:
        connection: a writing transaction.
        settings: of the deployment.
        consent: the consent, which lasts until a date.
        request: the request for the consent's datasets, checked.
        last: the row of the last copy under the consent, which is not under way; None: this copy is the first.
        actor: the person.
        contact_changed_at: when the person's address last changed.
        is_restart: whether a new feed begins, because the provider has lost a copy that it has confirmed.

    Raises: PullRefused (`invalid_request`) for a consent to one copy; what `intake.take_next` raises.
    """
    if consent["once"]:
        message = "changes need a consent until a date"
        raise PullRefused(OAuthFault.INVALID_REQUEST, message, recipient_id=consent["recipient_id"])
    asked: dict[str, Any] = {"actor": actor, "auth": PRESENT, "contact_changed_at": contact_changed_at}
    feed = _feed_of(connection, last) if last else None
    if feed and last and not is_restart and _is_confirmed(connection, feed, last):
        return intake.take_next(connection, settings, feed, request, **asked)[0]
    if feed:
        feeds.end(connection, feed["id"], actor=f"recipient:{consent['recipient_id']}")
    terms = FeedTerms(authorisation_id=consent["id"])
    return intake.begin(connection, settings, request, terms, **asked)[1]


def _feed_of(connection: Connection, last: Mapping[Any, Any]) -> RowMapping | None:
    """Return the feed whose archive the last copy was, if it has not ended."""
    of_copy = select(EXPORT.c.feed_id).where(EXPORT.c.id == last["export_id"]).scalar_subquery()
    lives = select(feeds.TABLE).where(feeds.TABLE.c.id == of_copy, feeds.TABLE.c.ended_at.is_(None))
    return connection.execute(lives).mappings().one_or_none()


def _is_confirmed(connection: Connection, feed: Mapping[Any, Any], last: Mapping[Any, Any]) -> bool:
    """Return whether the provider has the newest archive of a feed: no other was made since its last copy."""
    state = connection.scalar(select(TRANSFER.c.state).where(TRANSFER.c.id == last["transfer_id"]))
    return feed["export_id"] == last["export_id"] and state == TransferState.DELIVERED
