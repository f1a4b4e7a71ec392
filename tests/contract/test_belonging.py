"""Which rows belong to a person: by relations and by addresses, with hand-made rows on both databases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import platform_data as platform
import pytest
from archives import export_json
from factories import World, world
from sqlalchemy import Engine, Table, delete, update

from exporters.reference import schema
from portability.api import (
    CountingExporter,
    Gap,
    Identity,
    Selection,
    SlicingExporter,
    Subject,
    SubjectKind,
)
from portability.database.engine import reading, writing
from portability.people.resolution import resolve
from portability.requests import exports, instructions
from portability.testing import sample_subject

ANN = {"tenant_id": "ten_a", "contact_id": "con_1"}
UNLINKED = {"tenant_id": "ten_a", "contact_id": None}
INTERACTIONS = {
    "tickets": schema.tickets,
    "ai_agent_actions": schema.ai_agent_actions,
    "satisfaction": schema.satisfaction,
    "routing_scores": schema.routing_scores,
}
ANN_EMAIL, ANN_PHONE = "ana@example.org", "+6281200000001"
VERIFIED_AT = datetime(2026, 3, 1, 8, 30, 0, 123456, tzinfo=UTC)
"""When con_1 proved both of its addresses."""
LATER_AT, EARLIER_AT = VERIFIED_AT + timedelta(days=3), datetime(2015, 6, 1, 12, tzinfo=UTC)


def contact(engine: Engine, identifier: str = "con_1", tenant: str = "ten_a") -> Subject:
    return resolved(engine, sample_subject(SubjectKind.CONTACT, identifier, tenant=tenant))


def resolved(engine: Engine, subject: Subject) -> Subject:
    """The subject as a worker knows it."""
    return resolve(subject, platform.exporters(engine), lambda _name, call: call()).subject


def put(engine: Engine, table: Table, identifier: str, **values: Any) -> None:
    platform.put(engine, platform.row(table, identifier, **values))


def change(engine: Engine, table: Table, identifier: str, **values: object) -> None:
    with engine.begin() as connection:
        connection.execute(update(table).where(table.c.id == identifier).values(**values))


def read(engine: Engine, dataset: str, subject: Subject) -> list[str]:
    """The ids of all records, also those that come twice; counting and slices must agree."""
    exporter_name, _, name = dataset.partition("/")
    exporter = platform.exporters(engine)[exporter_name]
    found = [str(record["id"]) for record in platform.records(exporter, name, subject)]
    (declared,) = (one for one in exporter.datasets if one.name == name)
    assert isinstance(exporter, CountingExporter)
    assert isinstance(exporter, SlicingExporter)
    assert exporter.count(subject, declared, Selection()).records == len(found)
    slices = exporter.slices(subject, declared, Selection(), 3)
    assert [one.end for one in slices[:-1]] == [one.begin for _, one in pairwise(slices)]
    parts = [platform.records(exporter, name, subject, Selection(slice=one)) for one in slices]
    assert [str(record["id"]) for part in parts for record in part] == found
    return found


def gaps(engine: Engine, dataset: str, subject: Subject, selection: Selection | None = None) -> list[str]:
    """The names of all gaps; each must be a review."""
    exporter_name, _, name = dataset.partition("/")
    exporter = platform.exporters(engine)[exporter_name]
    (declared,) = (one for one in exporter.datasets if one.name == name)
    batches = exporter.export(subject, declared, selection or Selection())
    found: list[Gap] = [gap for batch in batches for gap in batch.gaps]
    assert {(gap.reason, gap.retryable) for gap in found} <= {("needs_review", False)}
    return [gap.what for gap in found]


@pytest.mark.requirement("R1")
@pytest.mark.parametrize("dataset", INTERACTIONS)
@pytest.mark.parametrize("parent", [{"call_id": "call-con_1-0"}, {"conversation_id": "chat-con_1-0"}])
def test_what_belongs_to_a_call_or_chat_belongs_to_its_contact(
    either: Engine, dataset: str, parent: dict[str, str]
) -> None:
    """A ticket, action, answer or score without a contact is the contact's if it names the contact's call or chat."""
    table, unrelated = INTERACTIONS[dataset], {"call_id": None, "conversation_id": None}
    put(either, table, "hers", **UNLINKED | unrelated | parent)
    put(
        either,
        table,
        "not-hers",
        **UNLINKED | unrelated | {key: value.replace("1", "2") for key, value in parent.items()},
    )
    put(either, table, "no-one-s", **UNLINKED | unrelated)
    found = read(either, f"interactions/{dataset}", contact(either))
    assert "hers" in found
    assert not {"not-hers", "no-one-s"} & set(found)


def test_a_row_with_several_relations_comes_once(either: Engine) -> None:
    """A ticket that names the contact, its call and its chat is one record."""
    put(either, schema.tickets, "thrice", **ANN, call_id="call-con_1-0", conversation_id="chat-con_1-0")
    assert read(either, "interactions/tickets", contact(either)).count("thrice") == 1


def test_an_unrecognised_call_leads_on_to_what_belongs_to_it(either: Engine) -> None:
    """Two steps: the number leads to the call, and the call to its ticket and its transcript."""
    put(either, schema.tickets, "of-call", **UNLINKED, call_id="call-con_1-2", conversation_id=None)
    subject = contact(either)
    assert "of-call" in read(either, "interactions/tickets", subject)
    assert "transcripts-call-con_1-2-0" in read(either, "calls/transcripts", subject)


@pytest.mark.parametrize(
    "number", ["+6281200000001", "+62 812-0000-0001", "tel:+62-812-0000-0001", "(+62) 812 00000001", " +6281200000001 "]
)
@pytest.mark.parametrize(("direction", "column"), [("inbound", "caller_number"), ("outbound", "called_number")])
def test_a_call_from_or_to_the_contact_s_number(either: Engine, direction: str, column: str, number: str) -> None:
    """An unrecognised call is the contact's if the number on its side is the contact's, in any notation."""
    numbers = {"caller_number": "+622150000000", "called_number": "+622150000000"} | {column: number}
    put(either, schema.calls, "hers", **UNLINKED, direction=direction, started_at=LATER_AT, **numbers)
    assert "hers" in read(either, "calls/calls", contact(either))
    assert gaps(either, "calls/calls", contact(either)) == []


def test_a_number_on_the_company_s_side_is_not_the_contact_s(either: Engine) -> None:
    """The number that an inbound call was made to is the company's, even if a contact has it."""
    put(either, schema.calls, "x", **UNLINKED, direction="inbound", caller_number="+621", called_number=ANN_PHONE)
    assert "x" not in read(either, "calls/calls", contact(either))


@pytest.mark.parametrize(
    ("address", "is_hers"),
    [
        ("ana@example.org", True),
        ("ANA@Example.ORG", True),
        (" ana@example.org ", True),
        ("\N{LATIN CAPITAL LETTER A WITH DIAERESIS}NA@example.org", False),
        ("banana@example.org", False),
        ("ana@example.org.example.com", False),
        ("an_@example.org", False),
        ("ana+news@example.org", False),
    ],
)
def test_a_chat_under_the_contact_s_address(either: Engine, address: str, is_hers: bool) -> None:
    """A chat without contact is the contact's under its verified e-mail address, and under no similar address."""
    put(either, schema.conversations, "x", **UNLINKED, visitor_email=address, opened_at=LATER_AT)
    put(either, schema.messages, "message", tenant_id="ten_a", conversation_id="x")
    subject = contact(either)
    assert ("x" in read(either, "chats/conversations", subject)) is is_hers
    assert ("message" in read(either, "chats/messages", subject)) is is_hers
    assert gaps(either, "chats/conversations", subject) == []


def test_activities_of_a_deal(either: Engine) -> None:
    """An activity of the contact's deal is the contact's."""
    put(either, schema.activities, "hers", **UNLINKED, deal_id="deals-con_1-0", participants=[])
    put(either, schema.activities, "not-hers", **UNLINKED, deal_id="deals-con_2-0", participants=[])
    found = read(either, "crm/activities", contact(either))
    assert ("hers" in found, "not-hers" in found) == (True, False)


@pytest.mark.parametrize(
    ("participants", "is_hers"),
    [
        (["Ana@Example.org", "bob@example.org"], True),
        ([{"name": "Ana", "email": "ana@example.org"}], True),
        ({"guests": [{"phones": ["+62 812 0000 0001"]}]}, True),
        (["con_1"], True),
        (["con_11", "ana@example.org.example.com", "+62812000000019"], False),
        ([], False),
        (None, False),
        ("ana@example.org", True),
    ],
)
def test_activities_that_name_the_contact(either: Engine, participants: Any, is_hers: bool) -> None:
    """An activity is the contact's if its participants contain one of the contact's identities, at any depth."""
    values = {"tenant_id": "ten_a", "contact_id": "con_2", "deal_id": None, "occurred_at": LATER_AT}
    put(either, schema.activities, "x", **values, participants=participants)
    assert ("x" in read(either, "crm/activities", contact(either))) is is_hers


def test_the_company_of_a_deal(either: Engine) -> None:
    """The company that the contact's deal names belongs to the contact's copy, like the contact's employer."""
    put(either, schema.companies, "com_deal", tenant_id="ten_a")
    change(either, schema.deals, "deals-con_1-0", company_id="com_deal")
    assert set(read(either, "crm/companies", contact(either))) == {"com_1", "com_deal"}


def test_a_duplicate_record(either: Engine) -> None:
    """Another record with the same name and proved e-mail address is the same person, with everything that names it."""
    put(either, schema.contacts, "con_dup", tenant_id="ten_a", email="ANA@example.org", phone=None, company_id="com_2")
    put(either, schema.deals, "deal_dup", tenant_id="ten_a", contact_id="con_dup")
    subject = contact(either)
    assert set(read(either, "crm/contacts", subject)) == {"con_1", "con_dup"}
    assert "deal_dup" in read(either, "crm/deals", subject)
    assert set(read(either, "crm/companies", subject)) == {"com_1", "com_2"}
    assert gaps(either, "crm/contacts", subject) == []


@pytest.mark.parametrize(
    ("record", "is_unclear"),
    [
        ({"email": "ana@example.org", "full_name": "Eva"}, False),
        ({"email": "ana@example.org", "full_name": None}, True),
        ({"email": "ana@example.org", "full_name": "full_name"}, True),
        ({"email": "ana@example.org", "email_verified_at": None}, True),
        ({"email": None, "email_verified_at": None, "phone": ANN_PHONE}, True),
        ({"email": "eva@example.org", "phone": ANN_PHONE}, False),
        ({"email": "eva@example.org", "email_verified_at": None, "phone": "+6281277777777"}, False),
        ({"email": "ana@example.org", "email_verified_at": EARLIER_AT, "deleted_at": EARLIER_AT}, True),
    ],
)
def test_a_record_that_may_be_the_same_person(either: Engine, record: dict[str, Any], is_unclear: bool) -> None:
    """An address that the other record has not proved, or not at the same time, is reviewed and not delivered."""
    values = {"email_verified_at": VERIFIED_AT, "phone": None, "phone_verified_at": VERIFIED_AT} | record
    put(either, schema.contacts, "con_x", tenant_id="ten_a", **values)
    put(either, schema.deals, "deal_x", tenant_id="ten_a", contact_id="con_x")
    subject = contact(either)
    assert read(either, "crm/contacts", subject) == ["con_1"]
    assert "deal_x" not in read(either, "crm/deals", subject)
    assert gaps(either, "crm/contacts", subject) == (["contacts/con_x"] if is_unclear else [])
    assert gaps(either, "crm/deals", subject) == (["deals/contact_id=con_x"] if is_unclear else [])


@pytest.mark.requirement("R1")
def test_a_call_before_the_number_was_the_contact_s(either: Engine) -> None:
    """A number is not a person: a call of 2015 from a number that was proved in 2026 waits for a review."""
    put(either, schema.calls, "old", **UNLINKED, direction="inbound", caller_number=ANN_PHONE, started_at=EARLIER_AT)
    put(either, schema.transcripts, "said", tenant_id="ten_a", call_id="old")
    put(either, schema.tickets, "about", **UNLINKED, call_id="old", conversation_id=None)
    subject = contact(either)
    assert "old" not in read(either, "calls/calls", subject)
    assert "said" not in read(either, "calls/transcripts", subject)
    assert "about" not in read(either, "interactions/tickets", subject)
    assert gaps(either, "calls/calls", subject) == ["calls/old"]
    assert gaps(either, "calls/transcripts", subject) == ["transcripts/call_id=old"]
    assert gaps(either, "calls/recordings", subject) == []
    assert gaps(either, "calls/vcon", subject) == ["vcon/old"]
    assert gaps(either, "interactions/tickets", subject) == ["tickets/call_id=old"]


@pytest.mark.parametrize(
    ("other", "is_delivered"),
    [
        ({"tenant_id": "ten_a"}, False),
        ({"tenant_id": "ten_a", "phone_verified_at": None}, False),
        ({"tenant_id": "ten_a", "deleted_at": LATER_AT + timedelta(days=1)}, False),
        ({"tenant_id": "ten_a", "deleted_at": LATER_AT}, True),
        ({"tenant_id": "ten_b"}, True),
    ],
)
def test_a_number_of_two_people(either: Engine, other: dict[str, Any], is_delivered: bool) -> None:
    """A call from a number that a second contact of the tenant has, or had at that time, waits for a review."""
    put(either, schema.contacts, "con_x", **{"email": "eva@example.org", "phone": "+62 81200000001"} | other)
    put(either, schema.calls, "x", **UNLINKED, direction="inbound", caller_number=ANN_PHONE, started_at=LATER_AT)
    subject = contact(either)
    assert ("x" in read(either, "calls/calls", subject)) is is_delivered
    assert ("calls/x" in gaps(either, "calls/calls", subject)) is not is_delivered


def test_a_call_after_the_contact_s_record_ended(either: Engine) -> None:
    """After its record was deleted, the number may be another person's."""
    change(either, schema.contacts, "con_1", deleted_at=LATER_AT)
    put(either, schema.calls, "x", **UNLINKED, direction="inbound", caller_number=ANN_PHONE, started_at=LATER_AT)
    subject = contact(either)
    assert "x" not in read(either, "calls/calls", subject)
    assert "calls/x" in gaps(either, "calls/calls", subject)


def test_a_number_without_country_code_is_reviewed(either: Engine) -> None:
    """`0812...` may be the contact's `+62812...`, or a number of another country."""
    put(either, schema.calls, "x", **UNLINKED, direction="inbound", caller_number="081200000001", started_at=LATER_AT)
    subject = contact(either)
    assert "x" not in read(either, "calls/calls", subject)
    assert gaps(either, "calls/calls", subject) == ["calls/x"]


def test_no_step_leads_to_another_tenant(either: Engine) -> None:
    """A row that names one tenant and refers to a row of another tenant is never delivered to a person."""
    put(either, schema.tickets, "t", tenant_id="ten_b", contact_id=None, call_id="call-con_1-0", conversation_id=None)
    put(
        either,
        schema.activities,
        "a",
        tenant_id="ten_b",
        contact_id=None,
        deal_id="deals-con_1-0",
        participants=["con_1"],
    )
    put(either, schema.calls, "c", tenant_id="ten_b", contact_id="con_1", caller_number=ANN_PHONE)
    change(either, schema.deals, "deals-con_1-0", company_id="com_b")
    put(either, schema.contacts, "con_far", tenant_id="ten_b", email=ANN_EMAIL)
    subject = contact(either)
    for dataset, foreign in (
        ("interactions/tickets", "t"),
        ("crm/activities", "a"),
        ("calls/calls", "c"),
        ("crm/companies", "com_b"),
        ("crm/contacts", "con_far"),
    ):
        assert foreign not in read(either, dataset, subject)
        assert gaps(either, dataset, subject) == []


def test_a_tenant_s_rows_need_no_relation(either: Engine) -> None:
    """A tenant gets all rows that name it, also the parts of a call that is missing."""
    put(either, schema.transcripts, "orphan", tenant_id="ten_a", call_id="call-gone")
    put(either, schema.messages, "orphan", tenant_id="ten_a", conversation_id="chat-gone")
    put(either, schema.tickets, "orphan", **UNLINKED, call_id=None, conversation_id=None)
    tenant = sample_subject(SubjectKind.TENANT, "ten_a")
    for dataset in ("calls/transcripts", "chats/messages", "interactions/tickets"):
        assert read(either, dataset, tenant).count("orphan") == 1
        assert "orphan" not in read(either, dataset, sample_subject(SubjectKind.TENANT, "ten_b"))


def test_a_part_without_its_call_is_in_a_worker_s_reading(either: Engine) -> None:
    """A worker reads as of the beginning of the export: a call that is missing has no creation time to compare."""
    put(either, schema.transcripts, "orphan", tenant_id="ten_a", call_id="call-missing")
    exporter = platform.exporters(either)["calls"]
    selection = Selection(began_at=datetime.now(UTC))
    found = platform.records(exporter, "transcripts", platform.TENANT, selection)
    assert "orphan" in {record["id"] for record in found}


@pytest.mark.parametrize("days", [-1, 400], ids=["created yesterday", "created in the future"])
def test_an_unclear_call_is_a_gap_whenever_it_was_created(either: Engine, days: int) -> None:
    """A row that is kept although its creation time has not come yet is reviewed like any other."""
    created_at = datetime.now(UTC) + timedelta(days=days)
    put(either, schema.calls, "old", **UNLINKED, caller_number=ANN_PHONE, started_at=EARLIER_AT, created_at=created_at)
    put(either, schema.transcripts, "said", tenant_id="ten_a", call_id="old", created_at=created_at)
    selection = Selection(began_at=datetime.now(UTC))
    assert "calls/old" in gaps(either, "calls/calls", contact(either), selection)
    assert "transcripts/call_id=old" in gaps(either, "calls/transcripts", contact(either), selection)


def test_an_agent_s_rows(either: Engine) -> None:
    """A user who works for a tenant is named in `staff_id`: these rows are theirs, with an identity at the tenant."""
    put(either, schema.calls, "worked", tenant_id="ten_b", contact_id="con_b", staff_id="usr_1")
    put(either, schema.recordings, "voice", tenant_id="ten_b", call_id="worked", storage_key=None)
    put(either, schema.tickets, "assigned", tenant_id="ten_b", contact_id="con_b", assignee_id="usr_1", call_id=None)
    put(either, schema.messages, "wrote", tenant_id="ten_b", conversation_id="chat-con_b-0", staff_id="usr_1")
    subject = resolved(either, sample_subject(SubjectKind.USER, "usr_1"))
    staff = {(i.source, i.value, i.tenant) for i in subject.identities if i.kind == "staff_id" and i.verified}
    assert staff == {("calls", "usr_1", "ten_b"), ("interactions", "usr_1", "ten_b"), ("chats", "usr_1", "ten_b")}
    assert "worked" in read(either, "calls/calls", subject)
    assert "voice" in read(either, "calls/recordings", subject)
    assert "assigned" in read(either, "interactions/tickets", subject)
    assert "wrote" in read(either, "chats/messages", subject)
    assert "con_b" not in read(either, "crm/contacts", subject)
    for dataset in ("calls/calls", "chats/messages"):
        assert not {"worked", "wrote"} & set(read(either, dataset, contact(either)))


def test_a_proof_that_is_not_a_time(either: Engine) -> None:
    """On SQLite a time may be any text: an unreadable one proves nothing, and other rows are delivered."""
    if either.dialect.name != "sqlite":
        pytest.skip("PostgreSQL stores only times in such a column")
    with either.begin() as connection:
        connection.exec_driver_sql("UPDATE calls SET started_at = 'soon' WHERE id = 'call-con_1-2'")
        connection.execute(delete(schema.transcripts))
    subject = contact(either)
    calls = [i for i in subject.identities if i.kind == "call_id"]
    assert calls == [Identity("calls", "call_id", "call-con_1-2", verified=True, tenant="ten_a")]


def test_unverified_addresses_lead_nowhere(either: Engine) -> None:
    """Only a proved address counts: a number that someone has entered selects nothing."""
    change(either, schema.contacts, "con_1", phone_verified_at=None)
    subject = contact(either)
    assert "call-con_1-2" not in read(either, "calls/calls", subject)


@dataclass
class Requested:
    """A deployment on a hand-made platform."""

    made: World

    def ledger(self, subject: str, **asked: object) -> dict[str, dict[str, Any]]:
        """The lines of an export, by `exporter/dataset` and state."""
        identifier = self.made.request(subject, **asked)
        self.made.advance_all()
        view = self.made.view(identifier)
        assert view["state"] == "ready"
        return {f"{one['exporter']}/{one['dataset']} {one['state']}": one for one in view["datasets"]}

    def gaps(self, subject: str, **asked: object) -> list[tuple[str, str, str]]:
        identifier = self.made.request(subject, **asked)
        self.made.advance_all()
        assert self.made.view(identifier)["complete"] is False
        with reading(self.made.engine) as connection:
            found = exports.gaps(connection, identifier)
        return [(f"{gap['exporter']}/{gap['dataset']}", gap["what"], gap["reason"]) for gap in found]

    def instruct(self, tenant: str) -> None:
        with writing(self.made.engine) as connection:
            instructions.add(connection, tenant, contact_id=None, exporters=None, actor="operator:test")


@pytest.fixture
def requested(either: Engine, tmp_path: Path) -> Requested:
    return Requested(world(tmp_path / "made", platform.exporters(either)))


def test_an_export_with_an_unclear_call_is_partial(either: Engine, requested: Requested) -> None:
    """The ledger says partial for the call and for what belongs to it, and the gaps name them for an officer."""
    put(either, schema.calls, "old", **UNLINKED, direction="inbound", caller_number=ANN_PHONE, started_at=EARLIER_AT)
    put(either, schema.transcripts, "said", tenant_id="ten_a", call_id="old")
    requested.instruct("ten_a")
    asked = {"tenant": "ten_a", "include": ["calls"], "formats": ["jsonl"]}
    assert {"calls/calls partial", "calls/transcripts partial"} <= requested.ledger("contact:con_1", **asked).keys()
    assert sorted(requested.gaps("contact:con_1", **asked)) == [
        ("calls/calls", "calls/old", "needs_review"),
        ("calls/transcripts", "transcripts/call_id=old", "needs_review"),
    ]


@pytest.mark.requirement("R1")
def test_an_agent_is_referred_to_the_tenant(either: Engine, requested: Requested) -> None:
    """Without an instruction the ledger names the tenant; with it, the rows that name the agent are delivered."""
    put(either, schema.calls, "worked", tenant_id="ten_b", contact_id="con_b", staff_id="usr_1")
    put(either, schema.recordings, "voice", tenant_id="ten_b", call_id="worked", storage_key=None)
    asked = {"include": ["calls"], "formats": ["jsonl"]}
    before = requested.ledger("user:usr_1", **asked)
    for dataset in ("calls", "transcripts", "recordings", "analyses"):
        assert "ten_b" in before[f"calls/{dataset} needs_instruction"]["tenants"]
    requested.instruct("ten_b")
    after = requested.ledger("user:usr_1", **asked)
    lines = [one for name, one in after.items() if name.startswith("calls/calls") and one["records"]]
    assert [one["records"] for one in lines] == [1]


def test_a_tenant_s_rows_that_lead_to_no_contact_are_counted(either: Engine) -> None:
    """They are in the tenant's export, and the count says how many they are, over all steps."""
    put(either, schema.calls, "unknown", **UNLINKED, direction="inbound", caller_number="+4930123456")
    put(either, schema.transcripts, "of-unknown", tenant_id="ten_a", call_id="unknown")
    put(either, schema.transcripts, "of-known", tenant_id="ten_a", call_id="call-con_1-2")
    put(either, schema.tickets, "lost", **UNLINKED, call_id="unknown", conversation_id=None)
    put(either, schema.tickets, "erased", tenant_id="ten_a", contact_id="con_gone", call_id=None, conversation_id=None)
    put(either, schema.tickets, "found", **UNLINKED, call_id="call-con_1-0", conversation_id=None)
    put(either, schema.companies, "com_lonely", tenant_id="ten_a")
    tenant = sample_subject(SubjectKind.TENANT, "ten_a")

    def unrelated(dataset: str) -> int | None:
        exporter_name, _, name = dataset.partition("/")
        exporter = platform.exporters(either)[exporter_name]
        (declared,) = (one for one in exporter.datasets if one.name == name)
        assert isinstance(exporter, CountingExporter)
        return exporter.count(tenant, declared, Selection()).unrelated

    put(either, schema.calls, "spaced", **UNLINKED, caller_number="+62 (812) 0000-0001", started_at=LATER_AT)
    guests: dict[str, Any] = {"contact_id": None, "deal_id": None, "tenant_id": "ten_a", "occurred_at": LATER_AT}
    put(either, schema.activities, "named", **guests, participants=[{"name": "Ana"}, "text", None, 7])
    put(either, schema.activities, "by-mail", **guests, participants=[{"who": {"email": " ANA@example.org "}}])
    put(either, schema.activities, "by-number", **guests, participants={"guests": ["+62 812 0000 0001"]})
    put(either, schema.activities, "by-id", **guests, participants=["con_1"])
    put(either, schema.activities, "of-others", **guests, participants=["con_b", "b@example.org", "+1"])
    put(either, schema.activities, "too-early", **guests | {"occurred_at": EARLIER_AT}, participants=[ANN_EMAIL])

    assert unrelated("calls/calls") == 1
    assert unrelated("calls/transcripts") == 1
    assert unrelated("crm/activities") == 3
    assert unrelated("interactions/tickets") == 2
    assert unrelated("crm/companies") == 1
    assert unrelated("crm/contacts") == 0
    assert unrelated("configuration/agents") is None
    assert unrelated("account/memberships") is None


def test_a_part_of_another_tenant_s_call_is_a_gap_of_its_tenant(either: Engine, requested: Requested) -> None:
    """It is exported to no one, so the export of the tenant that it names is partial and says which row it is."""
    put(either, schema.transcripts, "astray", tenant_id="ten_b", call_id="call-con_1-0", position=99)
    tenants = {name: sample_subject(SubjectKind.TENANT, name) for name in ("ten_a", "ten_b")}

    assert gaps(either, "calls/transcripts", tenants["ten_b"]) == ["transcripts/astray"]
    assert gaps(either, "calls/transcripts", tenants["ten_a"]) == []
    for tenant in tenants.values():
        assert "astray" not in read(either, "calls/transcripts", tenant)
    identifier = requested.made.request("tenant:ten_b", profile="switch", include=["calls"], formats=["jsonl"])
    requested.made.advance_all()
    (document,) = (export_json([path]) for path in requested.made.fetch(identifier))
    assert (document["complete"], document["outcome"]["own"]) == (False, "partial")
    assert [(gap["what"], gap["reason"]) for gap in document["gaps"]] == [("transcripts/astray", "needs_review")]


def test_the_ledger_of_a_tenant_counts_what_leads_to_no_contact(either: Engine, requested: Requested) -> None:
    """The number is for information: all records are delivered, and the dataset is complete."""
    put(either, schema.tickets, "lost", **UNLINKED, call_id=None, conversation_id=None)
    identifier = requested.made.request("tenant:ten_a", profile="switch", include=["interactions"], formats=["jsonl"])
    requested.made.advance_all()
    with reading(requested.made.engine) as connection:
        lines = {line["dataset"]: (line["state"], line["remarks"]) for line in exports.ledger(connection, identifier)}
    assert lines["tickets"] == ("complete", {"no_person": 1})
    assert lines["satisfaction"] == ("complete", None)
    (document,) = (export_json([path]) for path in requested.made.fetch(identifier))
    (tickets,) = (line for line in document["datasets"] if line["dataset"] == "tickets")
    assert tickets["remarks"] == {"no_person": 1}
