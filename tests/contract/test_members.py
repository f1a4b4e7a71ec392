"""Members of a JSON value are found in every form in which a program may write their letters (RFC 8259 section 7).

A list of ids may have numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from source_accounts import mapped_sources, owner_and_reader
from sqlalchemy import Date, Integer, LargeBinary, create_engine, text
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.types import NullType, TypeEngine

from exporters.maps.reading import MapText
from exporters.sql.mapped.catalogue import FoundColumn, FoundTable
from exporters.sql.mapped.database_faults import database_faults
from exporters.sql.mapped.kind import kind as map_kind
from portability.api import Identity, Selection, SubjectKind
from portability.testing import sample_subject

MAP = """
title = "CRM"
role = "processor"
kinds = ["contact"]
[people]
table = "contacts"
tenant = "org"
name = "name"
addresses.email = { column = "address", since = "since" }
[[dataset]]
name = "contacts"
title = "Contacts"
description = "Contacts."
provenance = "provided"
table = "contacts"
tenant = "org"
rows = [{ column = "id", identities = ["contact_id", "duplicate_contact_id"] }]
fields.id = { text = "Id." }
[[dataset]]
name = "meetings"
title = "Meetings"
description = "Meetings."
provenance = "observed"
table = "meetings"
tenant = "org"
rows = [
  { column = "id", identities = ["meeting_id"] },
  { members = "people", identities = ["contact_id", "email"], at = ["at"], gives = "meeting_id" },
]
fields.id = { text = "Id." }
"""
MEETINGS = {
    "plain": '["ann+a/b&c@mail.example"]',
    "php": r'["ann+a\/b&c@mail.example"]',
    "dotnet": r'["ann\u002Ba/b\u0026c@mail.example"]',
    "key plain": '{"ids": ["crm/ä+1"]}',
    "key php": r'{"ids": ["crm\/\u00e4+1"]}',
    "key dotnet": r'{"ids": ["crm/\u00E4\u002B1"]}',
    "of another": r'["ann\u002Ba/b\u0026d@mail.example", "crm/\u00e4+2", "crm/ä1"]',
}

NUMBERS = {
    "a list": "[12, 15]",
    "a text": '["12"]',
    "in a list of others": '[{"id": 15}, 12]',
    "an amount": '{"minutes": 12}',
    "an amount in a list": '[{"minutes": 12}]',
    "a list of amounts": '{"scores": [12]}',
    "a longer number": "[120, 112, 12.0, true]",
}
KINDS = [("sqlite", "text"), ("postgresql", "text"), ("postgresql", "json"), ("postgresql", "jsonb")]


@pytest.mark.parametrize(("database", "kind"), KINDS)
def test_members_are_found_in_every_form(
    request: pytest.FixtureRequest, database: str, kind: str, tmp_path: Path
) -> None:
    """A plus, an ampersand and a slash as PHP and .NET write them name the same person; other texts name no one."""
    assert _found(request, (database, kind), tmp_path, "crm/ä+1", MEETINGS) == [
        *("dotnet", "key dotnet", "key php", "key plain", "php", "plain")
    ]


@pytest.mark.parametrize(("database", "kind"), KINDS)
def test_a_list_of_ids_may_have_numbers(
    request: pytest.FixtureRequest, database: str, kind: str, tmp_path: Path
) -> None:
    """Elsewhere a number may be an amount, and would lead to the person who happens to have it as an id."""
    assert _found(request, (database, kind), tmp_path, "12", NUMBERS) == ["a list", "a text", "in a list of others"]


@pytest.mark.parametrize("kind", ["integer[]", "bigint[]", "text[]", "varchar(40)[]"])
def test_an_array_of_postgresql_is_a_list(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> None:
    """Ids in it are members, whether they are numbers or texts."""
    lists = {"mine": "{15,12}", "of another": "{120,15}", "of no one": "{}"}
    assert _found(request, ("postgresql", kind), tmp_path, "12", lists) == ["mine"]


@pytest.mark.parametrize("column", [Date(), Integer(), LargeBinary(), NullType(), INET()])
def test_a_column_that_has_no_list_is_refused(column: TypeEngine[object]) -> None:
    """It would select nothing, without a word: a type that is not known may be a point."""
    found = {"meetings": FoundTable({"people": FoundColumn(column, "of this type", nullable=True)})}
    form = map_kind.parse(MapText("crm.toml", MAP)).form
    faults = [one for one in database_faults(form, "postgresql", found) if "'people'" in one.message]

    assert [one.advice for one in faults] == [
        "'people' of meetings is of this type, not JSON, a text or an array (name a view that writes it as JSON)"
    ]


@pytest.mark.parametrize(("database", "kind"), [*KINDS, ("postgresql", "text[]")])
def test_rows_without_members_are_counted_for_a_company(
    request: pytest.FixtureRequest, database: str, kind: str, tmp_path: Path
) -> None:
    """A company gets all rows, and the number of those that lead to no person, whatever type has the members."""
    rows = {"mine": '["12"]', "by address": '{"to": "Ann+a/b&c@mail.example"}', "of no one": '["13"]'}
    if kind == "text[]":
        rows = {"mine": "{12}", "by address": "{Ann+a/b&c@mail.example}", "of no one": "{13}"}
    elif kind != "jsonb" and database == "postgresql":
        rows |= {"broken": "not JSON"} if kind == "text" else {"broken": r'["\u0000"]'}
    reader = _filled(request, (database, kind), tmp_path, "12", rows)
    company = sample_subject(SubjectKind.TENANT, "org_1")
    with mapped_sources() as opened:
        exporter = opened(reader, MAP.replace('kinds = ["contact"]', 'kinds = ["contact", "tenant"]'))
        size = exporter.count(company, exporter.datasets[1], Selection())
    assert (size.records, size.unrelated) == (len(rows), len(rows) - 2)


def _found(
    request: pytest.FixtureRequest, column: tuple[str, str], tmp_path: Path, key: str, meetings: Mapping[str, str]
) -> list[str]:
    """Return the meetings that lead to a contact with this key."""
    reader = _filled(request, column, tmp_path, key, meetings)
    contact = sample_subject(
        SubjectKind.CONTACT,
        key,
        Identity("requests", "contact_id", key, verified=True, tenant="org_1"),
        tenant="org_1",
    )
    with mapped_sources() as opened:
        found = opened(reader, MAP).identities(contact)
    return sorted(one.value for one in found if one.kind == "meeting_id" and one.verified)


def _filled(
    request: pytest.FixtureRequest, column: tuple[str, str], tmp_path: Path, key: str, meetings: Mapping[str, str]
) -> str:
    """Return the address of a database with Ann, who has this key, and meetings."""
    database, kind = column
    owner, reader = owner_and_reader(request, database, tmp_path)
    engine = create_engine(owner)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "create table contacts (id text primary key, org text, name text, address text, since timestamp)"
        )
        connection.exec_driver_sql(
            f"create table meetings (id varchar(20) primary key, org text, people {kind}, at timestamp)"
        )
        ann = "(:key, 'org_1', 'Ann', 'ann+a/b&c@mail.example', '2026-01-01 10:00:00')"
        connection.execute(text(f"insert into contacts values {ann}"), {"key": key})  # noqa: S608  # own values
        rows = [{"id": name, "people": people} for name, people in meetings.items()]
        new = f"(:id, 'org_1', cast(:people as {kind}), '2026-01-02 10:00:00')"
        connection.execute(text(f"insert into meetings values {new}"), rows)  # noqa: S608  # own values
    engine.dispose()
    return reader
