"""The check runs the query of an export: what an export compares and marks, and as it selects its values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import servers
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import CoverageKind, Selection, SubjectKind
from portability.testing import sample_subject

USER = sample_subject(SubjectKind.USER, "usr_1")


@pytest.fixture
def exporter_of() -> Iterator[Callable[[str, str], MappedExporter]]:
    with mapped_sources() as sources:
        yield sources


@pytest.mark.parametrize(
    "more",
    [
        'created = "at"',
        'created = "made"\nchanged = "at"',
        'deleted = "at"',
        'retention = { until = "at" }',
        'retention = { until = "made", hold = "held" }',
    ],
)
def test_a_missing_right_to_what_rows_are_compared_with_is_found(
    pg_server: servers.Postgres, exporter_of: Callable[[str, str], MappedExporter], more: str
) -> None:
    """Times and marks are compared in the database: without a right to them every export of the dataset is refused."""
    name = pg_server.create_database()
    with pg_server.connect(name) as connection:
        connection.execute(
            "create table orders (id int primary key, who text, made timestamptz, at timestamptz, held bool)"
        )
        connection.execute(f"create role {name} login; grant select (id, who, made) on orders to {name}")
    url = pg_server.url(name).replace("postgres@", f"{name}@")

    found = exporter_of(url, ROWS.replace("[[dataset]]", f"[[dataset]]\n{more}")).check().findings
    refused = [(one.table, one.detail) for one in found if one.kind is CoverageKind.QUERY_REFUSED]
    assert refused == [("orders", "orders: the database refuses the query (InsufficientPrivilege 42501)")]


SHAPES = [
    ("point", "ST_GeomFromText('POINT(1 2.5)')", "POINT(1 2.5)"),
    ("geometry", "ST_GeomFromText('LINESTRING(0 0,1 1)')", "LINESTRING(0 0,1 1)"),
    ("multipolygon", "null", None),
]


@pytest.mark.parametrize(("kind", "stored", "expected"), SHAPES)
def test_a_place_is_a_text(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    exporter_of: Callable[[str, str], MappedExporter],
    kind: str,
    stored: str,
    expected: str | None,
) -> None:
    """MariaDB has no other text for it than the standard's (WKT), and refuses a conversion."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    execute_all(
        owner,
        f"create table orders (id int primary key, who varchar(9), place {kind})",
        f"insert into orders values (1, 'usr_1', {stored})",  # noqa: S608  # values of this test alone
    )
    exporter = exporter_of(reader, ROWS + 'fields.place = { text = "Place." }\n')

    assert not [one for one in exporter.check().findings if one.kind is CoverageKind.QUERY_REFUSED]
    records = [one for batch in exporter.export(USER, exporter.datasets[0], Selection()) for one in batch.records]
    assert [one["place"] for one in records] == [expected]
