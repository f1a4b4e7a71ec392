"""Signals of the time from receipt to ready, by profile and by the size of the archive."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from prometheus_client.core import HistogramMetricFamily, Metric
from sqlalchemy import ColumnElement, Connection, case, func, select

from portability.database import models
from portability.database.engine import elapsed_seconds, now
from portability.law.profiles import Profile
from portability.requests.states import ExportState, VolumeState

EXPORT, VOLUME = models.export, models.volume
WINDOW_SECONDS = 7 * 86400
BUCKETS_SECONDS = (10.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0, 172800.0, 259200.0)
"""From ten seconds to the three days until an export is due."""
SIZES: Mapping[str, float] = {"10MB": 1e7, "1GB": 1e9, "100GB": 1e11, "larger": math.inf}
"""Classes of archives, the smallest first, by their most bytes."""


def collect(connection: Connection) -> Sequence[Metric]:
    """Return both histograms, with every known label. Raises DatabaseUnavailable."""
    return (
        _histogram(connection, "portability_export_seconds", "profile", EXPORT.c.profile, [*Profile]),
        _histogram(connection, "portability_ready_seconds", "size", _size(), [*SIZES]),
    )


def size_of(count: float) -> str:
    """Return the class of an archive with this number of bytes."""
    return next(name for name, most in SIZES.items() if count <= most)


def _size() -> ColumnElement[str]:
    """Return the class of an export's archive: of its stored volumes together."""
    stored = (VOLUME.c.export_id == EXPORT.c.id, VOLUME.c.state == VolumeState.STORED)
    total = select(func.coalesce(func.sum(VOLUME.c.bytes), 0)).where(*stored).scalar_subquery()
    *bounded, (largest, _most) = SIZES.items()
    return case(*((total <= int(most), name) for name, most in bounded), else_=largest)


def _histogram(
    connection: Connection, name: str, label: str, value: ColumnElement[str], known: Sequence[str]
) -> Metric:
    """Return the seconds of the exports that became ready in the window, by a label.

    Not all exports ever, unlike histograms of processes: the counts fall when an export leaves the window.
    """
    seconds = elapsed_seconds(EXPORT.c.received_at, EXPORT.c.ended_at)
    # In a subquery the time is read once, so that it is a bound of the index.
    since = select(now(-WINDOW_SECONDS)).scalar_subquery()
    in_window = (EXPORT.c.state == ExportState.READY, EXPORT.c.ended_at >= since)
    of = select(value.label("value"), seconds.label("seconds")).where(*in_window).subquery()
    within = (func.count().filter(of.c.seconds <= bound) for bound in BUCKETS_SECONDS)
    query = select(of.c.value, func.sum(of.c.seconds), *within, func.count()).group_by(of.c.value)
    found = {str(each): figures for each, *figures in connection.execute(query)}
    meaning = f"Seconds from receipt to ready by {label}, of exports that became ready in the last"
    metric = HistogramMetricFamily(name, f"{meaning} {WINDOW_SECONDS // 86400} days", labels=(label,))
    bounds = [*map(str, BUCKETS_SECONDS), "+Inf"]
    for each in known:
        total, *counts = found.get(each, [0.0] * (1 + len(bounds)))
        metric.add_metric((each,), list(zip(bounds, counts, strict=True)), total)
    return metric
