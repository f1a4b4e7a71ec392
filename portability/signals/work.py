"""Signals of the work, from the control database: what waits, what is retried or failed, and which source is at fault.

Labels are states, purposes, the codes of this software's errors, and the names that the deployment gives its sources.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import ColumnElement, Connection, Table, and_, case, exists, func, select, union_all

from portability.api.errors import PortabilityError, SourceError, all_errors
from portability.database import models
from portability.database.engine import elapsed_seconds, now
from portability.errors import ControlError
from portability.inbox import work as received_work
from portability.law.scan_rules import ScanBlocked
from portability.requests import slices
from portability.requests.states import DISCARDED, ONGOING, ExportState, SliceState, TransferState
from portability.trust.keys import PURPOSES

EXPORT, SLICE, GAP, TRANSFER = models.export, models.slice, models.gap, models.transfer
SLICE_STATES = ("claimable", "claimed", "backing_off")
GAPS_SECONDS = 3600
"""How long a gap of an export that has ended counts as a fault of its source."""
_OURS = {PortabilityError.__module__, ControlError.__module__, ScanBlocked.__module__}


def collect(connection: Connection) -> Sequence[Metric]:
    """Return the signals of the work as of now."""
    return [
        *_slices(connection),
        *_sources(connection),
        _transfers(connection),
        *_received(connection),
        _sweep(connection),
        *_keys(connection),
    ]


def error_codes() -> frozenset[str]:
    """Return the codes of this software's errors; plug-ins have others, without bound."""
    return frozenset(error.code for error in all_errors() if error.__module__ in _OURS)


def _slices(connection: Connection) -> Sequence[Metric]:
    claimed = SLICE.c.lease_until >= now()
    is_open = SLICE.c.state == SliceState.OPEN
    conditions = (slices.claimable(), and_(is_open, claimed), and_(is_open, SLICE.c.not_before > now()))
    counts = connection.execute(select(*(func.count().filter(each) for each in conditions)).where(is_open)).one()
    waiting = GaugeMetricFamily("portability_slices", "Slices that are not finished, by state", labels=("state",))
    for state, count in zip(SLICE_STATES, counts, strict=True):
        waiting.add_metric((state,), count)
    return waiting, GaugeMetricFamily(
        "portability_oldest_claimable_slice_age_seconds",
        "Seconds since a slice could be claimed, or was last claimed; 0 if none waits",
        value=age_seconds(connection, _since(SLICE), slices.claimable(), ~_is_served()),
    )


def _since(table: Table) -> ColumnElement[object]:
    """Return since when a row waits: the latest of its creation, last claim, end of lease and end of back-off."""
    times = (table.c.claimed_at, table.c.lease_until, table.c.not_before)

    def later(latest: ColumnElement[object], time: ColumnElement[object]) -> ColumnElement[object]:
        return case((time > latest, time), else_=latest)

    return reduce(later, times, table.c.created_at)


def _is_served() -> ColumnElement[bool]:
    """Return the condition: a worker serves another slice of the same tenant, whose slices are limited."""
    other = SLICE.alias()
    return exists().where(
        other.c.tenant == SLICE.c.tenant, other.c.tenant != slices.group(None), other.c.lease_until >= now()
    )


def age_seconds(connection: Connection, since: ColumnElement[Any], *conditions: ColumnElement[bool]) -> float:
    """Return the seconds since the earliest of these times, of the rows that meet the conditions; 0 without rows."""
    oldest = select(elapsed_seconds(func.min(since), now())).where(*conditions)
    return max(0.0, connection.scalar(oldest) or 0.0)


def _sources(connection: Connection) -> Sequence[Metric]:
    codes = [error.code for error in all_errors() if issubclass(error, SourceError) and error.__module__ in _OURS]
    # Each part has an index. As a value the time is a bound of it, and says to the planner how few exports it leads to.
    since = connection.scalar(select(now(-GAPS_SECONDS)))
    lately = union_all(
        select(EXPORT.c.id).where(EXPORT.c.state.in_(ONGOING), EXPORT.c.erased_at.is_(None)),
        *(
            select(EXPORT.c.id).where(EXPORT.c.state.in_(states), EXPORT.c.ended_at >= since)
            for states in ((ExportState.READY,), DISCARDED)
        ),
    )
    query = select(GAP.c.exporter, GAP.c.reason, func.count())
    query = query.where(GAP.c.export_id.in_(lately), GAP.c.reason.in_(codes)).group_by(GAP.c.exporter, GAP.c.reason)
    leased = select(SLICE.c.progress).where(SLICE.c.lease_until >= now(), SLICE.c.progress.is_not(None))
    waits = (slices.waits_for([row]) for row in connection.execute(leased).mappings())
    return (
        _counted(
            GaugeMetricFamily(
                "portability_source_gaps",
                "Gaps that a fault of a source left in exports that are open or ended within an hour",
                labels=("source", "reason"),
            ),
            [((source, reason), count) for source, reason, count in connection.execute(query)],
        ),
        _counted(
            GaugeMetricFamily(
                "portability_source_waits", "Slices that wait for an answer of a source", labels=("source",)
            ),
            [((wait[0].partition("/")[0],), 1) for wait in waits if wait],
        ),
    )


def _transfers(connection: Connection) -> Metric:
    ready = exists().where(EXPORT.c.id == TRANSFER.c.export_id, EXPORT.c.state == ExportState.READY)
    return GaugeMetricFamily(
        "portability_oldest_queued_transfer_age_seconds",
        "Seconds since the oldest transfer of a ready export could be made, or was last worked on; 0 if none waits",
        value=age_seconds(connection, _since(TRANSFER), TRANSFER.c.state == TransferState.QUEUED, ready),
    )


def _received(connection: Connection) -> Sequence[Metric]:
    return GaugeMetricFamily(
        "portability_oldest_received_work_age_seconds",
        "Seconds since the receiving service could work on the oldest received transfer; 0 if none waits",
        value=received_work.oldest_due_seconds(connection),
    ), GaugeMetricFamily(
        "portability_received_failing",
        "Received transfers of which a step has failed ten times or more",
        value=received_work.failing(connection),
    )


def _sweep(connection: Connection) -> Metric:
    table = models.deployment
    since = func.coalesce(table.c.swept_at, table.c.created_at)
    return GaugeMetricFamily(
        "portability_last_sweep_age_seconds",
        "Seconds since a clock has swept the storage, or since the deployment began",
        value=age_seconds(connection, since),
    )


def _keys(connection: Connection) -> Sequence[Metric]:
    table = models.signing_key
    active = and_(table.c.retired_at.is_(None), table.c.revoked_at.is_(None))
    query = select(table.c.purpose, func.count(), elapsed_seconds(func.max(table.c.created_at), now()))
    found = {purpose: row for purpose, *row in connection.execute(query.where(active).group_by(table.c.purpose))}
    count = GaugeMetricFamily("portability_signing_keys", "Keys that sign, by purpose", labels=("purpose",))
    age = GaugeMetricFamily(
        "portability_signing_key_age_seconds",
        "Age of the newest key that signs, by purpose; 0 if there is no key",
        labels=("purpose",),
    )
    for purpose in PURPOSES:
        keys, seconds = found.get(purpose, (0, 0.0))
        count.add_metric((purpose,), keys)
        age.add_metric((purpose,), max(0.0, seconds))
    return count, age


def _counted(metric: GaugeMetricFamily, counts: Iterable[tuple[tuple[str, ...], int]]) -> GaugeMetricFamily:
    """Add the counts to the metric, those of the same labels together."""
    total: Counter[tuple[str, ...]] = Counter()
    for labels, count in counts:
        total[labels] += count
    for labels, count in total.items():
        metric.add_metric(labels, count)
    return metric
