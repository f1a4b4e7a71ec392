"""Intake of a feed's archives: each is a request like any other, decided by the same policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, RowMapping, update

from portability.api.errors import BadInput
from portability.database import deployment
from portability.database.engine import now
from portability.errors import BadDate, WrongState
from portability.feeds import feeds
from portability.feeds.errors import FeedEnded, UnknownFeed
from portability.feeds.feeds import FeedTerms
from portability.people import subject_locks
from portability.requests import acceptance, intake, note_approvals
from portability.requests.acceptance import Request
from portability.requests.login_strength import Auth
from portability.requests.policy import Actor, ActorRole
from portability.settings import Settings

DAYS_MAX = 366


def begin(
    connection: Connection,
    settings: Settings,
    request: Request,
    terms: FeedTerms,
    *,
    actor: Actor,
    auth: Auth,
    contact_changed_at: datetime | None = None,
) -> tuple[str, str]:
    """Begin a feed and request its first archive; returns the ids of the feed and of the export.

    Raises: BadInput, BadDate, NoSigningKey; what `intake.take` raises.
    """
    if request.since is not None or request.until is not None:
        raise BadInput("a feed has no period: it contains what has changed", hint="remove --since and --until")
    if terms.every_days is not None and not 1 <= terms.every_days <= DAYS_MAX:
        raise BadInput(f"the days between two archives must be between 1 and {DAYS_MAX}")
    if terms.until is not None and terms.until <= deployment.clock_of(connection):
        raise BadDate("the end of the feed must be in the future")
    feed_id = feeds.begin(connection, settings, request, terms, actor=actor)
    wanted = replace(request, feed_id=feed_id)
    taken = intake.take(connection, settings, wanted, actor=actor, auth=auth, contact_changed_at=contact_changed_at)
    return feed_id, taken[0]


def take_next(
    connection: Connection,
    settings: Settings,
    feed: RowMapping,
    request: Request,
    *,
    actor: Actor,
    auth: Auth,
    contact_changed_at: datetime | None = None,
) -> tuple[str, bool]:
    """Request the next archive of a feed; returns the export's id, and whether it is new.

    An open archive of the feed is returned instead. `feed` is the row by which the caller decided.

    Raises: FeedEnded; WrongState if an archive became ready since the row was read; what `intake.take` raises.
    """
    if _locked(connection, feed)["number"] != feed["number"]:
        raise WrongState(
            f"another archive of feed {feed['id']} has just become ready", hint="look at it, then ask again"
        )
    wanted = replace(request, feed_id=feed["id"])
    return intake.take(connection, settings, wanted, actor=actor, auth=auth, contact_changed_at=contact_changed_at)


def take_due(connection: Connection, settings: Settings, feed: RowMapping) -> str | None:
    """Request the archive that the clock owes, in the name of the actor who began the feed; None: it is not due now.

    The decisions on its first archive are those on the feed: the next archive is due only after the first was ready.
    Notes of staff are read before each. `feed` is a row that was read before: another clock may have served it, or a
    person ended it.
    """
    try:
        row = _locked(connection, feed)
    except (FeedEnded, UnknownFeed):
        return None
    is_due = row["next_at"] is not None and row["next_at"] <= deployment.clock_of(connection)
    return _requested(connection, settings, row) if is_due and row["number"] > 0 else None


def _requested(connection: Connection, settings: Settings, feed: RowMapping) -> str:
    at = deployment.clock_of(connection)
    asked = {**feeds.asked_again(feed), "channel": "feed"}
    wanted = acceptance.check(**asked, regimes=settings.laws, place=settings.place, at=at)
    role, _, identifier = feed["created_by"].partition(":")
    issuer = (feed["created_identity"] or "").partition(" ")[0]
    actor = Actor(ActorRole(role), identifier, issuer=issuer)
    export_id, is_new = acceptance.accept(connection, replace(wanted, feed_id=feed["id"]), actor=actor)
    if is_new:
        note_approvals.ask(connection, settings, wanted, export_id, actor=actor)
    following = now(feed["every_days"] * feeds.DAY_SECONDS)
    connection.execute(update(feeds.TABLE).where(feeds.TABLE.c.id == feed["id"]).values(next_at=following))
    return export_id


def _locked(connection: Connection, feed: RowMapping) -> RowMapping:
    """Return a feed as it is now, locked after its subject. Raises UnknownFeed, FeedEnded."""
    subject_locks.lock(connection, subject_locks.name_of_row(feed))
    return feeds.lock(connection, feed["id"])
