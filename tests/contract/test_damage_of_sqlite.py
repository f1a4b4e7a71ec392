"""Damage of a SQLite file that makes no query fail: the check finds it, and errors of queries name it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import pytest
from source_accounts import ROWS, mapped_sources

from exporters.sql.mapped import damage, limits
from exporters.sql.mapped.exporter import MappedExporter
from portability.api import Selection, SubjectKind
from portability.api.errors import SourceDamaged
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
COUNT = 20_000
PAGE = 4096
TABLE = "create table orders (id integer primary key, who text not null, note text, check (note <> 'void'))"
NOTES = f'{ROWS}fields.note = {{ text = "Note." }}\n'
OpenSource: TypeAlias = Callable[..., MappedExporter]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with rows of one person, and an index by which they are found."""
    found = tmp_path / "shop.db"
    with closing(sqlite3.connect(found)) as connection, connection:
        connection.execute(f"pragma page_size = {PAGE}")
        connection.execute(TABLE)
        connection.executemany("insert into orders values (?, 'ann', 'x')", [(number,) for number in range(COUNT)])
        connection.execute("create index by_who on orders (who)")
        connection.execute("create index by_note on orders (note) where note = 'y'")
        connection.execute("create table other (id integer primary key, who text unique)")
        connection.execute("create table pair (id text, who text, primary key (id, who)) without rowid")
        connection.execute("create virtual table words using fts5 (text)")
    return found


@pytest.fixture
def open_source(path: Path) -> Iterator[OpenSource]:
    with mapped_sources() as open_mapped:
        yield lambda text=NOTES: open_mapped(f"sqlite:///{path}", text)


def lose_entries(path: Path) -> None:
    """Leave the index with nothing: its root is that of an index that is empty."""
    change_schema(
        path,
        "update sqlite_master set rootpage = (select rootpage from sqlite_master"
        " where name = 'sqlite_autoindex_other_1') where name = 'by_who'",
        "delete from sqlite_master where name in ('other', 'sqlite_autoindex_other_1')",
    )


def copy_page(path: Path) -> None:
    """Put the rows of a page into the place of others: they come twice, and the others are lost."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("drop index by_who")
    with path.open("r+b") as file:
        file.seek(31 * PAGE)
        page = file.read(PAGE)
        file.seek(30 * PAGE)
        file.write(page)


def change_schema(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("pragma writable_schema = on")
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("break_file", "seen"),
    [(lose_entries, f"the index by_who has 0 entries for {COUNT} rows"), (copy_page, "its pages")],
)
@pytest.mark.parametrize("table", ["orders", "bought"])
def test_the_check_finds_damage(
    path: Path, open_source: OpenSource, break_file: Callable[[Path], None], seen: str, table: str
) -> None:
    """A query finds other rows than the file has, without an error; a view may read any table."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create view bought as select id, who, note from orders where id >= 0")
    break_file(path)
    exporter = open_source(NOTES.replace('table = "orders"', f'table = "{table}"'))

    ids = {
        record["id"] for batch in exporter.export(ANN, exporter.datasets[0], Selection()) for record in batch.records
    }
    assert len(ids) < COUNT
    with pytest.raises(SourceDamaged, match=f"^shop: the table orders is damaged: {seen}$") as refused:
        exporter.check()
    assert "integrity_check" in refused.value.hint


def test_odd_values_are_no_damage(path: Path, open_source: OpenSource) -> None:
    """A file may have values that its columns no longer allow, tables without rowid, and indexes of some rows."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("pragma ignore_check_constraints = on")
        connection.execute("insert into orders values (?, 'ann', 'void')", (COUNT,))
    change_schema(
        path, "update sqlite_master set sql = replace(sql, 'note text', 'note text not null') where name = 'orders'"
    )
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create view bought as select id, who, note from orders")

    for table in ("orders", "bought"):
        kinds = {
            str(one.kind) for one in open_source(NOTES.replace('"orders"\nrows', f'"{table}"\nrows')).check().findings
        }
        assert kinds <= {"undecided_column", "undecided_table", "unsigned"}


def test_a_large_table_is_not_locked_for_long(open_source: OpenSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that write wait for a reader: the check stops, and says that it has not examined the table."""
    monkeypatch.setattr(damage, "EXAMINE_SECONDS", 0.0)
    monkeypatch.setattr(limits, "STEPS", 100)
    found = [(one.table, one.detail) for one in open_source().check().findings if one.kind == "not_compared"]

    assert found == [("orders", "examined for damage for 0 s only")]


def test_an_error_of_a_damaged_file_is_named(path: Path, open_source: OpenSource) -> None:
    """A page without any content ends the query."""
    with path.open("r+b") as file:
        file.seek(30 * PAGE)
        file.write(bytes(PAGE))
    exporter = open_source()

    with pytest.raises(SourceDamaged, match=r"^orders: the file is damaged \(DatabaseError SQLITE_CORRUPT\)$"):
        list(exporter.export(ANN, exporter.datasets[0], Selection()))
    with pytest.raises(SourceDamaged):
        exporter.check()
