"""Tenants that differ by case, accents or blanks alone are different: a database may take them for equal."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import execute_all, mapped_sources, owner_and_reader

from portability.api import Identity, Selection, SubjectKind
from portability.testing import sample_subject

MAP = """
title = "Desk"
role = "processor"
kinds = ["contact", "tenant"]
[[dataset]]
name = "calls"
title = "Calls"
description = "Calls."
provenance = "observed"
table = "calls"
tenant = "org"
rows = [{ column = "person", identities = ["contact_id"] }]
fields.id = { type = "integer", text = "Id." }
[[dataset]]
name = "notes"
title = "Notes"
description = "Notes."
provenance = "observed"
table = "notes"
tenant = "org"
rows = [{ column = "call_id", dataset = "calls" }]
join = { table = "labels", here = "id", key = "id", tenant = "org" }
fields.id = { type = "integer", text = "Id." }
fields.label = { joined = "label", text = "Label." }
[[dataset]]
name = "marks"
title = "Marks"
description = "Marks."
provenance = "observed"
table = "marks"
tenant = "org"
rows = [
  { column = "person", identities = ["contact_id"], through = [{ table = "links", here = "mark_id", tenant = "org" }] },
]
fields.id = { type = "integer", text = "Id." }
[[dataset]]
name = "seen"
title = "Seen"
description = "Seen."
provenance = "observed"
table = "marks"
tenant = "org"
rows = [{ through = [{ table = "links", here = "mark_id", tenant = "org" }], column = "call_id", dataset = "calls" }]
fields.id = { type = "integer", text = "Id." }
[[dataset]]
name = "lines"
title = "Lines"
description = "Lines."
provenance = "observed"
table = "notes"
tenant = "org"
rows = [{ column = "call_id", dataset = "calls", part = true }]
fields.id = { type = "integer", text = "Id." }
"""
TEXTS = [
    ("mysql", "varchar(9) collate utf8mb4_general_ci"),
    ("sqlite", "varchar(9) collate nocase"),
    ("postgresql", "varchar(9) collate alike"),
    ("postgresql", "citext"),
]
"""Types of columns in which ACME equals acme, by database."""
OWN_TYPES = (
    "create extension if not exists citext",
    "create collation alike (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
)


@pytest.mark.parametrize(("database", "org"), TEXTS)
@pytest.mark.parametrize("subject_kind", [SubjectKind.CONTACT, SubjectKind.TENANT])
def test_tenants_that_a_database_takes_for_equal_are_apart(
    request: pytest.FixtureRequest, database: str, org: str, subject_kind: SubjectKind, tmp_path: Path
) -> None:
    """A row, its parent, its steps and its join each name another tenant than the subject: nothing of it arrives."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    execute_all(
        owner,
        *(OWN_TYPES if database == "postgresql" else ()),
        f"create table calls (id integer primary key, org {org}, person varchar(9))",
        f"create table notes (id integer primary key, org {org}, call_id integer)",
        f"create table labels (id integer primary key, org {org}, label varchar(9))",
        f"create table marks (id integer primary key, org {org})",
        f"create table links (id integer primary key, org {org}, mark_id integer, call_id integer, person varchar(9))",
        "insert into calls values (1, 'acme', 'p1'), (2, 'ACME', 'p1')",
        "insert into notes values (1, 'acme', 1), (2, 'ACME', 1), (3, 'acme', 2), (4, 'ACME', 2)",
        "insert into labels values (1, 'ACME', 'other'), (2, 'acme', 'other'), (3, 'acme', 'own')",
        "insert into marks values (1, 'acme'), (2, 'ACME'), (3, 'acme'), (4, 'ACME')",
        "insert into links values (1, 'acme', 1, 1, 'p1'), (2, 'acme', 2, 1, 'p1'), (3, 'ACME', 3, 1, 'p1')",
        "insert into links values (4, 'ACME', 4, 2, 'p1')",
    )
    known = Identity("test", "contact_id", "p1", verified=True, tenant="acme")
    is_contact = subject_kind is SubjectKind.CONTACT
    subject = sample_subject(subject_kind, "p1" if is_contact else "acme", known, tenant="acme")
    with mapped_sources() as opened:
        exporter = opened(reader, MAP)
        read = {
            dataset.name: [
                (record["id"], record.get("label"))
                for batch in exporter.export(subject, dataset, Selection())
                for record in batch.records
            ]
            for dataset in exporter.datasets
        }

    assert read == {
        "calls": [(1, None)],
        "notes": [(1, None)] if is_contact else [(1, None), (3, "own")],
        "marks": [(1, None)] if is_contact else [(1, None), (3, None)],
        "seen": [(1, None)] if is_contact else [(1, None), (3, None)],
        "lines": [(1, None)],
    }


@pytest.mark.parametrize(("database", "org"), TEXTS)
def test_a_member_of_staff_of_both_is_known_at_both(
    request: pytest.FixtureRequest, database: str, org: str, tmp_path: Path
) -> None:
    """The database gives one of two tenants that it takes for equal."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    execute_all(
        owner,
        *(OWN_TYPES if database == "postgresql" else ()),
        f"create table calls (id integer primary key, org {org}, person varchar(9), agent varchar(9))",
        "insert into calls values (1, 'acme', 'p1', 'usr_1'), (2, 'ACME', 'p1', 'usr_1'), (3, 'acme', 'p2', 'usr_1')",
    )
    calls, staff = (
        MAP[: MAP.index('[[dataset]]\nname = "notes"')],
        'staff = [{ column = "agent", identities = ["staff_id"] }]',
    )
    text = calls.replace('kinds = ["contact", "tenant"]', 'kinds = ["contact", "user"]')
    text = text.replace("fields.id", f"{staff}\nfields.id")
    with mapped_sources() as opened:
        found = opened(reader, text).identities(sample_subject(SubjectKind.USER, "usr_1"))

    assert sorted((one.kind, one.tenant) for one in found) == [("staff_id", "ACME"), ("staff_id", "acme")]


ADDRESSES = """
title = "Desk"
role = "processor"
kinds = ["email"]
[accounts]
table = "accounts"
addresses.email = { column = "email", since = "proved_at" }
[people]
table = "people"
tenant = "org"
name = "name"
addresses.email = { column = "email", since = "proved_at" }
[[dataset]]
name = "accounts"
title = "Accounts"
description = "Accounts."
provenance = "observed"
table = "accounts"
kinds = ["user"]
rows = [{ column = "id", identities = ["user_id"] }]
fields.id = { type = "integer", text = "Id." }
[[dataset]]
name = "people"
title = "People"
description = "People."
provenance = "observed"
table = "people"
tenant = "org"
rows = [{ column = "id", identities = ["contact_id"] }]
fields.id = { type = "integer", text = "Id." }
"""


@pytest.mark.parametrize(("database", "org"), TEXTS)
def test_people_of_both_who_share_an_address_are_not_one_person(
    request: pytest.FixtureRequest, database: str, org: str, tmp_path: Path
) -> None:
    """The order of the database mixes the rows of both tenants; two people of one of them have the address."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    address = "email varchar(20), proved_at timestamp null"
    execute_all(
        owner,
        *(OWN_TYPES if database == "postgresql" else ()),
        f"create table accounts (id integer primary key, {address})",
        f"create table people (id integer primary key, org {org}, name varchar(9), {address})",
        "insert into people values (1, 'acme', 'Ann', 'a@x.test', '2026-01-01 00:00:00')",
        "insert into people values (2, 'ACME', 'Ben', 'a@x.test', '2026-01-01 00:00:00')",
        "insert into people values (3, 'acme', 'Cid', 'a@x.test', '2026-01-01 00:00:00')",
    )
    with mapped_sources() as opened:
        found = opened(reader, ADDRESSES).identities(sample_subject(SubjectKind.EMAIL, "a@x.test"))

    certain = {(one.tenant, one.value): one.verified for one in found if one.kind == "contact_id"}
    assert certain == {("acme", "1"): False, ("acme", "3"): False, ("ACME", "2"): True}
