"""Columns of each type that can name a person: its id finds its rows, and another id finds none, without a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
from judges.programs import missing
from source_accounts import ROWS, execute_all, mapped_source, owner_and_reader
from sqlalchemy import Connection, Engine, create_engine

from portability.api import BadInput, Selection, SubjectKind
from portability.api.errors import SourceRefused
from portability.testing import sample_subject

Owned: TypeAlias = Callable[[str], Sequence[int]]
"""Returns the rows of the account with this id."""
UUID = "0b3c7c0e-6c1f-4f2e-9a51-1f6c2f1f7f10"
BEYOND = ("99999999999", "9223372036854775808", "-5", "1" + "0" * 30)
OTHERS = ("usr_1", "007", "7.0", "７", "7 ", "", UUID, UUID.upper(), "\u200f7")  # noqa: RUF001  # a wide digit differs from a digit
NUMBERS = {
    "postgresql": ["smallint", "integer", "bigint", "numeric(12)", "numeric", "customer_no"],
    "mysql": ["tinyint", "smallint unsigned", "int", "bigint", "bigint unsigned", "decimal(12,0)"],
    "sqlite": ["integer", "bigint", "numeric", "decimal(12)", ""],
}


@pytest.fixture
def owned(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str, str, str], Owned]]:
    """Makes a table with two orders, whose column `who` has this type; the second is of this account."""
    engines: list[Engine] = []

    def of(database: str, column_type: str, written: str) -> Owned:
        owner, reader = owner_and_reader(request, database, tmp_path)
        made = create_engine(owner)
        with made.begin() as connection:
            if database == "postgresql":
                connection.exec_driver_sql("create domain customer_no as bigint check (value > 0)")
                connection.exec_driver_sql("create domain amount as money")
            if "any_case" in column_type:
                _make_collation(connection)
            connection.exec_driver_sql(f"create table orders (id integer primary key, who {column_type})")
            connection.exec_driver_sql(f"insert into orders values (1, null), (2, {written})")  # noqa: S608  # of this test alone
        exporter, engine = mapped_source(reader, ROWS)
        engines.extend([made, engine])
        exporter.prepare()

        def rows(identifier: str) -> list[int]:
            subject = sample_subject(SubjectKind.USER, identifier)
            batches = list(exporter.export(subject, exporter.datasets[0], Selection()))
            assert [gap for batch in batches for gap in batch.gaps] == []
            counted = exporter.count(subject, exporter.datasets[0], Selection()).records
            found = [record["id"] for batch in batches for record in batch.records]
            assert counted == len(found)
            return [int(str(one)) for one in found]

        return rows

    yield of
    for engine in engines:
        engine.dispose()


def _make_collation(connection: Connection) -> None:
    """Make a collation that ignores case, and a domain of texts with it."""
    if not connection.exec_driver_sql("select true from pg_collation where collprovider = 'i' limit 1").scalar():
        missing("a PostgreSQL with ICU", "apt-get install postgresql")
    alike = "provider = icu, locale = 'und-u-ks-level2', deterministic = false"
    connection.exec_driver_sql(f"create collation any_case ({alike})")
    connection.exec_driver_sql("create domain any_cased as text collate any_case")


@pytest.mark.parametrize(("database", "column_type"), [(name, one) for name, types in NUMBERS.items() for one in types])
def test_numbers_name_a_person(owned: Callable[[str, str, str], Owned], database: str, column_type: str) -> None:
    """A number beyond the column's type, or another notation, is another id: it finds nothing, and nothing fails."""
    rows = owned(database, column_type, "7")
    assert rows("7") == [2]
    assert {other: rows(other) for other in (*OTHERS, *BEYOND) if rows(other)} == {}


def test_what_a_view_of_sqlite_computes_is_read(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Its columns have no type, and there the number 7 is not equal to the text `7`; a field says what they have."""
    owner, reader = owner_and_reader(request, "sqlite", tmp_path)
    execute_all(
        owner,
        "create table bought (id integer primary key, buyer integer, payer integer, cents)",
        "insert into bought values (1, 7, null, 50), (2, null, 7, 'none'), (3, 8, 7, 1)",
        "create view orders as select id + 0 as id, coalesce(buyer, payer) as who, cents / 4.0 as price,"
        " coalesce(cents, 0) as cents, buyer is null as is_gift from bought",
    )
    kinds = {"price": "number", "cents": "integer", "is_gift": "boolean"}
    fields = "\n".join(f'fields.{name} = {{ type = "{kind}", text = "Value." }}' for name, kind in kinds.items())
    exporter, engine = mapped_source(reader, f"{ROWS}{fields}")
    (batch,) = exporter.export(sample_subject(SubjectKind.USER, "7"), exporter.datasets[0], Selection())
    engine.dispose()

    assert [dict(record) for record in batch.records] == [
        {"id": 1, "price": 12.5, "cents": 50, "is_gift": False},
        {"id": 2, "price": 0.0, "cents": None, "is_gift": True},
    ]
    assert [(gap.what, gap.reason) for gap in batch.gaps] == [("orders/2/cents", "not_json")]


@pytest.mark.parametrize(
    ("database", "column_type"),
    [
        *(("postgresql", one) for one in ("uuid", "text", "char(40)", "varchar(36)")),
        *(("postgresql", f"{one} collate any_case") for one in ("text", "char(40)")),
        ("postgresql", "any_cased"),
        *(("mysql", one) for one in ("char(40)", "varchar(36)", "uuid")),
        *(("sqlite", one) for one in ("text", "char(36)", "varchar(36)")),
    ],
)
def test_texts_name_a_person(owned: Callable[[str, str, str], Owned], database: str, column_type: str) -> None:
    """A UUID in lower case, in a column for UUIDs or for texts."""
    rows = owned(database, column_type, f"'{UUID}'")
    assert rows(UUID) == [2]
    assert {other: rows(other) for other in (*OTHERS, *BEYOND) if other != UUID and rows(other)} == {}


@pytest.mark.parametrize(
    ("database", "column_type", "written"),
    [
        *(("postgresql", "bytea", r"'\x0b3c'"), ("postgresql", "jsonb", "'7'"), ("postgresql", "text[]", "'{7}'")),
        *(("postgresql", one, "'7'") for one in ("money", "amount", "interval", "tsvector", "xid", "xml")),
        *(("postgresql", "int4range", "'[1,7)'"), ("postgresql", "point", "'(1,7)'")),
        *(("mysql", "binary(16)", "'7'"), ("mysql", "datetime", "'2026-01-01'"), ("sqlite", "blob", "x'07'")),
        ("mysql", "year", "2026"),
    ],
)
def test_what_is_no_id_is_refused_in_advance(
    owned: Callable[[str, str, str], Owned], database: str, column_type: str, written: str
) -> None:
    """The map says so at its check, with the type; before, each export had a gap instead of the rows."""
    with pytest.raises(BadInput, match=r"'who' of orders is [^:]+: it is compared with no id"):
        owned(database, column_type, written)


@pytest.mark.parametrize("column", ["code", "shop"])
def test_an_identity_in_bytes_is_refused(request: pytest.FixtureRequest, tmp_path: Path, column: str) -> None:
    """A look-up that finds bytes in a column of texts of SQLite is refused: they are compared with no id."""
    owner, reader = owner_and_reader(request, "sqlite", tmp_path)
    made = create_engine(owner)
    with made.begin() as connection:
        connection.exec_driver_sql("create table orders (id integer primary key, who text, code text, shop text)")
        connection.exec_driver_sql("insert into orders values (1, 'ann', 'a', 's'), (2, 'ann', 'b', 's')")
        connection.exec_driver_sql(f"update orders set {column} = x'62' where id = 2")  # noqa: S608  # of this test alone
    made.dispose()
    look_up = 'table = "orders"\nfrom = "user_id"\ncolumn = "who"\nvalue = "code"\ngives = "code"\nverified = true'
    exporter, engine = mapped_source(reader, f'{ROWS}[[identity]]\n{look_up}\ntenant = "shop"\n')
    with pytest.raises(SourceRefused, match=rf"^orders\.{column}: an identity is stored as bytes"):
        exporter.identities(sample_subject(SubjectKind.USER, "ann"))
    engine.dispose()
