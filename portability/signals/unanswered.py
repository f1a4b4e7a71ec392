"""Signals of the requests without an answer: how many, how old, how near their end, and what keeps them.

Those that someone works on are counted by each scrape. Of those that failed there may be many, until each is retried
or cancelled: a clock counts them now and then, and a scrape reads the last result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import ColumnElement, Connection, Engine, case, func, or_, select, update

from portability.database import models
from portability.database.engine import elapsed_seconds, now, reading, writing
from portability.law import deadlines
from portability.law.deadlines import Alarm
from portability.requests import earlier_revisions, exports
from portability.requests.states import ONGOING, OPEN, ExportState
from portability.signals.work import error_codes

EXPORT, DEPLOYMENT = models.export, models.deployment
ALARMS = {Alarm.HALF: deadlines.HALF, Alarm.MOST: deadlines.MOST, Alarm.MISSED: 1.0}
"""The minimum share of its time that a request has used."""
OTHER = "other"
"""The label of a code that is not ours: a plug-in may use any text, even a person's name."""
STALE_SECONDS = 3600
"""Age from which a result is not used: no clock has counted for a long time."""
FEW = 1_000
"""A scrape counts up to this number of failed requests itself, as of now."""


@dataclass(frozen=True, slots=True)
class UnansweredGroup:
    """Requests without an answer that have state, profile and code in common."""

    state: str
    profile: str
    code: str | None
    number: int
    overdue: int
    age_seconds: float
    """Of the oldest."""
    reached: Sequence[int]
    """How many have used the share of their time of each of ALARMS."""

    def to_json(self) -> list[Any]:
        """Return the group as `of_json` reads it."""
        labels = (self.state, self.profile, self.code)
        return [*labels, self.number, self.overdue, self.age_seconds, [*self.reached]]

    @classmethod
    def of_json(cls, row: Sequence[Any], *, ago_seconds: float = 0) -> UnansweredGroup:
        """Return a group that was counted this many seconds ago."""
        state, profile, code, number, overdue, age_seconds, reached = row
        return cls(state, profile, code, number, overdue, age_seconds + ago_seconds, reached)


def groups(connection: Connection) -> Sequence[UnansweredGroup]:
    """Return the groups of all requests without an answer."""
    return [*_counted(connection, EXPORT.c.state.in_(ONGOING)), *_failed(connection)]


def collect(found: Sequence[UnansweredGroup]) -> Sequence[Metric]:
    """Return the signals of these groups."""
    retried = [one for one in found if one.state in OPEN and one.code]
    failed = [one for one in found if one.state == ExportState.FAILED]
    return (
        GaugeMetricFamily(
            "portability_oldest_open_export_age_seconds",
            "Seconds since the receipt of the oldest request without an answer; 0 if all are answered",
            # The receipt comes from another machine's clock, which may be a moment ahead of the database's.
            value=max([0.0, *(one.age_seconds for one in found)]),
        ),
        GaugeMetricFamily(
            "portability_exports_overdue",
            "Requests without an answer, failed or not, that are past their due date",
            value=sum(one.overdue for one in found),
        ),
        _alarms(found),
        _by_code("portability_exports_retried", "Open exports whose last attempt failed, by code", retried),
        _by_code("portability_exports_failed", "Failed exports without an answer, by code", failed),
    )


def count(engine: Engine) -> None:
    """Count the requests that failed, and store the result. Raises DatabaseUnavailable."""
    with reading(engine) as connection:
        found = [one.to_json() for one in _counted(connection, EXPORT.c.state == ExportState.FAILED)]
    with writing(engine) as connection:
        connection.execute(update(DEPLOYMENT).values(failed_counts=found, failed_counted_at=now()))


def _failed(connection: Connection) -> Sequence[UnansweredGroup]:
    """Return the groups of those that failed: of many as the clock last counted them."""
    is_fresh = DEPLOYMENT.c.failed_counted_at > now(-STALE_SECONDS)
    ago_seconds = elapsed_seconds(DEPLOYMENT.c.failed_counted_at, now())
    stored = connection.execute(select(DEPLOYMENT.c.failed_counts, ago_seconds).where(is_fresh)).one_or_none()
    rows, ago = stored or ((), 0.0)
    found = [UnansweredGroup.of_json(row, ago_seconds=ago) for row in rows]
    if sum(one.number for one in found) > FEW:
        return found
    return _counted(connection, EXPORT.c.state == ExportState.FAILED)


def _counted(connection: Connection, which: ColumnElement[bool]) -> Sequence[UnansweredGroup]:
    # As `exports.alarm` does.
    begin = case((EXPORT.c.notice_ends_at < EXPORT.c.due_at, EXPORT.c.notice_ends_at), else_=EXPORT.c.received_at)
    elapsed, whole = (elapsed_seconds(begin, end) for end in (now(), EXPORT.c.due_at))
    used = elapsed / func.nullif(whole, 0)
    same = (EXPORT.c.state, EXPORT.c.profile, EXPORT.c.error_code)
    waits = exports.unanswered()
    overdue = func.count().filter(waits, EXPORT.c.due_at < now())
    oldest = func.coalesce(func.min(EXPORT.c.received_at).filter(waits), now())
    reached = (func.count().filter(waits, used >= share) for share in ALARMS.values())
    query = select(*same, func.count(), overdue, elapsed_seconds(oldest, now()), *reached)
    # Of a revision only its fault is a signal: the person has the archive before it.
    rows = connection.execute(query.where(which, or_(waits, earlier_revisions.next_is_made())).group_by(*same))
    return [UnansweredGroup.of_json([*row[:6], row[6:]]) for row in map(tuple, rows)]


def _alarms(found: Sequence[UnansweredGroup]) -> Metric:
    reached = [sum(numbers) for numbers in zip(*(one.reached for one in found), strict=True)] or [0] * len(ALARMS)
    alarms = GaugeMetricFamily(
        "portability_exports_alarm", "Requests without an answer, by share of their time", labels=("alarm",)
    )
    for alarm, number, further in zip(ALARMS, reached, [*reached[1:], 0], strict=True):
        alarms.add_metric((alarm,), number - further)
    return alarms


def _by_code(name: str, meaning: str, found: Sequence[UnansweredGroup]) -> Metric:
    known = error_codes()
    counts = Counter({OTHER: 0})
    for one in found:
        counts[one.code if one.code in known else OTHER] += one.number
    metric = GaugeMetricFamily(name, meaning, labels=("code",))
    for code, number in counts.items():
        metric.add_metric((code,), number)
    return metric
