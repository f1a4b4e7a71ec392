"""Tables and views of PostgreSQL whose rows are more, or fewer, than their name says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from source_accounts import ROWS, mapped_source, owner_and_reader
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError

from portability.api import Selection, SubjectKind
from portability.api.errors import BadMap, SourceRefused
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
HIDING = (
    ("view", "with (security_invoker)", "postgres"),
    ("view", "", "{reader}_owner"),
    ("view", "", "{reader}"),
    ("materialized view", "", "{reader}_owner"),
)
"""Views of a protected table: kind, options and owner."""
OwnerStatements: TypeAlias = Callable[..., str]


@pytest.fixture
def with_statements(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OwnerStatements]:
    """Runs statements as the owner, in which `{reader}` is the role that can only read; returns its address."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    role, engine = reader.split("//")[1].split("@")[0], create_engine(owner)

    def run(*statements: str) -> str:
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("{reader}", role))
        return reader

    run("create table bought (id integer primary key, who text)", "insert into bought values (1, 'ann'), (2, 'ann')")
    run("create role {reader}_owner", "grant select on bought to {reader}_owner")
    yield run
    run("drop owned by {reader}_owner cascade", "drop role {reader}_owner")
    engine.dispose()


@pytest.mark.parametrize(("kind", "options", "owner"), HIDING)
def test_a_view_of_hidden_rows_is_refused(
    with_statements: OwnerStatements, kind: str, options: str, owner: str
) -> None:
    """Row-level security filters what a view reads by the policies of its owner, or of its caller; without an error."""
    reader = with_statements(
        "alter table bought enable row level security",
        "create view inner_orders as select id, who from bought",
        f'alter view inner_orders owner to "{owner}"',
        *(["alter view inner_orders set (security_invoker = true)"] if options else []),
        f"create {kind} orders {options} as select id, who from inner_orders",  # noqa: S608  # of this test alone
        f'alter table orders owner to "{owner}"',
        "grant select on orders, inner_orders to {reader}",
    )
    exporter, engine = mapped_source(reader, ROWS)

    with pytest.raises(BadMap, match="row-level security hides rows of 'orders'"):
        exporter.prepare()
    assert "row-level security" in "".join(one.detail for one in exporter.check().findings)
    engine.dispose()


@pytest.mark.parametrize("kind", ["table", "view"])
def test_a_policy_that_is_made_later_hides_no_row(with_statements: OwnerStatements, kind: str) -> None:
    """A worker that has read the catalogue reads on for weeks: the source refuses then, and the dataset is a gap."""
    renamed = "alter table bought rename to orders"
    view = "create view orders with (security_invoker) as select id, who from bought"
    reader = with_statements(renamed if kind == "table" else view, "grant select on orders to {reader}")
    exporter, engine = mapped_source(reader, ROWS)
    dataset = exporter.datasets[0]
    assert exporter.count(ANN, dataset, Selection()).records == 2

    protected = "orders" if kind == "table" else "bought"
    with_statements(f"alter table {protected} enable row level security")
    with pytest.raises(SourceRefused, match="42501"):
        list(exporter.export(ANN, dataset, Selection()))
    with pytest.raises(SourceRefused, match="42501"):
        exporter.count(ANN, dataset, Selection())
    engine.dispose()

    with_statements(f"create policy all_rows on {protected} using (true)")
    session = "[session]\nshows_all_rows = true\n[[dataset]]"
    exporter, engine = mapped_source(reader, ROWS.replace("[[dataset]]", session))
    assert exporter.count(ANN, dataset, Selection()).records == 2
    engine.dispose()


def test_a_view_of_all_rows_is_read(with_statements: OwnerStatements) -> None:
    """The owner of the table, whom its policies do not filter, has made the view for this account."""
    reader = with_statements(
        "alter table bought enable row level security",
        "create view orders as select id, who from bought",
        "grant select on orders to {reader}",
    )
    exporter, engine = mapped_source(reader, ROWS)
    batches = list(exporter.export(ANN, exporter.datasets[0], Selection()))

    assert [record["id"] for batch in batches for record in batch.records] == [1, 2]
    engine.dispose()


def test_keys_of_tables_that_inherit_identify_no_row(with_statements: OwnerStatements) -> None:
    """A primary key does not hold for the rows of such tables: two of one key at the end of a page would be one."""
    reader = with_statements(
        "alter table bought rename to orders",
        "create table orders_2025 () inherits (orders)",
        "insert into orders_2025 values (1, 'ann')",
    )
    exporter, engine = mapped_source(reader, ROWS)

    with pytest.raises(BadMap, match=r"several rows of orders may have the same id \(tables inherit from it"):
        exporter.prepare()
    engine.dispose()
    with_statements("alter table orders_2025 no inherit orders")
    exporter, engine = mapped_source(reader, ROWS)
    assert sum(len(batch.records) for batch in exporter.export(ANN, exporter.datasets[0], Selection())) == 2
    engine.dispose()


def test_an_index_that_could_not_be_built_identifies_no_row(with_statements: OwnerStatements) -> None:
    """`create unique index concurrently` leaves it behind where it finds two rows of one key."""
    reader = with_statements(
        "alter table bought rename to orders",
        "alter table orders drop constraint bought_pkey",
        "insert into orders values (1, 'ann')",
        "grant select on orders to {reader}",
    )
    engine = create_engine(
        reader.replace(reader.split("//")[1].split("@")[0], "postgres"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection, pytest.raises(IntegrityError):
        connection.exec_driver_sql("create unique index concurrently by_id on orders (id)")
    engine.dispose()
    exporter, engine = mapped_source(reader, ROWS)

    with pytest.raises(BadMap, match="several rows of orders may have the same id"):
        exporter.prepare()
    engine.dispose()


def test_numbers_of_large_objects_are_found(with_statements: OwnerStatements) -> None:
    """A field would have the number of a picture, and nothing would say that the picture is missing."""
    reader = with_statements(
        "create domain lo as oid",
        "create table orders (id integer primary key, who text, picture oid, scan lo)",
        "insert into orders values (1, 'ann', lo_from_bytea(0, 'x'), null)",
    )
    fields = 'fields.picture = { text = "Picture." }\nfields.scanned = { column = "scan", text = "Scan." }\n'
    exporter, engine = mapped_source(reader, f"{ROWS}{fields}")
    found = [(one.column, one.detail) for one in exporter.check().findings if one.kind == "unfit"]
    with_statements("select lo_unlink(picture) from orders")
    without = [one.detail for one in exporter.check().findings if one.kind == "unfit"]
    engine.dispose()

    assert [column for column, _ in found] == ["picture", "scan"]
    assert found[0][1].startswith("picture has the number of a large object, and not what is stored there")
    assert without == []
