"""Counting for the metrics and the report: a clock counts whole tables, at most a hundredth of its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import tzinfo
from functools import partial

import structlog
from sqlalchemy import Engine

from portability.errors import DatabaseUnavailable
from portability.report import counts as report_counts
from portability.signals import history_counts, unanswered

log = structlog.get_logger()
EVERY_SECONDS = 10.0
REST = 100
"""How many times longer than a count the clock waits before the next: a long history is counted less often."""


def run(engine: Engine, zone: tzinfo, stop: threading.Event) -> None:
    """Count regularly until stopped; several clocks count several times. Months of the report begin in the zone."""

    def count_history() -> None:
        history_counts.count(engine)
        report_counts.count(engine, zone)

    # What failed needs a person soon. It is counted more often than the history, which takes longer.
    due_at: dict[Callable[[], None], float] = {partial(unanswered.count, engine): 0.0, count_history: 0.0}
    while not stop.is_set():
        for count, at in due_at.items():
            began = time.monotonic()
            if began >= at:
                _take(count)
                due_at[count] = time.monotonic() + REST * (time.monotonic() - began)
        stop.wait(EVERY_SECONDS)


def _take(count: Callable[[], None]) -> None:
    try:
        count()
    except DatabaseUnavailable as error:
        log.warning("counts.wait", code=error.code)
    except Exception as error:
        log.exception("counts.failed", error=type(error).__name__)
