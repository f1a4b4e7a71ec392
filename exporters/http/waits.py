"""How long to wait: the time that a source states, and the time limit of the host for one call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from exporters.http.forms import LimitsForm
from exporters.maps.times import MILLISECONDS
from portability.api.errors import SourceUnavailable
from portability.api.times import rfc3339

USED_SHARE = 0.8
"""The share of the host's time limit that waiting may use: the rest is for the requests themselves."""
DEFAULT_WAIT_SECONDS = 5.0
"""After an answer that asks to wait and does not say how long."""
LONGEST_WAIT_SECONDS = 86_400.0
"""The longest period of rates. A source that writes milliseconds, or 4294967295, would stop all workers for ever."""
LONGEST_SLEEP_SECONDS = 0.5
"""Other workers may use the calls in the meantime: so a long wait is looked at again and again."""


@dataclass
class TimeBudget:
    """The time that one call of the exporter may take. Nothing sleeps past its end."""

    seconds: float
    sleep: Callable[[float], None] = time.sleep
    _ends_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> float:
        """Begin anew, because the host has called again; returns the seconds that are left."""
        self._ends_at = time.monotonic() + self.seconds * USED_SHARE
        return self.seconds * USED_SHARE

    @property
    def left_seconds(self) -> float:
        return self._ends_at - time.monotonic()

    @property
    def is_half_used(self) -> bool:
        return self.left_seconds < self.seconds * USED_SHARE / 2

    def wait(self, seconds: float, what: str) -> None:
        """Sleep for a while. Raises SourceUnavailable, with the time to come back, if the budget ends before."""
        if seconds >= self.left_seconds:
            back_at = datetime.now(UTC) + timedelta(seconds=seconds)
            raise SourceUnavailable(
                f"{what}: the source allows no call before {rfc3339(back_at.replace(microsecond=0))}",
                hint="the rate of the source is used up: lower `rate`, or repeat with `portability retry --gaps`",
            )
        self.sleep(min(seconds, LONGEST_SLEEP_SECONDS))


@dataclass
class SourceClock:
    """By how much the clock of a source is ahead of that of this machine, as the `Date` of its answers says."""

    ahead: timedelta = timedelta()
    """At most a day."""
    is_known: bool = False
    """Whether an answer has come."""

    def compare(self, headers: httpx.Headers) -> None:
        """Note the clock of an answer that has just come; one that is behind changes nothing."""
        self.is_known = True
        self.ahead = min(max(self.ahead, _clock(headers) - datetime.now(UTC)), timedelta(days=1))


def passes(status: int) -> bool:
    """Return whether another attempt may end in another way: a fault of the server, 202, 408 and 425 (RFC 8470)."""
    return status >= httpx.codes.INTERNAL_SERVER_ERROR or status in {202, 408, 425}


def asks_to_wait(status: int, headers: httpx.Headers, limits: LimitsForm) -> bool:
    """Return whether an answer says that the rate is used up. A 403 does if its headers do: elsewhere it refuses."""
    if status != httpx.codes.FORBIDDEN or status in limits.retry_on:
        return status in limits.retry_on
    left = _number(headers.get(limits.remaining, "")) if limits.remaining else None
    return limits.retry_after in headers or left == 0


def stated_wait(headers: httpx.Headers, limits: LimitsForm) -> float:
    """Return the seconds that an answer asks to wait, at most LONGEST_WAIT_SECONDS: then the source is asked anew.

    `Retry-After` has seconds or a date; a date is compared with the `Date` of the same answer, because the clock of
    the source may be wrong. Without it, the header that the map names for the end of the rate's period.
    """
    if (stated := headers.get(limits.retry_after)) is not None:
        seconds = _number(stated)
        return _bounded(seconds if seconds is not None else _until(stated, headers))
    if limits.reset is not None and (reset := _number(headers.get(limits.reset, ""))) is not None:
        if limits.reset_unit == "seconds":
            return _bounded(reset)
        factor = MILLISECONDS if limits.reset_unit == "epoch_ms" else 1
        return _bounded(reset / factor - _clock(headers).timestamp())
    return DEFAULT_WAIT_SECONDS


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST_WAIT_SECONDS)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number < float("inf") else None


def _until(text: str, headers: httpx.Headers) -> float:
    try:
        return (parsedate_to_datetime(text).astimezone(UTC) - _clock(headers)).total_seconds()
    except (ValueError, OverflowError):
        return DEFAULT_WAIT_SECONDS


def _clock(headers: httpx.Headers) -> datetime:
    """Return the time by the clock of the source."""
    try:
        return parsedate_to_datetime(headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        return datetime.now(UTC)
