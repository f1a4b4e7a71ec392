"""Times as text."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson


def rfc3339(moment: datetime | None) -> str | None:
    """Return a time as RFC 3339 in UTC with `Z`; None stays None."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def microseconds(moment: datetime) -> str:
    """Return a time as RFC 3339 in UTC with microseconds, as all records have it: `2026-11-24T08:30:00.123456Z`."""
    utc = moment.astimezone(UTC)
    # A third of the time of `isoformat`.
    seconds = orjson.dumps(utc, option=orjson.OPT_OMIT_MICROSECONDS | orjson.OPT_UTC_Z)[1:-2].decode()
    return f"{seconds}.{utc.microsecond:06}Z"
