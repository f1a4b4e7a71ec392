"""A row that names no tenant is at none of them: what a look-up finds there leads to no row of any tenant."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import mapped_sources, owner_and_reader
from sqlalchemy import create_engine

from portability.api import Selection, SubjectKind
from portability.testing import sample_subject

MAP = """
title = "Desk"
role = "processor"
kinds = ["user"]
[[identity]]
table = "customers"
from = "user_id"
column = "account"
value = "id"
gives = "customer"
tenant = "org"
verified = true
[[dataset]]
name = "tickets"
title = "Tickets"
description = "Tickets."
provenance = "provided"
table = "tickets"
tenant = "org"
rows = [{ column = "customer", identities = ["customer"] }]
staff = [{ column = "agent", identities = ["staff_id"] }]
fields.id = { text = "Id." }
[[dataset]]
name = "settings"
title = "Settings"
description = "Settings of the platform."
provenance = "provided"
table = "settings"
rows = [{ column = "customer", identities = ["customer", "user_id"], within = "platform" }]
fields.id = { text = "Id." }
"""


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_a_found_row_without_tenant_leads_nowhere(
    request: pytest.FixtureRequest, database: str, tmp_path: Path
) -> None:
    """NULL and an empty text name neither a company that is called None, nor the whole platform."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    engine = create_engine(owner)
    with engine.begin() as connection:
        for statement in (
            "create table customers (id varchar(9) primary key, account varchar(9), org varchar(9))",
            "create table tickets (id varchar(9) primary key, customer varchar(9), org varchar(9), agent varchar(9))",
            "create table settings (id varchar(9) primary key, customer varchar(9))",
            "insert into customers values ('c1', 'usr_1', 'org_1'), ('c2', 'usr_1', null), ('c3', 'usr_1', '')",
            "insert into tickets (id, customer, org) values ('t1', 'c1', 'org_1'), ('t2', 'c2', 'None')",
            "insert into tickets (id, customer, org) values ('t3', 'c3', '')",
            "insert into tickets (id, agent, org) values ('t4', 'usr_1', null), ('t5', 'usr_1', 'org_2')",
            "insert into settings values ('s1', 'c1'), ('s2', 'c2'), ('s3', 'c3')",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    user = sample_subject(SubjectKind.USER, "usr_1")
    with mapped_sources() as opened:
        exporter = opened(reader, MAP)
        found = exporter.identities(user)
        whole = sample_subject(SubjectKind.USER, "usr_1", *found)
        read = [
            record["id"]
            for dataset in exporter.datasets
            for batch in exporter.export(whole, dataset, Selection())
            for record in batch.records
        ]
        assert exporter.knows(user) is True
    assert [(one.value, one.tenant) for one in found] == [("c1", "org_1"), ("usr_1", "org_2")]
    assert read == ["t1", "t5"]
