"""Values of a company's own columns: each arrives as it is stored, or is a gap that names it. No figure is rounded."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import pytest
from source_accounts import owner_and_reader
from sqlalchemy import Engine, create_engine

from exporters.maps.reading import MapText
from exporters.sql.mapped.databases import SectionSources, kind_of, open_database
from exporters.sql.mapped.exporter import MappedExporter, MappedSection
from exporters.sql.mapped.kind import kind
from portability.api import Selection, SubjectKind
from portability.api.errors import SourceRefused
from portability.testing import MemoryFiles, SampleSources, sample_subject

Read: TypeAlias = Callable[[str, Mapping[str, tuple[str, str]]], tuple[list[dict[str, Any]], list[str]]]
"""Reads the records, without `id`, and the gaps: for statements that make the table `t`, and its fields."""
HEAD = """
title = "Shop"
role = "controller"
kinds = ["user"]
[[dataset]]
name = "t"
title = "Rows"
description = "Rows of yours."
provenance = "observed"
table = "t"
rows = [{ column = "who", identities = ["user_id"] }]
fields.id = { type = "integer", text = "Id." }
"""
JSON_TEXT = '{"amount": 12345678901234567.89, "rate": 0.1, "big": 9007199254740993, "huge": 1e400}'
JSON_VALUE = {"amount": "12345678901234567.89", "rate": 0.1, "big": 9007199254740993, "huge": "1e400"}


@pytest.fixture(scope="module")
def urls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, str]]:
    """Makes a database: its address for its owner, and for an account that can only read."""

    def make(database: str) -> tuple[str, str]:
        return owner_and_reader(request, database, tmp_path_factory.mktemp("shop"))

    return make


@pytest.fixture
def open_engines() -> Iterator[list[Engine]]:
    engines: list[Engine] = []
    yield engines
    for engine in engines:
        engine.dispose()


@pytest.fixture
def read_from(urls: Callable[[str], tuple[str, str]], open_engines: list[Engine]) -> Callable[[str], Read]:
    """Reads from a database of this kind."""

    def of(database: str) -> Read:
        owner, reader = urls(database)
        made = create_engine(owner)
        backend, address = kind_of(reader, "url")
        engine = open_database(backend, address, 60)
        open_engines.extend([made, engine])

        def read(statements: str, fields: Mapping[str, tuple[str, str]]) -> tuple[list[dict[str, Any]], list[str]]:
            with made.begin() as connection:
                for statement in filter(str.strip, statements.split(";")):
                    connection.exec_driver_sql(statement)
            lines = [
                f'fields.{name} = {{ column = "{column}", type = "{of_type}", text = "Value." }}'
                for name, (column, of_type) in fields.items()
            ]
            sources = SectionSources(engine, SampleSources(engine, MemoryFiles({})))
            text = MapText("shop.toml", HEAD + "\n".join(lines))
            exporter = MappedExporter(MappedSection("shop", kind.parse(text), backend, sources))
            subject = sample_subject(SubjectKind.USER, "usr_1")
            batches = list(exporter.export(subject, exporter.datasets[0], Selection()))
            records = [{k: v for k, v in one.items() if k != "id"} for batch in batches for one in batch.records]
            return records, [gap.what for batch in batches for gap in batch.gaps]

        return read

    return of


def table_of(columns: str, *rows: str) -> str:
    """Statements that make the table, with rows of the person, numbered from 1."""
    values = ", ".join(f"({number}, 'usr_1', {row})" for number, row in enumerate(rows, 1))
    made = f"create table t (id integer primary key, who varchar(20), {columns})"
    return ";".join([made, f"insert into t values {values}"])  # noqa: S608  # of this test alone


DATABASES = pytest.mark.parametrize("database", ["sqlite", "postgresql", "mysql"])


@DATABASES
def test_numbers_within_json_keep_their_digits(read_from: Callable[[str], Read], database: str) -> None:
    """A parser with doubles makes 1.2345678901234568e+16 of the amount; here it is a text with all its digits."""
    column = {"sqlite": "text", "postgresql": "json", "mysql": "json"}[database]
    records, gaps = read_from(database)(
        table_of(f"j {column}", f"'{JSON_TEXT}'", """'{"a": 0.5}'"""),
        {"j": ("j", "object")},
    )

    assert (records, gaps) == ([{"j": JSON_VALUE}, {"j": {"a": 0.5}}], [])


@DATABASES
def test_a_name_twice_within_json_is_a_gap(read_from: Callable[[str], Read], database: str) -> None:
    """A parser keeps the last value; here the gap names the record, and the next record is complete."""
    column = {"sqlite": "text", "postgresql": "json", "mysql": "longtext"}[database]
    records, gaps = read_from(database)(
        table_of(f"j {column}", """'{"a": 1, "a": 2}'""", """'{"a": 3}'"""),
        {"j": ("j", "object")},
    )

    assert (records, gaps) == ([{"j": None}, {"j": {"a": 3}}], ["t/1/j"])


@DATABASES
def test_an_integer_that_no_number_represents_is_a_gap(read_from: Callable[[str], Read], database: str) -> None:
    """A field of the type `number` is a double: 2^53 + 1 would become 2^53. As integer or decimal it is exact."""
    records, gaps = read_from(database)(
        table_of("big bigint", "9007199254740993", "5", "9007199254740992"),
        {"n": ("big", "number")},
    )

    assert (records, gaps) == ([{"n": None}, {"n": 5.0}, {"n": 9007199254740992.0}], ["t/1/n"])


def test_arrays_of_decimals_keep_their_digits(read_from: Callable[[str], Read]) -> None:
    """PostgreSQL writes an array as JSON, whose numbers are exact."""
    records, gaps = read_from("postgresql")(
        table_of("a numeric[]", "'{12345678901234567.89,0.1,NULL}'"),
        {"a": ("a", "object")},
    )

    assert (records, gaps) == ([{"a": ["12345678901234567.89", 0.1, None]}], [])


def test_numbers_of_single_precision_keep_their_digits(read_from: Callable[[str], Read]) -> None:
    """MariaDB writes a FLOAT with six digits: 16777215 would become 16777200. 0.1 and 19.99 are as they were stored."""
    stored = ("16777215", "1234567", "0.1", "19.99", "-1.05", "0", "3.4028234e38", "1e-40", "1.0000001")
    records, gaps = read_from("mysql")(table_of("f float", *stored), {"f": ("f", "number")})

    assert gaps == []
    found = [one["f"] for one in records]
    assert found[:6] == [16777215.0, 1234567.0, 0.1, 19.99, -1.05, 0.0]
    assert [struct.pack("f", one) for one in found] == [struct.pack("f", float(value)) for value in stored]


@pytest.mark.parametrize(
    ("database", "column"), [("sqlite", "real"), ("postgresql", "double precision"), ("mysql", "double")]
)
def test_a_double_as_a_text_keeps_its_digits(read_from: Callable[[str], Read], database: str, column: str) -> None:
    """A double needs up to 17 digits; SQLite writes 15 of them. No two numbers have the same text."""
    stored = ("0.1", "0.30000000000000004", "0.3", "100.00123977661133", "5e-324", "1.7976931348623157e308", "-2.5")
    records, gaps = read_from(database)(table_of(f"f {column}", *stored), {"f": ("f", "string")})

    assert gaps == []
    assert [float(one["f"]) for one in records] == [float(value) for value in stored]
    assert [one["f"] for one in records][:4] == [*stored[:4]]


def test_bits_have_any_name(read_from: Callable[[str], Read]) -> None:
    """A column may have any name: arithmetic with its values leaves the name alone."""
    (record,), missing = read_from("mysql")(table_of("x0e0 bit(9)", "b'100000001'"), {"n": ("x0e0", "integer")})
    assert (record, missing) == ({"n": 257}, [])


def test_bits_are_truths_and_integers(read_from: Callable[[str], Read]) -> None:
    """MariaDB gives bits as bytes: a single bit is a truth, several are an integer, and as text it is written."""
    records, gaps = read_from("mysql")(
        table_of("a bit(1), b bit(64), c bit(9)", f"b'1', b'{'1' * 64}', b'100000001'", "b'0', 0, null"),
        {"a": ("a", "boolean"), "b": ("b", "integer"), "c": ("c", "string")},
    )

    assert (records, gaps) == (
        [{"a": True, "b": 18446744073709551615, "c": "257"}, {"a": False, "b": 0, "c": None}],
        [],
    )


def test_bytes_are_texts_or_a_gap(read_from: Callable[[str], Read]) -> None:
    """MariaDB writes `?` for each byte that is not UTF-8: two ids would become the same. Texts in bytes are exact."""
    rows = ("'Zo\u00eb', 'abcd'", "x'0b3cff00', 'abcd'", "null, x'00ff00ff'", "'', ''")
    records, gaps = read_from("mysql")(
        table_of("v varbinary(20), b binary(4)", *rows), {"v": ("v", "string"), "b": ("b", "string")}
    )

    assert [(one["v"], one["b"]) for one in records] == [
        ("Zo\u00eb", "abcd"),
        (None, "abcd"),
        (None, None),
        ("", "\0\0\0\0"),
    ]
    assert gaps == ["t/2/v", "t/3/b"]


@pytest.mark.parametrize("kind", ["tinyblob", "blob", "mediumblob", "longblob"])
def test_texts_in_a_blob_are_exact(read_from: Callable[[str], Read], kind: str) -> None:
    """Request Tracker and MediaWiki store texts there. A value that is not UTF-8 is a gap, and changes no other."""
    records, gaps = read_from("mysql")(
        table_of(f"v {kind}", "'Zo\u00eb \U0001f600\n'", "x'89504e47'", "null", "''"), {"v": ("v", "string")}
    )

    assert [one["v"] for one in records] == ["Zo\u00eb \U0001f600\n", None, None, ""]
    assert gaps == ["t/2/v"]


def test_bytes_are_no_numbers(read_from: Callable[[str], Read]) -> None:
    """A column without characters is a text, or it is left out: the map says so at its check."""
    with pytest.raises(SourceRefused, match=r'the column is varbinary.*: write type = "string"'):
        read_from("mysql")(table_of("v varbinary(20)", "'7'"), {"v": ("v", "object")})


@pytest.mark.parametrize("kind", ["string", "decimal"])
def test_bytes_beside_numbers_of_sqlite_are_a_gap(read_from: Callable[[str], Read], kind: str) -> None:
    """Any column of SQLite may have bytes: as a text their digits would be a number that no one stored."""
    records, gaps = read_from("sqlite")(table_of("v integer", "12", "x'3132'"), {"v": ("v", kind)})

    assert (records, gaps) == ([{"v": "12"}, {"v": None}], ["t/2/v"])


def test_an_address_of_a_host_has_no_mask(read_from: Callable[[str], Read]) -> None:
    """As PostgreSQL shows it: only a conversion to text adds `/32`. The address of a network keeps its mask."""
    addresses = ["10.0.0.1", "2001:db8::1", "192.168.0.1/24"] * 300  # enough for the database to join them
    rows = [f"'{address}', '10.1.0.0/16'" for address in addresses]
    records, gaps = read_from("postgresql")(
        table_of("ip inet, net cidr", *rows, "null, null"), {"ip": ("ip", "string"), "net": ("net", "string")}
    )

    assert [one["ip"] for one in records] == [*addresses, None]
    assert ({one["net"] for one in records[:-1]}, gaps) == ({"10.1.0.0/16"}, [])
