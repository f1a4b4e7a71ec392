"""Daily check of the sources: a new column in production is known within a day."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import structlog
from sqlalchemy import Engine

from portability.api import Exporter
from portability.api.errors import PortabilityError
from portability.coverage import state
from portability.database.engine import writing
from portability.settings import Settings
from portability.sources import declared_names
from worker.clock import turns
from worker.read.coverage import check_source
from worker.read.reader import SourcePatience

log = structlog.get_logger()


def run(
    engine: Engine, exporters: Callable[[], Mapping[str, Exporter]], settings: Settings, stop: threading.Event
) -> None:
    """Check each source when it is due, or when a person has asked for it, until stopped."""
    while not stop.is_set():
        try:
            check_due(engine, exporters, settings)
        except PortabilityError as error:
            log.warning("coverage.waits", code=error.code)
        except Exception as error:
            log.exception("coverage.failed", error=type(error).__name__)
        stop.wait(settings.clock_seconds)


def check_due(engine: Engine, exporters: Callable[[], Mapping[str, Exporter]], settings: Settings) -> int:
    """Check the sources that are due; returns their number. Raises DatabaseUnavailable, and errors of `exporters`."""
    names = declared_names(settings)
    with writing(engine) as connection:
        state.keep_only(connection, names)
        due = state.claim(connection, names)
    if not due:
        return 0
    try:
        opened = exporters()
    except PortabilityError as error:
        with writing(engine) as connection:
            for name in due:
                state.record_fault(connection, name, error.code)
        raise
    patience = SourcePatience(settings.source_retries, seconds=settings.source_seconds)

    def check(name: str) -> int:
        check_source(engine, opened, name, patience)
        return 1

    return turns.take_each("coverage", due, check)
