"""Dates and times as callers write them, as aware UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from portability.errors import BadDate
from portability.law.deadlines import BusinessCalendar


def end_of_day(text: str | None, what: str, place: BusinessCalendar) -> datetime | None:
    """Parse an end of a caller: a time, or a date whose whole day of the place belongs to it. Raises BadDate."""
    end = moment(text, what)
    return _midnight(end, what, place, days_later=1) if end and _is_date(text) else end


def start_of_day(text: str | None, what: str, place: BusinessCalendar) -> datetime | None:
    """Parse a beginning of a caller: a time, or a date, whose day begins as in the place. Raises BadDate."""
    begin = moment(text, what)
    return _midnight(begin, what, place) if begin and _is_date(text) else begin


def _midnight(day: datetime, what: str, place: BusinessCalendar, *, days_later: int = 0) -> datetime:
    try:
        return (day.replace(tzinfo=place.zone) + timedelta(days=days_later)).astimezone(UTC)
    except OverflowError:
        hint = "use a day of the years 2 to 9998"
        raise BadDate(f"{what} is a day that begins or ends beyond the dates of the calendar", hint=hint) from None


def moment(text: str | None, what: str) -> datetime | None:
    """Parse a date or time of a caller, as aware UTC; None stays None. Raises BadDate."""
    if text is None:
        return None
    if not _is_date(text):
        return instant(text, what)
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise BadDate(f"{what} is not a valid date or time") from None


def _is_date(text: str | None) -> bool:
    return text is not None and len(text) == len("2026-11-24")


def instant(text: str, what: str) -> datetime:
    """Parse a time with its time zone, as aware UTC. Raises BadDate."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadDate(f"{what} is not a valid date or time") from None
    raise BadDate(f"{what} has a time without time zone")
