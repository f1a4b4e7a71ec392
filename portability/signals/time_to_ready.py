"""Signals of the time from receipt to ready, by profile and by the size of the archive."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client.core import HistogramMetricFamily, Metric
from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, select

from portability.database import models
from portability.database.engine import elapsed_seconds, now
from portability.law.profiles import Profile
from portability.requests.states import ExportState, VolumeState

EXPORT, VOLUME = models.export, models.volume
SECONDS = elapsed_seconds(EXPORT.c.received_at, EXPORT.c.ended_at)
WINDOW_SECONDS = 7 * 86400
BUCKETS_SECONDS = (10.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0, 172800.0, 259200.0)
"""From ten seconds to the three days until an export is due."""
SIZES: Mapping[str, float] = {"10MB": 1e7, "1GB": 1e9, "100GB": 1e11, "larger": math.inf}
"""Classes of archives, the smallest first, by their most bytes."""
NAMES = frozenset({"export_seconds", "ready_seconds"})
"""Of what `counted` returns."""


def collect(counts: Mapping[str, Sequence[Sequence[Any]]]) -> Sequence[Metric]:
    """Return both histograms, with every known label, from the result of `counted`."""
    return (
        _histogram("portability_export_seconds", "profile", counts["export_seconds"], [*Profile]),
        _histogram("portability_ready_seconds", "size", counts["ready_seconds"], [*SIZES]),
    )


def counted(connection: Connection) -> Mapping[str, Sequence[Sequence[Any]]]:
    """Count the exports that became ready in the window: of each label the seconds, and the number up to each bucket.

    It reads all of these exports with their volumes: a clock counts now and then. Raises DatabaseUnavailable.
    """
    # As a value the time is a bound of the index, and says to the planner how few exports it leads to.
    since = connection.scalar(select(now(-WINDOW_SECONDS)))
    in_window = and_(EXPORT.c.state == ExportState.READY, EXPORT.c.ended_at >= since)
    found = {"export_seconds": _by_profile(in_window), "ready_seconds": _by_size(in_window)}
    return {name: _by_bucket(connection, exports) for name, exports in found.items()}


def size_of(count: float) -> str:
    """Return the class of an archive with this number of bytes."""
    return next(name for name, most in SIZES.items() if count <= most)


def _by_profile(in_window: ColumnElement[bool]) -> Select[Any]:
    """Select profile and seconds of each export in the window."""
    return select(EXPORT.c.profile.label("value"), SECONDS.label("seconds")).where(in_window)


def _by_size(in_window: ColumnElement[bool]) -> Select[Any]:
    """Select the class of its stored volumes together, and the seconds, of each export in the window."""
    stored = (VOLUME.c.export_id == EXPORT.c.id, VOLUME.c.state == VolumeState.STORED)
    total = select(func.coalesce(func.sum(VOLUME.c.bytes), 0)).where(*stored).scalar_subquery()
    query = select(total.label("total"), SECONDS.label("seconds")).where(in_window)
    # Summed once for each export, and not for each class.
    sized = query.cte("sized").prefix_with("MATERIALIZED", dialect="postgresql")
    *bounded, (largest, _most) = SIZES.items()
    size = case(*((sized.c.total <= int(most), name) for name, most in bounded), else_=largest)
    return select(size.label("value"), sized.c.seconds)


def _by_bucket(connection: Connection, exports: Select[Any]) -> Sequence[Sequence[Any]]:
    of = exports.subquery()
    within = (func.count().filter(of.c.seconds <= bound) for bound in BUCKETS_SECONDS)
    query = select(of.c.value, func.sum(of.c.seconds), *within, func.count()).group_by(of.c.value)
    return [[str(value), float(total), *counts] for value, total, *counts in connection.execute(query)]


def _histogram(name: str, label: str, rows: Sequence[Sequence[Any]], known: Sequence[str]) -> Metric:
    """Return the seconds of the exports that became ready in the window, by a label.

    Not all exports ever, unlike histograms of processes: the counts fall when an export leaves the window.
    """
    found = {value: figures for value, *figures in rows}
    meaning = f"Seconds from receipt to ready by {label}, of exports that became ready in the last"
    metric = HistogramMetricFamily(name, f"{meaning} {WINDOW_SECONDS // 86400} days", labels=(label,))
    bounds = [*map(str, BUCKETS_SECONDS), "+Inf"]
    for each in known:
        total, *counts = found.get(each, [0.0] * (1 + len(bounds)))
        metric.add_metric((each,), list(zip(bounds, counts, strict=True)), total)
    return metric
