"""Expire: archives are kept for a fixed time only (GDPR Art. 5(1)(e), EU Data Act Art. 25(2)(g), R41).

A message is sent 48 hours before; no archive is deleted without that notice, however long the clock was stopped. Then
one transaction closes the links and sets the export to `expired`, and all its objects are deleted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import structlog
from sqlalchemy import ColumnElement, Engine, and_, literal, select

from portability.api.errors import PortabilityError
from portability.api.storages import Storage
from portability.database import deployment, history, models
from portability.database.engine import now, reading, writing
from portability.law.deadlines import EXPIRY_NOTICE
from portability.messages import outbox
from portability.messages.outbox import MessageKind
from portability.requests import exports, keeping
from portability.requests.states import ExportState
from portability.requests.transition import transition
from portability.settings import Settings
from portability.transfers import sending
from worker.clock import feeds, purge, turns
from worker.write.withdraw import withdraw_copies, withdraw_discarded, withdraw_given_up

log = structlog.get_logger()
EXPORT, NOTIFICATION = models.export, models.notification
ACTOR = "clock"
EVERY_SECONDS = 60.0
"""Archives are kept for days, so a minute of delay does not matter."""
PAGE = 100
NOTICE_SECONDS = EXPIRY_NOTICE.total_seconds()


def run(engine: Engine, open_storage: Callable[[], Storage], settings: Settings, stop: threading.Event) -> None:
    """Announce and end what is due, every minute until stopped; while a service is down, wait."""
    while not stop.is_set():
        is_full = False
        try:
            with reading(engine) as connection:
                history.check(connection)
            done = turns.take_steps("expire", _steps(engine, open_storage, settings))
            if any(done.values()):
                log.info("expire.done", **done)
            # More may be due than one round takes.
            is_full = any(done[name] >= PAGE for name in ("announced", "expired", "unfetched", "purged"))
        except PortabilityError as error:
            log.warning("expire.waits", code=error.code)
        except Exception as error:
            log.exception("expire.failed", error=type(error).__name__)
        stop.wait(0 if is_full else EVERY_SECONDS)


def _steps(engine: Engine, open_storage: Callable[[], Storage], settings: Settings) -> Mapping[str, Callable[[], int]]:
    """Return the steps of a round. What storage refuses to delete keeps no record from its end, and the reverse."""
    return {
        "announced": partial(announce, engine, settings),
        "expired": partial(expire, engine, settings),
        "unfetched": partial(end_offers, engine),
        "feeds": partial(feeds.give_up, engine),
        "volumes": partial(withdraw_discarded, engine, open_storage),
        "given_up": partial(withdraw_given_up, engine, open_storage),
        "copies": partial(withdraw_copies, engine, open_storage),
        "purged": partial(purge.purge, engine, settings.log_months),
    }


def end_offers(engine: Engine) -> int:
    """End transfers that were not downloaded in time; returns how many. Raises DatabaseUnavailable."""

    def end(transfer_id: str) -> int:
        with writing(engine) as connection:
            return sending.expire(connection, transfer_id, actor=ACTOR)

    with reading(engine) as connection:
        overdue = sending.overdue(connection, PAGE)
    return turns.take_each("expire.offers", overdue, end)


def announce(engine: Engine, settings: Settings) -> int:
    """Notify about archives that are deleted in 48 hours; returns how many. Raises DatabaseUnavailable."""
    due = and_(keeping.is_over(settings, NOTICE_SECONDS), ~_announced(0))

    def queue(export_id: str) -> int:
        with writing(engine) as connection:
            exports.lock(connection, export_id)
            still = select(EXPORT.c.id).where(EXPORT.c.id == export_id, _is_ready(), due)
            return bool(connection.scalar(still) and outbox.queue(connection, MessageKind.EXPIRING, export_id))

    return turns.take_each("expire.announce", _ready(engine, settings, due, NOTICE_SECONDS), queue)


def expire(engine: Engine, settings: Settings) -> int:
    """End archives whose time is over and that were announced; returns how many. Raises DatabaseUnavailable."""
    due = and_(keeping.is_over(settings), _announced(NOTICE_SECONDS))

    def end(export_id: str) -> int:
        with writing(engine) as connection:
            row = exports.lock(connection, export_id)
            # Checked again under the lock: a retry of its gaps may have begun.
            still = connection.scalar(select(EXPORT.c.id).where(EXPORT.c.id == export_id, _is_ready(), due))
            if still:
                transition(connection, row, ExportState.EXPIRED, actor=ACTOR)
            return bool(still)

    return turns.take_each("expire.end", _ready(engine, settings, due), end)


def _is_ready() -> ColumnElement[bool]:
    # As a literal: a parameter would hide the partial indexes from the planner.
    return EXPORT.c.state == literal(str(ExportState.READY), literal_execute=True)


def _announced(seconds_ago: float) -> ColumnElement[bool]:
    """Return the condition: the end was announced at least `seconds_ago` seconds ago, and after the last `ready`."""
    since, until = NOTIFICATION.c.created_at >= EXPORT.c.ended_at, NOTIFICATION.c.created_at <= now(-seconds_ago)
    matching = (NOTIFICATION.c.export_id == EXPORT.c.id, NOTIFICATION.c.kind == MessageKind.EXPIRING, since, until)
    return select(NOTIFICATION.c.id).where(*matching).exists()


def _ready(engine: Engine, settings: Settings, due: ColumnElement[bool], before_seconds: float = 0) -> Sequence[str]:
    found: list[str] = []
    with reading(engine) as connection:
        present = deployment.clock_of(connection)
        for near, at in keeping.near_end(settings, present, before_seconds):
            query = select(EXPORT.c.id).where(_is_ready(), near, due).order_by(at)
            found += connection.scalars(query.limit(PAGE)).all()
    return [*dict.fromkeys(found)][:PAGE]
