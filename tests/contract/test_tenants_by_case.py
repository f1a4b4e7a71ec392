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
TEXT = {
    "mysql": "varchar(9) collate utf8mb4_general_ci",
    "sqlite": "varchar(9) collate nocase",
    "postgresql": "varchar(9) collate alike",
}


@pytest.mark.parametrize("database", TEXT)
@pytest.mark.parametrize("subject_kind", [SubjectKind.CONTACT, SubjectKind.TENANT])
def test_tenants_that_a_database_takes_for_equal_are_apart(
    request: pytest.FixtureRequest, database: str, subject_kind: SubjectKind, tmp_path: Path
) -> None:
    """A row, its parent, its steps and its join each name another tenant than the subject: nothing of it arrives."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    alike = "create collation alike (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    org = TEXT[database]
    execute_all(
        owner,
        *([alike] if database == "postgresql" else []),
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
