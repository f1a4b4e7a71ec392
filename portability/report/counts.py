"""Counts of the report: a clock counts whole tables now and then, and a report reads the last result.

A report that counted itself would read each request that has ever ended. The result is one value in the deployment's
row, whose size depends on months, profiles and regimes, and not on how many requests there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, case, literal, select, update

from portability.database import deployment, models
from portability.database.engine import UtcTime, now, reading, writing
from portability.report import period, questions
from portability.report.questions import MonthOf

DEPLOYMENT = models.deployment
STALE_SECONDS = 3600
"""Age from which a result is not used: no clock has counted for a long time."""


@dataclass(frozen=True, slots=True)
class ReportCounts:
    """The result of a count."""

    at: datetime
    """When it was made."""
    rows: Mapping[str, Sequence[Sequence[Any]]]
    """By the name of a question: rows of the month, its labels, and the number; of `requests` also the times.

    Times are numbers of requests by seconds, whose digits are text as in JSON; empty without answers.
    """


def present(connection: Connection, zone: tzinfo) -> ReportCounts:
    """Return the last result of a clock; without one, or with an old one, count now.

    A clock of an earlier release has not counted every question.
    """
    is_fresh = DEPLOYMENT.c.report_counted_at > now(-STALE_SECONDS)
    stored = connection.execute(select(DEPLOYMENT.c.report_counted_at, DEPLOYMENT.c.report_counts).where(is_fresh))
    row = stored.one_or_none()
    is_whole = row and row[1] and questions.QUESTIONS.keys() <= row[1].keys()
    return ReportCounts(*row) if row and is_whole else counted(connection, zone)


def counted(connection: Connection, zone: tzinfo) -> ReportCounts:
    """Count now; months begin in this time zone."""
    at = deployment.clock_of(connection)
    month_of = _months(at, zone)
    found = {
        name: [list(row) for question in asked for row in connection.execute(question(month_of))]
        for name, asked in questions.QUESTIONS.items()
    }
    return ReportCounts(at, {**found, "requests": _with_times(found["requests"])})


def count(engine: Engine, zone: tzinfo) -> None:
    """Count, and store the result. Raises DatabaseUnavailable."""
    with reading(engine) as connection:
        found = counted(connection, zone)
    with writing(engine) as connection:
        connection.execute(update(DEPLOYMENT).values(report_counts=found.rows, report_counted_at=found.at))


def _with_times(rows: Iterable[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """Return a row for each month, profile, regime and standing, with all its times: a report reads few rows."""
    found: dict[tuple[str, ...], tuple[int, dict[str, int]]] = {}
    for *labels, seconds, number in rows:
        total, times = found.get(tuple(labels), (0, {}))
        if seconds is not None:
            times[str(seconds)] = number
        found[tuple(labels)] = (total + number, times)
    return [[*labels, *numbers] for labels, numbers in found.items()]


def _months(at: datetime, zone: tzinfo) -> MonthOf:
    """Return the function that makes the month of a time in SQL; SQLite knows no time zones."""
    begins = [(month, period.begin(month, zone)) for month in period.newest(period.MONTHS_MAX, at, zone)]

    def month_of(column: ColumnElement[Any]) -> ColumnElement[str]:
        # The newest first: most requests are found soon.
        return case(*((column >= literal(begin, UtcTime()), month) for month, begin in begins), else_="")

    return month_of
