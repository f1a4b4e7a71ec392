"""Scheduled copies: the clock requests each copy that is due, in the name of the person who has asked for it.

Several clocks may run: the schedule is locked while its copy is requested. After an outage of the clock one copy is
requested, however many dates have passed. A copy that cannot be requested waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from sqlalchemy import Engine, RowMapping, select

from portability.api import Directory, SubjectKind
from portability.api.errors import PortabilityError, SourceError
from portability.database import models
from portability.database.engine import read_once, reading, writing
from portability.errors import DatabaseUnavailable
from portability.people import directory as directories
from portability.people import subject_locks
from portability.schedules import intake, schedules
from portability.settings import Settings

log = structlog.get_logger()
TABLE = models.schedule
PAGE = 100
LATER_SECONDS = 86_400
"""How long a copy waits that a limit or a rule refuses."""
SOON_SECONDS = 600
"""How long a copy waits while the directory does not answer."""


def run(directory: Callable[[], Directory], engine: Engine, settings: Settings, stop: threading.Event) -> None:
    """Request scheduled copies regularly until stopped; while the database is down, wait."""
    while not stop.is_set():
        try:
            if requested := request_due(engine, settings, directory()):
                log.info("schedules.done", requested=requested)
        except PortabilityError as error:
            log.warning("schedules.waits", code=error.code)
        except Exception as error:
            log.exception("schedules.failed", error=type(error).__name__)
        stop.wait(settings.clock_seconds)


def request_due(engine: Engine, settings: Settings, directory: Directory) -> int:
    """Request the copies that are due; returns how many. Raises DatabaseUnavailable."""
    # The clock in a query of its own: it is read once, so the index of dates leads to those that have passed.
    due = select(TABLE).where(TABLE.c.ended_at.is_(None), TABLE.c.next_at <= read_once())
    with reading(engine) as connection:
        rows = connection.execute(due.order_by(TABLE.c.next_at).limit(PAGE)).mappings().all()
    requested = 0
    for row in rows:
        try:
            requested += _request(engine, settings, row, directory)
        except DatabaseUnavailable:
            raise
        except PortabilityError as error:
            log.warning("schedule.waits", schedule=row["id"], code=error.code)
            _postpone(engine, row, SOON_SECONDS if isinstance(error, SourceError) else LATER_SECONDS)
        except Exception as error:
            # A fault of one copy: those of other people do not wait for it.
            log.exception("schedule.waits", schedule=row["id"], error=type(error).__name__)
            _postpone(engine, row, LATER_SECONDS)
    return requested


def _request(engine: Engine, settings: Settings, row: RowMapping, directory: Directory) -> bool:
    kind, identifier, tenant = subject_locks.name_of_row(row)
    contact = directories.look_up(directory, directories.named(SubjectKind(kind), identifier, tenant))
    with writing(engine) as connection:
        return intake.take_due(connection, settings, row, contact) is not None


def _postpone(engine: Engine, row: RowMapping, seconds: float) -> None:
    with writing(engine) as connection:
        schedules.postpone(connection, row, seconds)
