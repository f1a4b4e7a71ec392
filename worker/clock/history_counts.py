"""Counting for the metrics: a clock counts whole tables, at most a hundredth of its time."""

from __future__ import annotations

import threading
import time

import structlog
from sqlalchemy import Engine

from portability.errors import DatabaseUnavailable
from portability.signals import history_counts

log = structlog.get_logger()
EVERY_SECONDS = 10.0
REST = 100
"""How many times longer than a count the clock waits before the next: a long history is counted less often."""


def run(engine: Engine, stop: threading.Event) -> None:
    """Count regularly until stopped; several clocks count several times."""
    while not stop.is_set():
        began = time.monotonic()
        try:
            history_counts.count(engine)
        except DatabaseUnavailable as error:
            log.warning("counts.wait", code=error.code)
        stop.wait(max(EVERY_SECONDS, REST * (time.monotonic() - began)))
