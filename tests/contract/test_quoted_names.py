"""Names with line breaks, quotes, brackets and blanks, as tables have them that were made of spreadsheets."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_source, owner_and_reader

from exporters.sql.catalogue import Catalogue
from exporters.sql.catalogue import read as read_catalogue
from exporters.sql.mapped.databases import kind_of, open_database
from exporters.sql.proposal.draft import draft
from exporters.sql.proposal.propose import propose
from portability.api import CoverageKind, Selection, SubjectKind
from portability.database.engine import READING
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")


def catalogue_of(url: str, subject: str) -> Catalogue:
    """The catalogue as the account sees it, which can be proposed."""
    engine = open_database(*kind_of(url, "url"), 60)
    with engine.connect().execution_options(**READING) as connection:
        found = read_catalogue(connection)
        assert f'table = "{subject}"' in draft(propose(connection, subject))
    engine.dispose()
    return found


def undecided(url: str, text: str) -> set[str]:
    """The undecided columns that the check finds."""
    exporter, engine = mapped_source(url, text)
    found = {one.column for one in exporter.check().findings if one.kind is CoverageKind.UNDECIDED_COLUMN}
    engine.dispose()
    return found


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mysql"])
def test_any_blank_may_be_in_the_name_of_the_column_of_a_person(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    """Line feeds, tabs, and the blanks of word processors and of Japanese: the rows are read by the column."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    quote = "`" if database == "mysql" else '"'
    for number, blank in enumerate("\n\t\r\xa0\u2003\u2028\u3000"):
        name, table = f"cust{blank}no", f"orders_{number}"
        columns = f"id integer primary key, {quote}{name}{quote} varchar(40)"
        rows = f"insert into {table} values (1, 'ann'), (2, 'bob')"  # noqa: S608  # the test's own values
        execute_all(owner, f"create table {table} ({columns})", rows)
        written = name.encode("unicode_escape").decode().replace("\\x", "\\u00")
        exporter, engine = mapped_source(
            reader, ROWS.replace('"orders"', f'"{table}"').replace('"who"', f'"{written}"')
        )
        read = [
            record["id"]
            for batch in exporter.export(ANN, exporter.datasets[0], Selection())
            for record in batch.records
        ]
        found = {one.kind for one in exporter.check().findings if one.table == table}
        engine.dispose()

        assert (read, blank) == ([1], blank)
        assert found == {CoverageKind.UNDECIDED_COLUMN, CoverageKind.UNSIGNED}


def test_the_check_sees_each_column_of_mariadb(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A name may have a line feed. What the check overlooks is missing from exports that are called complete."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    names = ["e-mail\naddress", "a`\n  `b", "c\rd", "e, f", "g) h", "i'j"]
    written = ", ".join(f"`{name.replace('`', '``')}` text comment 'of `a person`'" for name in names)
    execute_all(owner, f"create table orders (id integer primary key, who varchar(40), {written})")

    assert undecided(reader, ROWS) == {"who", *names}


def test_the_check_sees_the_names_of_a_view_of_mariadb(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A percent sign stays one, and two stay two."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    made = "create view orders as select id, who, who as `share %`, who as `%%`, who as `a``b`, who as `c\nd` from own"
    execute_all(owner, "create table own (id integer primary key, who varchar(40))", made.replace("%", "%%"))

    assert undecided(reader, ROWS) == {"who", "share %", "%%", "a`b", "c\nd"}


def test_keys_of_mariadb_have_the_names_of_their_columns(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """With quotes, brackets and line feeds, and with the word that begins the description of partitions."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    names = ["a`b", "c) d", "e\nf", "PARTITION_ID", "g`, `h"]
    tables = []
    for number, name in enumerate(names):
        column = f"`{name.replace('`', '``')}`"
        columns = f"{column} integer, `x{column[1:]} integer, primary key ({column}, `x{column[1:]})"
        tables.append(f"create table t_{number} ({columns}, foreign key ({column}) references orders (`o``) n`))")
    execute_all(owner, "create table orders (`o``) n` integer primary key)", *tables)
    found = catalogue_of(reader, "orders").tables

    assert {one.key for one in found.values()} == {("o`) n",), *((name, f"x{name}") for name in names)}
    assert {(one.columns, one.table, one.keys) for table in found.values() for one in table.references} == {
        ((name,), "orders", ("o`) n",)) for name in names
    }


def test_foreign_keys_of_postgresql_have_the_names_of_their_columns(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """In the order of the key, also to a table of another schema; none of them hides the others."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    execute_all(
        owner,
        'create table orders ("n\no" integer, "a, b" integer, primary key ("n\no", "a, b"))',
        'create table "lines (old)" (id integer primary key, "x) y" integer, "z" integer,'
        ' foreign key ("z", "x) y") references orders ("n\no", "a, b"))',
        'create table notes (id integer primary key, "of.line" integer references "lines (old)")',
        'create schema "s.1"; create table "s.1".orders (id integer primary key)',
        'create table of_other (id integer primary key, other integer references "s.1".orders)',
    )
    found = catalogue_of(reader, "notes").tables
    execute_all(owner, 'drop schema "s.1" cascade')

    assert {
        name: [(one.columns, one.table, one.keys) for one in table.references] for name, table in found.items()
    } == {
        "orders": [],
        "lines (old)": [(("z", "x) y"), "orders", ("n\no", "a, b"))],
        "notes": [(("of.line",), "lines (old)", ("id",))],
        "of_other": [(("other",), "s.1.orders", ("id",))],
    }
