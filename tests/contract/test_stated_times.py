"""Times that a database stores as numbers or texts, and that a map states: delivered, compared and ordered as times."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from source_accounts import execute_all, mapped_sources, owner_and_reader
from stated_orders import (
    AUTUMN,
    NUMBERS,
    SECONDS,
    SMALL,
    TIME,
    USER,
    WINTER,
    delivered_ids,
    delivered_orders,
    stored_orders,
    with_times,
)

from portability.api import RowRemark, Selection
from portability.api.errors import BadMap


@pytest.mark.parametrize(("database", "kind"), [*NUMBERS, *SMALL])
def test_seconds_are_delivered_as_times(
    request: pytest.FixtureRequest, database: str, kind: str, tmp_path: Path
) -> None:
    """0 and NULL are not a time; the time is the same in all databases and types."""
    reader = stored_orders(request, database, kind, tmp_path, AUTUMN, 0, None, WINTER)
    with mapped_sources() as opened:
        found = delivered_orders(opened(reader, with_times(SECONDS, TIME)))

    assert [one["at"] for one in found] == ["2023-11-14T22:13:20.000000Z", None, None, "2024-01-01T00:00:00.000000Z"]


@pytest.mark.parametrize(("database", "kind"), NUMBERS)
def test_milliseconds_before_1970_and_out_of_range(
    request: pytest.FixtureRequest, database: str, kind: str, tmp_path: Path
) -> None:
    """-1 is not a time; a number that is not a time that can be written is a gap of its row, and ends nothing."""
    numbers = (1_700_000_000_123, -1, -86_400_000, 253_402_300_800_000, -62_135_596_800_001, 9_000_000_000_000_000)
    reader = stored_orders(request, database, kind, tmp_path, *numbers)
    with mapped_sources() as opened:
        exporter = opened(reader, with_times('times."orders.at" = { format = "epoch_ms" }\n', TIME, 'created = "at"'))
        (batch,) = exporter.export(USER, exporter.datasets[0], Selection())
        later = delivered_ids(exporter, since=datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC))
        after = delivered_ids(exporter, since=datetime(2023, 11, 14, 22, 13, 20, 123_001, tzinfo=UTC))

    times = ["2023-11-14T22:13:20.123000Z", None, "1969-12-31T00:00:00.000000Z", None, None, None]
    assert [one["at"] for one in batch.records] == times
    assert [(gap.what, gap.reason) for gap in batch.gaps] == [(f"orders/{place}/at", "not_json") for place in (4, 5, 6)]
    assert (later, after) == ([1, 2, 4, 5, 6], [2, 4, 5, 6])  # nothing says when these were created


@pytest.mark.parametrize(("database", "kind"), [*NUMBERS, *SMALL])
def test_a_period_and_the_begin_of_an_export_compare_such_times(
    request: pytest.FixtureRequest, database: str, kind: str, tmp_path: Path
) -> None:
    """Rows of which nothing says when they were created belong to every export."""
    reader = stored_orders(request, database, kind, tmp_path, AUTUMN, 0, None, WINTER, 2_100_000_000)
    middle = datetime(2023, 12, 1, tzinfo=UTC)
    with mapped_sources() as opened:
        exporter = opened(reader, with_times(SECONDS, 'created = "at"'))
        early, late = delivered_ids(exporter, until=middle), delivered_ids(exporter, since=middle)
        begun = delivered_ids(exporter, began_at=middle)
        (batch,) = exporter.export(USER, exporter.datasets[0], Selection(began_at=middle))

    assert (early, late, begun) == ([1, 2, 3], [2, 3, 4, 5], [1, 2, 3, 5])
    assert list(batch.remarks[RowRemark.CREATED_IN_FUTURE]) == [3]  # the fifth order, of the year 2036


@pytest.mark.parametrize(("database", "kind"), [*NUMBERS, *SMALL])
def test_slices_continue_in_the_order_of_such_times(
    request: pytest.FixtureRequest, database: str, kind: str, tmp_path: Path
) -> None:
    """They are ordered as they are stored, also those that are not a time, and each row comes once."""
    reader = stored_orders(request, database, f"{kind} not", tmp_path, *([WINTER, AUTUMN, 0, AUTUMN] * 10))
    with mapped_sources() as opened:
        exporter = opened(reader, with_times(SECONDS, TIME, 'order = ["at", "id"]'))
        parts = exporter.slices(USER, exporter.datasets[0], Selection(), 3)
        found = [one for part in parts for one in delivered_orders(exporter, Selection(slice=part))]

    numbers = {"2023-11-14T22:13:20.000000Z": AUTUMN, "2024-01-01T00:00:00.000000Z": WINTER, None: 0}
    expected = sorted((numbers[one["at"]], one["id"]) for one in found)  # type: ignore[index]  # texts and null
    assert [(numbers[one["at"]], one["id"]) for one in found] == expected  # type: ignore[index]  # as above
    assert (len(parts), len(found)) == (3, 40)


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_many_rows_are_delivered_as_a_few(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> None:
    """Databases that join columns give the same times, also beside one that is not a time."""
    times = [AUTUMN, None, 0, WINTER] * 1000
    reader = stored_orders(request, database, "bigint", tmp_path, *times, 9_000_000_000_000)
    with mapped_sources() as opened:
        exporter = opened(reader, with_times(SECONDS, TIME))
        batches = list(exporter.export(USER, exporter.datasets[0], Selection()))

    found = [one["at"] for batch in batches for one in batch.records]
    assert found == ["2023-11-14T22:13:20.000000Z", None, None, "2024-01-01T00:00:00.000000Z"] * 1000 + [None]
    assert [gap.what for batch in batches for gap in batch.gaps] == ["orders/4001/at"]


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_conditions_compare_the_numbers(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> None:
    """As they are stored, because a condition such as 0 is about them."""
    reader = stored_orders(request, database, "bigint", tmp_path, AUTUMN, 0, None, WINTER)
    condition = 'where = [{ column = "at", other_than = 0 }]'
    with mapped_sources() as opened:
        assert delivered_ids(opened(reader, with_times(SECONDS, 'created = "at"', condition))) == [1, 3, 4]


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_texts_are_times_in_the_form_of_the_map(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> None:
    """With its zone; what is not such a time is a gap. An empty text, or another that the map names, is not a time."""
    values = ("24.11.2026 09:30", "", "never", "2026-11-24 08:30:00")
    reader = stored_orders(request, database, "varchar(40)", tmp_path, *values)
    times = (
        'times.at = { format = "pattern:%d.%m.%Y %H:%M", zone = "Europe/Berlin", unset = ["", "never"] }\n',
        'times.at = { format = "pattern:%d.%m.%Y %H:%M" }\n',
    )
    with mapped_sources() as opened:
        found = delivered_orders(opened(reader, with_times(times[0], TIME)))
        exporter = opened(reader, with_times(times[1], TIME.replace("datetime", "date")))
        (batch,) = exporter.export(USER, exporter.datasets[0], Selection())

    assert [one["at"] for one in found] == ["2026-11-24T08:30:00.000000Z", None, None, None]
    assert [one["at"] for one in batch.records] == ["2026-11-24", None, None, None]
    assert [gap.what for gap in batch.gaps] == ["orders/3/at", "orders/4/at"]


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_days_and_zeros_that_are_times(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> None:
    """A day of birth may be 0: the map says which numbers are not a time, and in which zone a day is."""
    reader = stored_orders(request, database, "bigint", tmp_path, 0, -3600, -1)
    times = 'times.at = { format = "epoch_seconds", zone = "Europe/Berlin", unset = [-1] }\n'
    with mapped_sources() as opened:
        found = delivered_orders(opened(reader, with_times(times, TIME.replace("datetime", "date"))))

    assert [one["at"] for one in found] == ["1970-01-01", "1970-01-01", None]


REFUSED = [
    ("bigint", "", 'created = "at"', 'write [times] at = { format = "epoch_seconds" }'),
    ("bigint", 'times.att = { format = "epoch_ms" }\n', TIME, "the map names no column 'att'"),
    (
        "bigint",
        'times.at = { format = "epoch_ms", unset = [0.5] }\n',
        TIME,
        "unset: each value is a whole number or a",
    ),
    ("bigint", 'times.at = { format = "epoch" }\n', TIME, "unknown format of times"),
    ("bigint", SECONDS, 'fields.at = { type = "integer", text = "At." }', 'write type = "datetime"'),
    ("bigint", 'times."orders.at" = { format = "rfc2822" }\n', TIME, "it has no times in the format rfc2822"),
    ("varchar(40)", SECONDS, 'created = "at"', "has times as texts, which the database does not compare"),
    ("bigint", "", TIME, 'write type = "integer", or say in [times] how it counts'),
    ("bytea", 'times."orders.at" = { format = "pattern:%Y%m%d" }\n', TIME, "it has no times in the format"),
    ("uuid", 'times."orders.at" = { format = "rfc3339" }\n', TIME, "it has no times in the format rfc3339"),
    ("text", 'times.at = { format = "pattern:%d.%m.%Y %H:%i" }\n', TIME, "no time is read by this pattern"),
    ("text", 'times.at = { format = "pattern:%d.%m.%Y %d" }\n', TIME, "no time is read by this pattern"),
    ("text", 'times.at = { format = "pattern:%d.%m.%Y %" }\n', TIME, "no time is read by this pattern"),
    ("text", 'times.at = { format = "pattern:%d.%m. %H:%M" }\n', TIME, "no time is read by this pattern"),
]


@pytest.mark.parametrize(("kind", "times", "line", "message"), REFUSED)
def test_what_cannot_be_is_refused(
    request: pytest.FixtureRequest, kind: str, times: str, line: str, message: str, tmp_path: Path
) -> None:
    """With what to write instead."""
    reader = stored_orders(request, "postgresql", kind, tmp_path, None)
    with mapped_sources() as opened, pytest.raises(BadMap, match=re.escape(message)):
        opened(reader, with_times(times, line)).prepare()


@pytest.mark.parametrize(("database", "kind"), [*NUMBERS, ("mysql", "bigint unsigned")])
def test_values_that_are_not_a_time_may_be_large_and_written_as_texts(
    request: pytest.FixtureRequest, database: str, kind: str, tmp_path: Path
) -> None:
    """A number and a text with its digits are the same, and no number of a map is too large for the database."""
    never = 9_999_999_999  # of the year 2286
    reader = stored_orders(request, database, kind, tmp_path, AUTUMN, 0, never, WINTER)
    unset = f'["0", {never}, 18446744073709551615, "99999999999999999999", {"9" * 30}]'
    times = f'times."orders.at" = {{ format = "epoch_seconds", unset = {unset} }}\n'
    with mapped_sources() as opened:
        exporter = opened(reader, with_times(times, TIME, 'deleted = "at"', 'created = "at"'))
        (batch,) = exporter.export(USER, exporter.datasets[0], Selection())

    first, last = "2023-11-14T22:13:20.000000Z", "2024-01-01T00:00:00.000000Z"
    assert [one["at"] for one in batch.records] == [first, None, None, last]
    assert [*batch.remarks[RowRemark.SOFT_DELETED]] == [0, 3]


def test_a_domain_of_numbers_has_times(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """They are compared as its numbers."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    execute_all(
        owner,
        "create domain seconds as bigint check (value >= 0)",
        "create table orders (id integer primary key, who integer, at seconds)",
        f"insert into orders values (1, 1, {AUTUMN}), (2, 1, 0), (3, 1, {WINTER})",  # noqa: S608  # own values
    )
    with mapped_sources() as opened:
        exporter = opened(reader, with_times("times.at.format = 'epoch_seconds'\n", TIME, 'created = "at"'))
        early = delivered_orders(exporter, Selection(until=datetime(2023, 12, 1, tzinfo=UTC)))

    assert [one["at"] for one in early] == ["2023-11-14T22:13:20.000000Z", None]
