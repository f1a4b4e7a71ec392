"""Members of a JSON value are found in every form in which a program may write their letters (RFC 8259 section 7)."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import mapped_sources, owner_and_reader
from sqlalchemy import create_engine, text

from portability.api import Identity, SubjectKind
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


@pytest.mark.parametrize(("database", "kind"), [("sqlite", "text"), ("postgresql", "text"), ("postgresql", "json")])
def test_members_are_found_in_every_form(
    request: pytest.FixtureRequest, database: str, kind: str, tmp_path: Path
) -> None:
    """A plus, an ampersand and a slash as PHP and .NET write them name the same person; other texts name no one."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    engine = create_engine(owner)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "create table contacts (id text primary key, org text, name text, address text, since timestamp)"
        )
        connection.exec_driver_sql(
            f"create table meetings (id varchar(20) primary key, org text, people {kind}, at timestamp)"
        )
        connection.exec_driver_sql(
            "insert into contacts values ('crm/ä+1', 'org_1', 'Ann', 'ann+a/b&c@mail.example', '2026-01-01 10:00:00')"
        )
        rows = [{"id": name, "people": people} for name, people in MEETINGS.items()]
        new = f"(:id, 'org_1', cast(:people as {kind}), '2026-01-02 10:00:00')"
        connection.execute(text(f"insert into meetings values {new}"), rows)  # noqa: S608  # own values
    engine.dispose()
    ann = sample_subject(
        SubjectKind.CONTACT,
        "crm/ä+1",
        Identity("requests", "contact_id", "crm/ä+1", verified=True, tenant="org_1"),
        tenant="org_1",
    )
    with mapped_sources() as opened:
        found = opened(reader, MAP).identities(ann)
    assert sorted(one.value for one in found if one.kind == "meeting_id" and one.verified) == [
        *("dotnet", "key dotnet", "key php", "key plain", "php", "plain")
    ]
