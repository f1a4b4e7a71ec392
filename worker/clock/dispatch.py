"""Dispatch: every few seconds the clock wakes workers for claimable work. Several clocks may run.

This loop also covers lost messages, an emptied Redis, killed workers and back-off.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial

import structlog
from sqlalchemy import ColumnElement, Connection, Engine, Table, or_, select, tuple_, update

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.errors import DatabaseUnavailable, QueueUnavailable
from portability.queue import WakeUps, beat_clock, count_workers, waiting_wake_ups, wake
from portability.requests import deadline_events
from portability.settings import Settings
from worker import transfer
from worker.claim.claims import claimable
from worker.clock import leaps, pulls, turns

log = structlog.get_logger()
SLICE, TRANSFER = models.slice, models.transfer
BATCH = 500
PER_WORKER = 2
FEW = 20
"""Wake-ups that are pending even if no worker has a heartbeat in Redis."""
REPEAT_SECONDS = 10.0
"""How long a wake-up counts as pending: meanwhile no clock sends another wake-up."""
REPEAT_EMPTY_SECONDS = 2.0
"""The same while the queue is empty: its receiver is about to claim, or the wake-up is lost."""

REFRESH_SECONDS = 60.0
"""How often the deadlines of paused requests are updated, and ends that are too late are looked for."""


def dispatch(engine: Engine, queue: WakeUps) -> int:
    """Send a wake-up for each claimable slice and transfer without a recent one; returns how many were sent.

    Workers claim by SQL: each wake-up serves the slice whose turn it is, and then others while any wait. So a few for
    each worker are pending, at most BATCH.

    Raises: DatabaseUnavailable, QueueUnavailable.
    """
    waiting_already = waiting_wake_ups(queue)
    room = min(BATCH, max(FEW, PER_WORKER * count_workers(queue))) - waiting_already
    if room <= 0:
        return 0
    repeat_seconds = REPEAT_SECONDS if waiting_already else REPEAT_EMPTY_SECONDS
    with writing(engine) as connection:
        waiting = select(SLICE.c.export_id, SLICE.c.number).where(claimable(), _is_quiet(SLICE, repeat_seconds))
        waiting = waiting.order_by(SLICE.c.created_at).limit(room)
        if connection.dialect.name == "postgresql":
            waiting = waiting.with_for_update(skip_locked=True)
        chosen = [tuple(row) for row in connection.execute(waiting)]
        selected = tuple_(SLICE.c.export_id, SLICE.c.number).in_(chosen)
        connection.execute(update(SLICE).where(selected).values(woken_at=now()))
        # Inside the transaction: if Redis refuses, the rows stay as if no wake-up had been sent.
        for export_id, _number in chosen:
            wake(queue, export_id)
        transfers = _transfers(connection, repeat_seconds, room - len(chosen))
        for export_id in transfers:
            wake(queue, export_id)
    return len(chosen) + len(transfers)


def _transfers(connection: Connection, repeat_seconds: float, room: int) -> Sequence[str]:
    """Return the exports of claimable transfers without a recent wake-up, and mark them as woken."""
    quiet = _is_quiet(TRANSFER, repeat_seconds)
    waiting = select(TRANSFER.c.id, TRANSFER.c.export_id).where(transfer.claimable(), quiet)
    waiting = waiting.order_by(TRANSFER.c.created_at).limit(room)
    if connection.dialect.name == "postgresql":
        waiting = waiting.with_for_update(skip_locked=True, of=TRANSFER)
    chosen = connection.execute(waiting).all()
    selected = update(TRANSFER).where(TRANSFER.c.id.in_([row.id for row in chosen]))
    connection.execute(selected.values(woken_at=now()))
    return [row.export_id for row in chosen]


def _is_quiet(table: Table, repeat_seconds: float) -> ColumnElement[bool]:
    """Return the condition for rows without a pending wake-up.

    One that led to a claim is used up; an unclaimed one may be pending for a while. One of the future was sent before
    the clock of the database was set back: the row would wait until the clock is there again.
    """
    used_up, is_of_the_future = table.c.woken_at <= table.c.claimed_at, table.c.woken_at > now(repeat_seconds)
    return or_(table.c.woken_at.is_(None), used_up, is_of_the_future, table.c.woken_at < now(-repeat_seconds))


def run(engine: Engine, queue: WakeUps, settings: Settings, stop: threading.Event) -> None:
    """Dispatch until stopped; while the database or Redis is down, wait."""
    refreshed_at = -REFRESH_SECONDS
    while not stop.is_set():
        try:
            turns.take_steps("clock", {"pulls": partial(pulls.send_ready, engine, settings)})
            if sent := dispatch(engine, queue):
                log.info("clock.woke", slices=sent)
            if time.monotonic() - refreshed_at >= REFRESH_SECONDS:
                shorten = partial(leaps.shorten, engine, settings)
                deadlines = partial(refresh_deadlines, engine, settings)
                turns.take_steps("clock", {"leaps": shorten, "deadlines": deadlines})
                refreshed_at = time.monotonic()
            # Last, so that a heartbeat proves that database and Redis were usable.
            beat_clock(queue, settings.clock_seconds)
        except (DatabaseUnavailable, QueueUnavailable) as error:
            log.warning("clock.waits", code=error.code)
        except Exception as error:
            log.exception("clock.failed", error=type(error).__name__)
        stop.wait(settings.clock_seconds)


def refresh_deadlines(engine: Engine, settings: Settings) -> int:
    """Move the deadlines of requests with a running pause; returns how many. Raises DatabaseUnavailable."""

    def refresh(export_id: str) -> int:
        with writing(engine) as connection:
            return deadline_events.refresh(connection, export_id, settings.laws, settings.place)

    with reading(engine) as connection:
        paused = deadline_events.running_pauses(connection)
    return turns.take_each("deadlines", paused, refresh)
