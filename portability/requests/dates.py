"""Dates and times as callers write them, as aware UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import overload

from portability.errors import BadDate
from portability.law.deadlines import BusinessCalendar

DATE_CHARS = len("2026-11-24")
EARLIEST, LATEST = datetime(1, 12, 31, tzinfo=UTC), datetime(9999, 1, 2, tzinfo=UTC)
"""The years 2 to 9998 in every zone: each time of them can be shown in another zone, and a day before and after."""


@overload
def end_of_day(text: str, what: str, place: BusinessCalendar) -> datetime: ...
@overload
def end_of_day(text: None, what: str, place: BusinessCalendar) -> None: ...
@overload
def end_of_day(text: str | None, what: str, place: BusinessCalendar) -> datetime | None: ...
def end_of_day(text: str | None, what: str, place: BusinessCalendar) -> datetime | None:
    """Parse an end of a caller: a time, or a date whose whole day of the place belongs to it. Raises BadDate."""
    return _parsed(text, what, place, days_later=1)


def start_of_day(text: str | None, what: str, place: BusinessCalendar) -> datetime | None:
    """Parse a beginning of a caller: a time, or a date, whose day begins as in the place. Raises BadDate."""
    return _parsed(text, what, place, days_later=0)


def days_between(
    since: datetime | None, until: datetime | None, place: BusinessCalendar
) -> tuple[datetime | None, datetime | None]:
    """Return times of the first and the last day of a period, in the zone of the place: its end belongs to no day."""
    first = since.astimezone(place.zone) if since else None
    return first, (until - timedelta.resolution).astimezone(place.zone) if until else None


def _parsed(text: str | None, what: str, place: BusinessCalendar, *, days_later: int) -> datetime | None:
    if text and len(text) == DATE_CHARS:
        return _midnight(text, what, place, days_later)
    return instant(text, what) if text is not None else None


def _midnight(text: str, what: str, place: BusinessCalendar, days_later: int) -> datetime:
    try:
        day = datetime.combine(date.fromisoformat(text), time(), place.zone)
        found = (day + timedelta(days=days_later)).astimezone(UTC)
    except ValueError:
        raise BadDate(f"{what} is not a valid date or time") from None
    except OverflowError:
        raise _beyond(what) from None
    return _checked(found, what)


def instant(text: str, what: str) -> datetime:
    """Parse a time with its time zone, as aware UTC. Raises BadDate."""
    try:
        found = datetime.fromisoformat(text)
        moment = found.astimezone(UTC)
    except ValueError:
        raise BadDate(f"{what} is not a valid date or time") from None
    except OverflowError:
        raise _beyond(what) from None
    if found.tzinfo:
        return _checked(moment, what)
    raise BadDate(f"{what} has a time without time zone")


def _checked(moment: datetime, what: str) -> datetime:
    if EARLIEST <= moment <= LATEST:
        return moment
    raise _beyond(what)


def _beyond(what: str) -> BadDate:
    return BadDate(f"{what} is too near the ends of the calendar", hint="use a day of the years 2 to 9998")
