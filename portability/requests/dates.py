"""Dates and times as callers write them, as aware UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from portability.errors import BadDate
from portability.law.deadlines import BusinessCalendar


def end_of_day(text: str | None, what: str, place: BusinessCalendar) -> datetime | None:
    """Parse an end of a caller: a time, or a date whose whole day of the place belongs to it. Raises BadDate."""
    end = moment(text, what)
    return (end.replace(tzinfo=place.zone) + timedelta(days=1)).astimezone(UTC) if end and _is_date(text) else end


def start_of_day(text: str | None, what: str, place: BusinessCalendar) -> datetime | None:
    """Parse a beginning of a caller: a time, or a date, whose day begins as in the place. Raises BadDate."""
    begin = moment(text, what)
    return begin.replace(tzinfo=place.zone).astimezone(UTC) if begin and _is_date(text) else begin


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
