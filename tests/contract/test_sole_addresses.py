"""People without an account: which rows an e-mail address or a phone number leads to, on both databases."""

from __future__ import annotations

from typing import Any

import platform_data as platform
import pytest
from sqlalchemy import Engine, Table, delete, update

from exporters.reference import schema
from portability.api import Identity, Selection, Subject, SubjectKind
from portability.errors import AddressOfAccount
from portability.people.resolution import resolve
from portability.testing import sample_subject

READER = "reader@example.org"
ROWS = {
    "inquiries/inquiries": ["inquiries-reader"],
    "inquiries/replies": ["rep-reader"],
    "marketing/preferences": ["marketing_preferences-reader"],
    "marketing/consents": ["consents-reader"],
    "marketing/campaigns": ["campaigns_received-reader"],
}
TABLES = (schema.inquiries, schema.marketing_preferences, schema.consents, schema.campaigns_received)


def resolved_address(engine: Engine, address: str = READER, kind: SubjectKind = SubjectKind.EMAIL) -> Subject:
    """The subject as a worker knows it."""
    subject = sample_subject(kind, address)
    return resolve(subject, platform.exporters(engine), lambda _name, call: call()).subject


def rows_and_reviews(engine: Engine, subject: Subject) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Ids of records, and names of rows that someone must review, by dataset; empty datasets are left out."""
    found: dict[str, list[str]] = {}
    reviewed: dict[str, list[str]] = {}
    for name in ("inquiries", "marketing"):
        exporter = platform.exporters(engine)[name]
        for dataset in exporter.datasets:
            for batch in exporter.export(subject, dataset, Selection()):
                found.setdefault(f"{name}/{dataset.name}", []).extend(str(one["id"]) for one in batch.records)
                assert {gap.reason for gap in batch.gaps} <= {"needs_review"}
                reviewed.setdefault(f"{name}/{dataset.name}", []).extend(gap.what for gap in batch.gaps)
    return ({k: v for k, v in found.items() if v}, {k: v for k, v in reviewed.items() if v})


def source_knows(engine: Engine, address: str = READER) -> object:
    return platform.exporters(engine)["account"].knows(sample_subject(SubjectKind.EMAIL, address))  # type: ignore[attr-defined]  # the reference exporter has it


def add_row(engine: Engine, table: Table, identifier: str, **values: Any) -> None:
    platform.put(engine, platform.row(table, identifier, **values))


def alter(engine: Engine, table: Table, identifier: str, **values: object) -> None:
    with engine.begin() as connection:
        connection.execute(update(table).where(table.c.id == identifier).values(**values))


def contact_identities(subject: Subject) -> list[tuple[str | None, str, bool]]:
    return [(i.tenant, i.value, i.verified) for i in subject.identities if i.kind == "contact_id"]


@pytest.mark.requirement("R1")
def test_a_reader_gets_every_row_under_the_address(either: Engine) -> None:
    """Inquiries with their replies, preferences, consents and campaigns, and no row of anyone else."""
    assert rows_and_reviews(either, resolved_address(either)) == (ROWS, {})
    assert source_knows(either) is True


@pytest.mark.parametrize(
    "notation", ["Reader@Example.org", " reader@example.org", "READER@EXAMPLE.ORG "], ids=["case", "space", "both"]
)
def test_another_notation_is_the_same_address(either: Engine, notation: str) -> None:
    """The normal form decides, not the text: ASCII case and surrounding spaces do not count."""
    for table in TABLES:
        alter(either, table, f"{table.name}-reader", email=notation)
    assert rows_and_reviews(either, resolved_address(either)) == (ROWS, {})


def test_two_notations_of_a_domain_are_one_address(either: Engine) -> None:
    """A domain with other letters than ASCII is stored in either of its forms (IDNA)."""
    alter(either, schema.inquiries, "inquiries-reader", email="reader@b\u00fccher.example")
    alter(either, schema.consents, "consents-reader", email="reader@xn--bcher-kva.example")
    found, _ = rows_and_reviews(either, resolved_address(either, "reader@b\u00fccher.example"))
    assert {*found} == {"inquiries/inquiries", "inquiries/replies", "marketing/consents"}


@pytest.mark.parametrize(
    "other", ["reader@example.com", "readers@example.org", "r.eader@example.org", "\u212aeader@x.org"]
)
def test_a_similar_address_is_another_person(either: Engine, other: str) -> None:
    """One different letter, or another domain, leads to nothing, and no source knows the subject."""
    assert rows_and_reviews(either, resolved_address(either, other)) == ({}, {})
    assert source_knows(either, other) is False


def test_two_names_are_two_people(either: Engine) -> None:
    """Someone must decide: which person asks is unknown, so every row under the address is named and none delivered."""
    alter(either, schema.inquiries, "inquiries-reader", name="Sam First")
    add_row(either, schema.inquiries, "second", user_id=None, email=READER, name="Pat Second")
    found, reviewed = rows_and_reviews(either, resolved_address(either))
    assert found == {}
    assert reviewed == {
        "inquiries/inquiries": ["inquiries/inquiries-reader", "inquiries/second"],
        "inquiries/replies": ["replies/inquiry_id=inquiries-reader"],
        "marketing/preferences": ["preferences/marketing_preferences-reader"],
        "marketing/consents": ["consents/consents-reader"],
        "marketing/campaigns": ["campaigns/campaigns_received-reader"],
    }
    assert source_knows(either) is True


@pytest.mark.parametrize("name", ["sam  FIRST", "Sam", None])
def test_a_shorter_or_missing_name_is_no_second_person(either: Engine, name: str | None) -> None:
    """Case and spaces do not count, and a name may be shortened."""
    alter(either, schema.inquiries, "inquiries-reader", name="Sam First")
    add_row(either, schema.inquiries, "second", user_id=None, email=READER, name=name)
    found, reviewed = rows_and_reviews(either, resolved_address(either))
    assert found == {**ROWS, "inquiries/inquiries": ["inquiries-reader", "second"]}
    assert reviewed == {}


def test_a_row_of_an_account_under_the_address_is_a_second_person(either: Engine) -> None:
    """An account holder gave this address in a form: two people may have used it, and the row is the account's."""
    add_row(either, schema.consents, "of-account", user_id="usr_2", email=READER)
    found, reviewed = rows_and_reviews(either, resolved_address(either))
    assert found == {}
    assert reviewed["marketing/consents"] == ["consents/consents-reader"]


@pytest.mark.parametrize("closed_at", [None, platform.EPOCH])
def test_an_address_of_an_account_leads_to_its_login(either: Engine, closed_at: object) -> None:
    """No data by code, neither of the account nor of earlier rows, also if the account is closed."""
    alter(either, schema.users, "usr_2", email="Reader@example.org", closed_at=closed_at)
    with pytest.raises(AddressOfAccount, match="the address of sub_sample belongs to an account"):
        resolved_address(either)


def test_an_unverified_address_of_an_account_is_a_sign_of_a_second_person(either: Engine) -> None:
    """Anyone can register with any address: the owner of the mailbox is not sent to that login, and someone decides."""
    alter(either, schema.users, "usr_2", email=READER, email_verified_at=None)
    found, reviewed = rows_and_reviews(either, resolved_address(either))
    assert found == {}
    assert reviewed.keys() == ROWS.keys()


def test_a_phone_of_an_account_leads_to_its_login(either: Engine) -> None:
    """The same for numbers, in any notation."""
    alter(either, schema.users, "usr_2", phone="+62 812-3333-4444")
    with pytest.raises(AddressOfAccount):
        resolved_address(either, "+6281233334444", SubjectKind.PHONE)


@pytest.mark.parametrize("kind", [SubjectKind.EMAIL, SubjectKind.PHONE])
def test_a_contact_s_tenant_is_found_by_the_proved_address(either: Engine, kind: SubjectKind) -> None:
    """con_2 of ten_a has proved the address: the plan asks for the tenant's instruction."""
    address = "other@example.org" if kind is SubjectKind.EMAIL else "+6281299999999"
    assert contact_identities(resolved_address(either, address, kind)) == [("ten_a", "con_2", True)]


def test_an_address_that_a_contact_has_not_proved_leads_to_no_tenant(either: Engine) -> None:
    """Anyone can give any address to a company."""
    alter(either, schema.contacts, "con_2", email_verified_at=None)
    assert contact_identities(resolved_address(either, "other@example.org")) == []


def test_a_contact_s_address_of_an_account_leads_to_its_login(either: Engine) -> None:
    """The account's login gives the contact's data; the code does not, also if only the CRM is asked for."""
    with pytest.raises(AddressOfAccount):
        resolved_address(either, platform.EMAIL)
    crm = platform.exporters(either)["crm"]
    assert not crm.identities(sample_subject(SubjectKind.EMAIL, platform.EMAIL))  # type: ignore[attr-defined]  # as above


@pytest.mark.parametrize("second", [{"full_name": "Another Name"}, {"full_name": None}])
def test_a_shared_address_of_contacts_is_for_the_tenant(either: Engine, second: dict[str, object]) -> None:
    """Two records that are not certainly the same person: none is verified, so no instruction opens them."""
    alter(either, schema.contacts, "con_2", full_name="Sam First")
    add_row(either, schema.contacts, "con_9", tenant_id="ten_a", email="other@example.org", **second)
    assert contact_identities(resolved_address(either, "other@example.org")) == [
        ("ten_a", "con_2", False),
        ("ten_a", "con_9", False),
    ]


def test_a_second_person_elsewhere_counts_at_tenants_too(either: Engine) -> None:
    """Two names under the address in inquiries: which of them is the contact is unknown."""
    for number, name in enumerate(("Sam First", "Pat Second")):
        add_row(either, schema.inquiries, f"inq-{number}", user_id=None, email="other@example.org", name=name)
    assert contact_identities(resolved_address(either, "other@example.org")) == [("ten_a", "con_2", False)]


def test_an_unverified_account_elsewhere_counts_at_tenants_too(either: Engine) -> None:
    """Also without any row under the address: the account may be another person's."""
    alter(either, schema.users, "usr_2", email="other@example.org", email_verified_at=None)
    found = contact_identities(resolved_address(either, "other@example.org"))
    assert found == [("ten_a", "con_2", False)]


def test_only_the_proved_address_counts(either: Engine) -> None:
    """An identity that is not verified, or is of another kind, leads to nothing."""
    for identity in (
        Identity("request", "email", READER, verified=False),
        Identity("request", "phone", READER, verified=True),
    ):
        subject = Subject(SubjectKind.EMAIL, None, "sub_sample", (identity,))
        assert rows_and_reviews(
            either, resolve(subject, platform.exporters(either), lambda _n, call: call()).subject
        ) == ({}, {})


def test_a_cell_of_another_type_is_no_address(either: Engine) -> None:
    """SQLite stores bytes in a column of texts: such a row is not this person's, and costs no other row."""
    if either.dialect.name != "sqlite":
        pytest.skip("PostgreSQL stores only texts in such a column")
    add_row(either, schema.inquiries, "bytes", user_id=None, email=READER, name="Pat Second")
    with either.begin() as connection:
        connection.exec_driver_sql("UPDATE inquiries SET email = CAST(email AS BLOB) WHERE id = 'bytes'")
    assert rows_and_reviews(either, resolved_address(either)) == (ROWS, {})


def test_without_rows_no_source_knows_the_address(either: Engine) -> None:
    """Then an officer decides: an archive must not say that nothing is stored about a mistyped address."""
    with either.begin() as connection:
        for table in TABLES:
            connection.execute(delete(table).where(table.c.id == f"{table.name}-reader"))
    assert source_knows(either) is False
