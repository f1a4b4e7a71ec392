"""Counting for the metrics and the report: a clock counts whole tables, at most a hundredth of its time."""

from __future__ import annotations

import threading
import time
from datetime import tzinfo

import structlog
from sqlalchemy import Engine

from portability.errors import DatabaseUnavailable
from portability.report import counts as report_counts
from portability.signals import history_counts

log = structlog.get_logger()
EVERY_SECONDS = 10.0
REST = 100
"""How many times longer than a count the clock waits before the next: a long history is counted less often."""


def run(engine: Engine, zone: tzinfo, stop: threading.Event) -> None:
    """Count regularly until stopped; several clocks count several times. Months of the report begin in the zone."""
    while not stop.is_set():
        began = time.monotonic()
        try:
            history_counts.count(engine)
            report_counts.count(engine, zone)
        except DatabaseUnavailable as error:
            log.warning("counts.wait", code=error.code)
        except Exception as error:
            log.exception("counts.failed", error=type(error).__name__)
        stop.wait(max(EVERY_SECONDS, REST * (time.monotonic() - began)))
