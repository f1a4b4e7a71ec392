"""The data by validators and readers of tables that are not ours."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import pytest
from judges.cases import Archive
from judges.programs import library, node, run
from judges.tables import FORMATS, Row, by_polars, by_python, is_the_value, tables

from archive.write.load import load


@pytest.mark.requirement("R32")
def test_every_line_is_valid_by_the_schema_beside_it(bags: list[Path]) -> None:
    """The schema in the archive is a JSON Schema, describes every field and matches every record."""
    for bag in bags:
        for table in tables(bag):
            jsonschema.Draft202012Validator.check_schema(table.schema)
            validator = jsonschema.Draft202012Validator(table.schema, format_checker=FORMATS)
            records = table.lines()

            assert len(records) == table.records
            assert [error.message for record in records for error in validator.iter_errors(record)] == []
            assert all(field["description"] for field in table.schema["properties"].values())


def test_a_schema_refuses_what_it_does_not_describe(archives: Mapping[str, Archive], tmp_path: Path) -> None:
    """So that the test above can fail: a column more, a number too large for JSON, a float for a decimal, no id."""
    (bag,) = archives["hostile texts and names"].unpacked(tmp_path)
    validator = jsonschema.Draft202012Validator(next(tables(bag)).schema)

    assert validator.is_valid({"id": "c1", "text": None, "note": [1], "number": "0.10"})
    for wrong in ({"id": "c1", "password": "x"}, {"id": 7}, {"id": "c1", "number": 0.1}, {"text": "x"}):
        assert not validator.is_valid(wrong)


@pytest.mark.parametrize("read", [by_python, by_polars], ids=["Python csv", "polars"])
def test_a_csv_reader_finds_the_records_of_the_json_lines(
    bags: list[Path], read: Callable[[Path], Sequence[Row]]
) -> None:
    """Row by row and cell by cell, but for the apostrophe before what a spreadsheet would run, also in the header."""
    for bag in bags:
        for table in tables(bag):
            rows, records = read(table.csv), table.lines()
            fields = table.schema["properties"]

            assert len(rows) == len(records)
            for cells, record in zip(rows, records, strict=True):
                row = {name.removeprefix("'"): cell for name, cell in cells.items()}
                assert list(row) == list(fields)
                wrong = [name for name in fields if not is_the_value(row[name], record.get(name), fields[name])]
                assert wrong == [], table.csv


def test_polars_distinguishes_null_from_the_empty_text(archives: Mapping[str, Archive], tmp_path: Path) -> None:
    """NULL is a bare empty cell, the empty text is `""`: a reader that knows the difference finds both."""
    (bag,) = archives["hostile texts and names"].unpacked(tmp_path)
    found = {
        record["text"]: row["text"]
        for table in tables(bag)
        for record, row in zip(table.lines(), by_polars(table.csv), strict=True)
    }

    assert (found[None], found[""]) == (None, "")


@pytest.mark.requirement("R32")
def test_duckdb_and_sqlite_load_every_record(bags: list[Path], tmp_path: Path) -> None:
    """By the programs in the archive, with hostile texts too: as many rows in each table as its pieces have records."""
    expected = Counter[str]()
    for bag in bags:
        for table in tables(bag):
            expected[f"{table.schema['$id'].split(':')[-2]}_{table.schema['$id'].split(':')[-1]}"] += table.records
    with closing(duckdb.connect()) as database:
        for bag in (bag for bag in bags if (bag / "load.sql").exists()):
            with chdir(bag):
                database.execute((bag / "load.sql").read_text())
        counted = "select table_name, estimated_size from duckdb_tables()"
        loaded = dict(database.execute(counted).fetchall())

    assert loaded == expected
    assert load(str(tmp_path / "my-data.sqlite"), bags[-1]) == expected


@pytest.mark.requirement("R32")
def test_ajv_compiles_each_schema_in_strict_mode(archives: Mapping[str, Archive], tmp_path: Path) -> None:
    """Also that of the notice: no unknown keyword, no union of types; and every line is valid by it."""
    bags = all_bags(archives, tmp_path)
    report = json.loads(run([*node("schemas.cjs"), *bags]))

    assert report["faults"] == []
    assert report["records"] == sum(table.records for bag in bags for table in tables(bag))
    assert report["schemas"] == sum(1 for bag in bags for _path in (bag / "schemas").rglob("*.json"))


@dataclass(frozen=True, slots=True)
class ByFrictionless:
    """What frictionless says in one process: it takes two seconds to start."""

    reports: Mapping[Path, Mapping[str, Any]]
    """Of each bag."""
    damaged: Mapping[str, Any]
    """Of a bag whose first call has an unknown word, and whose other calls are lost."""
    hostile: Path
    texts: Mapping[str, str | None]
    """Of that bag, by the id of the record."""


@pytest.fixture(scope="module")
def by_frictionless(archives: Mapping[str, Archive], tmp_path_factory: pytest.TempPathFactory) -> ByFrictionless:
    """Of all archives except the one that `make test-systems` adds."""
    folder = tmp_path_factory.mktemp("frictionless")
    bags = all_bags({name: archive for name, archive in archives.items() if name != SAME_TABLES}, folder)
    made = {name: (folder / name, archives[name]) for name in ("portability of a contact", "hostile texts and names")}
    (damaged,), (hostile,) = (archive.unpacked(to) for to, archive in made.values())
    calls = damaged / "data/calls/calls.csv"
    header, first, *lost = calls.read_text().splitlines(keepends=True)
    assert lost
    calls.write_text(header + first.replace("inbound", "sideways").replace("outbound", "sideways"))
    texts, of_damaged, *reports = judged(hostile, damaged, *bags)
    return ByFrictionless(dict(zip(bags, reports, strict=True)), of_damaged, hostile, dict(texts))


@pytest.mark.requirement("R32")
def test_frictionless_validates_the_data_package(by_frictionless: ByFrictionless) -> None:
    """Data Package v2 by its own tool: the descriptor, sizes, hashes, each cell by its Table Schema, foreign keys.

    It does not read a file that a customer sent as a table, whatever its name and content.
    """
    for bag, report in by_frictionless.reports.items():
        is_valid(bag, report)


@pytest.mark.system
def test_frictionless_validates_the_same_tables_with_usual_texts(
    archives: Mapping[str, Archive], tmp_path: Path
) -> None:
    """The tables of the person with hostile text everywhere, whom `make test` judges, with the rows of another user."""
    (bag,) = archives[SAME_TABLES].unpacked(tmp_path)
    is_valid(bag, judged(bag, bag)[1])


def is_valid(bag: Path, report: Mapping[str, Any]) -> None:
    assert (report["valid"], report["warnings"]) == (True, []), bag
    assert report["stats"]["tasks"] == len(json.loads((bag / "datapackage.json").read_text())["resources"]), bag


def test_frictionless_distinguishes_null_from_the_empty_text(by_frictionless: ByFrictionless) -> None:
    """In JSON Lines, as JSON does; the rows that it reads by the schema have each text of each line."""
    said = {record["id"]: record["text"] for table in tables(by_frictionless.hostile) for record in table.lines()}

    assert {"", None} < set(said.values())
    assert by_frictionless.texts == said


@pytest.mark.requirement("R32")
def test_frictionless_finds_a_record_that_leads_nowhere(by_frictionless: ByFrictionless) -> None:
    """The data package states foreign keys and enumerations, so a lost call and an unknown word are errors."""
    errors = [error for task in by_frictionless.damaged["tasks"] for error in task["errors"]]

    assert {error["type"] for error in errors} >= {"constraint-error", "foreign-key"}


SAME_TABLES = "access of a user"
"""The case with the tables of the person with hostile text everywhere."""
JUDGE = """
import json, os, sys
from frictionless import Package, validate

os.chdir(sys.argv[1])
lines = [one for one in Package("datapackage.json").resources if one.format == "jsonl"]
found = [[[row.get("id"), row.get("text")] for one in lines for row in one.read_rows()]]
for bag in sys.argv[2:]:
    os.chdir(bag)
    found.append(validate("datapackage.json").to_dict())
print(json.dumps(found))
"""


def judged(read: Path, *bags: Path) -> list[Any]:
    """The texts that frictionless reads in one bag, and what it says of each of the others."""
    library("frictionless")
    library("jsonlines")  # its reader of JSON Lines
    return list(json.loads(run([sys.executable, "-c", JUDGE, read, *bags])))


def all_bags(archives: Mapping[str, Archive], folder: Path) -> list[Path]:
    """The volumes of all archives, unpacked."""
    bags: list[Path] = []
    for number, archive in enumerate(archives.values()):
        (to := folder / str(number)).mkdir()
        bags += archive.unpacked(to)
    return bags
