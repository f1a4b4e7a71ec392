"""Dates and times as callers write them, as aware UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import overload

from portability.errors import BadDate
from portability.law.deadlines import BusinessCalendar

DATE_CHARS = len("2026-11-24")


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
        return (day + timedelta(days=days_later)).astimezone(UTC)
    except ValueError:
        raise BadDate(f"{what} is not a valid date or time") from None
    except OverflowError:
        hint = "use a day of the years 2 to 9998"
        raise BadDate(f"{what} is a day that begins or ends beyond the dates of the calendar", hint=hint) from None


def instant(text: str, what: str) -> datetime:
    """Parse a time with its time zone, as aware UTC. Raises BadDate."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadDate(f"{what} is not a valid date or time") from None
    raise BadDate(f"{what} has a time without time zone")
