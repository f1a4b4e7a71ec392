"""The clock: every few seconds it wakes workers for what is claimable. Safe in several copies.

That one loop covers lost messages, an emptied Redis, killed workers and back-off.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import structlog
from sqlalchemy import Connection, Engine, or_, select, tuple_, update

from portability import extensions, models
from portability.db import now, writing
from portability.errors import DatabaseUnavailable, QueueUnavailable
from portability.queue import WakeUps, waiting_wake_ups, wake
from portability.settings import Settings
from worker import transfer
from worker.claims import claimable

log = structlog.get_logger()
SLICE, TRANSFER = models.slice, models.transfer
BATCH = 500
REPEAT_SECONDS = 10.0
"""How long a wake-up counts as on its way: a copy of the clock sends no second one meanwhile."""
REPEAT_EMPTY_SECONDS = 2.0
"""The same where the queue is empty: whoever took it is about to claim, or the wake-up is lost."""

REFRESH_SECONDS = 60.0
"""How often the deadlines of paused requests are moved."""


def dispatch(engine: Engine, queue: WakeUps) -> int:
    """Send a wake-up for each claimable slice and transfer that has had none lately; returns how many were sent.

    No more than BATCH are ever on their way: workers claim by SQL, so each wake-up serves whoever's turn it is.

    Raises: DatabaseUnavailable, QueueUnavailable.
    """
    waiting_already = waiting_wake_ups(queue)
    room = BATCH - waiting_already
    if room <= 0:
        return 0
    repeat_seconds = REPEAT_SECONDS if waiting_already else REPEAT_EMPTY_SECONDS
    with writing(engine) as connection:
        # A wake-up that led to a claim is used up; one that did not may still be on its way.
        used_up = SLICE.c.woken_at <= SLICE.c.claimed_at
        quiet = or_(SLICE.c.woken_at.is_(None), used_up, SLICE.c.woken_at < now(-repeat_seconds))
        waiting = select(SLICE.c.export_id, SLICE.c.number).where(claimable(), quiet)
        waiting = waiting.order_by(SLICE.c.created_at).limit(room)
        if connection.dialect.name == "postgresql":
            waiting = waiting.with_for_update(skip_locked=True)
        chosen = [tuple(row) for row in connection.execute(waiting)]
        mine = tuple_(SLICE.c.export_id, SLICE.c.number).in_(chosen)
        connection.execute(update(SLICE).where(mine).values(woken_at=now()))
        # Inside the transaction: when Redis refuses, the rows stay as if nobody had been woken.
        for export_id, _number in chosen:
            wake(queue, export_id)
        transfers = _transfers(connection, repeat_seconds, room - len(chosen))
        for export_id in transfers:
            wake(queue, export_id)
    return len(chosen) + len(transfers)


def _transfers(connection: Connection, repeat_seconds: float, room: int) -> Sequence[str]:
    """The exports of the claimable transfers that nobody was woken for lately; now somebody is."""
    used_up = TRANSFER.c.woken_at <= TRANSFER.c.claimed_at
    quiet = or_(TRANSFER.c.woken_at.is_(None), used_up, TRANSFER.c.woken_at < now(-repeat_seconds))
    waiting = select(TRANSFER.c.id, TRANSFER.c.export_id).where(transfer.claimable(), quiet)
    waiting = waiting.order_by(TRANSFER.c.created_at).limit(room)
    if connection.dialect.name == "postgresql":
        waiting = waiting.with_for_update(skip_locked=True, of=TRANSFER)
    chosen = connection.execute(waiting).all()
    mine = update(TRANSFER).where(TRANSFER.c.id.in_([row.id for row in chosen]))
    connection.execute(mine.values(woken_at=now()))
    return [row.export_id for row in chosen]


def run(engine: Engine, queue: WakeUps, settings: Settings, stop: threading.Event) -> None:
    """Dispatch until told to stop; a database or Redis that is away is waited for."""
    refreshed_at = -REFRESH_SECONDS
    while not stop.is_set():
        try:
            if sent := dispatch(engine, queue):
                log.info("clock.woke", slices=sent)
            if time.monotonic() - refreshed_at >= REFRESH_SECONDS:
                with writing(engine) as connection:
                    extensions.refresh(connection, settings.regime_names, settings.place)
                refreshed_at = time.monotonic()
        except (DatabaseUnavailable, QueueUnavailable) as error:
            log.warning("clock.waits", code=error.code)
        stop.wait(settings.clock_seconds)
