"""Propose, check and drift: one contract for SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import servers
from crm_database import TYPES, CrmDatabase, open_crm

from exporters.sql.mapped.databases import kind_of, open_database
from exporters.sql.proposal.draft import draft
from exporters.sql.proposal.propose import propose
from portability.api import SubjectKind
from portability.api.coverage import REMARKS
from portability.database.engine import READING

SCHEMA = """
create table contacts (id integer primary key, org_id integer not null, email {text}, token {text});
create table deals (id integer primary key, org_id integer not null, name {text}, amount {decimal}, created_at {time});
create table deal_contacts (deal_id integer not null, contact_id integer not null, primary key (deal_id, contact_id),
 foreign key (deal_id) references deals (id), foreign key (contact_id) references contacts (id));
create table notes (id integer primary key, deal_id integer not null, body {text},
 foreign key (deal_id) references deals (id));
create table log (id integer primary key, line {text})
"""
MAP = """
title = "CRM"
role = "controller"
kinds = ["contact"]

[[decision]]
by = "Ann"
on = 2026-11-28
about = ["contacts", "deals", "notes", "deal_contacts", "log"]

[[dataset]]
name = "contacts"
title = "Contacts"
description = "People whom the company knows."
provenance = "provided"
table = "contacts"
tenant = "org_id"
rows = [{ column = "id", identities = ["contact_id"] }]
withheld = { token = { what = "a token", reason = "with it another person could act as you" } }
fields = { id = { type = "integer", text = "Id." }, email = { text = "Address." } }

[[dataset]]
name = "deals"
title = "Deals"
description = "Sales."
provenance = "observed"
table = "deals"
tenant = "org_id"
rows = [{ through = [{ table = "deal_contacts", here = "deal_id" }], column = "contact_id", dataset = "contacts" }]
fields.id = { type = "integer", text = "Id." }
fields.name = { text = "Name." }
fields.amount = { type = "decimal", text = "Value." }
fields.created_at = { type = "datetime", text = "Time." }

[[dataset]]
name = "notes"
title = "Notes"
description = "Notes about sales."
provenance = "observed"
table = "notes"
rows = [{ column = "deal_id", dataset = "deals" }]
internal = { deal_id = "the sale" }
fields = { id = { type = "integer", text = "Id." }, body = { text = "Text." } }

[tables]
internal = { deal_contacts = "says only which contact belongs to which sale", log = "of the software" }
"""
Found = tuple[str, str, str, str]


@dataclass(frozen=True)
class CoveredDatabase:
    """A database of the schema, and what a check by an account that can only read finds in it."""

    crm: CrmDatabase
    backend: str

    def findings(self, text: str = MAP, *, remarks: bool = False) -> list[Found]:
        """Kind, table, column and dataset of each finding."""
        exporter = open_crm(self.crm, changed=text)
        found = exporter.check().findings
        exporter._section.sources.database.dispose()
        return [
            (str(one.kind), one.table, one.column, one.dataset) for one in found if (one.kind in REMARKS) == remarks
        ]

    def draft(self) -> str:
        backend, address = kind_of(self.crm.reader, "url")
        engine = open_database(backend, address, 60)
        with engine.connect().execution_options(**READING) as connection:
            text = draft(propose(connection, "contacts", kind=SubjectKind.CONTACT, title="CRM"))
        engine.dispose()
        return text

    def run(self, statement: str) -> None:
        self.crm.run(*(one.format(**TYPES[self.backend]) for one in statement.split(";")))


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def covered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoveredDatabase]:
    backend: str = request.param
    if backend == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('covered') / 'crm.db'}"
        crm = CrmDatabase(url, url)
    elif backend == "mysql":
        maria: servers.MariaDB = request.getfixturevalue("mariadb_server")
        name = maria.create_database()
        crm = CrmDatabase(maria.url(name), maria.url(name, name, password="reader"))
    else:
        server: servers.Postgres = request.getfixturevalue("pg_server")
        name = server.create_database()
        crm = CrmDatabase(server.url(name), server.url(name).replace("postgres@", f"reader_{name}@"))
    made = CoveredDatabase(crm, backend)
    made.run(SCHEMA)
    if backend == "postgresql":
        crm.run(f"create role reader_{name} login", f"grant select on all tables in schema public to reader_{name}")
    yield made
    if backend == "postgresql":
        server.drop_database(name)


def test_a_draft_has_the_paths_and_decides_nothing(covered: CoveredDatabase) -> None:
    """The ways to a contact along references, through the table that joins; every column of all tables is undecided."""
    text = covered.draft()
    found = covered.findings(text)

    assert [line for line in text.splitlines() if line.startswith("table = ")] == [
        f'table = "{name}"' for name in ("contacts", "deal_contacts", "deals", "notes")
    ]
    last = 'column = "contact_id", identities = ["contact_id"] },'
    joined = '{ through = [{ table = "deal_contacts", here = "deal_id", key = "id" }], '
    assert [line.strip() for line in text.splitlines() if line.startswith("    { ")] == [
        '{ column = "id", identities = ["contact_id"] },',
        '{ column = "contact_id", dataset = "contacts", key = "id" },',
        f"{joined}{last}  # people share it: each person in deal_contacts",
        '{ column = "deal_id", dataset = "deals", key = "id" },  # people share rows of deals: each of them gets these',
    ]
    assert "# token = { what = " in text
    assert {kind for kind, *_ in found} == {"undecided_column", "undecided_table"}
    assert sorted({table for _, table, *_ in found}) == ["contacts", "deal_contacts", "deals", "log", "notes"]


def given_again(covered: CoveredDatabase) -> list[tuple[str, ...]]:
    """SQLite alone gives the numbers of deleted rows again."""
    return [("reused_ids", "contacts", "id", "")] if covered.backend == "sqlite" else []


def test_a_map_that_decides_on_everything_has_no_finding(covered: CoveredDatabase) -> None:
    assert covered.findings() == []
    assert covered.findings(remarks=True) == given_again(covered)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("alter table contacts add column fax {text}", [("undecided_column", "contacts", "fax", "contacts")]),
        ("create table calls (id integer primary key, who {text})", [("undecided_table", "calls", "", "")]),
        ("create view recent as select id, email from contacts", [("undecided_table", "recent", "", "")]),
        ("alter table notes drop column body", [("missing_column", "notes", "body", "notes")]),
        ("drop table notes", [("missing_table", "notes", "", "notes")]),
        (
            "alter table deals drop column amount; alter table deals add column amount {bool}",
            [("wrong_type", "deals", "", "deals")],
        ),
        ("drop table log", []),
    ],
    ids=["column", "table", "view", "gone", "table-gone", "type", "internal-gone"],
)
def test_drift_is_found(covered: CoveredDatabase, statement: str, expected: list[Found]) -> None:
    """What is new is undecided, and what is gone or has another type costs its dataset."""
    covered.run(statement)

    assert covered.findings() == expected


def test_an_order_without_index_is_a_remark(covered: CoveredDatabase) -> None:
    """An index on the column that selects the rows and the order ends it."""
    text = MAP.replace('table = "deals"\n', 'table = "deals"\norder = ["created_at", "id"]\n')

    assert covered.findings(text, remarks=True) == [("no_index", "deals", "", "deals"), *given_again(covered)]
    covered.run("create index deals_in_order on deals (org_id, created_at, id)")
    assert covered.findings(text, remarks=True) == given_again(covered)


def test_an_account_that_may_write_is_a_fault(covered: CoveredDatabase) -> None:
    """No worker starts with it. A file of SQLite is opened for reading only, whatever the account may do."""
    reader = {"postgresql": "reader_{0}", "mysql": "{0}@localhost"}.get(covered.backend, "")
    name = covered.crm.url.partition("?")[0].rpartition("/")[2]
    if reader:
        covered.crm.run(f"grant insert on contacts to {reader.format(name)}")

    expected = [] if covered.backend == "sqlite" else ["writable"]
    assert [kind for kind, *_ in covered.findings()] == expected
