"""Columns of each type that name a contact and its tenant: rows, look-ups and steps of a map stay at one tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TypeAlias

import pytest
from source_accounts import mapped_source, owner_and_reader
from sqlalchemy import Engine, create_engine

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import Identity, Selection, Subject, SubjectKind
from portability.testing import sample_subject

MAP = """
title = "CRM"
role = "processor"
kinds = ["user", "contact", "tenant"]
[[identity]]
kinds = ["contact"]
table = "contacts"
from = "contact_id"
column = "id"
value = "email"
gives = "email"
tenant = "org"
verified = true
[[identity]]
kinds = ["user"]
table = "contacts"
from = "email"
column = "email"
value = "id"
gives = "contact_id"
tenant = "org"
verified = true
[[dataset]]
name = "contacts"
title = "Contacts"
description = "Contacts."
provenance = "provided"
table = "contacts"
tenant = "org"
rows = [{ column = "id", identities = ["contact_id"] }]
key = ["n"]
fields.n = { type = "integer", text = "Number." }
[[dataset]]
name = "notes"
title = "Notes"
description = "Notes."
provenance = "provided"
table = "notes"
tenant = "org"
rows = [
  { column = "contact", dataset = "contacts", key = "id" },
  { through = [{ table = "members", here = "note", key = "n" }], column = "contact", identities = ["contact_id"] },
]
key = ["n"]
fields.n = { type = "integer", text = "Number." }
"""
NUMBERS, WORDS = ("7", "8"), ("'c7'", "'c8'")
UUIDS = ("'0b3c7c0e-6c1f-4f2e-9a51-1f6c2f1f7f10'", "'0b3c7c0e-6c1f-4f2e-9a51-1f6c2f1f7f11'")
TYPES: Mapping[str, Mapping[Sequence[str], Sequence[str]]] = {
    "postgresql": {
        NUMBERS: ("integer", "bigint", "smallint", "numeric(12)", "numbered", "double precision"),
        WORDS: ("text", "varchar(20)", "char(10)", "worded", "listed", "citext", "name"),
        UUIDS: ("uuid", "char(40)"),
    },
    "mysql": {
        NUMBERS: ("int", "bigint unsigned", "decimal(12,0)", "tinyint", "double"),
        WORDS: (
            *("varchar(20)", "varchar(20) collate utf8mb4_bin", "char(10)", "enum('c7', 'c8')"),
            *("varchar(20) character set latin1", "varchar(20) character set utf16"),
        ),
        UUIDS: ("uuid", "char(40)"),
    },
    "sqlite": {
        NUMBERS: ("integer", "numeric", "number"),
        WORDS: ("text", "text collate nocase", "varchar(10)", "string", ""),
        UUIDS: ("uuid", "guid", "text"),
    },
}
"""Types of columns by database and by the two values that they have."""
CASES = [
    (database, column, values, of_tenant)
    for database, by_values in TYPES.items()
    for values, columns in by_values.items()
    for column in columns
    for of_tenant in (False, True)
]
OWN_TYPES = (
    "create extension citext",
    "create domain numbered as int",
    "create domain worded as text",
    "create type listed as enum ('c7', 'c8')",
)
OTHERS = ("007", "C7", "7.0", "c7 ", "99999999999999999999", "usr_1")
"""Ids that look like those of the tables, and are others."""


FillCrm: TypeAlias = Callable[[str, str, Sequence[str], str, Sequence[str]], MappedExporter]


@pytest.fixture
def fill_crm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FillCrm]:
    """Makes contacts 1 to 4 with a note each and another by a list of members: two tenants have the same two ids."""
    opened: list[Engine] = []

    def fill(database: str, of_id: str, ids: Sequence[str], of_tenant: str, tenants: Sequence[str]) -> MappedExporter:
        owner, reader = owner_and_reader(request, database, tmp_path)
        made = create_engine(owner)
        opened.append(made)
        _make_tables(made, of_id, of_id, of_tenant, _contacts_with_notes(ids, tenants))
        exporter, engine = mapped_source(reader, MAP)
        opened.append(engine)
        exporter.prepare()
        return exporter

    yield fill
    for engine in opened:
        engine.dispose()


def _make_tables(made: Engine, of_id: str, of_part: str, of_tenant: str, rows: Iterable[str]) -> None:
    """Make the tables with columns of these types: of a contact's id, of what refers to it, and of the tenant."""
    with made.begin() as connection:
        for statement in (
            *(OWN_TYPES if made.dialect.name == "postgresql" else ()),
            f"create table contacts (n integer primary key, id {of_id}, org {of_tenant}, email varchar(60))",
            f"create table notes (n integer primary key, contact {of_part}, org {of_tenant})",
            f"create table members (note integer, contact {of_part})",
            *(f"insert into {row}" for row in rows),
        ):
            connection.exec_driver_sql(statement)


def _contacts_with_notes(ids: Sequence[str], tenants: Sequence[str]) -> Iterator[str]:
    for n, (tenant, one) in enumerate(product(tenants, ids), 1):
        yield f"contacts values ({n}, {one}, {tenant}, 'm{n}@mail.example')"
        yield f"notes values ({10 + n}, {one}, {tenant})"
        yield f"notes values ({20 + n}, null, {tenant})"
        yield f"members values ({20 + n}, {one})"


def row_numbers(exporter: MappedExporter, subject: Subject) -> list[object]:
    batches = [batch for one in exporter.datasets for batch in exporter.export(subject, one, Selection())]
    assert [gap for batch in batches for gap in batch.gaps] == []
    return [record["n"] for batch in batches for record in batch.records]


def found_identities(exporter: MappedExporter, subject: Subject) -> set[tuple[str, str, str | None]]:
    return {(one.kind, one.value, one.tenant) for one in exporter.identities(subject)}


@pytest.mark.parametrize(("database", "column", "values", "of_tenant"), CASES)
def test_a_contact_is_one_of_its_tenant(
    fill_crm: FillCrm, database: str, column: str, values: Sequence[str], *, of_tenant: bool
) -> None:
    """By its id, by its address and as part of its tenant; another notation is another contact, or another tenant."""
    plain, one, two = "text" if database == "sqlite" else "varchar(20)", *(value.strip("'") for value in values)
    if of_tenant:
        exporter, ids, tenants = fill_crm(database, plain, WORDS, column, values), ("c7", "c8"), (one, two)
    else:
        exporter, ids, tenants = fill_crm(database, column, values, plain, WORDS), (one, two), ("c7", "c8")

    contact = sample_subject(SubjectKind.CONTACT, ids[0], tenant=tenants[0])
    assert row_numbers(exporter, contact) == [1, 11, 21]
    assert found_identities(exporter, contact) == {("email", "m1@mail.example", tenants[0])}
    assert row_numbers(exporter, sample_subject(SubjectKind.TENANT, tenants[1])) == [3, 4, 13, 14, 23, 24]

    account = sample_subject(SubjectKind.USER, "usr_1", Identity("account", "email", "m4@mail.example", verified=True))
    assert found_identities(exporter, account) == {("contact_id", ids[1], tenants[1])}
    known = Identity("crm", "contact_id", ids[1], verified=True, tenant=tenants[1])
    assert row_numbers(exporter, sample_subject(SubjectKind.USER, "usr_1", known)) == [4, 14, 24]

    for other in OTHERS:
        assert row_numbers(exporter, sample_subject(SubjectKind.CONTACT, other, tenant=tenants[0])) == []
        assert row_numbers(exporter, sample_subject(SubjectKind.CONTACT, ids[0], tenant=other)) == []


@pytest.mark.parametrize(
    ("database", "of_id", "of_part"),
    [("postgresql", "char(10)", "varchar(20)"), ("mysql", "char(10)", "varchar(20)"), ("sqlite", "string", "text")],
)
def test_texts_of_two_types_are_compared(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, of_id: str, of_part: str
) -> None:
    """A step of a map leads from one to the other."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    made = create_engine(owner)
    _make_tables(made, of_id, of_part, "varchar(20)", _contacts_with_notes(WORDS, WORDS))
    exporter, engine = mapped_source(reader, MAP)
    exporter.prepare()
    assert row_numbers(exporter, sample_subject(SubjectKind.CONTACT, "c7", tenant="c8")) == [3, 13, 23]
    engine.dispose()
    made.dispose()
