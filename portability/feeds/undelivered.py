"""Archives of feeds that their recipient lacks: which is to be sent now, and which never can be.

A recipient can import no archive without those before it. So an archive that it lacks keeps those after it waiting:
another transfer sends it, and if it cannot be delivered, the feed ends. Archives that a provider pulls are not here.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, func, or_, select

from portability.database import models
from portability.database.engine import now
from portability.people import subject_locks
from portability.requests.states import ONGOING, ExportState, TransferState, transfers_where
from portability.requests.transfer_ends import is_taken

FEED, ARCHIVE, EXPORT, TRANSFER = models.feed, models.feed_archive, models.export, models.transfer
CONSENT, PULL = models.authorisation, models.pull
ARRIVING = transfers_where(lambda state: state.is_arriving)
REPEATED = transfers_where(lambda state: state.is_repeated)
DECIDED = frozenset(TransferState) - ARRIVING - REPEATED
"""A person or the recipient refused it: nothing but a person begins another transfer."""
TRIES_MAX = 8
"""How many transfers of one archive may end without its delivery."""
FIRST_WAIT_SECONDS = 3_600
LONGEST_WAIT_SECONDS = 86_400


def wait_seconds(tries: int) -> int:
    """Return how long an archive waits after this many transfers that have ended: doubled each time, up to a day."""
    return int(min(FIRST_WAIT_SECONDS * 2 ** (tries - 1), LONGEST_WAIT_SECONDS))


def sendable() -> Select[tuple[str, str, str]]:
    """Return the query for archives to send now, with `recipient_id` and `feed`: of each feed one at most.

    Not only the newest: the next may be ready before it is sent.
    """
    tries = select(func.count()).where(*_ended(REPEATED)).scalar_subquery()
    last = select(func.max(TRANSFER.c.ended_at)).where(*_ended(REPEATED)).scalar_subquery()
    rested = (and_(tries == number, last <= now(-wait_seconds(number))) for number in range(1, TRIES_MAX))
    decided = select(TRANSFER.c.id).where(*_ended(DECIDED)).exists()
    earlier, of_earlier = ARCHIVE.alias("earlier"), EXPORT.alias("of_earlier")
    before = and_(earlier.c.feed_id == ARCHIVE.c.feed_id, earlier.c.number < ARCHIVE.c.number)
    blocked = select(earlier.c.number).join(of_earlier, of_earlier.c.id == earlier.c.export_id)
    blocked = blocked.where(before, _lacking(earlier))
    due = or_(tries == 0, *rested)
    return _served().where(EXPORT.c.state == ExportState.READY, _lacking(ARCHIVE), due, ~decided, ~blocked.exists())


def undeliverable() -> Select[tuple[str, str, str]]:
    """Return the query for archives that their recipient lacks and will never get, as `sendable`.

    The archive is gone, or its transfer was tried often enough.
    """
    tries = select(func.count()).where(*_ended(REPEATED)).scalar_subquery()
    is_gone = EXPORT.c.state.not_in({ExportState.READY, *ONGOING})
    return _served().where(_lacking(ARCHIVE), or_(is_gone, tries >= TRIES_MAX)).order_by(ARCHIVE.c.number)


def awaited() -> Select[tuple[str, str, str]]:
    """Return the query for archives whose recipient has not confirmed them, and may still, as `sendable`.

    If such an archive is deleted, its feed ends.
    """
    there = EXPORT.c.state == ExportState.READY
    to = (TRANSFER.c.export_id == EXPORT.c.id, TRANSFER.c.recipient_id == CONSENT.c.recipient_id)
    has = select(TRANSFER.c.id).where(*to, or_(TRANSFER.c.state == TransferState.DELIVERED, is_taken()))
    pulled = select(PULL.c.id).where(PULL.c.export_id == EXPORT.c.id).exists()
    return _served().where(there, ~has.correlate(EXPORT, CONSENT).exists(), ~pulled)


def first(connection: Connection, feed_id: str) -> str | None:
    """Return the export of the first archive of a feed that its recipient lacks and is not getting."""
    query = _served(ended=True).where(FEED.c.id == feed_id, _lacking(ARCHIVE)).order_by(ARCHIVE.c.number)
    found: str | None = connection.scalar(query.with_only_columns(EXPORT.c.id).limit(1))
    return found


def newest_transfer(connection: Connection, feed_id: str) -> str | None:
    """Return the newest transfer of the first archive of a feed that its recipient lacks; None without one."""
    own = select(FEED.c.authorisation_id).where(FEED.c.id == feed_id).scalar_subquery()
    recipient = select(CONSENT.c.recipient_id).where(CONSENT.c.id == own).scalar_subquery()
    to = (TRANSFER.c.export_id == first(connection, feed_id), TRANSFER.c.recipient_id == recipient)
    newest = select(TRANSFER.c.id).where(*to).order_by(TRANSFER.c.created_at.desc(), TRANSFER.c.id).limit(1)
    found: str | None = connection.scalar(newest)
    return found


def _served(*, ended: bool = False) -> Select[tuple[str, str, str]]:
    """Return the query for archives of feeds that serve a consent; of open feeds only, unless `ended`.

    The feed of a person who is being erased is not open: the erasure ends it, and no one hears of it.
    """
    query = select(EXPORT.c.id, CONSENT.c.recipient_id, FEED.c.id.label("feed"))
    query = query.join(ARCHIVE, ARCHIVE.c.export_id == EXPORT.c.id).join(FEED, FEED.c.id == ARCHIVE.c.feed_id)
    query = query.join(CONSENT, CONSENT.c.id == FEED.c.authorisation_id)
    return query if ended else query.where(FEED.c.ended_at.is_(None), ~subject_locks.erasing(FEED))


def _lacking(archive: FromClause) -> ColumnElement[bool]:
    """Return the condition: no transfer of an archive to the feed's recipient arrives, and it is not pulled."""
    to = (TRANSFER.c.export_id == archive.c.export_id, TRANSFER.c.recipient_id == CONSENT.c.recipient_id)
    arriving = select(TRANSFER.c.id).where(*to, or_(TRANSFER.c.state.in_(ARRIVING), is_taken()))
    # Within another subquery the library would look for any consent, not for that of the feed.
    arrives = arriving.correlate(archive, CONSENT).exists()
    pulled = select(PULL.c.id).where(PULL.c.export_id == archive.c.export_id).exists()
    return and_(~arrives, ~pulled)


def _ended(states: frozenset[TransferState]) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for the transfers of an archive to the feed's recipient in some states."""
    to = (TRANSFER.c.export_id == EXPORT.c.id, TRANSFER.c.recipient_id == CONSENT.c.recipient_id)
    return (*to, TRANSFER.c.state.in_(states))
