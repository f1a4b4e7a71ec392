"""Columns of each type that can contain an address: it leads to its person, or the map is refused at its check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
from source_accounts import mapped_source, owner_and_reader
from sqlalchemy import Engine, create_engine

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import BadInput, Identity, Selection, SubjectKind
from portability.testing import sample_subject

MAP = """
title = "CRM"
role = "processor"
kinds = ["user", "contact"]
[people]
table = "contacts"
tenant = "org"
name = "name"
addresses.KIND = { column = "address", since = "since" }
[[identity]]
kinds = ["user"]
table = "contacts"
from = "KIND"
column = "address"
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
rows = [{ column = "id", identities = ["contact_id", "duplicate_contact_id"] }]
fields.id = { text = "Id." }
[[dataset]]
name = "calls"
title = "Calls"
description = "Calls."
provenance = "provided"
table = "calls"
tenant = "org"
rows = [
  { column = "id", identities = ["call_id"] },
  { address = "caller", identity = "KIND", unlinked = "contact", at = ["at"], gives = "call_id" },
]
fields.id = { text = "Id." }
"""
WRITTEN = {"email": "Ann{}@mail.example", "phone": "+62 812-3456-789{}"}
ASKED = {"email": "ANN2@mail.example", "phone": "+6281234567892"}
TYPES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "postgresql": {
        "email": ("text", "varchar(60)", "char(60)", "citext", "worded", "name"),
        "phone": ("text", "varchar(60)", "char(60)", "citext", "worded"),
    },
    "mysql": {
        "email": ("varchar(60)", "char(60)", "varchar(60) character set utf16", "varchar(60) collate utf8mb4_bin"),
        "phone": ("varchar(60)", "char(60)", "varchar(60) character set utf16", "varchar(60) character set latin1"),
    },
    "sqlite": {
        "email": ("text", "text collate nocase", "varchar(60)", "string", ""),
        "phone": ("text", "varchar(60)", "string", ""),
    },
}
CASES = [
    (database, kind, column)
    for database, kinds in TYPES.items()
    for kind, columns in kinds.items()
    for column in columns
]
REFUSED = [
    *(("postgresql", one) for one in ("bigint", "numeric(20)", "bytea", "jsonb")),
    *(("mysql", one) for one in ("bigint", "decimal(20,0)", "varbinary(60)", "tinyblob", "blob")),
    *(("sqlite", one) for one in ("integer", "numeric", "blob")),
]
OpenCrm: TypeAlias = Callable[[str, str, str], MappedExporter]


@pytest.fixture
def open_crm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenCrm]:
    """Makes two contacts, each with a call of its address, in columns of this type."""
    opened: list[Engine] = []

    def make(database: str, kind: str, column: str) -> MappedExporter:
        owner, reader = owner_and_reader(request, database, tmp_path)
        made = create_engine(owner)
        opened.append(made)
        time = "timestamptz" if database == "postgresql" else "datetime"
        keys = "id varchar(20) primary key, org varchar(20)"
        with made.begin() as connection:
            for statement in (
                *(("create extension citext", "create domain worded as text") if database == "postgresql" else ()),
                f"create table contacts ({keys}, name varchar(20), address {column}, since {time})",
                f"create table calls ({keys}, caller {column}, at {time}, contact varchar(20))",
                *(f"insert into {row}" for n in (1, 2) for row in _contact_with_call(n, WRITTEN[kind].format(n))),
            ):
                if column in TYPES[database][kind] or statement.startswith("create"):
                    connection.exec_driver_sql(statement)
        exporter, engine = mapped_source(reader, MAP.replace("KIND", kind))
        opened.append(engine)
        return exporter

    yield make
    for engine in opened:
        engine.dispose()


def _contact_with_call(number: int, address: str) -> Iterator[str]:
    yield f"contacts values ('con_{number}', 'org_1', 'N{number}', '{address}', '2026-01-01 00:00:00')"
    yield f"calls values ('cal_{number}', 'org_1', '{address}', '2026-02-01 00:00:00', null)"


@pytest.mark.parametrize(("database", "kind", "column"), CASES)
def test_an_address_leads_to_its_person(open_crm: OpenCrm, database: str, kind: str, column: str) -> None:
    """A call of a contact by the contact's own address, and a contact by the address of an account."""
    exporter = open_crm(database, kind, column)
    contact = sample_subject(SubjectKind.CONTACT, "con_1", tenant="org_1")
    known = sample_subject(SubjectKind.CONTACT, "con_1", *exporter.identities(contact), tenant="org_1")
    batches = [batch for one in exporter.datasets for batch in exporter.export(known, one, Selection())]
    assert [record["id"] for batch in batches for record in batch.records] == ["con_1", "cal_1"]
    assert [gap for batch in batches for gap in batch.gaps] == []

    account = sample_subject(SubjectKind.USER, "usr_1", Identity("account", kind, ASKED[kind], verified=True))
    found = [(one.kind, one.value, one.tenant) for one in exporter.identities(account)]
    assert found == [("contact_id", "con_2", "org_1")]


@pytest.mark.parametrize(("database", "column"), REFUSED)
def test_a_number_contains_no_address(open_crm: OpenCrm, database: str, column: str) -> None:
    """It has lost the plus of a country code, and an export found nothing by it; the check of the map says so."""
    exporter = open_crm(database, "phone", column)
    with pytest.raises(BadInput, match=r"'address' of contacts is \S+( \S+)?, not a text: it can contain no address"):
        exporter.prepare()
