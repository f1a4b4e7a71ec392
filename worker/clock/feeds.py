"""Feeds that go on by themselves: the clock requests each archive that is due, sends it, and ends what is over.

Several clocks may run: an archive of a feed that is open already is not requested again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial

import structlog
from sqlalchemy import Connection, Engine, Row, and_, func, or_, select, union, update

from portability.api.errors import PortabilityError
from portability.database import incidents, models
from portability.database.engine import now, read_once, reading, writing
from portability.database.incidents import Incident
from portability.errors import WrongState
from portability.feeds import feeds, intake, undelivered
from portability.feeds.errors import FeedEnded, UnknownFeed
from portability.requests import exports
from portability.requests.policy import Actor, ActorRole
from portability.settings import Settings
from portability.transfers import authorisations, sending, unsent
from portability.transfers.authorisations import NotAuthorised
from portability.transfers.recipients import UnknownRecipient
from worker.clock import turns

log = structlog.get_logger()
FEED, EXPORT, CONSENT = models.feed, models.export, models.authorisation
ACTOR = "clock"
PAGE = 100
NOTED = 1_000
"""Of how many feeds one transaction notes the end of their consents."""
SERVES = CONSENT.c.id == FEED.c.authorisation_id
SERVING = and_(FEED.c.ended_at.is_(None), FEED.c.authorisation_id.is_not(None))
"""The condition of an index, of the end of the consent; null: the clock has not seen yet that it stands."""
UNSEEN = and_(SERVING, FEED.c.consent_ends_at.is_(None))
LATER_SECONDS = 3_600
"""How long a feed waits whose archive is refused."""


def run(engine: Engine, settings: Settings, stop: threading.Event) -> None:
    """Serve feeds regularly until stopped; while the database is down, wait."""
    while not stop.is_set():
        try:
            steps: Mapping[str, Callable[[], int]] = {
                "noted": partial(note_ends, engine),
                "ended": partial(end_over, engine),
                "sent": partial(send_ready, engine, settings),
                "requested": partial(request_due, engine, settings),
                # Last: after an upgrade there is much to mark, and nothing waits for it.
                "settled": partial(undelivered.settle, engine),
            }
            done = turns.take_steps("feeds", steps)
            if any(done.values()):
                log.info("feeds.done", **done)
        except PortabilityError as error:
            log.warning("feeds.waits", code=error.code)
        except Exception as error:
            log.exception("feeds.failed", error=type(error).__name__)
        stop.wait(settings.clock_seconds)


def note_ends(engine: Engine) -> int:
    """Note with each new feed when its consent expires; returns how many. Raises DatabaseUnavailable.

    `end_over` finds it by this time. Who revokes or deletes the consent later ends the feed in the same transaction.
    """
    noted = 0
    while marks := _note(engine):
        noted += marks
    return noted


def _note(engine: Engine) -> int:
    with reading(engine) as connection:
        unseen = connection.scalars(select(FEED.c.id).where(UNSEEN).limit(NOTED)).all()
    if not unseen:
        return 0
    stands = (CONSENT.c.revoked_at.is_(None), CONSENT.c.expires_at > now())
    chosen = select(FEED.c.id).join(CONSENT, SERVES).where(FEED.c.id.in_(unseen), UNSEEN, *stands)
    ends_at = select(CONSENT.c.expires_at).where(SERVES).scalar_subquery()
    with writing(engine) as connection:
        # A transaction that revokes a consent now may not see a feed that has just begun: the next round looks again.
        these = connection.scalars(chosen.with_for_update(key_share=True, skip_locked=True)).all()
        return connection.execute(update(FEED).where(FEED.c.id.in_(these)).values(consent_ends_at=ends_at)).rowcount


def end_over(engine: Engine) -> int:
    """End feeds whose time is over, or whose consent no longer stands; returns how many. Raises DatabaseUnavailable."""
    lasts = or_(CONSENT.c.expires_at.is_(None), CONSENT.c.expires_at > now())
    stands = select(CONSENT.c.id).where(SERVES, CONSENT.c.revoked_at.is_(None), lasts).exists()
    # Each part has an index.
    over = (
        and_(FEED.c.ended_at.is_(None), FEED.c.until <= read_once()),
        and_(SERVING, FEED.c.consent_ends_at <= read_once()),
        and_(UNSEEN, ~stands),
    )
    found = union(*(select(FEED.c.id).where(each) for each in over)).subquery()

    def end(feed_id: str) -> int:
        try:
            with writing(engine) as connection:
                feeds.end(connection, feed_id, actor=ACTOR)
        except (FeedEnded, UnknownFeed, WrongState) as error:
            # Another clock or a person has ended it, or its archive has just become ready.
            log.info("feed.not_ended", feed=feed_id, code=error.code)
            return 0
        return 1

    with reading(engine) as connection:
        chosen = connection.scalars(select(found.c.id).order_by(func.random()).limit(PAGE)).all()
    return turns.take_each("feeds.end", chosen, end)


def request_due(engine: Engine, settings: Settings) -> int:
    """Request the archives that are due; returns how many. Raises DatabaseUnavailable."""
    due = (FEED.c.ended_at.is_(None), FEED.c.next_at <= read_once(), FEED.c.number > 0)
    with reading(engine) as connection:
        rows = connection.execute(select(FEED).where(*due).order_by(FEED.c.next_at).limit(PAGE)).mappings().all()
    by_id = {row["id"]: row for row in rows}

    def request(feed_id: str) -> int:
        try:
            with writing(engine) as connection:
                return bool(intake.take_due(connection, settings, by_id[feed_id]))
        except turns.OF_ALL:
            raise
        except Exception as error:
            _postpone(engine, feed_id)
            if not isinstance(error, PortabilityError):
                raise
            log.warning("feed.refused", feed=feed_id, code=error.code)
            return 0

    return turns.take_each("feeds.request", by_id, request)


def _postpone(engine: Engine, feed_id: str) -> None:
    """Have the clock try a feed later: as the first of those that are due it would keep the others from their turn."""
    due = (FEED.c.id == feed_id, FEED.c.ended_at.is_(None), FEED.c.next_at <= now())
    with writing(engine) as connection:
        connection.execute(update(FEED).where(*due).values(next_at=now(LATER_SECONDS)))


def send_ready(engine: Engine, settings: Settings) -> int:
    """Send the archives whose turn it is, of feeds that serve a consent; returns how many. Raises DatabaseUnavailable.

    Each is sent in its order, and again if its recipient did not get it. An archive that a provider pulls is sent as
    its copy (worker/clock/pulls.py).
    """
    # By chance: those that cannot be sent keep no other from its turn.
    waiting = undelivered.sendable().order_by(func.random())
    with reading(engine) as connection:
        rows = {row.id: row for row in connection.execute(waiting.limit(PAGE))}

    def send(export_id: str) -> int:
        try:
            with writing(engine) as connection:
                return _send(connection, settings, export_id)
        except (NotAuthorised, UnknownRecipient) as error:
            log.warning("feed.unsent", feed=rows[export_id].feed, export=export_id, code=error.code)
            _record_unsent(engine, rows[export_id], error.code)
            return 0

    return turns.take_each("feeds.send", rows, send)


def _record_unsent(engine: Engine, found: Row[tuple[str, str, str]], code: str) -> None:
    """Record that an archive cannot be sent, unless another clock or a person has acted meanwhile.

    The clock retries it as any failed transfer: the person may give a consent that covers it.
    """
    with writing(engine) as connection:
        exports.lock(connection, found.id)
        if not connection.execute(undelivered.sendable().where(EXPORT.c.id == found.id)).one_or_none():
            return
        consent = authorisations.get(connection, feeds.get(connection, found.feed)["authorisation_id"])
        ended = unsent.record(connection, found.id, consent, code, actor=ACTOR)
    if ended and ended.is_fault:
        incidents.count(engine, Incident.TRANSFER_FAILED)


def _send(connection: Connection, settings: Settings, export_id: str) -> bool:
    """Start the transfer of an archive; returns False if another clock has sent it since it was found."""
    exports.lock(connection, export_id)
    row = connection.execute(undelivered.sendable().where(EXPORT.c.id == export_id)).one_or_none()
    if row:
        actor = Actor(ActorRole.OPERATOR, ACTOR)
        sending.start(connection, settings, export_id, row.recipient_id, actor=actor)
    return bool(row)


def give_up(engine: Engine) -> int:
    """End feeds with an archive that their recipient will never get; returns how many. Raises DatabaseUnavailable."""
    with reading(engine) as connection:
        rows = connection.execute(undelivered.undeliverable().limit(PAGE)).all()
    by_feed = {row.feed: row.id for row in reversed(rows)}

    def end(feed_id: str) -> int:
        try:
            with writing(engine) as connection:
                is_over = feeds.give_up(connection, by_feed[feed_id], actor=ACTOR)
        except (FeedEnded, UnknownFeed, WrongState) as error:
            log.info("feed.not_ended", feed=feed_id, code=error.code)
            return 0
        if is_over:
            incidents.count(engine, Incident.TRANSFER_FAILED)
            log.warning("feed.gave_up", feed=feed_id, export=by_feed[feed_id])
        return is_over

    return turns.take_each("feeds.give_up", by_feed, end)
