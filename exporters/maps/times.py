"""Times of a source, by the format and zone that its map declares: where no type says that a value is a time."""

from __future__ import annotations

import re
import time as clock
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_FLOOR, Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from exporters.maps.numbers import number

PATTERN = "pattern:"
FORMATS = ("rfc3339", "epoch_seconds", "epoch_ms", "rfc2822")
MILLISECONDS = 1000
MICROSECONDS = 1_000_000
COUNTED: Mapping[str, int] = {"epoch_seconds": MICROSECONDS, "epoch_ms": MICROSECONDS // MILLISECONDS}
"""Formats that count from the begin of 1970: the microseconds of one."""
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK_AT_END = re.compile(r"\s[0-9]{1,2}(?::[0-9]{2}){1,2}\s*\Z")
_COUNT = re.compile(r"-?[0-9]{1,20}")
_SIZE_MOST = 20
"""Digits of an epoch before its point: no time has more, and `1e999999999` would fill the memory."""


def checked_format(name: str) -> str:
    """Return the name of a format. Raises ValueError."""
    if name not in FORMATS and not (name.startswith(PATTERN) and "%" in name):
        raise ValueError(f"unknown format of times; there are {', '.join(FORMATS)} and pattern:%Y-%m-%d and so on")
    return name


def checked_readable(name: str) -> str:
    """Return the name of a format in which times are read. Raises ValueError, also for a pattern that reads none."""
    if checked_format(name).startswith(PATTERN) and not _has_year(name):
        raise ValueError("no time is read by this pattern; use %Y-%m-%d %H:%M:%S and so on, each once")
    return name


def _has_year(name: str) -> bool:
    """Return whether a pattern reads what it writes, with the year: the library makes up one that is not there."""
    try:
        return parse(write(_BEGIN, name, "UTC"), name, "UTC").year == _BEGIN.year
    except (ValueError, re.error):  # the library makes an expression of the pattern
        return False


def checked_zone(name: str) -> str:
    """Return the name of a time zone. Raises ValueError."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("unknown time zone; use a name such as Europe/Berlin") from None
    return name


def parse(value: Any, form: str, zone: str) -> datetime:  # noqa: ANN401  # any JSON value
    """Return a time in UTC. A text without an offset is in the declared zone.

    Raises: ValueError, without the value in its message.
    """
    try:
        return _parsed(value, form, zone).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, OSError, ArithmeticError):
        raise ValueError(f"it is not a time in the format {form}") from None


def is_unset(value: Any, form: str, unset: Collection[str]) -> bool:  # noqa: ANN401  # as above
    """Return whether a value is one of those that a source writes for a time that is not set.

    Where times are counted, numbers are compared as numbers, whether they are texts or not.
    """
    if isinstance(value, str | int) and str(value) in unset:
        return True
    try:
        return form in COUNTED and number(value) in [int(one) for one in unset if _COUNT.fullmatch(one)]
    except (ValueError, TypeError):
        return False


def day(value: Any, form: str, zone: str) -> date:  # noqa: ANN401  # as above
    """Return the day of a time: as a text has it, and of a count in the declared zone. Raises ValueError."""
    try:
        found = _parsed(value, form, zone)
        return (found.astimezone(ZoneInfo(zone)) if form in COUNTED else found).date()
    except (ValueError, TypeError, OverflowError, OSError, ArithmeticError):
        raise ValueError(f"it is not a time in the format {form}") from None


def counted(count: int, form: str) -> datetime:
    """Return the time of a whole count in one of the formats that count. Raises OverflowError."""
    return _BEGIN + timedelta(microseconds=count * COUNTED[form])


def midnight(day: date, zone: str) -> datetime:
    """Return the begin of a day in the zone of the source: a format of days alone can write no other bound."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def write(moment: datetime, form: str, zone: str) -> str | int:
    """Return a time as the source writes it: for the bounds of a window."""
    if form in COUNTED:
        return (moment - _BEGIN) // timedelta(microseconds=COUNTED[form])
    match form:
        case "rfc3339":
            return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case "rfc2822":
            return moment.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
        case _:
            return moment.astimezone(ZoneInfo(zone)).strftime(form.removeprefix(PATTERN))


def _parsed(value: Any, form: str, zone: str) -> datetime:  # noqa: ANN401  # as above
    if form in COUNTED:
        return _since_1970(number(value), COUNTED[form])
    match form:
        case _ if not isinstance(value, str):
            raise TypeError
        case "rfc3339":
            found = datetime.fromisoformat(value)
        case "rfc2822":
            found = _of_mail(value)
        case _:
            found = _by_pattern(value, form.removeprefix(PATTERN))
    return found if found.tzinfo is not None else found.replace(tzinfo=ZoneInfo(zone))


def _of_mail(value: str) -> datetime:
    """Return a time of RFC 5322, without zone only if the text ends with the clock. Raises ValueError.

    The library leaves out what it does not know: `+01:00`, `CET`, and the `PM` of a time with it.
    """
    found = parsedate_to_datetime(value)
    if found.tzinfo or _CLOCK_AT_END.search(value):
        return found
    if value.rstrip().endswith("-0000"):  # UTC, at a place that is not known (section 3.3)
        return found.replace(tzinfo=UTC)
    raise ValueError


def _by_pattern(value: str, pattern: str) -> datetime:
    """Return a time in the form of a pattern. Raises ValueError, also for a zone that only this machine knows."""
    found = datetime.strptime(value, pattern)  # noqa: DTZ007  # the zone follows, or is that of the source
    if found.tzinfo or "%Z" not in pattern:
        return found
    if clock.strptime(value, pattern).tm_zone.upper() in {"UTC", "GMT"}:
        return found.replace(tzinfo=UTC)
    raise ValueError


def _since_1970(count: Decimal, factor: int) -> datetime:
    """Return a time from a count of seconds or milliseconds; digits behind those of microseconds are cut."""
    if count.adjusted() > _SIZE_MOST:
        raise OverflowError
    return _BEGIN + timedelta(microseconds=int((count * factor).to_integral_value(ROUND_FLOOR)))
