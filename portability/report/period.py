"""The months of a report, in the deployment's time zone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from portability.errors import BadDate

MONTHS = 12
MONTHS_MAX = 72
"""As long as the longest period for which a law demands that records are kept (45 CFR 164.316)."""
USUAL_MONTHS = 12
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class ReportPeriod:
    """Consecutive months, each such as `2026-11`."""

    first: str
    last: str

    @property
    def months(self) -> Sequence[str]:
        """Return all months, the oldest first."""
        return [_name(number) for number in range(_number(self.first), _number(self.last) + 1)]


def chosen(first: str | None, last: str | None, at: datetime, zone: tzinfo) -> ReportPeriod:
    """Return the period that a person has chosen; by default the newest twelve months.

    Args:
        first: the first month; None or empty: eleven months before the last, or as long ago as there are figures.
        last: the last month; None or empty: the present month.
        at: the present time.
        zone: in which months begin.

    Raises: BadDate for anything else than a month, a month that has not begun, and more than MONTHS_MAX months.
    """
    present = _number(present_month(at, zone))
    end = _parsed(last) if last else present
    begin = _parsed(first) if first else max(end - USUAL_MONTHS + 1, min(end, oldest_number(present)))
    if not begin <= end <= present:
        raise BadDate(
            f"a report cannot begin with {_name(begin)} and end with {_name(end)}",
            hint="use a first month that is not after the last, and no month of the future",
        )
    if begin < oldest_number(present):
        raise BadDate(
            f"{_name(begin)} is too long ago", hint=f"the first possible month is {_name(present - MONTHS_MAX + 1)}"
        )
    return ReportPeriod(_name(begin), _name(end))


def oldest_number(present: int) -> int:
    """Return the number of the first month that has figures, by that of the present month."""
    return present - MONTHS_MAX + 1


def present_month(at: datetime, zone: tzinfo) -> str:
    """Return the month of a time."""
    return f"{at.astimezone(zone):%Y-%m}"


def newest(count: int, at: datetime, zone: tzinfo) -> Sequence[str]:
    """Return this many months, the present month first."""
    present = _number(present_month(at, zone))
    return [_name(present - ago) for ago in range(count)]


def begin(month: str, zone: tzinfo) -> datetime:
    """Return the first moment of a month, in UTC."""
    year, number = divmod(_number(month), MONTHS)
    return datetime(year, number + 1, 1, tzinfo=zone).astimezone(UTC)


def _parsed(month: str) -> int:
    if not _MONTH.fullmatch(month) or month.startswith("0000"):
        raise BadDate(f"invalid month {month[:20]!r}", hint="use the form 2026-11")
    return _number(month)


def _number(month: str) -> int:
    year, _, number = month.partition("-")
    return int(year) * MONTHS + int(number) - 1


def _name(number: int) -> str:
    return f"{number // MONTHS:04}-{number % MONTHS + 1:02}"
