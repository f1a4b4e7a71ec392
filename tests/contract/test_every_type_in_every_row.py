"""PostgreSQL: a value is the same in the first rows of a dataset, read one by one, and in joined columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader
from sqlalchemy import create_engine

from exporters.sql import pages
from portability.api import JSON, Batch, Selection, SubjectKind
from portability.api.rows import Rows
from portability.testing import sample_subject

USER = sample_subject(SubjectKind.USER, "usr_1")
PAGE = 3
"""Rows of each later page."""
OWN_TYPES = (
    "type mood as enum ('glad')",
    "domain price as numeric(9,2)",
    "type pair as (a integer, b text)",
)
NUMBERS = ("string", "decimal")
VALUES: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "smallint": (["integer", "number", "boolean", *NUMBERS], ["0", "1", "-32768", "null"]),
    "integer": (["integer", "number", "boolean", *NUMBERS], ["0", "1", "2147483647", "null"]),
    "bigint": (["integer", "number", "boolean", *NUMBERS], ["1", "9007199254740993", "-9223372036854775808"]),
    "oid": (["string"], ["0", "4294967295"]),
    "real": (["number", "string"], ["0", "0.1", "1e30", "3", "'-0'", "'NaN'", "'Infinity'", "null"]),
    "double precision": (["number", "string"], ["0.1", "1e308", "5e-324", "123456789012345680", "'-0'", "'NaN'"]),
    "numeric": (["decimal", "string"], ["1.50", "0", "1e-30", "12345678901234567890.10", "'NaN'", "'Infinity'"]),
    "numeric(12,2)": (["decimal", "string"], ["1.5", "-0.01", "1234567890.12", "null"]),
    "boolean": (["boolean", "string"], ["true", "false", "null"]),
    "text": (
        ["string", "decimal", "datetime", "date", "object"],
        [
            "'a'",
            "''",
            "'null'",
            "'12.50'",
            "'1e5'",
            "'2026-02-28'",
            "'2026-02-30'",
            "'2026-02-28T08:30:00Z'",
            "'2026-02-28 08:30:00.5+02'",
            "'[1, 2.50, null]'",
            "'{\"a\": 12345678901234567890}'",
            "'true'",
            "E'a\\x1fb'",
            "E'\\x1e'",
            "E'\\n'",
            "'ä\U0001f331'",
            "'  1'",
            "null",
        ],
    ),
    "varchar(30)": (["string", "datetime", "date", "decimal"], ["'b '", "'2026-02-28'", "'1.'", "'.5'", "'+1'"]),
    "char(30)": (["string", "decimal", "date", "datetime", "object"], ["'c'", "'2026-02-28'", "'1.50'", "'[1]'", "''"]),
    "uuid": (["string"], ["'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'", "null"]),
    "timestamp with time zone": (
        ["datetime", "string"],
        [
            "'2026-02-28 08:30:00+02'",
            "'2026-02-28 08:30:00.000001+00'",
            "'infinity'",
            "'0044-03-15 BC'",
            "'20260-01-01'",
        ],
    ),
    "timestamp": (["datetime", "string"], ["'2026-02-28 08:30:00'", "'2026-02-28 08:30:00.5'", "'-infinity'", "null"]),
    "date": (["date", "string"], ["'2026-02-28'", "'infinity'", "'0044-03-15 BC'", "'12026-01-01'", "null"]),
    "time": (["string"], ["'08:30:00'", "'24:00:00'", "'08:30:00.5'"]),
    "time with time zone": (["string"], ["'08:30:00+02'"]),
    "interval": (["string"], ["'1 year -2 days 03:04:05.6'", "'0'", "'-1 mon'"]),
    "json": (
        ["object", "string"],
        [
            '\'{"b": 1.0, "a": [null, 12345678901234567890]}\'',
            "'null'",
            "'\"t\"'",
            "'1e400'",
            '\'{"a":1, "a":2}\'',
            "null",
        ],
    ),
    "jsonb": (["object", "string"], ['\'{"b": 1.0, "a": [null, 12345678901234567890]}\'', "'null'", "'3'", "null"]),
    "integer[]": (["object", "string"], ["'{1,2,null}'", "'{}'", "null"]),
    "text[]": (["object", "string"], ['\'{a,"b,c",NULL,""}\'', "'{{a},{b}}'", "null"]),
    "numeric[]": (["object", "string"], ["'{1.50,NaN}'", "'{}'"]),
    "timestamp[]": (["object", "string"], ["'{2026-02-28 08:30:00}'"]),
    "inet": (["string"], ["'192.168.0.1/24'", "'::1'"]),
    "cidr": (["string"], ["'192.168.0.0/24'"]),
    "macaddr": (["string"], ["'08:00:2b:01:02:03'"]),
    "bit(3)": (["string"], ["B'101'"]),
    "bit varying(5)": (["string"], ["B'10'", "B''"]),
    "int4range": (["string"], ["'[1,5)'", "'empty'"]),
    "tstzrange": (["string"], ["'[2026-01-01 00:00+00,)'"]),
    "point": (["string"], ["'(1.5,2)'"]),
    "tsvector": (["string"], ["'a b'"]),
    "xml": (["string"], ["'<a>1</a>'"]),
    "money": (["decimal", "string"], ["'12.50'", "'-1234567.5'", "null"]),
    '"char"': (["string"], ["'a'"]),
    "name": (["string"], ["'pg'"]),
    "mood": (["string"], ["'glad'", "null"]),
    "price": (["decimal", "string"], ["12.5", "null"]),
    "pair": (["string"], ["'(1,\"a b\")'"]),
}
"""By type of a column: the types that its field may have, and values."""


@pytest.mark.parametrize("column", VALUES)
def test_late_rows_have_what_early_rows_have(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    """Values, their JSON in the lines and their gaps, for each type that a map may state.

    A page that cannot be joined is read one by one, so each late page has one value.
    """
    kinds, values = VALUES[column]
    monkeypatch.setattr(pages, "FIRST_ROWS", (len(values),))
    monkeypatch.setattr(pages, "BATCH_ROWS", PAGE)
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    engine = create_engine(owner)
    with engine.begin() as connection:
        for kind in OWN_TYPES:
            connection.exec_driver_sql(f"create {kind}")
        connection.exec_driver_sql(f"create table orders (id integer primary key, who varchar(9), v {column})")
        stored = [*values, *(value for value in values for _ in range(PAGE))]
        inserted = ", ".join(f"({number}, 'usr_1', {value})" for number, value in enumerate(stored))
        connection.exec_driver_sql(f"insert into orders values {inserted}")  # noqa: S608  # of this test alone
    engine.dispose()
    with mapped_sources() as opened:
        for kind in kinds:
            field = f'fields.v = {{ type = "{kind}", text = "Value." }}\n'
            exporter = opened(reader, ROWS + field)
            batches = exporter.export(USER, exporter.datasets[0], Selection())
            delivered = [row for batch in batches for row in _delivered(batch)]
            early, late = delivered[: len(values)], delivered[len(values) :]
            assert late == [row for row in early for _ in range(PAGE)], kind


def test_a_name_twice_in_an_object_of_an_array_is_a_gap(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """As in an object of its own: readers drop one of both values. What no `jsonb` can have ends no dataset."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    values = ("""array['{"a": 1, "a": 2}'::json]""", """array['{"b": "\\u0000"}'::json, null]""")
    rows = ", ".join(f"({number}, 'usr_1', {value})" for number, value in enumerate(values))
    made = "create table orders (id integer primary key, who varchar(9), v json[])"
    execute_all(owner, made, f"insert into orders values {rows}")  # noqa: S608  # of this test alone
    with mapped_sources() as opened:
        exporter = opened(reader, ROWS + 'fields.v = { type = "object", text = "Value." }\n')
        (batch,) = exporter.export(USER, exporter.datasets[0], Selection())

        assert [record["v"] for record in batch.records] == [None, [{"b": "\0"}, None]]
        assert [(gap.key, gap.fields) for gap in batch.gaps] == [((0,), ("v",))]


def _delivered(batch: Batch) -> list[tuple[str, JSON, set[str]]]:
    """Return of each row its value, that of its line, and the fields with a gap."""
    assert isinstance(batch.records, Rows)
    gaps: dict[JSON, set[str]] = {}
    for gap in batch.gaps:
        gaps.setdefault(gap.key[0], set()).update(gap.fields)
    lines = [json.loads(line)["v"] for line in bytes(batch.records.lines).splitlines()]
    return [
        (repr(record["v"]), line, gaps.get(record["id"], set()))
        for record, line in zip(batch.records, lines, strict=True)
    ]
