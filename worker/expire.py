"""Expire: archives are kept for their time and no longer (GDPR Art. 5(1)(e), EU Data Act Art. 25(2)(g), R41).

Told 48 hours before; nobody's archive goes without having been announced, however long the clock stood still. Then the
links are closed and the export is `expired`, in one transaction, and every object of it is deleted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import ColumnElement, Engine, and_, or_, select, update

from portability import audit, exports, links, models, notify, pseudonyms, transfer_ends, transfers
from portability.api import SubjectKind
from portability.db import now, reading, writing
from portability.deadlines import EXPIRY_NOTICE
from portability.errors import PortabilityError
from portability.notify import Kind
from portability.settings import Settings
from portability.states import ExportState, TransferState
from portability.storage import Storage
from worker import purge
from worker.withdraw import withdraw_copies, withdraw_state

log = structlog.get_logger()
EXPORT, TOLD = models.export, models.notification
ACTOR = "clock"
EVERY_SECONDS = 60.0
"""Archives are kept for days: nobody minds a minute."""
PAGE = 100
NOTICE_SECONDS = EXPIRY_NOTICE.total_seconds()


def run(engine: Engine, open_storage: Callable[[], Storage], settings: Settings, stop: threading.Event) -> None:
    """Announce and end what is due, every minute until told to stop; whatever is away is waited for."""
    while not stop.is_set():
        try:
            told, ended = announce(engine, settings), expire(engine, settings)
            with writing(engine) as connection:
                unfetched = transfers.expire(connection, actor=ACTOR)
            gone = withdraw_state(engine, open_storage, ExportState.EXPIRED)
            copies, purged = withdraw_copies(engine, open_storage), purge.purge(engine, settings.log_months)
            if any(done := (told, ended, gone, unfetched, copies, purged)):
                names = ("announced", "expired", "volumes", "unfetched", "copies", "purged")
                log.info("expire.done", **dict(zip(names, done, strict=True)))
        except PortabilityError as error:
            log.warning("expire.waits", code=error.code)
        except Exception as error:
            log.exception("expire.failed", error=type(error).__name__)
        stop.wait(EVERY_SECONDS)


def announce(engine: Engine, settings: Settings) -> int:
    """Tell of the archives that are deleted in 48 hours; returns of how many. Raises DatabaseUnavailable."""
    due = and_(_older(settings, NOTICE_SECONDS), ~_announced(0))
    told = 0
    for export_id in _ready(engine, due):
        with writing(engine) as connection:
            exports.lock(connection, export_id)
            if connection.scalar(select(EXPORT.c.id).where(EXPORT.c.id == export_id, _is_ready(), due)) is not None:
                told += notify.queue(connection, Kind.EXPIRING, export_id) is not None
    return told


def expire(engine: Engine, settings: Settings) -> int:
    """End the archives whose time is over and that were announced; returns how many. Raises DatabaseUnavailable."""
    due = and_(_older(settings, 0), _announced(NOTICE_SECONDS))
    ended = 0
    for export_id in _ready(engine, due):
        with writing(engine) as connection:
            exports.lock(connection, export_id)
            mine = update(EXPORT).where(EXPORT.c.id == export_id, _is_ready(), due)
            # Asked again under the lock: a retry of its gaps may have begun.
            if not connection.execute(mine.values(state=ExportState.EXPIRED)).rowcount:
                continue
            pseudonyms.forget(connection, export_id)
            sent = models.transfer.c.export_id == export_id
            stopped = transfer_ends.halt(connection, sent, TransferState.EXPIRED, actor=ACTOR)
            revoked = links.revoke_all(connection, export_id, actor=ACTOR)
            transfer_ends.tell(connection, stopped, TransferState.EXPIRED, actor=ACTOR)
            audit.record(connection, "export.expired", actor=ACTOR, export_id=export_id, detail={"links": revoked})
            ended += 1
    return ended


def _is_ready() -> ColumnElement[bool]:
    return EXPORT.c.state == ExportState.READY


def _older(settings: Settings, before_seconds: float) -> ColumnElement[bool]:
    """Ready for as long as archives of its kind are kept, less so many seconds."""
    return or_(
        *(
            and_(EXPORT.c.subject_kind == kind, EXPORT.c.ended_at <= now(before_seconds - settings.ttl_seconds(kind)))
            for kind in SubjectKind
        )
    )


def _announced(seconds_ago: float) -> ColumnElement[bool]:
    """Its end was announced at least so long ago, and since it became ready for the last time."""
    since, until = TOLD.c.created_at >= EXPORT.c.ended_at, TOLD.c.created_at <= now(-seconds_ago)
    mine = (TOLD.c.export_id == EXPORT.c.id, TOLD.c.kind == Kind.EXPIRING, since, until)
    return select(TOLD.c.id).where(*mine).exists()


def _ready(engine: Engine, due: ColumnElement[bool]) -> Sequence[str]:
    query = select(EXPORT.c.id).where(_is_ready(), due).order_by(EXPORT.c.ended_at).limit(PAGE)
    with reading(engine) as connection:
        return connection.scalars(query).all()
