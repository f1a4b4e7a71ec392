"""SQLite and Parquet as other programs read them: sqlite3, DuckDB, pyarrow and polars."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import polars as pl
import pytest
from factories import dataset

from formats import parquet, sqlite
from portability.api import Dataset, Field, FieldType, FormatError, Provenance, Record, Role
from portability.testing.formats import SAMPLE, VALUES
from portability.testing.forms import MemorySink, written_files

NULLS: Record = dict.fromkeys(VALUES)
HUGE: Record = VALUES | {"integer": 10**30, "number": 3, "string": "", "decimal": "12345678901234567890123456789.10"}


@pytest.fixture
def forms_database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database of two datasets: two batches of the first, one of the second."""
    files = written_files(
        sqlite.format, [(SAMPLE, [[VALUES, NULLS], [HUGE]]), (dataset("others"), [[{"id": "1", "text": None}]])]
    )
    (tmp_path / "my-data.sqlite").write_bytes(files["my-data.sqlite"])
    with closing(sqlite3.connect(tmp_path / "my-data.sqlite")) as connection:
        yield connection


def test_sqlite_keeps_every_value(forms_database: sqlite3.Connection) -> None:
    """Numbers keep their type, an integer of more than 64 bits is its digits, and NULL is not the empty text."""
    assert forms_database.execute("pragma integrity_check").fetchall() == [("ok",)]
    columns = [field.name for field in SAMPLE.fields]
    rows = [dict(zip(columns, row, strict=True)) for row in forms_database.execute("select * from exporter_things")]
    as_stored: Record = {"boolean": 0, "object": '{"a":[1,null,{"b":"c"}]}'}
    assert rows == [{**VALUES, **as_stored}, NULLS, {**HUGE, **as_stored, "integer": str(10**30)}]
    assert [type(row["number"]) for row in rows] == [float, type(None), int]


def test_sqlite_says_what_it_holds(forms_database: sqlite3.Connection) -> None:
    """`_datasets` names the dataset of each table, and `_fields` explains each column."""
    tables = forms_database.execute("select name, exporter, dataset from _datasets").fetchall()
    names = ("things", "others")
    assert tables == [(f"exporter_{name}", "exporter", name) for name in names]
    described = forms_database.execute("select description from _fields where field = 'date'").fetchall()
    assert described == [("A date.",)]


def test_sqlite_takes_names_that_differ_by_case_only() -> None:
    """SQLite ignores the case of names; a column that it could not tell apart gets a number."""
    fields = tuple(Field(name, FieldType.STRING, "A text.", Provenance.PROVIDED) for name in ("Id", "id", 'a"b'))
    odd = Dataset("x", "X", "X.", fields, Provenance.PROVIDED, Role.CONTROLLER, ("Id",))
    body = written_files(sqlite.format, [(odd, [[{"Id": "1", "id": "2", 'a"b': "3"}]])])["my-data.sqlite"]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(body)
        found = connection.execute("select * from exporter_x")
        assert [column[0] for column in found.description] == ["Id", "id_2", 'a"b']
        assert found.fetchall() == [("1", "2", "3")]


def test_sqlite_refuses_more_columns_than_it_has() -> None:
    """The host then leaves the form out of the volume."""
    fields = tuple(Field(f"f{n}", FieldType.STRING, "A text.", Provenance.PROVIDED) for n in range(2_001))
    wide = Dataset("wide", "Wide", "Wide.", fields, Provenance.PROVIDED, Role.CONTROLLER, ("f0",))
    with pytest.raises(FormatError):
        written_files(sqlite.format, [(wide, [[{"f0": "1"}]])])


@pytest.mark.parametrize(("pages", "records"), [(1, 0), (4, 0), (40, 9_000)])
def test_a_full_disk_is_not_a_value_that_sqlite_cannot_hold(
    monkeypatch: pytest.MonkeyPatch, pages: int, records: int
) -> None:
    """The host would leave the form out of a volume for good, and the disk may have room for the next worker."""
    monkeypatch.setattr(sqlite, "_SETTINGS", (*sqlite._SETTINGS, f"max_page_count = {pages}"))
    with pytest.raises(OSError, match="No space left on device"):
        written_files(
            sqlite.format, [(dataset("others"), [[{"id": f"{n}", "text": "x" * 99} for n in range(records)]])]
        )


def test_parquet_has_types(tmp_path: Path) -> None:
    """DuckDB and polars read times, dates and all digits of a decimal; what does not fit is NULL, and counted."""
    out = MemorySink()
    writer = parquet.format.open(out)
    writer.begin("exporter", SAMPLE)
    writer.write([VALUES, NULLS, HUGE, VALUES | {"datetime": "soon", "date": "2026-13-01", "number": 2**53 + 1}])
    assert writer.close() == {"values_left": 4}
    assert list(out.files) == ["parquet/exporter/things.parquet"]
    path = tmp_path / "things.parquet"
    path.write_bytes(out.files["parquet/exporter/things.parquet"])

    described = duckdb.read_parquet(str(path))
    assert dict(zip(described.columns, map(str, described.types), strict=True)) == {
        "string": "VARCHAR",
        "integer": "BIGINT",
        "number": "DOUBLE",
        "decimal": "VARCHAR",
        "boolean": "BOOLEAN",
        "datetime": "TIMESTAMP WITH TIME ZONE",
        "date": "DATE",
        "object": "VARCHAR",
    }
    columns = ("*", "integer", "datetime", "date", "number")
    counted = duckdb.read_parquet(str(path)).aggregate(", ".join(f"count({column})" for column in columns))
    assert counted.fetchall() == [(4, 2, 2, 2, 2)]
    frame = pl.read_parquet(path)
    assert frame["string"].to_list() == [VALUES["string"], None, "", VALUES["string"]]
    assert frame["decimal"].to_list()[2] == "12345678901234567890123456789.10"
    assert str(frame["datetime"].to_list()[0]) == "2026-11-24 08:30:00+00:00"


def test_parquet_groups_do_not_depend_on_batches() -> None:
    """25,000 rows are three groups, in batches of any size."""
    records = [{"id": str(number), "text": "x"} for number in range(25_000)]
    whole = written_files(parquet.format, [(dataset(), [records])])
    split = [records[begin : begin + 999] for begin in range(0, 25_000, 999)]
    assert written_files(parquet.format, [(dataset(), split)]) == whole
