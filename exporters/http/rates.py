"""Rates as maps and the file of sources write them: `8/s`, `100/10s`, `2000/min`."""

from __future__ import annotations

import re

from portability.api import Rate

_RATE = re.compile(r"([1-9][0-9]{0,6})/([1-9][0-9]{0,4})?(s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


def parse_rate(bucket: str, text: str) -> Rate:
    """Return a rate. Raises ValueError."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError("a rate is written as 8/s, 100/10s, 2000/min, 500/h or 40000/d")
    calls, many, unit = match.groups()
    return Rate(bucket, int(calls), int(many or 1) * _SECONDS[unit])
