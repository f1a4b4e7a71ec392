"""One bad cell costs a cell: its record comes with null, a gap names record and field, and all other rows come too."""

from __future__ import annotations

from collections.abc import Iterator

import platform_data as platform
import pytest
import servers
from sqlalchemy import Engine, delete, text

from exporters.reference import schema
from exporters.sql import pages
from portability.api import Batch, Gap, Selection
from portability.database.engine import open_engine

COUNT = 12
BAD = "call-0005"
SQLITE = [
    ("outcome", "cast(x'41ff42' as text)"),
    ("outcome", "x'00ff'"),
    ("custom", "cast(x'7b22ff' as text)"),
    ("custom", '\'{"a": 1, "a": 2}\''),
    ("custom", "'not JSON'"),
    ("cost", "'99,95'"),
    ("cost", "x'3939'"),
    ("duration_seconds", "'soon'"),
    ("duration_seconds", "9e999"),
    ("started_at", "'2026-02-31 10:00:00.000000'"),
    ("started_at", "'yesterday'"),
    ("started_at", "12345"),
    ("started_at", "'99999-01-01 00:00:00.000000'"),
    ("created_at", "'unknown'"),
    ("created_at", "20260301"),
    ("created_at", "2026.5"),
    ("created_at", "x'ff'"),
    ("created_at", "cast(x'32ff' as text)"),
    ("created_at", "'2026-02-31 10:00:00.000000'"),
]
POSTGRESQL = [
    ("cost", "'NaN'"),
    ("duration_seconds", "'Infinity'"),
    ("started_at", "'infinity'"),
    ("started_at", "'0044-03-15 12:00:00+00 BC'"),
    ("started_at", "'12026-03-01 00:00:00+00'"),
    ("created_at", "'infinity'"),
    ("created_at", "'-infinity'"),
    ("created_at", "'12026-03-01 00:00:00+00'"),
]


@pytest.fixture(scope="module")
def sqlite_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    yield from _tables(f"sqlite:///{tmp_path_factory.mktemp('platform') / 'platform.db'}")


@pytest.fixture(scope="module")
def pg_tables(pg_server: servers.Postgres) -> Iterator[Engine]:
    yield from _tables(pg_server.url(pg_server.create_database()))


def _tables(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    schema.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_platform(sqlite_tables: Engine) -> Engine:
    return _filled(sqlite_tables)


@pytest.fixture
def pg_platform(pg_tables: Engine) -> Engine:
    return _filled(pg_tables)


def _filled(engine: Engine) -> Engine:
    """Put the calls into the tables anew."""
    with engine.begin() as connection:
        connection.execute(delete(schema.calls))
    rows = [platform.row(schema.calls, f"call-{n:04}", n, tenant_id="ten_a", contact_id="con_1") for n in range(COUNT)]
    platform.put(engine, *rows)
    return engine


def read_calls(engine: Engine, after: str | None = None) -> list[Batch]:
    exporter = platform.exporters(engine)["calls"]
    (wanted,) = (dataset for dataset in exporter.datasets if dataset.name == "calls")
    return list(exporter.export(platform.TENANT, wanted, Selection(), after=after))


def spoil(engine: Engine, column: str, value: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"update calls set {column} = {value} where id = '{BAD}'"))  # noqa: S608  # constants


def check(engine: Engine, column: str) -> None:
    """Compare everything that is read with the rows."""
    batches = read_calls(engine)
    records = [record for batch in batches for record in batch.records]
    by_id = {str(record["id"]): record for record in records}

    assert len(records) == COUNT
    assert sorted(by_id) == [f"call-{n:04}" for n in range(COUNT)]
    assert [gap for batch in batches for gap in batch.gaps] == [
        Gap(f"calls/{BAD}/{column}", "not_json", key=(BAD,), fields=(column,))
    ]
    assert by_id[BAD][column] is None
    assert [name for name, value in by_id[BAD].items() if value is None and by_id["call-0006"][name] is not None] == [
        column
    ]
    for place, batch in enumerate(batches):
        rest = [record["id"] for later in batches[place + 1 :] for record in later.records]
        assert [record["id"] for later in read_calls(engine, batch.cursor) for record in later.records] == rest


@pytest.mark.parametrize("rows", [2, 10_000])
@pytest.mark.parametrize(("column", "value"), SQLITE)
def test_a_bad_cell_in_sqlite_costs_this_cell(
    sqlite_platform: Engine, monkeypatch: pytest.MonkeyPatch, column: str, value: str, rows: int
) -> None:
    """SQLite stores anything in any column: invalid UTF-8, text in numbers, impossible dates, also in the order."""
    monkeypatch.setattr(pages, "BATCH_ROWS", rows)
    spoil(sqlite_platform, column, value)

    check(sqlite_platform, column)


@pytest.mark.parametrize("first", [(1,), (64, 512)])
@pytest.mark.parametrize(("column", "value"), POSTGRESQL)
def test_a_bad_cell_in_postgresql_costs_this_cell(
    pg_platform: Engine, monkeypatch: pytest.MonkeyPatch, column: str, value: str, first: tuple[int, ...]
) -> None:
    """Infinite and distant times and numbers, read value by value and as joined columns."""
    monkeypatch.setattr(pages, "FIRST_ROWS", first)
    monkeypatch.setattr(pages, "BATCH_ROWS", 3)
    spoil(pg_platform, column, value)

    check(pg_platform, column)


def test_a_text_in_a_boolean_column_is_not_true(sqlite_platform: Engine) -> None:
    """The first row of a chunk is converted like every other row."""
    with sqlite_platform.begin() as connection:
        connection.execute(text("update calls set legal_hold = 'maybe'"))

    (batch,) = read_calls(sqlite_platform)

    assert {record["legal_hold"] for record in batch.records} == {None}
    assert len(batch.gaps) == COUNT
