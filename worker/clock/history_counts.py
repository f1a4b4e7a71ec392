"""Counting for the metrics and the report: a clock counts whole tables, now and then."""

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
REST_SECONDS_MAX = 1_800.0
"""The longest wait: who needs a result that is older than an hour counts instead, which takes as long."""


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
                ended = time.monotonic()
                due_at[count] = ended + rest_seconds(ended - began)
        stop.wait(EVERY_SECONDS)


def rest_seconds(taken: float) -> float:
    """Return how long the clock waits after a count that took this many seconds."""
    return min(REST * taken, REST_SECONDS_MAX)


def _take(count: Callable[[], None]) -> None:
    try:
        count()
    except DatabaseUnavailable as error:
        log.warning("counts.wait", code=error.code)
    except Exception as error:
        log.exception("counts.failed", error=type(error).__name__)
