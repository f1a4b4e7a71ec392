"""An import writes rows of its target alone, on SQLite and PostgreSQL; the archives are made by hand."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from handmade import CREATED, table, unpacked_archive
from importing import import_as
from sqlalchemy import Engine, insert, select

from exporters.reference import schema
from receiver.binding.target import ImportTarget, parse_allowed
from receiver.faults import WrongTarget
from receiver.importer.report import ImportReport
from receiver.ledger.merge import OnConflict

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
        own = {"id": "usr_1", "email": "own@example.org", "created_at": MOMENT, "mfa_enabled": True, "legal_hold": True}
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


TEN_A = ImportTarget(tenant="ten_a")
USR_1 = ImportTarget(user="usr_1")


def platform_rows(target: Engine, table_name: str, *columns: str) -> list[tuple[Any, ...]]:
    of = schema.metadata.tables[table_name]
    with target.connect() as connection:
        found = connection.execute(select(*(of.c[name] for name in columns)).order_by(of.c.id))
        return [tuple(row) for row in found]


@pytest.mark.requirement("R46")
@pytest.mark.parametrize("dry_run", [False, True])
def test_the_archive_of_a_company_changes_no_other_company(
    tmp_path: Path, target: Engine, control_url: str, dry_run: bool
) -> None:
    """The archive's company becomes the target, whatever its id; a second company is quarantined."""
    members = [
        table("memberships", member("mem_x", "ten_x"), exporter="account"),
        table("organisation", company("ten_x", closed_at=CREATED), company("ten_b"), exporter="account"),
    ]
    folders = unpacked_archive(tmp_path, members)
    report = import_as(folders, control_url, TEN_A, dry_run=dry_run, on_conflict=OnConflict.TAKE)
    assert refusals(report) == {"organisations": [("ten_b", "id", "another_tenant")]}
    assert company_names(target) == {
        "ten_a": "Name of ten_a here" if dry_run else "Name of ten_x in the archive",
        "ten_b": "Name of ten_b here",
    }
    assert platform_rows(target, "organisations", "closed_at") == [(None,), (None,)]


@pytest.mark.requirement("R46")
def test_an_id_of_another_company_s_row_becomes_a_new_id(tmp_path: Path, target: Engine, control_url: str) -> None:
    """The row that has this id here stays, and a second import finds the row that the first has made."""
    members = [table("memberships", member("mem_b", "ten_x"), exporter="account")]
    folders = unpacked_archive(tmp_path, members)
    first, second = (import_as(folders, control_url, TEN_A) for _run in range(2))
    found = dict(platform_rows(target, "memberships", "id", "tenant_id"))
    assert found.pop("mem_b") == "ten_b"
    assert list(found.values()) == ["ten_a"]
    assert (first.datasets[0].new, second.datasets[0].new, second.datasets[0].same) == (1, 0, 1)


@pytest.mark.requirement("R46")
def test_an_account_of_the_archive_is_not_the_account_with_its_id_here(
    tmp_path: Path, target: Engine, control_url: str
) -> None:
    """Seen: an archive added an owner. Without a mapping a membership leads to no account, and gives no rights."""
    members = [table("memberships", {**member("mem_x", "ten_x"), "role": "owner"}, exporter="account")]
    report = import_as(unpacked_archive(tmp_path, members), control_url, TEN_A)
    assert report.datasets[0].not_imported == {"role"}
    ((user, role),) = [
        row[1:] for row in platform_rows(target, "memberships", "id", "user_id", "role") if row[0] == "mem_x"
    ]
    assert (user == "usr_1", role) == (False, "member")


def test_accounts_and_roles_are_mapped_by_the_caller(tmp_path: Path, target: Engine, control_url: str) -> None:
    """An account by --map-user, a role by --allow with its local value; other values of the role stay out."""
    members = [
        {**member("mem_x", "ten_x"), "user_id": "usr_x", "role": "owner"},
        {**member("mem_y", "ten_x"), "user_id": "usr_y", "role": "root"},
    ]
    to = ImportTarget(
        tenant="ten_a", allowed=parse_allowed(["account/memberships.role:owner=admin"]), people={"usr_x": "usr_1"}
    )
    import_as(unpacked_archive(tmp_path, [table("memberships", *members, exporter="account")]), control_url, to)
    found = {row[0]: row[1:] for row in platform_rows(target, "memberships", "id", "user_id", "role")}
    assert found["mem_x"] == ("usr_1", "admin")
    assert found["mem_y"][1] == "member"
    assert found["mem_y"][0] not in {"usr_y", "usr_1"}


@pytest.mark.requirement("R46")
def test_the_archive_of_a_company_changes_no_person(tmp_path: Path, target: Engine, control_url: str) -> None:
    """Accounts belong to no tenant: what the archive of a company has of them is left out."""
    members = [table("profile", account("usr_1"), account("usr_new"), exporter="account")]
    report = import_as(unpacked_archive(tmp_path, members), control_url, TEN_A)
    assert [(one.dataset, one.reason) for one in report.left] == [
        ("profile", "an archive about this kind of subject does not bring it")
    ]
    assert platform_rows(target, "users", "id", "email") == [("usr_1", "own@example.org")]


@pytest.mark.requirement("R46")
def test_the_archive_of_a_person_changes_this_account_alone(tmp_path: Path, target: Engine, control_url: str) -> None:
    """Seen: another user's mail with a fresh verification, MFA and legal hold off. Companies and roles are left out."""
    told = {"full_name": "Ann", "email_verified_at": CREATED, "closed_at": CREATED}
    members = [
        table("profile", {**account("usr_x"), **told}, account("usr_other"), exporter="account"),
        table("organisation", company("ten_b"), exporter="account"),
        table("memberships", member("mem_x", "ten_b"), exporter="account"),
    ]
    folders = unpacked_archive(tmp_path, members, profile="portability")
    report = import_as(folders, control_url, USR_1, on_conflict=OnConflict.TAKE)
    columns = ("id", "full_name", "email", "email_verified_at", "mfa_enabled", "legal_hold", "closed_at")
    assert platform_rows(target, "users", *columns) == [("usr_1", "Ann", "own@example.org", None, True, True, None)]
    assert refusals(report) == {"users": [("usr_other", "id", "another_subject")]}
    assert sorted(one.dataset for one in report.left) == ["memberships", "organisation"]
    assert company_names(target)["ten_b"] == "Name of ten_b here"


def test_rows_of_a_company_need_the_company(tmp_path: Path, target: Engine, control_url: str) -> None:
    """An invoice of a person belongs to a company, too: without --as-tenant it is quarantined."""
    invoice = {"id": "inv_1", "tenant_id": "ten_x", "user_id": "usr_x", "number": "1", "status": "paid"}
    members = [table("invoices", {**invoice, "created_at": CREATED}, exporter="billing")]
    folders = unpacked_archive(tmp_path, members, profile="portability")
    assert refusals(import_as(folders, control_url, USR_1)) == {"invoices": [("inv_1", "tenant_id", "no_tenant")]}
    import_as(folders, control_url, ImportTarget(user="usr_1", tenant="ten_a"))
    assert platform_rows(target, "invoices", "id", "tenant_id", "user_id") == [("inv_1", "ten_a", "usr_1")]


def test_an_address_that_is_verified_here_is_not_replaced(tmp_path: Path, target: Engine, control_url: str) -> None:
    """It would look verified afterwards. An address that is not verified is a value like others."""
    with target.begin() as connection:
        own = {"id": "con_1", "tenant_id": "ten_a", "email": "own@example.org", "phone": "+49301", "created_at": MOMENT}
        connection.execute(insert(schema.contacts), {**own, "email_verified_at": MOMENT})
    record = {"id": "con_x", "tenant_id": "ten_x", "email": "new@example.org", "phone": "+49302", "created_at": CREATED}
    members = [table("contacts", {**record, "do_not_contact": False, "email_verified_at": CREATED}, exporter="crm")]
    folders = unpacked_archive(tmp_path, members, profile="portability", subject_kind="contact")
    import_as(folders, control_url, ImportTarget(tenant="ten_a", contact="con_1"), on_conflict=OnConflict.TAKE)
    columns = ("id", "email", "email_verified_at", "phone")
    assert platform_rows(target, "contacts", *columns) == [("con_1", "own@example.org", MOMENT, "+49302")]


def test_a_person_without_account_has_rows_of_the_address_alone(
    tmp_path: Path, target: Engine, control_url: str
) -> None:
    """Rows of an account, and rows under another address, are quarantined; a reply belongs to its inquiry."""
    inquiries = [
        {"id": "inq_1", "email": "A@example.org", "created_at": CREATED},
        {"id": "inq_2", "email": "b@example.org", "created_at": CREATED},
        {"id": "inq_3", "email": "a@example.org", "user_id": "usr_1", "created_at": CREATED},
    ]
    replies = [{"id": f"rep_{n}", "inquiry_id": f"inq_{n}", "created_at": CREATED} for n in (1, 2)]
    members = [table("replies", *replies, exporter="inquiries"), table("inquiries", *inquiries, exporter="inquiries")]
    folders = unpacked_archive(tmp_path, members, profile="portability", subject_kind="email")
    report = import_as(folders, control_url, ImportTarget(email="a@example.org"))
    assert platform_rows(target, "inquiries", "id") == [("inq_1",)]
    assert platform_rows(target, "inquiry_replies", "id", "inquiry_id") == [("rep_1", "inq_1")]
    assert report.quarantined == 3


@pytest.mark.parametrize(
    ("profile", "kind", "to"),
    [
        ("switch", "tenant", ImportTarget(user="usr_1")),
        ("portability", "user", TEN_A),
        ("portability", "contact", USR_1),
        ("portability", "email", ImportTarget(tenant="ten_a", contact="con_1")),
        ("portability", "phone", USR_1),
        ("switch", "user", USR_1),
        ("portability", "tenant", TEN_A),
        ("switch", "tenant", ImportTarget()),
        ("portability", "contact", ImportTarget(contact="con_1")),
        ("portability", "user", ImportTarget(user="usr_1", email="a@example.org")),
        ("portability", "user", ImportTarget(user="usr_1", people={"usr_x": "usr_2"})),
    ],
)
def test_the_target_must_be_what_the_archive_is_about(
    tmp_path: Path, target: Engine, control_url: str, profile: str, kind: str, to: ImportTarget
) -> None:
    """A target that is missing, incomplete or of another kind is an error before the first row."""
    folders = unpacked_archive(
        tmp_path, [table("profile", account("usr_x"), exporter="account")], profile=profile, subject_kind=kind
    )
    with pytest.raises(WrongTarget):
        import_as(folders, control_url, to)
    assert platform_rows(target, "users", "id") == [("usr_1",)]


def test_a_contact_of_another_company_is_not_a_target(tmp_path: Path, target: Engine, control_url: str) -> None:
    """The caller has confused the ids: nothing is imported."""
    with target.begin() as connection:
        own = {"id": "con_1", "tenant_id": "ten_b", "created_at": MOMENT}
        connection.execute(insert(schema.contacts), own)
    folders = unpacked_archive(tmp_path, [], profile="portability", subject_kind="contact")
    with pytest.raises(WrongTarget, match="belongs to another company"):
        import_as(folders, control_url, ImportTarget(tenant="ten_a", contact="con_1"))


@pytest.mark.usefixtures("target")
def test_another_subject_of_the_issuer_is_not_mixed_in(tmp_path: Path, control_url: str) -> None:
    """A target is bound to the subject of its first import from this issuer."""
    for number, export in enumerate(("e1", "e2")):
        (tmp_path / export).mkdir()
        members = [table("profile", account("usr_x"), exporter="account")]
        folders = unpacked_archive(tmp_path / export, members, profile="portability", export=export)
        if number:
            with pytest.raises(WrongTarget, match="another subject"):
                import_as(folders, control_url, USR_1)
        else:
            assert import_as(folders, control_url, USR_1).target == "user:usr_1"


@pytest.mark.parametrize("text", ["account/profile.full_name", "x/y.z", "account/memberships.role:a"])
def test_only_columns_that_need_it_are_allowed(text: str) -> None:
    """A misspelt column is an error, not a mapping without effect."""
    with pytest.raises(WrongTarget):
        parse_allowed([text])
