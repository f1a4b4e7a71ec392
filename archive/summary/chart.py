"""Bars of the summary's charts: numbers of records by month, or by year where the months are too many."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

BARS_MAX = 60
"""Bars of one chart: more are too thin for a phone and for paper."""
RECORDS_MIN = 8
"""Fewer records make no chart, as in the viewer."""
MONTHS = 12
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Axis:
    """The time that a chart shows, as consecutive months or years."""

    unit: Literal["month", "year"]
    first: int
    """The number of the first month or year; that of a month is 12 * year + month - 1."""
    count: int

    def bars(self, months: Mapping[str, int]) -> list[int]:
        """Return the number of records of each month or year."""
        found = [0] * self.count
        for number, n in _numbered(months).items():
            place = (number if self.unit == "month" else number // MONTHS) - self.first
            if 0 <= place < self.count:
                found[place] += n
        return found

    def name(self, place: int) -> str:
        """Return the month or year of a bar, such as `2026-01` or `2026`."""
        number = self.first + place
        return f"{number:04}" if self.unit == "year" else f"{number // MONTHS:04}-{number % MONTHS + 1:02}"


def axis(months: Mapping[str, int]) -> Axis | None:
    """Return the axis on which these records fit; None where they are too few for a chart.

    If even the years are too many, as when a source has a wrong date, it is the time with most of the records.
    """
    numbered = _numbered(months)
    if sum(numbered.values()) < RECORDS_MIN or len(numbered) < 2:  # noqa: PLR2004  # one bar says nothing
        return None
    first, last = min(numbered), max(numbered)
    if last - first < BARS_MAX:
        return Axis("month", first, last - first + 1)
    years = sorted({number // MONTHS for number in numbered})
    if years[-1] - years[0] < BARS_MAX:
        return Axis("year", years[0], years[-1] - years[0] + 1)
    best = max((Axis("year", year, BARS_MAX) for year in years), key=lambda one: sum(one.bars(months)))
    return Axis("year", best.first, max(year for year in years if year < best.first + BARS_MAX) - best.first + 1)


def extent(months: Mapping[str, int]) -> tuple[str, str] | None:
    """Return the first and the last month; None without a month."""
    known = sorted(month for month in months if _MONTH.fullmatch(month))
    return (known[0], known[-1]) if known else None


def heights(bars: Sequence[int]) -> list[float]:
    """Return the height of each bar, from 0 to 1; a bar that is not empty is visible."""
    most = max(bars, default=0) or 1
    return [max(round(n / most, 3), 0.03) if n else 0.0 for n in bars]


def _numbered(months: Mapping[str, int]) -> dict[int, int]:
    matches = ((_MONTH.fullmatch(month), n) for month, n in months.items())
    return {int(match[1]) * MONTHS + int(match[2]) - 1: n for match, n in matches if match}
