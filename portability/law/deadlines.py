"""Deadlines of exports: one for each law that applies; the earliest counts. No I/O.

Laws are data (regimes.toml). Periods are counted according to Regulation (EEC, Euratom) 1182/71 Art. 3: the day of the
event does not count; a period of months ends on the day with the same number, or on the last day of the month if that
day does not exist; if the regime says so, a period that would end on a Saturday, Sunday or holiday ends with the next
working day. An extended period is one period: it is counted from the same day and moved to a working day once. So is a
period with pauses, which are added before that. A period of hours starts at the exact moment. Days depend on a place:
its time zone and its holidays.
"""

from __future__ import annotations

import math
from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from portability.api.errors import BadInput
from portability.errors import BadDate
from portability.law.regime import EXTENSION, FigureOrigin, PauseReason, Period, Regime

SATURDAY = 5
HALF, MOST = 0.5, 0.8
EXPIRY_NOTICE = timedelta(hours=48)
"""How long before the deletion of an archive the subject is notified."""


class Alarm(StrEnum):
    """How close an open request is to its deadline."""

    NONE = "none"
    HALF = "half"
    MOST = "most"
    """80 percent of the time has passed."""
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class BusinessCalendar:
    """Where days begin, and which of them are not working days."""

    zone: tzinfo
    holidays: frozenset[date] = frozenset()

    def works(self, day: date) -> bool:
        return day.weekday() < SATURDAY and day not in self.holidays


UTC_CALENDAR = BusinessCalendar(UTC)


@dataclass(frozen=True, slots=True)
class Pause:
    """A time of waiting for a person; without an end it is still running."""

    reason: PauseReason
    began_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deadline:
    """The due date that counts."""

    at: datetime
    """Aware UTC: the first moment that is too late."""
    regime: str
    """The name of the regime that sets it."""
    figure: FigureOrigin
    """Whether the law states the period, or it is the policy of the deployment."""
    retrieval_ends_at: datetime | None = None
    """Until when the archive must be kept at least, if a regime says so (Data Act Art. 25(2)(g))."""


@dataclass(frozen=True, slots=True)
class DeadlineClock:
    """The facts that determine one request's deadline."""

    started_at: datetime
    """Receipt."""
    pauses: Sequence[Pause] = ()
    extended: bool = False
    extended_until: datetime | None = None
    """The end that the extension was declared for, if it is before the end that the law allows."""
    customer_ends_at: datetime | None = None
    """The end that the customer chose for its own extension (Data Act Art. 25(5))."""
    notice_ends_at: datetime | None = None
    """When the time starts under regimes with a notice period (Data Act Art. 25(2)(d))."""

    def begins_at(self, regime: Regime) -> datetime:
        return self.started_at if regime.notice is None else self.notice_ends_at or self.started_at


def due(
    regime: Regime, clock: DeadlineClock, place: BusinessCalendar = UTC_CALENDAR, *, at: datetime | None = None
) -> datetime:
    """Return the deadline under one regime (aware UTC): the first moment that is too late.

    A pause that the regime does not allow changes nothing; a running pause counts until `at`.
    """
    period = regime.extended_period if clock.extended and regime.extended_period is not None else regime.period
    end = _end(clock.begins_at(regime), period, regime, place, _stood_still(regime, clock, at))
    if clock.extended and clock.extended_until is not None and regime.extended_period is not None:
        end = min(end, clock.extended_until)
    if regime.customer_extension and clock.customer_ends_at is not None:
        end = max(end, clock.customer_ends_at)
    return end


def earliest(
    regimes: Iterable[Regime],
    clock: DeadlineClock,
    place: BusinessCalendar = UTC_CALENDAR,
    *,
    at: datetime | None = None,
) -> datetime:
    """Return the deadline that counts. Raises BadInput if no regime is given."""
    return decisive(regimes, clock, place, at=at)[1]


def decisive(
    regimes: Iterable[Regime],
    clock: DeadlineClock,
    place: BusinessCalendar = UTC_CALENDAR,
    *,
    at: datetime | None = None,
) -> tuple[Regime, datetime]:
    """Return the regime with the earliest deadline, and that deadline. Raises BadInput if no regime is given."""
    moments = [(regime, due(regime, clock, place, at=at)) for regime in regimes]
    if not moments:
        raise BadInput("no regime applies to this request", hint="name one in PORTABILITY_REGIMES")
    return min(moments, key=lambda pair: pair[1])


def deadline(
    regimes: Sequence[Regime],
    profile: str,
    clock: DeadlineClock,
    place: BusinessCalendar = UTC_CALENDAR,
    *,
    at: datetime | None = None,
) -> Deadline:
    """Return the deadline that counts, with its regime. Raises BadInput if no regime is given."""
    regime, moment = decisive(regimes, clock, place, at=at)
    is_policy = FigureOrigin.POLICY in {regime.origin(profile), regime.origin(EXTENSION if clock.extended else profile)}
    figure = FigureOrigin.POLICY if is_policy else FigureOrigin.LAW
    ends = [_retrieval_end(of.retrieval, due(of, clock, place, at=at), place) for of in regimes if of.retrieval]
    return Deadline(moment, regime.name, figure, max(ends, default=None))


def check_notice(
    regimes: Iterable[Regime], received_at: datetime, ends_at: datetime, place: BusinessCalendar = UTC_CALENDAR
) -> None:
    """Check the end of a notice period. Raises BadInput if no regime has notice periods; BadDate."""
    periods = [regime.notice for regime in regimes if regime.notice is not None]
    if not periods:
        raise BadInput("no law that applies to this request has a notice period", hint="leave it out")
    if ends_at < received_at:
        raise BadDate("the notice period ends before the request was received")
    day = received_at.astimezone(place.zone).date()
    last = min(_last_day(day, period) for period in periods)
    if ends_at.astimezone(place.zone).date() > last:
        raise BadDate("the notice period is longer than the law allows", hint=f"it must end on {last} at the latest")


def alarm(started_at: datetime, due_at: datetime, at: datetime) -> Alarm:
    """Return how close a request is to its deadline."""
    if at >= due_at:
        return Alarm.MISSED
    used = (at - started_at) / (due_at - started_at)
    return Alarm.MOST if used >= MOST else Alarm.HALF if used >= HALF else Alarm.NONE


def kept_until(ended_at: datetime, ttl_seconds: float, retrieval_ends_at: datetime | None = None) -> datetime:
    """Return until when an archive is kept that became ready at `ended_at`: for its time, and as the law requires."""
    end = ended_at + timedelta(seconds=ttl_seconds)
    return end if retrieval_ends_at is None else max(end, retrieval_ends_at)


def _end(
    started_at: datetime, period: Period, regime: Regime, place: BusinessCalendar, stood_still: timedelta
) -> datetime:
    """Return the end of a period and its pauses: hours stay hours, and a day that a pause has begun counts whole."""
    if period.hours:
        return started_at + timedelta(hours=period.hours) + stood_still
    days = math.ceil(stood_still / timedelta(days=1))
    last_day = _last_day(started_at.astimezone(place.zone).date(), period) + timedelta(days=days)
    return _close_of(last_day, regime, place)


def _last_day(day: date, period: Period) -> date:
    return months_later(day, period.months) if period.months else day + timedelta(days=period.days)


def _close_of(day: date, regime: Regime, place: BusinessCalendar) -> datetime:
    while regime.ends_on_a_working_day and not place.works(day):
        day += timedelta(days=1)
    return datetime.combine(day + timedelta(days=1), time(), place.zone).astimezone(UTC)


def months_later(day: date, months: int) -> date:
    """Return the day with the same number `months` later (earlier if negative), or the last day of that month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _retrieval_end(period: Period, due_at: datetime, place: BusinessCalendar) -> datetime:
    """Return the end of the retrieval period: calendar days that begin after the day of the deadline."""
    last_day = (due_at - timedelta(microseconds=1)).astimezone(place.zone).date() + timedelta(days=period.days)
    return datetime.combine(last_day + timedelta(days=1), time(), place.zone).astimezone(UTC)


def _stood_still(regime: Regime, clock: DeadlineClock, at: datetime | None) -> timedelta:
    """Return the time of all pauses that the regime allows; overlapping pauses count once."""
    total, until = timedelta(), clock.begins_at(regime)
    for pause in sorted(clock.pauses, key=lambda pause: pause.began_at):
        ended_at = pause.ended_at or at
        if pause.reason not in regime.pauses or ended_at is None:
            continue
        began_at = max(pause.began_at, until)
        until = max(began_at, ended_at)
        total += until - began_at
    return total
