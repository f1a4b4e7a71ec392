"""How exact the figures of a report are: exact for the people in the house, rounded where it leaves the house.

A count of one to four people may tell a reader who knows one of them what has become of that request. So a rounded
report names no such count, and rounds every other count, sums too: no difference of two counts gives a small one. The
times of few answers are left out, because the 95th percentile of few times is the time of one person.
"""

from __future__ import annotations

from enum import StrEnum

STEP = 5
"""Counts are rounded to multiples; smaller counts are few."""
ANSWERS_MIN = 20
"""With fewer answers the 95th percentile is the longest of all times."""


class ReportPrecision(StrEnum):
    """How exact the counts of people and of their requests are."""

    EXACT = "exact"
    ROUNDED = "rounded"

    def stated(self, number: int) -> int | None:
        """Return a count as the report states it; None: one to four."""
        if self is ReportPrecision.EXACT or number == 0:
            return number
        return (number + STEP // 2) // STEP * STEP if number >= STEP else None

    def states_times(self, answers: int) -> bool:
        """Return whether the report states the times of this many answers."""
        return answers >= (1 if self is ReportPrecision.EXACT else ANSWERS_MIN)
