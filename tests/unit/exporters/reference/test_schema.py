from __future__ import annotations

import re
from collections.abc import Iterator

import platform_data as platform
import pytest
import repository
from repository import ROOT
from sqlalchemy import Table, create_engine

from exporters.reference import schema
from exporters.sql.columns import WITHHELD
from exporters.sql.exporter import SqlExporter
from exporters.sql.source import TableSource
from portability.api import Person, Provenance, Role, WithheldKind

TABLES = sorted(schema.metadata.tables.values(), key=lambda table: table.name)


def sources() -> Iterator[TableSource]:
    for exporter in platform.exporters(create_engine("sqlite://")).values():
        assert isinstance(exporter, SqlExporter)
        yield from exporter._tables.values()


@pytest.fixture(scope="module")
def exported_columns() -> set[tuple[str, str]]:
    return {(source.table.fullname, column.name) for source in sources() for column in source.columns}


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_no_column_is_forgotten(table: Table, exported_columns: set[tuple[str, str]]) -> None:
    """Each column is exported, or says why it must not be, or why it is internal; and only one of the three."""
    for column in table.columns:
        fates = [
            (table.name, column.name) in exported_columns,
            schema.NEVER in column.info,
            schema.INTERNAL in column.info,
        ]
        assert fates.count(True) == 1, f"{table.name}.{column.name}"
        assert all(column.info.values()), f"{table.name}.{column.name} gives no reason"


def test_every_table_is_exported_by_one_dataset() -> None:
    """A table without a dataset would be missing silently."""
    read = [source.table.fullname for source in sources()]
    assert sorted(read) == [table.name for table in TABLES]


@pytest.mark.requirement("R22")
def test_secrets_are_kept() -> None:
    """The kinds of secrets that the law names are there, marked: without them the canary tests prove nothing."""
    never = {column.name for table in TABLES for column in table.columns if schema.NEVER in column.info}
    assert never >= {
        "api_token",
        "bank_account_number",
        "card_number",
        "cvv",
        "government_id",
        "mfa_seed",
        "oauth_token",
        "password_hash",
        "recovery_codes",
        "refresh_token",
        "security_answer",
        "session_token",
        "staff_name",
        "storage_host",
        "voiceprint",
        "webhook_secret",
    }


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_keyset_columns(table: Table) -> None:
    """The columns by which a dataset is read in order are never NULL, end with the id, and an index leads there."""
    (source,) = (source for source in sources() if source.table is table)
    assert all(not column.nullable for column in source.order)
    assert source.order[-1] is table.c.id
    assert source.created is not None
    assert not source.created.nullable
    names = tuple(column.name for column in source.order)
    indexed = [tuple(getattr(part, "name", "") for part in index.expressions) for index in table.indexes]
    assert table is schema.organisations or table is schema.users or any(k[-len(names) :] == names for k in indexed)


def test_a_tenants_rows_come_in_order_from_an_index() -> None:
    """What is read for a whole tenant is read by an index on tenant and order, or each batch would sort millions."""
    big = [source for source in sources() if source.dataset.role is Role.BOTH]
    assert len(big) >= 11
    for source in big:
        table = source.table
        indexed = [[getattr(part, "name", "") for part in index.expressions] for index in table.indexes]
        order = [column.name for column in source.order]
        assert ["tenant_id", *order] in indexed, source.dataset.name


@pytest.mark.requirement("R23")
def test_descriptions_are_sentences() -> None:
    """Every field has a description that a person can understand without help (CJEU C-487/21)."""
    for source in sources():
        for field in source.dataset.fields:
            assert field.description.endswith("."), f"{source.dataset.name}/{field.name}"
            assert field.description[0].isupper(), f"{source.dataset.name}/{field.name}"
            times = field.name.endswith(("_at", "_until"))
            assert not times or "UTC" in field.description, f"{source.dataset.name}/{field.name}"


@pytest.mark.requirement("R3")
def test_provenance_of_the_policy() -> None:
    """What software concluded is derived, so that a portability export leaves it out (WP242 rev.01 section III)."""
    derived = {
        f"{source.dataset.name}/{field.name}"
        for source in sources()
        for field in source.dataset.fields
        if field.provenance is Provenance.DERIVED and source.dataset.provenance is not Provenance.DERIVED
    }
    whole = {source.dataset.name for source in sources() if source.dataset.provenance is Provenance.DERIVED}
    assert whole == {"analyses", "routing_scores"}
    notes = {name for name in derived if name.endswith(("/private_note", "activities/subject", "activities/body"))}
    assert derived - notes == {
        "contacts/lead_score",
        "deals/probability",
        "ip_addresses/city",
        "ip_addresses/country",
        "transcripts/confidence",
    }
    assert len(notes) == 8


@pytest.mark.requirement("R27")
def test_notes_about_the_subject_are_delivered() -> None:
    """No column with a note of staff is missing without a ground that the archive names (CJEU C-434/16)."""
    notes = {f"{table.name}.{column.name}" for table in TABLES for column in table.columns if "note" in column.name}
    delivered = {
        f"{source.table.name}.{field.name}"
        for source in sources()
        for field in source.dataset.fields
        if field.person is Person.NOTE
    }
    withheld = {f"{source.table.name}.{one.name}": one.kind for source in sources() for one in source.dataset.withheld}

    assert delivered == {
        "activities.body",
        "activities.subject",
        "calls.private_note",
        "contacts.private_note",
        "conversations.private_note",
        "deals.private_note",
        "inquiries.private_note",
        "tickets.private_note",
    }
    assert {name: withheld[name] for name in notes - delivered} == {
        "contact_trail.staff_note": "other_person",
        "processing_trail.staff_note": "other_person",
    }


@pytest.mark.requirement("R22")
def test_what_must_not_leave_is_described() -> None:
    """Each secret of a subject is described with sufficient particularity; what tells of others or machines is not."""
    undescribed = {
        f"{table.name}.{column.name}"
        for table in TABLES
        for column in table.columns
        if schema.NEVER in column.info and WITHHELD not in column.info
    }
    about_others = re.compile(r"\.(staff_\w+|assignee_name|\w+_host|stack_trace)$")

    assert {name for name in undescribed if not about_others.search(name)} == set()


def test_descriptions_say_what_is_held_and_nothing_of_columns() -> None:
    """A person reads them: words, no names of columns, and a kind that the page on trade secrets goes by."""
    held = [one for source in sources() for one in source.dataset.withheld]

    assert len(held) > 40
    assert all(re.match(r"(an? |the |your |recovery )", one.what) and "_" not in one.what for one in held)
    assert all(one.reason and one.kind is not WithheldKind.INTERNAL for one in held)


@pytest.mark.requirement("R28")
def test_the_published_trade_secrets_are_all_of_them() -> None:
    """docs/trade-secrets.md is complete (Data Act Art. 25(2)(f)): it lists each omitted column, and no other."""
    published = [tuple(row.values()) for row in repository.table(ROOT / "docs" / "trade-secrets.md", "exporter")]
    made = [
        (name, dataset.name, one.what, one.reason)
        for name, exporter in platform.exporters(create_engine("sqlite://")).items()
        for dataset in exporter.datasets
        for one in dataset.withheld
        if one.kind is WithheldKind.TRADE_SECRET
    ]

    assert published == made
