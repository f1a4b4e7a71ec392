"""Times of a source, by the format and zone that its map declares: an interface has no type for them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from email.utils import parsedate_to_datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

PATTERN = "pattern:"
FORMATS = ("rfc3339", "epoch_seconds", "epoch_ms", "rfc2822")
MILLISECONDS = 1000


def checked_format(name: str) -> str:
    """Return the name of a format. Raises ValueError."""
    if name not in FORMATS and not (name.startswith(PATTERN) and "%" in name):
        raise ValueError(f"unknown format of times; there are {', '.join(FORMATS)} and pattern:%Y-%m-%d and so on")
    return name


def checked_zone(name: str) -> str:
    """Return the name of a time zone. Raises ValueError."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("unknown time zone; use a name such as Europe/Berlin") from None
    return name


TimeFormat = Annotated[str, AfterValidator(checked_format)]
TimeZone = Annotated[str, AfterValidator(checked_zone)]


def parse(value: Any, form: str, zone: str) -> datetime:  # noqa: ANN401  # any JSON value
    """Return a time in UTC. A text without an offset is in the declared zone.

    Raises: ValueError, without the value in its message.
    """
    try:
        return _parsed(value, form, zone).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, OSError, ArithmeticError):
        raise ValueError(f"it is not a time in the format {form}") from None


def midnight(day: date, zone: str) -> datetime:
    """Return the begin of a day in the zone of the source: a format of days alone can write no other bound."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def write(moment: datetime, form: str, zone: str) -> str | int:
    """Return a time as the source writes it: for the bounds of a window."""
    match form:
        case "epoch_seconds":
            return int(moment.timestamp())
        case "epoch_ms":
            return int(moment.timestamp() * MILLISECONDS)
        case "rfc3339":
            return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case "rfc2822":
            return moment.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
        case _:
            return moment.astimezone(ZoneInfo(zone)).strftime(form.removeprefix(PATTERN))


def _parsed(value: Any, form: str, zone: str) -> datetime:  # noqa: ANN401  # as above
    match form:
        case "epoch_seconds":
            return datetime.fromtimestamp(float(value), UTC)
        case "epoch_ms":
            return datetime.fromtimestamp(float(value) / MILLISECONDS, UTC)
        case "rfc3339":
            found = datetime.fromisoformat(value)
        case "rfc2822":
            found = parsedate_to_datetime(value)
        case _:
            found = datetime.strptime(value, form.removeprefix(PATTERN))  # noqa: DTZ007  # the zone is set below
    return found if found.tzinfo is not None else found.replace(tzinfo=ZoneInfo(zone))
