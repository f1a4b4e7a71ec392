"""The programs in an archive load every record with its type: judged by DuckDB and SQLite, from unpacked volumes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import chdir, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pandas as pd
import pytest
import volumes

from archive.parts import Content, SealedVolume
from archive.write import load
from archive.write.volume import Volume
from portability.api import Dataset, Field, FieldType, Provenance, Role

pytestmark = pytest.mark.slow

SAMPLED = 20_480
"""Values from which DuckDB infers the type of a column."""
ROWS = SAMPLED + 20
KINDS: Mapping[str, FieldType] = {
    "id": FieldType.STRING,
    "at": FieldType.DATETIME,
    "day": FieldType.DATE,
    "count": FieldType.INTEGER,
    "share": FieldType.NUMBER,
    "cost": FieldType.DECIMAL,
    "ok": FieldType.BOOLEAN,
    "custom": FieldType.OBJECT,
    "note": FieldType.STRING,
}
FILLED: Mapping[str, Any] = {
    "at": "2026-03-01T08:30:05.123456Z",
    "day": "2026-03-01",
    "count": str(2**53 + 1),
    "share": 29999.5,
    "cost": "1250000.10",
    "ok": True,
    "custom": {"a": [1]},
    "note": "it's \U0001f642 a\0b",
}
RUN = (
    "import pathlib, sys; folder = pathlib.Path(sys.argv[1]); sys.path.insert(0, str(folder)); import load;"
    "print(load.load(sys.argv[2], folder), list(load.missing(folder)))"
)
SHOP_TABLES = ("shop_order_items", '"shop_order/items"')
THINGS = Dataset(
    "things",
    "Things",
    "Things.",
    tuple(Field(name, kind, "A value.", Provenance.PROVIDED) for name, kind in KINDS.items()),
    Provenance.PROVIDED,
    Role.CONTROLLER,
    ("id",),
)


def _record(number: int) -> dict[str, Any]:
    nothing: dict[str, Any] = dict.fromkeys(KINDS)
    return {**nothing, "id": f"{number:05}", **(FILLED if number >= SAMPLED else {})}


def _unpacked(
    folder: Path,
    number: int,
    pieces: Sequence[tuple[str, Sequence[Mapping[str, Any]], bool]],
    earlier: Sequence[SealedVolume] = (),
) -> SealedVolume:
    """A volume with pieces of `things`, unpacked; one after `earlier` volumes closes the export."""
    written = bytearray()
    volume = Volume(volumes.envelope(), number, written.extend)
    for name, records, corrects in pieces:
        content = Content("made", THINGS, "application/jsonl", records=len(records), corrects=corrects)
        volume.add(f"made/things{name}.jsonl", [orjson.dumps(one) + b"\n" for one in records], content)
    closing_document = volumes.closing_document(volumes.envelope(), number, earlier) if earlier else None
    sealed = volume.seal(volumes.KEY, closing=closing_document)
    path = folder / f"{volume.name}.zip"
    path.write_bytes(written)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return sealed


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """Two volumes: columns that begin with 20,480 nulls, in two pieces; then a correction of the first record."""
    folder = tmp_path_factory.mktemp("it's unpacked")
    everything = [_record(number) for number in range(ROWS)]
    first = _unpacked(folder, 1, [("-0001", everything[:-1], False), ("-0002", everything[-1:], False)])
    corrected = {**_record(ROWS), "id": "00000"}
    second = _unpacked(folder, 2, [("-r2-01-correction", [corrected], True)], [first])
    return [folder / first.name, folder / second.name]


def _in_duckdb(folders: Sequence[Path]) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    for folder in folders:
        with chdir(folder):
            database.execute((folder / "load.sql").read_text())
    return database


def test_duckdb_loads_columns_that_begin_with_nulls(unpacked: Sequence[Path]) -> None:
    """Its own inference loses what comes after 20,480 nulls, without an error; `load.sql` states the types."""
    with closing(duckdb.connect()) as database, chdir(unpacked[0]):
        guessed = database.execute("select count(note), count(share) from 'data/made/things-0001.jsonl'").fetchall()
    with closing(_in_duckdb(unpacked[:1])) as database:
        (counts,), (row,) = _counts_and_rows(database, f"{ROWS - 1:05}")
        types = database.execute("select data_type from duckdb_columns() where table_name = 'made_things'").fetchall()

    assert guessed == [(0, 0)]
    assert counts == (ROWS, ROWS, *[20] * len(FILLED))
    assert row[3:] == (2**53 + 1, 29999.5, "1250000.10", True, '{"a":[1]}', FILLED["note"])
    assert (row[1].isoformat(), row[2].isoformat()) == ("2026-03-01T08:30:05.123456+00:00", "2026-03-01")
    assert [kind for (kind,) in types] == [
        *("VARCHAR", "VARCHAR", "TIMESTAMP WITH TIME ZONE", "DATE", "BIGINT", "DOUBLE", "VARCHAR", "BOOLEAN"),
        *("JSON", "VARCHAR"),
    ]


def test_duckdb_loads_volumes_again_and_corrections_replace_records(unpacked: Sequence[Path]) -> None:
    """The volumes in their order, twice: as many rows as records, and the corrected record is the later one."""
    with closing(_in_duckdb([*unpacked, *unpacked])) as database:
        assert database.execute("select count(*), count(distinct id) from made_things").fetchall() == [(ROWS, ROWS)]
        assert database.execute("select \"_volume\", cost from made_things where id = '00000'").fetchall() == [
            (unpacked[1].name, "1250000.10")
        ]


def test_sqlite_gets_all_volumes_from_the_program_in_any_of_them(unpacked: Sequence[Path], tmp_path: Path) -> None:
    """As a person runs it, with nothing but Python; a second time it replaces its tables."""
    target = tmp_path / "my-data.sqlite"
    for folder in unpacked:
        command = [sys.executable, "-I", "-S", str(folder / "load.py"), str(target)]
        done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=tmp_path)
        assert (done.stdout, done.stderr) == (f"made_things: {ROWS} rows\n", "")
    with closing(sqlite3.connect(target)) as database:
        (counts,), rows = _counts_and_rows(database, "00000", f"{ROWS - 1:05}")

    expected = (*("2026-03-01T08:30:05.123456Z", "2026-03-01", 2**53 + 1, 29999.5), "1250000.10", 1, '{"a": [1]}')
    assert counts == (ROWS, ROWS, *[21] * len(FILLED))
    assert rows == [("00000", *expected, FILLED["note"]), (f"{ROWS - 1:05}", *expected, FILLED["note"])]


def test_pandas_gets_exact_values(unpacked: Sequence[Path]) -> None:
    """Ids keep their zeros, decimals their digits and long integers their value, which pandas' own reader changes."""
    frame = pd.DataFrame(load.records("made", "things", unpacked[0]), dtype=object).set_index("id")
    with (unpacked[0] / "data/made/things-0002.jsonl").open() as lines:
        guessed = pd.read_json(lines, lines=True)

    assert len(frame) == ROWS
    assert (frame.loc["00000", "cost"], frame.loc["00000", "count"]) == ("1250000.10", 2**53 + 1)
    assert sum(map(Decimal, frame["cost"].dropna())) == Decimal("1250000.10") * 21
    assert guessed.loc[0, "id"] != f"{ROWS - 1:05}"


def test_a_missing_volume_is_named(unpacked: Sequence[Path], tmp_path: Path) -> None:
    """A person who unpacked one volume of two reads which volume is missing."""
    for folder, missing in ((unpacked[0], ["the closing volume"]), (unpacked[1], [unpacked[0].name])):
        alone = tmp_path / folder.name / folder.name
        alone.parent.mkdir()
        alone.symlink_to(folder)
        assert list(load.missing(alone)) == missing


def test_folders_may_have_any_names_and_copies(unpacked: Sequence[Path], tmp_path: Path) -> None:
    """Who unpacks a volume twice gets "... 2" or "... (1)"; each volume is loaded once, and none is called missing."""
    for number, folder in enumerate(unpacked):
        for name in (f"{folder.name} 2", f"{folder.name} (1)", f"my data {len(unpacked) - number}"):
            (tmp_path / name).symlink_to(folder)
    target = tmp_path / "my-data.sqlite"
    command = [sys.executable, "-I", "-S", "-c", RUN, str(tmp_path / "my data 1"), str(target)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)

    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{{'made_things': {ROWS}}} []\n")


def test_a_volume_without_json_lines_has_no_programs(tmp_path: Path) -> None:
    """There is nothing to load."""
    folder = tmp_path / _unpacked(tmp_path, 1, []).name

    assert not (folder / "load.sql").exists()
    assert not (folder / "load.py").exists()


def _counts_and_rows(database: Any, *ids: str) -> tuple[list[Any], list[Any]]:
    """How many rows and values of each column there are, and the rows with these ids."""
    columns = [f'"{name}"' for name in KINDS]
    counted = f"select count(*), {', '.join(f'count({name})' for name in columns)} from made_things"  # noqa: S608  # of this module
    wanted = f"select {', '.join(columns)} from made_things where id in ({', '.join('?' * len(ids))}) order by id"  # noqa: S608  # as above
    return database.execute(counted).fetchall(), database.execute(wanted, ids).fetchall()


def _with_fields(name: str, /, **kinds: FieldType) -> Dataset:
    fields = tuple(Field(field, kind, "A value.", Provenance.PROVIDED) for field, kind in kinds.items())
    return Dataset(name, name, name, fields, Provenance.PROVIDED, Role.CONTROLLER, ("id",))


def test_no_two_datasets_share_a_table(tmp_path: Path) -> None:
    """`shop` with `order_items` and `shop_order` with `items`: before, the second replaced the first in silence."""
    written = bytearray()
    volume = Volume(volumes.envelope(), 1, written.extend)
    for exporter, name, count in (("shop", "order_items", 3), ("shop_order", "items", 2)):
        dataset = _with_fields(name, id=FieldType.STRING, **{f"of_{exporter}": FieldType.STRING})
        lines = [orjson.dumps({"id": str(number), f"of_{exporter}": exporter}) + b"\n" for number in range(count)]
        volume.add(f"{exporter}/{name}.jsonl", lines, Content(exporter, dataset, "application/jsonl", records=count))
    folder = _sealed(tmp_path, volume, written)

    command = [sys.executable, "-I", "-S", str(folder / "load.py"), str(tmp_path / "mine.sqlite")]
    done = subprocess.run(command, capture_output=True, check=True)
    with closing(sqlite3.connect(tmp_path / "mine.sqlite")) as database:
        in_sqlite = [database.execute(f"select * from {table}").fetchall() for table in SHOP_TABLES]  # noqa: S608  # constants
    with closing(_in_duckdb([folder])) as database:
        in_duckdb = [database.execute(f"select id from {table}").fetchall() for table in SHOP_TABLES]  # noqa: S608  # as above

    assert done.stdout.decode().splitlines() == ["shop_order_items: 3 rows", "shop_order/items: 2 rows"]
    assert in_sqlite == [
        [("0", "shop"), ("1", "shop"), ("2", "shop")],
        [("0", "shop_order"), ("1", "shop_order")],
    ]
    assert in_duckdb == [[("0",), ("1",), ("2",)], [("0",), ("1",)]]


CASES = {
    "id": FieldType.STRING,
    "Name": FieldType.STRING,
    "name": FieldType.INTEGER,
    "NAME": FieldType.OBJECT,
    "_volume": FieldType.DATE,
}


def test_fields_that_differ_by_case_have_columns_of_their_own(tmp_path: Path) -> None:
    """So has a field with the name of the column for the volume. Before, both programs stopped at such a dataset."""
    written = bytearray()
    volume = Volume(volumes.envelope(), 1, written.extend)
    lines = [
        b'{"id":"1","Name":"Ann","name":"9007199254740993","NAME":{"a":null},"_volume":"2026-11-29"}\n',
        b'{"id":"2","Name":null,"name":null,"NAME":null,"_volume":null}\n',
    ]
    content = Content("SQLite", _with_fields("people", **CASES), "application/jsonl", records=2)
    volume.add("SQLite/people.jsonl", lines, content)
    folder = _sealed(tmp_path, volume, written)

    command = [sys.executable, "-I", "-S", str(folder / "load.py"), str(tmp_path / "mine.sqlite")]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    with closing(sqlite3.connect(tmp_path / "mine.sqlite")) as database:
        in_sqlite = database.execute('select * from "SQLite/people"')
        columns = [one[0] for one in in_sqlite.description]
        rows = in_sqlite.fetchall()
    with closing(_in_duckdb([folder, folder])) as database:
        wanted = 'select "Name", name_2, "NAME_3", cast("_volume_2" as varchar) from "SQLite/people" order by id'
        in_duckdb = database.execute(wanted).fetchall()

    assert done.stdout == "SQLite/people: 2 rows\n"
    assert columns == ["id", "Name", "name_2", "NAME_3", "_volume"]
    assert rows == [("1", "Ann", 9007199254740993, '{"a": null}', "2026-11-29"), ("2", None, None, None, None)]
    assert in_duckdb == [("Ann", 9007199254740993, '{"a":null}', "2026-11-29"), (None, None, None, None)]


def test_json_in_sqlite_is_json_whatever_it_is(tmp_path: Path) -> None:
    """A text is not a number, and true is not 1; an absent value is NULL."""
    texts = ['"5"', "5", "true", '"true"', "1.5", '"null"', '{"a": [null]}', '"\U0001f642"']
    written = bytearray()
    volume = Volume(volumes.envelope(), 1, written.extend)
    lines = [b'{"id":"%d","free":%s}\n' % (number, text.encode()) for number, text in enumerate([*texts, "null"])]
    dataset = _with_fields("free", id=FieldType.STRING, free=FieldType.OBJECT)
    volume.add("made/free.jsonl", lines, Content("made", dataset, "application/jsonl", records=len(lines)))
    folder = _sealed(tmp_path, volume, written)

    subprocess.run([sys.executable, "-I", "-S", folder / "load.py", tmp_path / "mine.sqlite"], check=True)
    with closing(sqlite3.connect(tmp_path / "mine.sqlite")) as database:
        found = [value for (value,) in database.execute("select free from made_free order by id")]

    assert found == [*texts, None]


def _sealed(folder: Path, volume: Volume, written: bytearray) -> Path:
    """The unpacked folder of a whole archive of one volume."""
    closing_document = volumes.closing_document(volumes.envelope(), 1)
    sealed = volume.seal(volumes.KEY, closing=closing_document)
    path = folder / f"{sealed.name}.zip"
    path.write_bytes(written)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder / sealed.name
