"""Dates, numbers, sizes and spans of time as people of a language write them, by the data of CLDR."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Literal

from babel import Locale, dates, numbers, units

from portability.locale import SOURCE, languages

FORMATS = {SOURCE: "en-GB"}
"""Languages whose formats are those of a region: CLDR gives English without a region the dates of the United States."""
STEP = 1000
"""From one unit of a size to the next (SI)."""
SIZES = ("byte", "kilobyte", "megabyte", "gigabyte", "terabyte")
SPANS = (("day", 86_400), ("hour", 3_600), ("minute", 60))
MINUTE_SECONDS = 60
NUMBERS_KEPT = 10_000
"""Numbers of this many are written once: a page of an archive has hundreds, and most are small."""


def tag(language: str) -> str:
    """Return the tag (BCP 47) by which a browser formats dates for readers of a language, such as `en-GB`."""
    return FORMATS.get(language, language) if language in languages() else FORMATS[SOURCE]


def date(language: str, at: datetime) -> str:
    """Return the day of a time in the time's own zone: `25 November 2026`."""
    return dates.format_date(at, "long", locale=_locale(language))


def month(language: str, at: str) -> str:
    """Return a month, given as `2026-11`, as people write it: `November 2026`; a year stays as it is."""
    if "-" not in at:
        return at
    return str(dates.format_skeleton("yMMMM", datetime.fromisoformat(f"{at}-01"), locale=_locale(language)))


def moment(language: str, at: datetime) -> str:
    """Return a time with its day, in UTC: `25 November 2026, 17:45 UTC`."""
    at, locale = at.astimezone(UTC), _locale(language)
    time = dates.format_time(at, "short", tzinfo=UTC, locale=locale)
    pattern = str(dates.get_datetime_format("medium", locale))
    return f"{pattern.format(time, date(language, at))} UTC"


@lru_cache(maxsize=NUMBERS_KEPT)
def number(language: str, count: int) -> str:
    """Return a count with its thousands grouped: `12,345`."""
    return numbers.format_decimal(count, locale=_locale(language))


def size(language: str, count: int) -> str:
    """Return a count of bytes in the largest unit that fits, below 100 with one decimal: `3.4 MB`; as the viewer does.

    It is rounded half up, in integers: the viewer (page.js) writes each size in the same way.
    """
    power = next((p for p in range(len(SIZES) - 1) if 2 * count < (2 * STEP - 1) * STEP**p), len(SIZES) - 1)
    unit = STEP**power
    tenths = (20 * count + unit) // (2 * unit)
    shown = tenths / 10 if tenths < STEP else (2 * count + unit) // (2 * unit)
    length: Literal["long", "short"] = "short" if power else "long"
    return units.format_unit(shown, f"digital-{SIZES[power]}", length, locale=_locale(language))


def span(language: str, seconds: float) -> str:
    """Return how long a span of time is, in the largest unit that fits, rounded down: `2 days`."""
    whole = int(abs(seconds))
    unit, length = next(((unit, length) for unit, length in SPANS if whole >= length), SPANS[-1])
    return units.format_unit(whole // length, f"duration-{unit}", "long", locale=_locale(language))


def whole_span(language: str, seconds: int) -> str:
    """Return a span of whole minutes, hours or days in the largest of them that says it exactly: `50 hours`."""
    unit, length = next(((unit, length) for unit, length in SPANS if seconds % length == 0), SPANS[-1])
    return units.format_unit(seconds // length, f"duration-{unit}", "long", locale=_locale(language))


def ahead(language: str, seconds: float) -> str:
    """Return when a span of time from now has passed, rounded up to the minute: `in 4 minutes`."""
    whole = math.ceil(seconds)
    if whole > MINUTE_SECONDS:
        whole = math.ceil(whole / MINUTE_SECONDS) * MINUTE_SECONDS
    return dates.format_timedelta(timedelta(seconds=whole), threshold=1, add_direction=True, locale=_locale(language))


@cache
def countries(language: str, codes: frozenset[str]) -> Sequence[tuple[str, str]]:
    """Return countries by their codes (ISO 3166-1) as (code, name), in the order of a list in that language."""
    names = _locale(language).territories
    named = [(code, str(names.get(code, code))) for code in codes]
    return sorted(named, key=lambda country: (unicodedata.normalize("NFKD", country[1]).casefold(), country[0]))


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(tag(language), sep="-")
