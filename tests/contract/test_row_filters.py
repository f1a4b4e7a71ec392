from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import platform_data as platform
import pytest
from sqlalchemy import Engine, update
from wrong_clocks import set_wrong

from exporters.reference import schema
from exporters.sql import creation
from portability.api import (
    DeclaringExporter,
    Exporter,
    Identity,
    ResolvingExporter,
    RowRemark,
    Selection,
    Subject,
    SubjectKind,
)
from portability.api.nouns import first_identity
from portability.database.engine import open_engine
from portability.people.resolution import led_by, resolve
from portability.testing import sample_subject

BY_FOUND_IDENTITIES = {"calls", "chats", "crm", "inquiries", "interactions", "marketing", "trail"}
"""Exporters that select by e-mail addresses, phone numbers or contacts, which `account` and `crm` find."""
KELVIN = "\N{KELVIN SIGN}"


@pytest.fixture
def filled_platform(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'platform.db'}")
    platform.fill(engine)
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Both databases, for rules that depend on how each compares text."""
    if request.param == "sqlite":
        yield request.getfixturevalue("filled_platform")
        return
    yield request.getfixturevalue("pg_platform")


def ids(
    filled_platform: Engine, exporter: str, dataset: str, subject: Subject, selection: Selection | None = None
) -> set[str]:
    read = platform.records(platform.exporters(filled_platform)[exporter], dataset, subject, selection)
    return {str(record["id"]) for record in read}


def found(exporter: Exporter, subject: Subject) -> set[Identity]:
    assert isinstance(exporter, ResolvingExporter)
    return set(exporter.identities(subject))


def test_a_call_without_a_contact_belongs_to_the_number(filled_platform: Engine) -> None:
    """A call without contact is the contact's if it came from its verified number at that tenant."""
    subject = sample_subject(SubjectKind.CONTACT, "con_1", tenant="ten_a")
    assert found(platform.exporters(filled_platform)["calls"], subject) == {
        Identity("calls", "call_id", "call-con_1-2", verified=True, tenant="ten_a")
    }
    assert ids(filled_platform, "calls", "calls", platform.CONTACT) == {"call-con_1-0", "call-con_1-1", "call-con_1-2"}
    assert ids(filled_platform, "calls", "calls", subject) == {"call-con_1-0", "call-con_1-1"}


def test_who_was_asked_about_before_makes_no_difference(filled_platform: Engine) -> None:
    """One exporter serves all subjects of a process, in turn, and each gets its own rows."""
    calls = platform.exporters(filled_platform)["calls"]
    unknown_number = replace(platform.CONTACT, identities=platform.CONTACT.identities[:1])
    stranger = sample_subject(SubjectKind.CONTACT, "con_0", tenant="ten_a")

    def read(subject: Subject) -> int:
        return len(list(platform.records(calls, "calls", subject)))

    assert [read(one) for one in (platform.CONTACT, unknown_number, stranger, platform.CONTACT)] == [3, 2, 0, 3]


def test_a_number_verified_elsewhere_selects_nothing(filled_platform: Engine) -> None:
    """A phone number counts at the tenant where it was verified, and nowhere else."""
    phone = Identity("account", "phone", platform.PHONE, verified=True)
    for identity in (phone, replace(phone, tenant="ten_b"), replace(phone, tenant="ten_a", verified=False)):
        subject = sample_subject(SubjectKind.CONTACT, "con_1", identity, tenant="ten_a")
        assert "call-con_1-2" not in ids(filled_platform, "calls", "calls", subject)


def test_a_call_of_another_contact_is_not_the_caller_s(filled_platform: Engine) -> None:
    """A call with a contact belongs only to that contact, from any number."""
    platform.put(
        filled_platform,
        platform.row(schema.calls, "lent", tenant_id="ten_a", contact_id="con_2", caller_number=platform.PHONE),
    )
    assert "lent" not in ids(filled_platform, "calls", "calls", platform.CONTACT)


def test_a_child_of_another_tenant_s_parent_is_not_exported(filled_platform: Engine) -> None:
    """A row that names one tenant and refers to another tenant's call or chat is exported to neither."""
    platform.put(
        filled_platform,
        platform.row(schema.transcripts, "stray-1", tenant_id="ten_b", call_id="call-con_1-0"),
        platform.row(schema.messages, "stray-2", tenant_id="ten_b", conversation_id="chat-con_1-0"),
    )
    for tenant in ("ten_a", "ten_b"):
        subject = sample_subject(SubjectKind.TENANT, tenant)
        assert "stray-1" not in ids(filled_platform, "calls", "transcripts", subject)
        assert "stray-2" not in ids(filled_platform, "chats", "messages", subject)


def test_a_user_is_a_contact_of_several_tenants(filled_platform: Engine) -> None:
    """Contact identities at two tenants select at both, each within its own wall."""
    both = replace(
        platform.USER,
        identities=(*platform.USER.identities, Identity("crm", "contact_id", "con_b", verified=True, tenant="ten_b")),
    )
    assert ids(filled_platform, "crm", "contacts", both) == {"con_1", "con_b"}
    crossed = tuple(replace(i, tenant="ten_b" if i.tenant == "ten_a" else "ten_a") for i in both.identities[2:])
    assert ids(filled_platform, "crm", "contacts", replace(both, identities=crossed)) == set()


def test_a_tenant_s_companies_need_no_contact(filled_platform: Engine) -> None:
    """A tenant takes all its companies along; a contact gets its employer alone."""
    platform.put(filled_platform, platform.row(schema.companies, "com_lonely", tenant_id="ten_a"))
    assert ids(filled_platform, "crm", "companies", platform.TENANT) == {"com_1", "com_2", "com_lonely"}
    assert ids(filled_platform, "crm", "companies", platform.CONTACT) == {"com_1"}


def test_a_former_member_sees_no_company(filled_platform: Engine) -> None:
    """The company's record goes to its current members; a past membership stays in the person's own data."""
    platform.put(
        filled_platform,
        platform.row(schema.memberships, "mem-past", user_id="usr_1", tenant_id="ten_b", ended_at=platform.EPOCH),
    )
    assert ids(filled_platform, "account", "organisation", platform.USER) == {"ten_a"}
    assert "mem-past" in ids(filled_platform, "account", "memberships", platform.USER)


@pytest.mark.parametrize(
    ("email", "user", "taken"),
    [
        ("ana@example.org", None, True),
        ("ANA@EXAMPLE.ORG", None, True),
        ("ana@example.org", "usr_2", False),
        ("someone@example.org", None, False),
        (None, None, False),
    ],
)
def test_what_was_written_without_logging_in(either: Engine, email: str | None, user: str | None, taken: bool) -> None:
    """An inquiry is the user's by its verified e-mail address, unless another account claims it."""
    platform.put(either, platform.row(schema.inquiries, "inq", user_id=user, email=email))
    platform.put(either, platform.row(schema.inquiry_replies, "rep", inquiry_id="inq"))
    assert ("inq" in ids(either, "inquiries", "inquiries", platform.USER)) is taken
    assert ("rep" in ids(either, "inquiries", "replies", platform.USER)) is taken


@pytest.mark.parametrize(
    ("stored", "verified"),
    [
        (f"{KELVIN}im@example.org", "kim@example.org"),
        ("kim@example.org", f"{KELVIN}im@example.org"),
        ("strasse@example.org", "stra\N{LATIN SMALL LETTER SHARP S}e@example.org"),
        ("i@example.org", "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}@example.org"),
        ("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}@example.org", "i@example.org"),
    ],
)
def test_look_alike_addresses_are_other_people(either: Engine, stored: str, verified: str) -> None:
    """Only ASCII case is ignored in addresses: Unicode's rules would make another's mailbox the subject's."""
    row = platform.row(schema.contacts, "con_x", tenant_id="ten_a", email=stored, email_verified_at=platform.EPOCH)
    platform.put(either, row, platform.row(schema.inquiries, "inq", user_id=None, email=stored))
    subject = sample_subject(SubjectKind.USER, "usr_9", Identity("account", "email", verified, verified=True))
    assert found(platform.exporters(either)["crm"], subject) == set()
    assert ids(either, "inquiries", "inquiries", subject) == set()


def test_account_finds_addresses(filled_platform: Engine) -> None:
    """A user's addresses are found, and count as verified only where the platform has verified them."""
    platform.put(
        filled_platform,
        platform.row(schema.users, "usr_new", email="new@example.org", phone="+1", email_verified_at=None),
    )
    account = platform.exporters(filled_platform)["account"]
    assert found(account, sample_subject(SubjectKind.USER, "usr_new")) == {
        Identity("account", "email", "new@example.org", verified=False),
        Identity("account", "phone", "+1", verified=True),
    }
    assert found(account, platform.CONTACT) == found(account, platform.TENANT) == set()


def test_crm_finds_the_contacts_that_a_user_is(filled_platform: Engine) -> None:
    """A user is the contact whose own verified e-mail address is theirs, with that contact's verified number."""
    assert found(platform.exporters(filled_platform)["crm"], platform.USER) == {
        Identity("crm", "contact_id", "con_1", verified=True, tenant="ten_a"),
        Identity("crm", "phone", platform.PHONE, verified=True, tenant="ten_a"),
    }
    unverified = sample_subject(SubjectKind.USER, "usr_1", Identity("account", "email", platform.EMAIL))
    assert found(platform.exporters(filled_platform)["crm"], unverified) == set()


def test_crm_finds_addresses_within_the_wall(filled_platform: Engine) -> None:
    """A contact's addresses have its tenant; a contact of another tenant is unknown."""
    crm = platform.exporters(filled_platform)["crm"]
    subject = sample_subject(SubjectKind.CONTACT, "con_b", tenant="ten_b")
    assert found(crm, subject) == {
        Identity("crm", "email", platform.EMAIL, verified=False, tenant="ten_b"),
        Identity("crm", "phone", platform.PHONE, verified=True, tenant="ten_b"),
    }
    assert found(crm, sample_subject(SubjectKind.CONTACT, "con_b", tenant="ten_a")) == set()


def test_resolving_ends(filled_platform: Engine) -> None:
    """The host asks until nothing new comes: a user is found with addresses and contacts after a few rounds."""
    subject = sample_subject(SubjectKind.USER, "usr_1")
    user = resolve(subject, platform.exporters(filled_platform), lambda _name, call: call()).subject
    assert {(i.kind, i.tenant) for i in user.identities if i.verified} == {
        ("user_id", None),
        ("email", None),
        ("phone", None),
        ("contact_id", "ten_a"),
        ("phone", "ten_a"),
        ("call_id", "ten_a"),
    }


@pytest.mark.requirement("R8")
def test_retention(filled_platform: Engine) -> None:
    """Rows past their retention period are delivered with their parts: what is still stored belongs to the answer."""
    past: dict[str, Any] = {
        "retained_until": platform.EPOCH - timedelta(days=1),
        "tenant_id": "ten_a",
        "contact_id": "con_1",
    }
    platform.put(
        filled_platform,
        platform.row(schema.calls, "call-past", **past),
        platform.row(schema.transcripts, "part-past", tenant_id="ten_a", call_id="call-past"),
        platform.row(schema.calls, "call-held", **(past | {"legal_hold": True})),
        platform.row(schema.transcripts, "part-held", tenant_id="ten_a", call_id="call-held"),
        platform.row(schema.conversations, "chat-past", **past),
        platform.row(schema.messages, "message-past", tenant_id="ten_a", conversation_id="chat-past"),
    )
    for subject in (platform.CONTACT, platform.TENANT):
        calls = ids(filled_platform, "calls", "calls", subject)
        assert {"call-held", "call-past"} <= calls
        parts = ids(filled_platform, "calls", "transcripts", subject) | ids(
            filled_platform, "chats", "messages", subject
        )
        assert {"part-held", "part-past", "message-past"} <= parts
    earlier = Selection(began_at=platform.EPOCH - timedelta(days=2))
    assert ids(filled_platform, "calls", "calls", platform.CONTACT, earlier) == set()


@pytest.mark.requirement("R5")
def test_times_of_a_selection(filled_platform: Engine) -> None:
    """`since` includes its moment, `until` does not, and what was created after the export began is left out."""
    hour = [platform.EPOCH + timedelta(hours=number) for number in range(3)]
    rows = [f"devices-usr_1-{number}" for number in range(3)]

    def read(selection: Selection) -> set[str]:
        return ids(filled_platform, "devices", "devices", platform.USER, selection)

    assert read(Selection(since=hour[1])) == {rows[1], rows[2]}
    assert read(Selection(until=hour[1])) == {rows[0]}
    assert read(Selection(since=hour[1], until=hour[2])) == {rows[1]}
    assert read(Selection(began_at=hour[1])) == {rows[0], rows[1]}
    assert read(Selection(until=hour[1] + timedelta(microseconds=1))) == {rows[0], rows[1]}


@pytest.mark.requirement("R5")
@pytest.mark.parametrize("dataset", ["calls", "transcripts", "recordings", "analyses", "vcon"])
def test_a_call_with_a_time_in_the_future_is_exported_with_its_parts(filled_platform: Engine, dataset: str) -> None:
    """A wrong clock of the source must not make data vanish: no row can have been created after this moment."""
    began = Selection(began_at=platform.EPOCH + timedelta(days=3))
    before = ids(filled_platform, "calls", dataset, platform.CONTACT, began)
    assert before
    for tables in ([schema.calls], [schema.transcripts, schema.recordings, schema.call_analyses]):
        with filled_platform.begin() as connection:
            for table in tables:
                connection.execute(update(table).values(created_at=datetime.now(UTC) + timedelta(hours=1)))
        assert ids(filled_platform, "calls", dataset, platform.CONTACT, began) == before


@pytest.mark.requirement("R5")
@pytest.mark.parametrize("dataset", ["calls", "vcon"])
def test_a_record_with_a_time_in_the_future_is_remarked(filled_platform: Engine, dataset: str) -> None:
    """The ledger counts it as `created_in_future`; a record with a possible time has no such remark."""
    exporter = platform.exporters(filled_platform)["calls"]
    (wanted,) = (found for found in exporter.datasets if found.name == dataset)
    began = Selection(began_at=platform.EPOCH + timedelta(days=3))

    def remarked() -> list[tuple[int, int]]:
        batches = [*exporter.export(platform.CONTACT, wanted, began)]
        return [(len(batch.records), len(batch.remarks.get(RowRemark.CREATED_IN_FUTURE, ()))) for batch in batches]

    assert remarked() == [(3, 0)]
    with filled_platform.begin() as connection:
        wrong = update(schema.calls).where(schema.calls.c.id == "call-con_1-1")
        connection.execute(wrong.values(created_at=datetime.now(UTC) + timedelta(days=300)))
    assert remarked() == [(3, 1)]


def test_a_clock_that_is_behind_calls_no_time_impossible(
    filled_platform: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made before the export began is not of the future, on a worker whose clock is hours behind either."""
    exporter = platform.exporters(filled_platform)["calls"]
    (wanted,) = (found for found in exporter.datasets if found.name == "calls")
    with filled_platform.begin() as connection:
        connection.execute(update(schema.calls).values(created_at=datetime.now(UTC) - timedelta(hours=1)))
    set_wrong(monkeypatch, creation, hours=-3)
    batches = [*exporter.export(platform.CONTACT, wanted, Selection(began_at=datetime.now(UTC)))]
    assert [(len(batch.records), dict(batch.remarks)) for batch in batches] == [(3, {})]


@pytest.mark.requirement("R5")
@pytest.mark.parametrize("dataset", ["calls", "transcripts", "recordings", "analyses", "vcon"])
def test_parts_of_a_call_that_is_left_out_are_left_out(filled_platform: Engine, dataset: str) -> None:
    """A call that was created since the export began is not in it, and neither are parts with an earlier time."""
    began = Selection(began_at=platform.EPOCH + timedelta(days=3))
    with filled_platform.begin() as connection:
        connection.execute(update(schema.calls).values(created_at=platform.EPOCH + timedelta(days=4)))
    assert ids(filled_platform, "calls", dataset, platform.CONTACT, began) == set()


def test_exporters_use_the_identities_that_they_declare(filled_platform: Engine) -> None:
    """With the kinds that an exporter declares and the identity of the request it reads the same as with all."""
    exporters = platform.exporters(filled_platform)
    for kind, first in ((SubjectKind.USER, "usr_1"), (SubjectKind.CONTACT, "con_1"), (SubjectKind.TENANT, "ten_a")):
        tenant = None if kind is SubjectKind.USER else "ten_a"
        named = Subject(kind, tenant, "sub_1", (first_identity(kind, first, tenant),))
        whole = resolve(named, exporters, lambda _name, call: call()).subject
        for name, exporter in exporters.items():
            assert isinstance(exporter, DeclaringExporter), name
            use = exporter.identity_use
            assert use.selects_by is not None
            assert use.finds is not None
            assert {identity.kind for identity in found(exporter, whole)} <= use.finds, name
            kept = tuple(i for i in whole.identities if i in named.identities or i.kind in use.selects_by)
            fewer = replace(whole, identities=kept)
            assert found(exporter, fewer) == found(exporter, whole), name
            for dataset in exporter.datasets:
                if kind in (dataset.subject_kinds or ()):
                    read = platform.records(exporter, dataset.name, whole)
                    assert platform.records(exporter, dataset.name, fewer) == read, f"{name}/{dataset.name}"


@pytest.mark.parametrize("failing", ["crm", "account"])
def test_what_a_failing_exporter_costs(filled_platform: Engine, failing: str) -> None:
    """Without its identities other exporters may miss something, and all the rest is whole."""
    exporters = platform.exporters(filled_platform)
    assert {name for name in exporters if failing in led_by(name, exporters, assume=True)} == BY_FOUND_IDENTITIES
