"""Metrics: figures of the whole deployment for Prometheus, read from the control database on request.

Processes do not count for themselves: workers start and stop, rows stay. Labels are states, profiles, reasons,
kinds and names of sources: their number is bounded, and none identifies a person or a tenant. All metrics are in
docs/metrics.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, Engine

from portability.api.coverage import COVERAGE_UNDECIDED, COVERAGE_UNKNOWN
from portability.api.errors import FormatError, SourceError, all_errors
from portability.database import deployment, history, incidents, models
from portability.database.engine import reading
from portability.database.incidents import Incident
from portability.inbox.states import UNDECIDED, ReceivedState
from portability.journal import shipping
from portability.law.profiles import Profile
from portability.messages.recipient_notices import NoticeState
from portability.messages.webhooks import WebhookState
from portability.requests.states import ONGOING, ExportState, TransferState
from portability.signals import decisions, history_counts, messages, source_checks, time_to_ready, unanswered, work
from portability.signals.history_counts import Counts
from portability.signals.unanswered import UnansweredGroup

HOOK, NOTICE = models.webhook, models.recipient_notice

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The content type of `exposition`."""

VOLUME_STATES = ("writing", "stored")
_FOUND = (
    *("missing", "truncated", "changed", "unreadable", "not_json", "incomplete_list", "no_format", "too_large"),
    *("instruction_withdrawn", "needs_instruction", "needs_review", COVERAGE_UNDECIDED, COVERAGE_UNKNOWN),
)

OTHER = "other"
"""The label of unknown values: a plug-in may use any text as a gap's reason, even a person's name."""


def collect(engine: Engine) -> Sequence[Metric]:
    """Return all metrics as of now, with every known label, 0 where there is nothing. Raises DatabaseUnavailable."""
    with reading(engine) as connection:
        counts = history_counts.present(connection)
        groups = unanswered.groups(connection)
        counted = [
            *_exports(groups, counts),
            *unanswered.collect(groups),
            *decisions.collect(connection),
            *time_to_ready.collect(counts),
            *_volumes(counts),
            _gaps(counts),
            *messages.collect(connection, counts),
            *_transfers(connection, counts),
            *_notices(connection, counts),
            *_inbox(connection, counts),
            *_journal(connection),
            *source_checks.collect(connection),
            *work.collect(connection),
        ]
    return [*counted, _incidents(engine)]


def exposition(metrics: Iterable[Metric]) -> str:
    """Write the metrics in Prometheus' text format, version 0.0.4."""
    return generate_latest(_Collected(metrics)).decode()


def gap_reasons() -> Sequence[str]:
    """Return the reasons that the worker and the built-in exporters give to gaps: findings, or the code of an error."""
    # Error codes of plug-ins are not listed: their number is unbounded.
    ours = (error for error in all_errors() if error.__module__ == SourceError.__module__)
    return (*_FOUND, *(error.code for error in ours if issubclass(error, SourceError | FormatError)))


class _Collected(Collector):
    """The collected metrics, in the form that the library requires."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _exports(groups: Sequence[UnansweredGroup], history: Counts) -> Sequence[Metric]:
    exports = GaugeMetricFamily("portability_exports", "Exports by state and profile", labels=("state", "profile"))
    counts: Counter[tuple[str, str]] = Counter({(state, profile): 0 for state in ExportState for profile in Profile})
    ended = [(state, profile, count) for state, profile, count, _ in history["export"] if state not in ONGOING]
    ongoing = [(one.state, one.profile, one.number) for one in groups if one.state in ONGOING]
    for state, profile, count in [*ended, *ongoing]:
        counts[_known(state, (*ExportState,)), _known(profile, (*Profile,))] += count
    for labels, count in counts.items():
        exports.add_metric(labels, count)
    return (
        exports,
        GaugeMetricFamily(
            "portability_exports_with_gaps",
            "Exports that are ready and incomplete",
            value=sum(with_gaps for state, _, _, with_gaps in history["export"] if state == ExportState.READY),
        ),
    )


def _journal(connection: Connection) -> Sequence[Metric]:
    waiting = shipping.waiting(connection)
    late = (deployment.clock_of(connection) - waiting.since).total_seconds() if waiting else 0.0
    held = 0 if history.is_known(connection) else 1
    return (
        GaugeMetricFamily(
            "portability_oldest_unshipped_event_age_seconds",
            "Age of the oldest event that is not in the journal; 0 if all are",
            value=max(0.0, late),
        ),
        GaugeMetricFamily(
            "portability_database_behind",
            "1 while the database may lack commits, and no work is done",
            value=held,
        ),
    )


def _volumes(history: Counts) -> Sequence[Metric]:
    found = {state: (count, total) for state, _, count, total in history["volume"]}
    volumes = GaugeMetricFamily(
        "portability_volumes", "Volumes by state: `writing` is an open upload", labels=("state",)
    )
    for state in VOLUME_STATES:
        volumes.add_metric((state,), found.get(state, (0, 0))[0])
    stored = int(found.get("stored", (0, 0))[1])
    return volumes, GaugeMetricFamily("portability_stored_bytes", "Bytes of all stored volumes", value=stored)


def _gaps(history: Counts) -> Metric:
    known = gap_reasons()
    counts = Counter(dict.fromkeys(known, 0))
    for reason, _, count, _ in history["gap"]:
        counts[_known(reason, known)] += count
    return _by_one_label(GaugeMetricFamily("portability_gaps", "Gaps by reason", labels=("reason",)), counts)


def _transfers(connection: Connection, history: Counts) -> Sequence[Metric]:
    sent = GaugeMetricFamily("portability_transfers", "Transfers to other providers by state", labels=("state",))
    return _by_state(sent, history["transfer"], TransferState), GaugeMetricFamily(
        "portability_oldest_queued_webhook_age_seconds",
        "Seconds since the oldest unsent webhook was queued; 0 if none waits",
        value=work.age_seconds(connection, HOOK.c.created_at, HOOK.c.state == WebhookState.QUEUED),
    )


def _notices(connection: Connection, history: Counts) -> Sequence[Metric]:
    notices = GaugeMetricFamily(
        "portability_recipient_notices", "Notices to recipients about changes, by state", labels=("state",)
    )
    return _by_state(notices, history["recipient_notice"], NoticeState), GaugeMetricFamily(
        "portability_oldest_queued_notice_age_seconds",
        "Seconds since the oldest notice that its recipient has not acknowledged was queued; 0 if none waits",
        value=work.age_seconds(connection, NOTICE.c.created_at, NOTICE.c.state == NoticeState.QUEUED),
    )


def _inbox(connection: Connection, history: Counts) -> Sequence[Metric]:
    table = models.received_transfer
    received = GaugeMetricFamily(
        "portability_received_transfers", "Transfers from other providers by state", labels=("state",)
    )
    return _by_state(received, history["received_transfer"], ReceivedState), GaugeMetricFamily(
        "portability_oldest_undecided_received_transfer_age_seconds",
        "Seconds since the oldest received transfer without decision was fetched; 0 if none waits",
        value=work.age_seconds(connection, table.c.fetched_at, table.c.state.in_(UNDECIDED)),
    )


def _incidents(engine: Engine) -> Metric:
    counts = {str(kind): 0 for kind in Incident} | {row["kind"]: row["count"] for row in incidents.counted(engine)}
    return _by_one_label(
        CounterMetricFamily("portability_incidents", "Events that should not happen, by kind", labels=("kind",)),
        counts,
    )


def _by_state(metric: GaugeMetricFamily, rows: Sequence[Sequence[Any]], states: type[StrEnum]) -> Metric:
    """Add the counts of the last count by state, with 0 for states without rows."""
    counts = Counter(dict.fromkeys(map(str, states), 0))
    for state, _, count, _ in rows:
        counts[_known(state, (*states,))] += count
    return _by_one_label(metric, counts)


def _by_one_label(
    metric: GaugeMetricFamily | CounterMetricFamily, counts: Mapping[str, int]
) -> GaugeMetricFamily | CounterMetricFamily:
    for label, count in counts.items():
        metric.add_metric((label,), count)
    return metric


def _known(value: str, known: Sequence[str]) -> str:
    return value if value in known else OTHER
