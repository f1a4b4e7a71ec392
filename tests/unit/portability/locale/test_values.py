from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from portability.locale import languages, values

AT = datetime(2026, 3, 4, 8, 5, tzinfo=UTC)


def test_times_are_written_out() -> None:
    """With the month's name and the zone: no 03/04."""
    assert values.moment("en", AT) == "4 March 2026, 08:05 UTC"
    assert values.moment("id", AT) == "4 Maret 2026 08.05 UTC"
    assert values.moment("en", AT.astimezone(timezone(timedelta(hours=7)))) == "4 March 2026, 08:05 UTC"
    assert values.date("en", AT) == "4 March 2026"


@pytest.mark.parametrize(
    ("count", "english", "indonesian"),
    [
        (0, "0 bytes", "0 byte"),
        (999, "999 bytes", "999 byte"),
        (1000, "1 kB", "1 kB"),
        (3_400_000, "3.4 MB", "3,4 MB"),
        (999_499, "999 kB", "999 kB"),
        (999_500, "1 MB", "1 MB"),
        (1_250_000, "1.3 MB", "1,3 MB"),
        (12_345_678, "12.3 MB", "12,3 MB"),
        (123_456_789, "123 MB", "123 MB"),
        (10**9, "1 GB", "1 GB"),
        (5 * 10**15, "5,000 TB", "5.000 TB"),
    ],
)
def test_sizes_have_the_largest_unit_and_one_decimal_below_a_hundred(count: int, english: str, indonesian: str) -> None:
    """In units of 1000, with the decimal mark of the language."""
    assert values.size("en", count) == english
    assert values.size("id", count) == indonesian


def test_numbers_are_grouped() -> None:
    """With the mark of the language."""
    assert values.number("en", 12345) == "12,345"
    assert values.number("id", 12345) == "12.345"


def test_a_span_is_rounded_down_and_a_waiting_time_up() -> None:
    """A deadline is never shown later than it is, and a retry never sooner than it may succeed."""
    assert [values.span("en", seconds) for seconds in (59, 119, 7199, -86_400, 200_000, 40 * 86_400)] == [
        *("0 minutes", "1 minute", "1 hour", "1 day", "2 days", "40 days")
    ]
    assert values.span("id", 7200) == "2 jam"
    assert [values.ahead("en", seconds) for seconds in (1, 60, 61, 181, 3600, 86_400)] == [
        *("in 1 second", "in 1 minute", "in 2 minutes", "in 4 minutes", "in 1 hour", "in 1 day")
    ]
    assert values.ahead("id", 181) == "dalam 4 menit"


def test_every_language_has_formats() -> None:
    """CLDR knows each language that has a folder; another tag is read as English of Great Britain."""
    for language in languages():
        assert values.moment(language, AT)
        assert values.size(language, 1234)
        assert values.ahead(language, 240)
    assert (values.tag("en"), values.tag("id"), values.tag("xx")) == ("en-GB", "id", "en-GB")
    assert values.moment("xx", AT) == values.moment("en", AT)
