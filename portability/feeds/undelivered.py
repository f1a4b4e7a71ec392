"""Archives of feeds that their recipient lacks: which is to be sent now, and which never can be.

A recipient can import no archive without those before it. So an archive that it lacks keeps those after it waiting:
another transfer sends it, and if it cannot be delivered, the feed ends. Archives that a provider pulls are not here.

An archive that nothing will be sent of is marked as settled, and the clock does not look at it again. A missing mark
costs a look: the queries check everything else themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Row,
    Select,
    and_,
    func,
    or_,
    select,
    tuple_,
    update,
)

from portability.database import models
from portability.database.engine import now, reading, writing
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
PAGE = 1_000
"""How many archives one transaction marks."""


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
    blocked = blocked.where(before, ~earlier.c.settled, _lacking(earlier))
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
    return _served().where(EXPORT.c.state == ExportState.READY, ~_has(), ~_is_pulled(ARCHIVE))


def settle(engine: Engine) -> int:
    """Mark the archives of which nothing will be sent; returns how many. Raises DatabaseUnavailable.

    Their recipient has them or pulls them, their feed has ended, or it serves no consent. None of this ever changes.
    """
    found = ARCHIVE.join(FEED, FEED.c.id == ARCHIVE.c.feed_id)
    found = found.outerjoin(CONSENT, CONSENT.c.id == FEED.c.authorisation_id)
    over = or_(FEED.c.ended_at.is_not(None), FEED.c.authorisation_id.is_(None), _has(), _is_pulled(ARCHIVE))
    query = select(ARCHIVE.c.feed_id, ARCHIVE.c.number).select_from(found).where(~ARCHIVE.c.settled, over)
    marked = 0
    while marks := _mark(engine, query):
        marked += marks
    return marked


def _mark(engine: Engine, query: Select[tuple[str, int]]) -> int:
    with reading(engine) as connection:
        if not connection.execute(query.limit(1)).one_or_none():
            return 0
    with writing(engine) as connection:
        # What another clock marks now, or an erasure deletes, waits for the next round.
        chosen = query.limit(PAGE).with_for_update(skip_locked=True, of=ARCHIVE)
        rows: Sequence[Row[tuple[str, int]]] = connection.execute(chosen).all()
        these = tuple_(ARCHIVE.c.feed_id, ARCHIVE.c.number).in_([(*row,) for row in rows])
        return connection.execute(update(ARCHIVE).where(these).values(settled=True)).rowcount


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
    going_on = (~ARCHIVE.c.settled, FEED.c.ended_at.is_(None), ~subject_locks.erasing(FEED))
    return query if ended else query.where(*going_on)


def _has() -> ColumnElement[bool]:
    """Return the condition: the feed's recipient has the archive."""
    to = (TRANSFER.c.export_id == ARCHIVE.c.export_id, TRANSFER.c.recipient_id == CONSENT.c.recipient_id)
    has = select(TRANSFER.c.id).where(*to, or_(TRANSFER.c.state == TransferState.DELIVERED, is_taken()))
    return has.correlate(ARCHIVE, CONSENT).exists()


def _is_pulled(archive: FromClause) -> ColumnElement[bool]:
    return select(PULL.c.id).where(PULL.c.export_id == archive.c.export_id).correlate(archive).exists()


def _lacking(archive: FromClause) -> ColumnElement[bool]:
    """Return the condition: no transfer of an archive to the feed's recipient arrives, and it is not pulled."""
    to = (TRANSFER.c.export_id == archive.c.export_id, TRANSFER.c.recipient_id == CONSENT.c.recipient_id)
    arriving = select(TRANSFER.c.id).where(*to, or_(TRANSFER.c.state.in_(ARRIVING), is_taken()))
    # Within another subquery the library would look for any consent, not for that of the feed.
    arrives = arriving.correlate(archive, CONSENT).exists()
    return and_(~arrives, ~_is_pulled(archive))


def _ended(states: frozenset[TransferState]) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for the transfers of an archive to the feed's recipient in some states."""
    to = (TRANSFER.c.export_id == EXPORT.c.id, TRANSFER.c.recipient_id == CONSENT.c.recipient_id)
    return (*to, TRANSFER.c.state.in_(states))
