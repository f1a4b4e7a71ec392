"""Signals of the messages to people: how many, and how long the oldest waits for a service or for its mailbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Connection, RowMapping, distinct, func, select

from portability.database import models
from portability.database.engine import elapsed_seconds, now
from portability.messages.mail import MailDeferred
from portability.messages.outbox import Channel, MessageKind, MessageState
from portability.signals.history_counts import Counts

TABLE, EXPORT = models.notification, models.export
OTHER = "other"
"""The label of values that are not ours."""
DEFERRED_FEW = 3
"""People whose mail is deferred, from which on a server that takes no later mail is said to take none."""


def collect(connection: Connection, history: Counts) -> Sequence[Metric]:
    """Return the signals of the messages: those that wait as of now, the others as a clock last counted them."""
    age_seconds = elapsed_seconds(func.min(TABLE.c.created_at), now()).label("age_seconds")
    same = (TABLE.c.kind, TABLE.c.reason)
    query = select(*same, func.count().label("number"), age_seconds).where(TABLE.c.state == MessageState.QUEUED)
    waiting = connection.execute(query.group_by(*same)).mappings().all()
    ages = GaugeMetricFamily(
        "portability_oldest_waiting_notification_age_seconds",
        "Seconds since the oldest unsent notification that waits for this was queued; 0 if none does",
        labels=("waits_for",),
    )
    for waits_for, oldest in _ages(connection, waiting).items():
        ages.add_metric((waits_for,), oldest)
    return (
        _counted(waiting, history),
        GaugeMetricFamily(
            "portability_oldest_queued_notification_age_seconds",
            "Seconds since the oldest unsent notification was queued; 0 if none waits",
            value=max([0.0, *(row["age_seconds"] for row in waiting)]),
        ),
        ages,
    )


def _counted(waiting: Sequence[RowMapping], history: Counts) -> Metric:
    ended = [row[:3] for row in history["notification"] if row[0] != MessageState.QUEUED]
    queued = [(MessageState.QUEUED, row["kind"], row["number"]) for row in waiting]
    counts: Counter[tuple[str, str]] = Counter({(state, kind): 0 for state in MessageState for kind in MessageKind})
    for state, kind, number in [*ended, *queued]:
        counts[state if state in {*MessageState} else OTHER, kind if kind in {*MessageKind} else OTHER] += number
    metric = GaugeMetricFamily(
        "portability_notifications", "Messages to people about their exports", labels=("state", "kind")
    )
    for labels, number in counts.items():
        metric.add_metric(labels, number)
    return metric


def _ages(connection: Connection, waiting: Sequence[RowMapping]) -> dict[str, float]:
    """Return how long the oldest message waits for a service, and for a mailbox that the server defers."""
    ages = {"service": 0.0, "mailbox": 0.0}
    for row in waiting:
        waits_for = "mailbox" if row["reason"] == MailDeferred.code else "service"
        ages[waits_for] = max(ages[waits_for], row["age_seconds"])
    if ages["mailbox"]:
        ages["service"] = max(ages["service"], _deferred_seconds(connection))
    return ages


def _deferred_seconds(connection: Connection) -> float:
    """Return how long a server has deferred the mail of everyone; 0 if it takes mail, or defers that of few people."""
    taken = (TABLE.c.state == MessageState.SENT, TABLE.c.channel == Channel.MAIL)
    last = connection.scalar(select(TABLE.c.created_at).where(*taken).order_by(TABLE.c.created_at.desc()).limit(1))
    deferred = [TABLE.c.state == MessageState.QUEUED, TABLE.c.reason == MailDeferred.code]
    if last:
        deferred.append(TABLE.c.created_at > last)
    query = select(func.count(distinct(EXPORT.c.subject_ref)), elapsed_seconds(func.min(TABLE.c.created_at), now()))
    joined = query.join_from(TABLE, EXPORT, EXPORT.c.id == TABLE.c.export_id).where(*deferred)
    people, age_seconds = connection.execute(joined).one()
    return age_seconds if people >= DEFERRED_FEW else 0.0
