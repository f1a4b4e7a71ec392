"""PostgreSQL: a column of a domain is what its type is, wherever a map names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from exporters.sql.mapped.databases import kind_of, open_database
from exporters.sql.mapped.exporter import MappedExporter
from exporters.sql.proposal.draft import draft
from exporters.sql.proposal.propose import propose
from portability.api import CoverageKind, RowRemark, Selection, SubjectKind
from portability.database.engine import READING
from portability.testing import sample_subject

USER = sample_subject(SubjectKind.USER, "usr_1")
MADE = (
    "create domain moment as timestamptz; create domain positive as integer check (value > 0)",
    "create domain settings as jsonb; create domain flag as boolean; create domain narrow as positive",
    (
        "create table orders (id positive primary key, who varchar(9), created_at moment not null, gone moment,"
        " amount narrow, more settings, paid flag)"
    ),
    "create table lines (id int primary key, order_id int)",
    "create table users (id positive primary key); create table notes (id int primary key, user_id bigint)",
    "insert into orders values (1, 'usr_1', '2024-01-02 03:04:05+02', null, 5, '{\"a\": 1.50}', true)",
    "insert into orders values (2, 'usr_1', '2026-01-02 03:04:05+02', '2026-02-01', 6, '[]', false)",
    "insert into lines values (7, 1), (8, 2)",
)
FIELDS = """fields.created_at = { type = "datetime", text = "T." }
fields.amount = { type = "integer", text = "T." }
fields.more = { type = "object", text = "T." }
fields.paid = { type = "boolean", text = "T." }
"""
LINES = """
[[dataset]]
name = "lines"
title = "Lines"
description = "Lines of your orders."
provenance = "provided"
table = "lines"
rows = [{ column = "order_id", dataset = "orders" }]
fields.id = { type = "integer", text = "Id." }
"""


@pytest.fixture
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    execute_all(owner, *MADE)
    return reader


@pytest.fixture
def exporter_of() -> Iterator[Callable[[str, str], MappedExporter]]:
    with mapped_sources() as sources:
        yield sources


def test_a_domain_is_its_type(exporter_of: Callable[[str, str], MappedExporter], reader: str) -> None:
    """Fields, the time of creation, marks, and references to another type of the same numbers."""
    text = ROWS.replace("[[dataset]]\n", '[[dataset]]\ncreated = "created_at"\ndeleted = "gone"\n') + FIELDS + LINES
    exporter = exporter_of(reader, text)
    orders, lines = exporter.datasets
    (batch,) = exporter.export(USER, orders, Selection())
    late = exporter.export(USER, orders, Selection(since=datetime(2025, 1, 1, tzinfo=UTC)))

    assert not [one.detail for one in exporter.check().findings if one.kind is CoverageKind.UNFIT]
    assert [(one["created_at"], one["amount"], one["more"], one["paid"]) for one in batch.records] == [
        ("2024-01-02T01:04:05.000000Z", 5, {"a": 1.5}, True),
        ("2026-01-02T01:04:05.000000Z", 6, [], False),
    ]
    assert dict(batch.remarks) == {RowRemark.SOFT_DELETED: [1]}
    assert [one["id"] for found in late for one in found.records] == [2]
    assert [one["id"] for found in exporter.export(USER, lines, Selection()) for one in found.records] == [7, 8]


def test_a_field_without_a_type_is_the_text_of_a_domain(
    exporter_of: Callable[[str, str], MappedExporter], reader: str
) -> None:
    """Maps of before have it."""
    text = ROWS.replace('type = "integer", ', "") + 'fields.amount = { type = "string", text = "T." }\n'
    exporter = exporter_of(reader, text + 'fields.more = { text = "T." }\n')
    (batch,) = exporter.export(USER, exporter.datasets[0], Selection())

    assert [(one["id"], one["amount"], one["more"]) for one in batch.records] == [
        ("1", "5", '{"a": 1.50}'),
        ("2", "6", "[]"),
    ]


def test_a_draft_has_the_type_of_a_domain(reader: str) -> None:
    """Also for the time of creation, and for a number that names a person."""
    engine = open_database(*kind_of(reader, "url"), 60)
    with engine.connect().execution_options(**READING) as connection, connection.begin():
        orders, users = (draft(propose(connection, name)) for name in ("orders", "users"))
    engine.dispose()

    assert '# amount = { type = "integer", text = "Amount." }\n' in orders
    assert 'created = "created_at"\n' in orders
    assert '    { column = "user_id", identities = ["user_id"] },  # by its name: there is no foreign key\n' in users
