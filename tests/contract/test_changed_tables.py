"""What a database says when a table is not as its map expects: no outage, and the hint says what to do."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
from source_accounts import ROWS, execute_all, mapped_source, owner_and_reader

from exporters.sql.mapped import exporter as exporter_module
from exporters.sql.mapped.catalogue import read_catalogue
from exporters.sql.mapped.exporter import MappedExporter
from portability.api import CoverageKind, Selection, SubjectKind
from portability.api.errors import SourceRefused
from portability.database.sessions import PREPARE_AFTER
from portability.testing import sample_subject

ORDERS = "create table orders (id integer not null primary key, who varchar(40))"
ALTER = "alter table orders"
SECOND = "insert into orders values (64, 'ann')"
"""A row with the key of the last row of the first page."""
VIEW = [f"{ALTER} rename to stored", "create view orders as select * from stored union all select 64, 'ann'"]
ANN = sample_subject(SubjectKind.USER, "ann")


def test_a_materialised_view_without_data_is_refused(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The export has a gap and does not wait for it, and the check of the source names it beside its other findings."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    execute_all(owner, ORDERS, "insert into orders values (1, 'ann')", "create table notes (id integer)")
    execute_all(owner, "create materialized view seen as select * from orders with no data")
    exporter, engine = mapped_source(reader, ROWS.replace('table = "orders"', 'table = "seen"'))
    with pytest.raises(SourceRefused, match="55000") as refused:
        list(exporter.export(ANN, exporter.datasets[0], Selection()))
    assert refused.value.hint == "a materialised view without data? REFRESH MATERIALIZED VIEW fills it"
    found = {(one.kind, one.table) for one in exporter.check().findings}
    assert {(CoverageKind.QUERY_REFUSED, "seen"), (CoverageKind.UNDECIDED_TABLE, "notes")} <= found
    execute_all(owner, "refresh materialized view seen")
    batches = exporter.export(ANN, exporter.datasets[0], Selection())
    assert [record["id"] for batch in batches for record in batch.records] == [1]
    engine.dispose()


@pytest.mark.parametrize("database", ["postgresql", "mysql"])
@pytest.mark.parametrize("change", ["alter table orders rename column id to number", "drop table orders"])
def test_what_is_gone_is_no_right(request: pytest.FixtureRequest, tmp_path: Path, database: str, change: str) -> None:
    """A worker has read the catalogue before: the hint leads to the check, not to the rights of the account."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    execute_all(owner, ORDERS)
    exporter, engine = mapped_source(reader, ROWS)
    exporter.prepare()
    execute_all(owner, change)
    with pytest.raises(SourceRefused) as refused:
        list(exporter.export(ANN, exporter.datasets[0], Selection()))
    engine.dispose()
    assert refused.value.hint == "a table or column has changed since the map was checked: portability source check"


@pytest.mark.parametrize(
    ("database", "change"),
    [
        ("postgresql", "alter table orders alter note type bytea using note::bytea"),
        ("mysql", "alter table orders modify note integer"),
        ("sqlite", "alter table orders rename column note to remark"),
    ],
)
def test_types_are_compared_while_a_process_runs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str, change: str
) -> None:
    """Within a minute it believes what it has read; then it refuses what the map does not allow.

    Another column changes nothing on a server: its catalogue is not read again.
    """
    owner, reader = owner_and_reader(request, database, tmp_path)
    execute_all(owner, f"{ORDERS[:-1]}, note varchar(40))", "insert into orders values (1, 'ann', '7')")
    exporter, engine = mapped_source(reader, ROWS + 'fields.note = { text = "Note." }')
    with patch.object(exporter_module, "read_catalogue", wraps=read_catalogue) as read:
        assert notes_of(exporter) == ["7"]
        monkeypatch.setattr(exporter_module, "TYPES_SECONDS", 0)
        execute_all(owner, "alter table orders add column other integer")
        assert notes_of(exporter) == ["7"]
        assert read.call_count == (2 if database == "sqlite" else 1)
    execute_all(owner, change)
    with pytest.raises(SourceRefused, match="note"):
        notes_of(exporter)
    execute_all(
        owner, "drop table orders", f"{ORDERS[:-1]}, note char(9))", "insert into orders values (1, 'ann', '8')"
    )
    assert [note.rstrip() for note in notes_of(exporter)] == ["8"]
    engine.dispose()


def test_another_name_of_a_value_is_noticed(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id that an enumeration of PostgreSQL has only now finds its rows: it was one that no row can have."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    table = "create table orders (id integer primary key, who names, note text)"
    execute_all(owner, "create type names as enum ('eve')", table, "insert into orders values (1, 'eve', '7')")
    exporter, engine = mapped_source(reader, ROWS + 'fields.note = { text = "Note." }')
    monkeypatch.setattr(exporter_module, "TYPES_SECONDS", 0)
    assert notes_of(exporter) == []
    execute_all(owner, "alter type names rename value 'eve' to 'ann'")
    assert notes_of(exporter) == ["7"]
    engine.dispose()


@pytest.mark.parametrize(
    ("database", "changes"),
    [
        ("postgresql", [f"{ALTER} drop constraint orders_pkey", SECOND]),
        ("postgresql", ["create table more () inherits (orders)", "insert into more values (64, 'ann')"]),
        ("postgresql", [*VIEW, "grant select on orders to public"]),
        ("mysql", [f"{ALTER} drop primary key", SECOND]),
        ("mysql", VIEW),
        ("sqlite", ["drop index orders_key", SECOND]),
    ],
)
def test_keys_are_compared_while_a_process_runs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str, changes: list[str]
) -> None:
    """A key is dropped, or a view takes the place of a table: a second row with the last key of a page is not left out.

    The map is refused, or the gap of a view says that several records have one key.
    """
    owner, reader = owner_and_reader(request, database, tmp_path)
    table = "create table orders (id integer not null, who varchar(40))" if database == "sqlite" else ORDERS
    execute_all(owner, table, *(f"insert into orders values ({number}, 'ann')" for number in range(1, 66)))  # noqa: S608  # numbers
    if database == "sqlite":
        execute_all(owner, "create unique index orders_key on orders (id)")
    exporter, engine = mapped_source(reader, ROWS)
    exporter.prepare()
    monkeypatch.setattr(exporter_module, "TYPES_SECONDS", 0)
    execute_all(owner, *changes)
    (said,) = said_of(exporter)
    engine.dispose()
    assert said.startswith("orders: several records") or "several rows of orders may have the same id" in said


def said_of(exporter: MappedExporter) -> list[str]:
    """What an export says beside its records: its gaps, or that it is refused."""
    try:
        batches = list(exporter.export(ANN, exporter.datasets[0], Selection()))
    except SourceRefused as refused:
        return [str(refused)]
    return [gap.what for batch in batches for gap in batch.gaps]


def notes_of(exporter: MappedExporter) -> list[str]:
    batches = exporter.export(ANN, exporter.datasets[0], Selection())
    return [str(record["note"]) for batch in batches for record in batch.records]


def test_a_column_may_get_another_type_while_a_connection_lasts(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """PostgreSQL refuses a statement that was prepared before: what reads a source often has none."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    execute_all(owner, ORDERS, "insert into orders values (1, 'ann')")
    exporter, engine = mapped_source(reader, ROWS)
    for _often in range(2 * PREPARE_AFTER):
        exporter.existing(exporter.datasets[0], [(1,)])
    execute_all(owner, "alter table orders alter id type bigint")
    assert exporter.existing(exporter.datasets[0], [(1,)]) == {(1,)}
    engine.dispose()
