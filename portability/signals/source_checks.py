"""Signals of the daily checks of declared sources: what is undecided, what does not fit, and how old a check is."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Connection

from portability.coverage import state as coverage
from portability.database import deployment


def collect(connection: Connection) -> Sequence[Metric]:
    """Measure the checks of the declared sources; a source that was never checked has no age."""
    undecided = GaugeMetricFamily(
        "portability_source_undecided_columns", "Columns about which no decision has been made", labels=("source",)
    )
    faults = GaugeMetricFamily(
        "portability_source_faults", "Findings by which a map does not fit its source", labels=("source",)
    )
    ages = GaugeMetricFamily(
        "portability_source_check_age_seconds", "Seconds since the last check that ended", labels=("source",)
    )
    at = deployment.clock_of(connection)
    for row in coverage.rows(connection):
        undecided.add_metric((row["source"],), row["undecided"] or 0)
        faults.add_metric((row["source"],), row["faults"] or 0)
        if row["checked_at"] is not None:
            ages.add_metric((row["source"],), max(0.0, (at - row["checked_at"]).total_seconds()))
    return undecided, faults, ages
