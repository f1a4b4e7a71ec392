"""The tables of MariaDB and SQLite by the names that maps give them: the check sees what exports read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import servers
from source_accounts import ROWS, mapped_sources, owner_and_reader
from sqlalchemy import create_engine

from exporters.sql.mapped.exporter import MappedExporter
from exporters.sql.proposal.propose import propose
from portability.api import CoverageKind, Selection, SubjectKind
from portability.api.errors import SourceRefused
from portability.testing import sample_subject

ORDERS = [
    "create table orders (id integer not null primary key, who varchar(40))",
    "insert into orders values (1, 'ann'), (2, 'bob')",
]
UNSIGNED = CoverageKind.UNSIGNED


@pytest.fixture
def open_named() -> Iterator[Callable[[str, str], MappedExporter]]:
    with mapped_sources() as open_source:
        yield open_source


def run_all(url: str, statements: list[str]) -> str:
    """Run statements, and return the name of the database."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()
    return str(engine.url.database)


def map_of(table: str) -> str:
    return ROWS.replace('table = "orders"', f'table = "{table}"')


def numbers_of(exporter: MappedExporter) -> list[object]:
    ann = sample_subject(SubjectKind.USER, "ann")
    batches = exporter.export(ann, exporter.datasets[0], Selection())
    return [record["id"] for batch in batches for record in batch.records]


def found_by(exporter: MappedExporter) -> set[tuple[CoverageKind, str, str]]:
    return {(one.kind, one.table, one.column) for one in exporter.check().findings}


@pytest.mark.parametrize("name", ["Orders", "main.orders", "main.ORDERS"])
def test_sqlite_finds_a_table_by_other_names(
    tmp_path: Path, open_named: Callable[[str, str], MappedExporter], name: str
) -> None:
    """It ignores the case of letters, and its file is the schema `main`: the check names the table as the map does."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    run_all(url, ORDERS)
    exporter = open_named(url, map_of(name))
    assert numbers_of(exporter) == [1]
    assert found_by(exporter) == {(CoverageKind.UNDECIDED_COLUMN, name, "who"), (UNSIGNED, name, "")}


def test_mariadb_finds_a_table_by_its_database(
    request: pytest.FixtureRequest, tmp_path: Path, open_named: Callable[[str, str], MappedExporter]
) -> None:
    """Its own database, and another database, of which the check sees this table only."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    database = run_all(owner, ORDERS)
    other = f"{database}_other"
    tables = [f"create table {other}.{one.removeprefix('create table ')}" for one in ORDERS[:1]]
    rows = [f"insert into {other}.orders values (7, 'ann')"]  # noqa: S608  # the test's own values
    more = [f"create table {other}.notes (id integer)", f"grant select on {other}.* to {database}@localhost"]
    run_all(owner, [f"create database {other}", *tables, *rows, *more])
    for name, numbers, undecided in (
        (f"{database}.orders", [1], set()),
        (f"{other}.orders", [7], {(CoverageKind.UNDECIDED_TABLE, "orders", "")}),
    ):
        exporter = open_named(reader, map_of(name))
        assert numbers_of(exporter) == numbers
        named = {(CoverageKind.UNDECIDED_COLUMN, name, "who"), (UNSIGNED, name, "")}
        assert found_by(exporter) == named | undecided
    run_all(owner, [f"drop database {other}"])


@pytest.mark.parametrize("database", ["sqlite", "mysql"])
def test_a_schema_that_does_not_exist_is_named(
    request: pytest.FixtureRequest, tmp_path: Path, open_named: Callable[[str, str], MappedExporter], database: str
) -> None:
    """As a fault of the line of the map: the others of the source are still checked."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    run_all(owner, ORDERS)
    exporter = open_named(reader, map_of("nowhere.orders"))
    with pytest.raises(SourceRefused, match=r"shop\.toml:10:1: unknown table 'nowhere\.orders'"):
        numbers_of(exporter)
    missing = (CoverageKind.MISSING_TABLE, "nowhere.orders", "")
    assert found_by(exporter) == {missing, (CoverageKind.UNDECIDED_TABLE, "orders", "")}


@pytest.mark.system
def test_mariadb_may_ignore_letter_case(open_named: Callable[[str, str], MappedExporter]) -> None:
    """As on Windows and macOS: a table and a view are found in other letters, and a view stays a view."""
    with servers.mariadb("--lower-case-table-names=1") as server:
        name = server.create_database()
        run_all(server.url(name), [*ORDERS, "create view seen as select * from orders"])
        reader = server.url(name, name, password="reader")
        for table, other in (("Orders", "seen"), ("Seen", "orders")):
            exporter = open_named(reader, map_of(table))
            assert numbers_of(exporter) == [1]
            named = {(CoverageKind.UNDECIDED_COLUMN, table, "who"), (UNSIGNED, table, "")}
            assert found_by(exporter) == {*named, (CoverageKind.UNDECIDED_TABLE, other, "")}


def test_a_view_of_a_table_that_is_gone_hides_no_other(
    tmp_path: Path, open_named: Callable[[str, str], MappedExporter]
) -> None:
    """SQLite keeps such a view and refuses to describe it: the other tables are checked and proposed."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    run_all(url, [*ORDERS, "create table notes (id integer)", "create view old as select * from gone"])
    exporter = open_named(url, map_of("orders"))
    notes = (CoverageKind.UNDECIDED_TABLE, "notes", "")
    assert found_by(exporter) == {(CoverageKind.UNDECIDED_COLUMN, "orders", "who"), (UNSIGNED, "orders", ""), notes}
    engine = create_engine(url)
    with engine.connect() as connection:
        assert set(propose(connection, "orders").catalogue.tables) == {"orders", "notes"}
    engine.dispose()
    assert (CoverageKind.MISSING_TABLE, "old", "") in found_by(open_named(url, map_of("old")))


def test_a_foreign_key_to_no_table_leads_nowhere(tmp_path: Path) -> None:
    """SQLite allows it, and one with another number of columns: the draft has the tables, without these ways."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    pairs = "create table pairs (a integer, b integer, primary key (a, b))"
    notes = "create table notes (id integer primary key, a integer references gone, b integer references pairs)"
    run_all(url, [*ORDERS, pairs, notes, "create table lines (id integer primary key, nr integer references orders)"])
    engine = create_engine(url)
    with engine.connect() as connection:
        found = propose(connection, "orders")
    engine.dispose()
    assert (found.certain, found.apart) == (["orders", "lines"], ["notes", "pairs"])
