"""The conditions for a subject's rows use indexes: a tenant's and a contact's pages do not read whole tables."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine, Select, case, func, select

from exporters.reference import schema
from exporters.reference.maps import TABLES, form_of, relations
from exporters.sql.mapped.compiling import sources_of
from exporters.sql.mapped.look_ups import look_ups
from exporters.sql.rows import rows_of, statement
from exporters.sql.source import TableSource
from portability.api import Identity, Selection, Subject, SubjectKind
from portability.database.engine import open_engine
from portability.testing import sample_subject

SOURCES = {
    f"{name}/{source.dataset.name}": source
    for name in ("calls", "crm", "interactions")
    for source in sources_of(form_of(name), TABLES, relations(), name)
}
CONTACT = sample_subject(
    SubjectKind.CONTACT,
    "con_7",
    Identity("calls", "call_id", "call_8", verified=True, tenant="ten_1"),
    Identity("crm", "duplicate_contact_id", "con_9", verified=True, tenant="ten_1"),
    tenant="ten_1",
)
TENANT = sample_subject(SubjectKind.TENANT, "ten_1")
FILL = """
INSERT INTO contacts (id, tenant_id, company_id, do_not_contact, created_at)
SELECT 'con_' || n, 'ten_1', 'com_' || n, false, timestamptz '2026-01-01' + n * interval '1 s'
FROM generate_series(1, 2000) n;
INSERT INTO companies (id, tenant_id, created_at)
SELECT 'com_' || n, 'ten_1', timestamptz '2026-01-01' + n * interval '1 s' FROM generate_series(1, 2000) n;
INSERT INTO calls (id, tenant_id, contact_id, direction, legal_hold, created_at)
SELECT 'call_' || n, 'ten_1', 'con_' || mod(n, 2000), 'inbound', false, timestamptz '2026-01-01' + n * interval '1 s'
FROM generate_series(1, 20000) n;
INSERT INTO transcripts (id, tenant_id, call_id, position, created_at)
SELECT 'tra_' || n, 'ten_1', 'call_' || mod(n, 20000), n, timestamptz '2026-01-01' + n * interval '1 s'
FROM generate_series(1, 60000) n;
INSERT INTO tickets (id, tenant_id, contact_id, call_id, created_at)
SELECT 'tic_' || n, 'ten_1', 'con_' || mod(n, 2000), 'call_' || n, timestamptz '2026-01-01' + n * interval '1 s'
FROM generate_series(1, 20000) n;
"""
LARGE = ("calls", "transcripts", "tickets")


@pytest.fixture
def large_platform(pg_url: str) -> Iterator[Engine]:
    """One tenant with 20,000 calls, on PostgreSQL, whose planner knows the sizes."""
    engine = open_engine(pg_url)
    schema.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(FILL)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
    yield engine
    engine.dispose()


def plan_of(engine: Engine, dataset: str, subject: Subject) -> str:
    """How PostgreSQL reads the first page."""
    source: TableSource = SOURCES[dataset]
    rows = rows_of(source, subject, Selection())
    assert rows is not None
    return explained(engine, statement(source, rows, 64))


def explained(engine: Engine, query: Select[Any]) -> str:
    """How PostgreSQL runs a query."""
    compiled = query.compile(engine, compile_kwargs={"literal_binds": True})
    with engine.connect() as connection:
        return "\n".join(connection.exec_driver_sql(f"EXPLAIN {compiled}".replace("%", "%%")).scalars())


def test_pages_use_indexes(large_platform: Engine) -> None:
    """No page of a contact reads a large table from end to end, and a tenant's pages come in the order of an index."""
    for dataset in ("calls/calls", "calls/transcripts", "interactions/tickets", "crm/companies"):
        plan = plan_of(large_platform, dataset, CONTACT)
        assert not [name for name in LARGE if f"Seq Scan on {name}" in plan], f"{dataset}\n{plan}"
    for dataset, index in (
        ("calls/calls", "calls_by_tenant"),
        ("calls/transcripts", "transcripts_by_call"),
        ("interactions/tickets", "tickets_by_tenant"),
    ):
        plan = plan_of(large_platform, dataset, TENANT)
        assert f"using {index}" in plan, f"{dataset}\n{plan}"
        assert "Sort" not in plan, f"{dataset}\n{plan}"


def test_rows_without_a_person_are_counted_without_a_search_for_each_row(large_platform: Engine) -> None:
    """All that is done for each row is to look up a key: addresses are compared for all rows together."""
    for dataset in ("calls/calls", "calls/transcripts", "interactions/tickets", "crm/activities"):
        source = SOURCES[dataset]
        rows, of_row = rows_of(source, TENANT, Selection()), source.filter
        assert rows is not None
        assert of_row is not None
        unrelated = of_row.unrelated(TENANT, source.origin)
        assert unrelated is not None
        counted = select(func.count(case((unrelated.condition, 1)))).select_from(unrelated.rows).where(rows)
        lines = explained(large_platform, counted).splitlines()
        by_row = [below for line, below in pairwise(lines) if "SubPlan" in line and ":" not in line]
        assert by_row, dataset
        assert not [step for step in by_row if "Scan using" not in step and "Seq Scan on contacts" not in step], dataset


def test_a_user_s_contacts_are_found_by_an_index(large_platform: Engine) -> None:
    """A proved address is looked up in all notations of its domain, without reading the contacts of all tenants."""
    with large_platform.begin() as connection:
        connection.exec_driver_sql("UPDATE contacts SET email = id || '@example.org', email_verified_at = created_at")
    with large_platform.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE contacts")
    (first, *_) = (one for one in look_ups(form_of("crm").identity, TABLES) if one.kind == "email")
    conditions = first._conditions(Identity("account", "email", "con_7@example.org", verified=True))
    assert conditions is not None
    plan = explained(large_platform, select(first.found[0].column).where(*conditions))
    assert "contacts_by_email" in plan, plan
    assert "Seq Scan" not in plan, plan


def test_a_tenant_s_condition_is_its_column() -> None:
    """A tenant's rows are found by the column that names it, without a step to another table."""
    rows = SOURCES["interactions/tickets"].where(TENANT)
    assert str(rows) == "tickets.tenant_id IN (__[POSTCOMPILE_tenant_id_1])"


def test_a_contact_without_further_relations_is_found_by_one_index() -> None:
    """The usual contact has no rows by address and no duplicates: its calls are selected by its id alone."""
    usual = sample_subject(SubjectKind.CONTACT, "con_7", tenant="ten_1")
    rows = SOURCES["calls/calls"].where(usual)
    one_of = "calls.tenant_id IN (__[POSTCOMPILE_tenant_id_1]) AND calls.contact_id IN (__[POSTCOMPILE_contact_id_1])"
    assert str(rows) == one_of
    rows = SOURCES["calls/transcripts"].where(usual)
    assert "SELECT" not in str(rows)
