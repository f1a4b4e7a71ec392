"""Which changes a feed reads: also those whose time is not known, and entries that name a table with its schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import JSON, RecordKey, SubjectKind
from portability.api.errors import BadMap
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
SINCE = {"at": "2026-03-01T12:00:00.000000Z"}
BY_TIME = 'changed = "at"\n[changes]\ndatasets = ["orders"]\n'
TIMES = {"sqlite": "datetime", "mysql": "datetime", "postgresql": "timestamptz"}
OUTBOX = '[changes]\ndatasets = ["orders"]\noutbox = {{ table = "outbox", {0} = "{0}" }}\n'
ORDERS = "create table orders (id integer not null primary key, who varchar(40))"
PLACES = [
    *((database, "at", kind) for database, kind in TIMES.items()),
    ("postgresql", "at", "timestamp"),
    *(("postgresql", "transaction", kind) for kind in ("xid8", "bigint")),
]
"""By database, what says where an entry is among others."""
ANY_CHANGE = None
"""The answer of a source that cannot say what has changed: everything is compared."""
LATE, EARLY = "'2026-03-01 13:00:00'", "'2026-03-01 01:00:00'"
UNKNOWN = {
    "sqlite": ["null", "''", "'0'", "0", "'0000-00-00 00:00:00'", "1772366400", "'1772366400'", "'never'"],
    "mysql": ["null", "0", "'0000-00-00 00:00:00'"],
    "postgresql": ["null"],
}
"""Among them are the seconds since 1970 of LATE, which SQLite cannot read as a time."""


@pytest.fixture
def open_entries() -> Iterator[Callable[[str, str], MappedExporter]]:
    with mapped_sources() as open_source:
        yield open_source


def changed_since(exporter: MappedExporter) -> set[RecordKey] | None:
    keys = exporter.changed(ANN, exporter.datasets[0], SINCE, 100)
    return set(keys) if keys is not None else None


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mysql"])
def test_a_row_whose_last_change_is_not_known_may_have_changed(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    open_entries: Callable[[str, str], MappedExporter],
    database: str,
) -> None:
    """NULL, a day of zeros, and what cannot be read as a time; an earlier time says that nothing has changed."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    times = [LATE, EARLY, *UNKNOWN[database]]
    rows = [f"insert into orders values ({number}, 'ann', {time})" for number, time in enumerate(times)]  # noqa: S608  # the test's own values
    columns = f"id integer not null primary key, who varchar(40), at {TIMES[database]}"
    execute_all(owner, f"create table orders ({columns})", *rows)
    unknown = {(number,) for number in range(2, len(times))}
    assert changed_since(open_entries(reader, ROWS + BY_TIME)) == {(0,)} | unknown


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mysql"])
def test_an_entry_whose_time_is_not_known_may_be_new(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    open_entries: Callable[[str, str], MappedExporter],
    database: str,
) -> None:
    """The outbox has other entries with an earlier time, which are past."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    times = [LATE, EARLY, *UNKNOWN[database]]
    entries = [f"insert into outbox values ('orders', '{number}', {time})" for number, time in enumerate(times)]  # noqa: S608  # the test's own values
    columns = f"table_name varchar(40), row_key varchar(40), at {TIMES[database]}"
    execute_all(owner, ORDERS, f"create table outbox ({columns})", *entries)
    unknown = {(number,) for number in range(2, len(times))}
    assert changed_since(open_entries(reader, ROWS + OUTBOX.format("at"))) == {(0,)} | unknown


@pytest.mark.parametrize("kind", ["xid8", "bigint"])
def test_an_entry_without_its_transaction_may_be_new(
    request: pytest.FixtureRequest, tmp_path: Path, open_entries: Callable[[str, str], MappedExporter], kind: str
) -> None:
    """Such as one of a time before the column was added."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    outbox = f"create table outbox (table_name text, row_key text, transaction {kind})"
    execute_all(owner, ORDERS, outbox, "insert into outbox values ('orders', '1', null), ('orders', '2', '1')")
    exporter = open_entries(reader, ROWS + OUTBOX.format("transaction"))
    keys = exporter.changed(ANN, exporter.datasets[0], exporter.horizon(), 100)
    assert set(keys or ()) == {(1,)}


def test_an_entry_may_name_the_schema_of_a_table(
    request: pytest.FixtureRequest, tmp_path: Path, open_entries: Callable[[str, str], MappedExporter]
) -> None:
    """Whether the map names it or not: `regclass` writes it wherever the function of the trigger has no search path."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    entries = "('orders', '1', null), ('public.orders', '2', null), ('shop.orders', '3', null)"
    outbox = "create table outbox (table_name text, row_key text, at timestamptz)"
    execute_all(owner, ORDERS, outbox, f"insert into outbox values {entries}")  # noqa: S608  # the test's own values
    for table in ("orders", "public.orders"):
        text = ROWS.replace('table = "orders"', f'table = "{table}"') + OUTBOX.format("at")
        assert changed_since(open_entries(reader, text)) == {(1,), (2,)}, table


def test_an_entry_may_name_a_partition(
    request: pytest.FixtureRequest, tmp_path: Path, open_entries: Callable[[str, str], MappedExporter]
) -> None:
    """A trigger of a partitioned table writes that of its row, also of one that was made since the start."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    noted = "begin insert into outbox (table_name, row_key) values (tg_table_name, new.id); return null; end"
    execute_all(
        owner,
        "create table orders (id integer primary key, who varchar(40)) partition by range (id)",
        "create table outbox (table_name text, row_key text, at timestamptz default now())",
        f"create function note_change() returns trigger language plpgsql as $$ {noted} $$",
        "create trigger noted after insert on orders for each row execute function note_change()",
        "create table other (id integer) partition by list (id)",
        "create table other_0 partition of other default",
    )
    exporter = open_entries(reader, ROWS + OUTBOX.format("at"))
    exporter.prepare()
    execute_all(
        owner,
        "create table orders_0 partition of orders for values from (0) to (9) partition by range (id)",
        "create table orders_0_0 partition of orders_0 default",
        "insert into orders values (1, 'ann')",
        "insert into outbox values ('public.orders_0', '2', null), ('other_0', '3', null)",
    )
    assert changed_since(exporter) == {(1,), (2,)}


@pytest.mark.parametrize(("database", "place", "kind"), PLACES)
def test_an_entry_that_is_gone_means_any_change(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    open_entries: Callable[[str, str], MappedExporter],
    database: str,
    place: str,
    kind: str,
) -> None:
    """A restored backup lacks the last entry, also where the database has gone on since, and so does a short outbox.

    An outbox without an entry at the archive before does not show whether later entries are gone.
    """
    owner, reader = owner_and_reader(request, database, tmp_path)
    early, late = (EARLY, LATE) if place == "at" else ("'7'", "'8'")
    outbox = f"create table outbox (table_name varchar(40), row_key varchar(40), {place} {kind})"
    execute_all(owner, ORDERS, outbox, f"insert into outbox values ('orders', '1', {early}), ('orders', '2', {late})")  # noqa: S608  # the test's own values
    exporter = open_entries(reader, ROWS + OUTBOX.format(place))

    def keys(position: JSON) -> object:
        return exporter.changed(ANN, exporter.datasets[0], position, 100)

    position = exporter.horizon()
    assert keys(position) == set()
    execute_all(owner, f"insert into outbox values ('orders', '3', {late})", "delete from outbox where row_key = '1'")  # noqa: S608  # as above
    assert keys(position) == set()
    execute_all(owner, "delete from outbox where row_key = '2'")
    assert keys(position) == ANY_CHANGE
    execute_all(owner, "delete from outbox")
    assert keys(position) == ANY_CHANGE
    without_entry = exporter.horizon()
    assert keys(without_entry) == ANY_CHANGE
    execute_all(owner, f"insert into outbox values ('orders', '4', {late})")  # noqa: S608  # as above
    assert keys(without_entry) == ANY_CHANGE


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mysql"])
def test_an_entry_must_be_able_to_name_a_dataset(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    open_entries: Callable[[str, str], MappedExporter],
    database: str,
) -> None:
    """A number names no table: the map says which number means a dataset, or it is refused."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    outbox = f"create table outbox (table_name integer, row_key varchar(40), at {TIMES[database]})"
    execute_all(owner, ORDERS, outbox, f"insert into outbox values (7, '1', {LATE}), (8, '2', {LATE})")  # noqa: S608  # the test's own values
    with pytest.raises(BadMap, match=r"'table_name' of outbox is int.*: it names no 'orders'"):
        open_entries(reader, ROWS + OUTBOX.format("at")).prepare()
    named = OUTBOX.replace('"outbox"', '"outbox", names = {{ orders = ["7"] }}').format("at")
    assert changed_since(open_entries(reader, ROWS + named)) == {(1,)}


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mysql"])
def test_a_key_of_fixed_length_ends_with_no_blank(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    open_entries: Callable[[str, str], MappedExporter],
    database: str,
) -> None:
    """PostgreSQL gives `char(n)` with blanks: the record has none, so that it was not found."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    orders = "create table orders (id varchar(40) not null primary key, who varchar(40))"
    outbox = f"create table outbox (table_name char(40), row_key char(40), at {TIMES[database]})"
    execute_all(owner, orders, outbox, f"insert into outbox values ('orders', 'a1', {LATE})")  # noqa: S608  # as above
    exporter = open_entries(reader, ROWS.replace('type = "integer", ', "") + OUTBOX.format("at"))
    assert changed_since(exporter) == {("a1",)}


def test_the_lag_of_a_replica_is_read_again(
    request: pytest.FixtureRequest, tmp_path: Path, open_entries: Callable[[str, str], MappedExporter]
) -> None:
    """A replica that was an hour and a half behind did not have what the next archive must read."""
    owner, reader = owner_and_reader(request, "sqlite", tmp_path)
    outbox = "create table outbox (table_name text, row_key text, at datetime)"
    execute_all(owner, ORDERS, outbox, "insert into outbox values ('orders', '1', '2026-03-01 10:30:00')")
    exporter = open_entries(reader, ROWS + OUTBOX.format("at"))
    assert changed_since(exporter) == set()
    exporter = open_entries(reader, ROWS + OUTBOX.format("at"))
    exporter._section = replace(exporter._section, lag_seconds=5_400)
    assert changed_since(exporter) == {(1,)}
