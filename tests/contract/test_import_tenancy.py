"""An import changes no row of another tenant, on SQLite and PostgreSQL; the archives are made by hand."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from handmade import CREATED, table, unpacked_archive
from sqlalchemy import Engine, insert, select

from exporters.reference import schema
from receiver.importer.archive_import import import_archive
from receiver.importer.report import ImportReport

MOMENT = datetime.fromisoformat(CREATED)
NEWER = {"legal_hold": False, "created_at": CREATED}


def company(identifier: str, **values: object) -> dict[str, Any]:
    """A record of account/organisation."""
    return {"id": identifier, "name": f"Name of {identifier} in the archive", **NEWER, **values}


def member(identifier: str, tenant: str) -> dict[str, Any]:
    """A record of account/memberships."""
    return {"id": identifier, "tenant_id": tenant, "user_id": "usr_1", "role": "member", "created_at": CREATED}


def account(identifier: str) -> dict[str, Any]:
    """A record of account/profile."""
    return {"id": identifier, "email": "new@example.org", "mfa_enabled": False, **NEWER}


@pytest.fixture
def target(control_engine: Engine) -> Engine:
    """The receiving platform, with two companies and a user of its own."""
    schema.metadata.create_all(control_engine)
    with control_engine.begin() as connection:
        rows = [{"id": name, "name": f"Name of {name} here"} for name in ("ten_a", "ten_b")]
        connection.execute(insert(schema.organisations), [{**row, "created_at": MOMENT} for row in rows])
        own = {"id": "usr_1", "email": "own@example.org", "created_at": MOMENT}
        connection.execute(insert(schema.users), own)
        own = {"id": "mem_b", "tenant_id": "ten_b", "user_id": "usr_1", "role": "owner", "created_at": MOMENT}
        connection.execute(insert(schema.memberships), own)
    return control_engine


def company_names(target: Engine) -> dict[str, str]:
    with target.connect() as connection:
        return {row.id: row.name for row in connection.execute(select(schema.organisations))}


def refusals(report: ImportReport) -> dict[str, list[tuple[str | None, str | None, str]]]:
    return {
        one.table: [(example.id, example.field, str(example.reason)) for example in one.examples]
        for one in report.datasets
        if one.examples
    }


@pytest.mark.requirement("R46")
@pytest.mark.parametrize("dry_run", [False, True])
def test_the_archive_of_a_company_changes_no_other_company(
    tmp_path: Path, target: Engine, control_url: str, dry_run: bool
) -> None:
    """The id of `organisations` is the tenant: another tenant's row is refused, and the own row is imported."""
    members = [
        table("memberships", member("mem_a", "ten_a"), exporter="account"),
        table("organisation", company("ten_b", closed_at=CREATED), company("ten_a"), exporter="account"),
    ]
    report = import_archive(unpacked_archive(tmp_path, members), control_url, dry_run=dry_run)
    assert refusals(report) == {"organisations": [("ten_b", "id", "another_tenant")]}
    assert company_names(target) == {
        "ten_a": "Name of ten_a here" if dry_run else "Name of ten_a in the archive",
        "ten_b": "Name of ten_b here",
    }


@pytest.mark.requirement("R46")
def test_the_archive_of_a_company_brings_rows_of_this_company_alone(
    tmp_path: Path, target: Engine, control_url: str
) -> None:
    """A new row that names another tenant is refused, too: an owner is not added to the company of another tenant."""
    members = [table("memberships", member("mem_a", "ten_a"), member("mem_new", "ten_b"), exporter="account")]
    report = import_archive(unpacked_archive(tmp_path, members), control_url)
    assert refusals(report) == {"memberships": [("mem_new", "tenant_id", "another_tenant")]}
    with target.connect() as connection:
        assert set(connection.scalars(select(schema.memberships.c.id))) == {"mem_a", "mem_b"}


def test_a_refused_row_does_not_say_whose_archive_it_is(tmp_path: Path, target: Engine, control_url: str) -> None:
    """The id of another tenant's row, under an own tenant: the rows after it are those of the archive's tenant."""
    members = [table("memberships", member("mem_b", "ten_x"), member("mem_a", "ten_a"), exporter="account")]
    report = import_archive(unpacked_archive(tmp_path, members), control_url)
    assert refusals(report) == {"memberships": [("mem_b", "tenant_id", "another_tenant")]}
    with target.connect() as connection:
        assert set(connection.scalars(select(schema.memberships.c.tenant_id))) == {"ten_a", "ten_b"}


@pytest.mark.requirement("R46")
def test_the_archive_of_a_company_changes_no_person(tmp_path: Path, target: Engine, control_url: str) -> None:
    """Accounts belong to no tenant: the archive of a company has none, and what it has is refused."""
    members = [table("profile", account("usr_1"), account("usr_new"), exporter="account")]
    report = import_archive(unpacked_archive(tmp_path, members), control_url)
    expected = [("usr_1", "id", "another_tenant"), ("usr_new", "id", "another_tenant")]
    assert refusals(report) == {"users": expected}
    with target.connect() as connection:
        assert connection.execute(select(schema.users.c.id, schema.users.c.email)).all() == [
            ("usr_1", "own@example.org")
        ]


@pytest.mark.requirement("R46")
def test_the_archive_of_a_person_changes_no_company(tmp_path: Path, target: Engine, control_url: str) -> None:
    """It has the companies of its person: those that are here stay as they are, and others are added."""
    members = [table("organisation", company("ten_b"), company("ten_new"), exporter="account")]
    folders = unpacked_archive(tmp_path, members, profile="portability")
    report = import_archive(folders, control_url)
    assert refusals(report) == {"organisations": [("ten_b", "id", "another_tenant")]}
    assert company_names(target) == {
        "ten_a": "Name of ten_a here",
        "ten_b": "Name of ten_b here",
        "ten_new": "Name of ten_new in the archive",
    }
    again = import_archive(folders, control_url)
    (organisations,) = again.datasets
    assert (organisations.same, organisations.changed, organisations.refused.total()) == (1, 0, 1)
