"""Contacts: customers of the companies, with their calls, chats, tickets and CRM rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audit.companies import AURORA, BOREALIS, CUMULUS
from audit.source_rows import SourceRow, call, chat, days_ago, row, service

OFFICE = "+4930901820001"
"""The number that customers of Aurora call."""
MISSING_FILES = frozenset({"rec_nofile"})
"""Recordings whose files the platform's store does not have."""


def customer_rows() -> Iterator[SourceRow]:
    """Make all contacts, in the order of expected.toml."""
    for made in (_kept, _related, _addressed, _crm, _duplicate, _numbers, _lookalikes, _words, _faults):
        yield from made()


def _contact(name: str, tenant: str = AURORA, **given: Any) -> SourceRow:
    return row("contacts", f"con_{name}", tenant_id=tenant, **{"email": f"{name}@mail.example", **given})


def _kept() -> Iterator[SourceRow]:
    """Rows past their period, under a legal hold, or soft-deleted."""
    yield _contact("plain", phone="+4930901820201")
    own: dict[str, Any] = {"contact_id": "con_plain"}
    numbers = {"caller_number": "+4930901820201", "called_number": OFFICE}
    yield from call("plain", AURORA, agent_id="age_aurora", **numbers, **own)
    yield from chat("plain", AURORA, visitor_email="plain@mail.example", agent_id="age_aurora", **own)
    yield from service("plain", AURORA, call_id="call_plain", conversation_id="chat_plain", **own)
    yield row("contact_trail", "ctr_plain", tenant_id=AURORA, operation="disclose", **own)

    yield _contact("deleted", deleted_at=days_ago(20))
    yield row("tickets", "tic_deleted", tenant_id=AURORA, contact_id="con_deleted")
    yield row("conversations", "chat_deleted", tenant_id=AURORA, contact_id="con_deleted")
    for number, deleted_at in ((1, None), (2, days_ago(25))):
        said: dict[str, Any] = {"conversation_id": "chat_deleted", "position": number, "deleted_at": deleted_at}
        yield row("messages", f"msg_deleted_{number}", tenant_id=AURORA, **said)

    yield _contact("past")
    yield from call("past", AURORA, contact_id="con_past", created_at=days_ago(800), retained_until=days_ago(100))
    yield from chat("past", AURORA, contact_id="con_past", created_at=days_ago(800), retained_until=days_ago(100))
    yield row("tickets", "tic_past", tenant_id=AURORA, contact_id="con_past", call_id="call_past")

    yield _contact("onhold")
    ended: dict[str, Any] = {"retained_until": days_ago(100), "legal_hold": True}
    yield from call("onhold", AURORA, contact_id="con_onhold", created_at=days_ago(800), **ended)


def _related() -> Iterator[SourceRow]:
    """Rows that name her call or chat, and not herself."""
    yield _contact("viacall")
    yield from call("viacall", AURORA, contact_id="con_viacall")
    yield from service("viacall", AURORA, call_id="call_viacall")

    yield _contact("viachat")
    yield from chat("viachat", AURORA, contact_id="con_viachat")
    yield from service("viachat", AURORA, conversation_id="chat_viachat")


def _addressed() -> Iterator[SourceRow]:
    """Calls and chats without a contact, under an address that is hers alone."""
    yield _contact("outbound", phone="+4930901820203")
    numbers = {"caller_number": OFFICE, "called_number": "+4930901820203"}
    yield from call("outbound", AURORA, direction="outbound", **numbers)
    yield from service("outbound", AURORA, call_id="call_outbound")

    yield _contact("chatmail")
    yield from chat("chatmail", AURORA, visitor_email="ChatMail@mail.example")
    yield from service("chatmail", AURORA, conversation_id="chat_chatmail")

    yield _contact("format", phone="+49 (30) 9018-20204")
    yield from call("format", AURORA, caller_number="+4930901820204", called_number=OFFICE)

    yield _contact("unproven_phone", phone="+4930901820205", phone_verified_at=None)
    yield from call("unproven_phone", AURORA, caller_number="+4930901820205", called_number=OFFICE)


def _crm() -> Iterator[SourceRow]:
    yield row("companies", "cmp_deal", tenant_id=AURORA, name="Deal Machines")
    yield row("companies", "cmp_job", tenant_id=AURORA, name="Job Factory")
    yield row("companies", "cmp_stranger", tenant_id=BOREALIS, name="Deal Machines")
    yield _contact("deal", company_id="cmp_job")
    yield row("deals", "dea_deal", tenant_id=AURORA, contact_id="con_deal", company_id="cmp_deal")
    yield row("activities", "act_deal_1", tenant_id=AURORA, deal_id="dea_deal")
    yield row("activities", "act_deal_2", tenant_id=AURORA, deal_id="dea_deal", contact_id="con_deal")

    yield _contact("guest", full_name="Gita Guest")
    guests = [{"name": "Gita Guest", "email": "guest@mail.example"}, {"name": "Olaf", "email": "olaf@mail.example"}]
    yield row("activities", "act_guest_1", tenant_id=AURORA, participants=guests)
    yield row("activities", "act_guest_2", tenant_id=AURORA, participants=[{"name": "Gita Guest"}])
    yield row("activities", "act_guest_3", tenant_id=BOREALIS, participants=guests)


def _duplicate() -> Iterator[SourceRow]:
    """Two records of one person: everything that could identify her is the same."""
    same: dict[str, Any] = {
        "email": "double@mail.example",
        "phone": "+4930901820206",
        "full_name": "Dora Double",
        "duplicate_of_hash": "hash of Dora Double",
    }
    for number in (1, 2):
        yield _contact(f"double_{number}", **same)
        yield row("tickets", f"tic_double_{number}", tenant_id=AURORA, contact_id=f"con_double_{number}")


def _numbers() -> Iterator[SourceRow]:
    """A number that belonged to another person, and an address of two people."""
    yield _contact("number", phone="+4930901820207", phone_verified_at=days_ago(10))
    first: dict[str, Any] = {"caller_number": "+4930901820207", "called_number": OFFICE}
    yield from call("number_2015", AURORA, created_at=days_ago(4000), started_at=days_ago(4000), **first)
    yield from call("number_now", AURORA, created_at=days_ago(5), started_at=days_ago(5), **first)

    for name in ("shared_1", "shared_2"):
        yield _contact(name, phone="+4930901820208", email="family@mail.example")
    shared: dict[str, Any] = {"caller_number": "+4930901820208", "called_number": OFFICE}
    yield from call("shared", AURORA, **shared)
    yield from call("shared_1", AURORA, contact_id="con_shared_1", **shared)
    yield row("conversations", "chat_shared", tenant_id=AURORA, visitor_email="family@mail.example")


def _lookalikes() -> Iterator[SourceRow]:
    """The same name, number and e-mail address at two companies: two subjects."""
    for tenant, letter in ((AURORA, "a"), (BOREALIS, "b")):
        same: dict[str, Any] = {"email": "ana@mail.example", "phone": "+4930901820209", "full_name": "Ana Twin"}
        yield _contact(f"ana_{letter}", tenant, **same)
        yield from call(f"ana_{letter}_1", tenant, contact_id=f"con_ana_{letter}", caller_number="+4930901820209")
        yield from call(f"ana_{letter}_2", tenant, caller_number="+4930901820209", called_number=OFFICE)
        yield from chat(f"ana_{letter}", tenant, visitor_email="ana@mail.example")
        yield from service(f"ana_{letter}", tenant, call_id=f"call_ana_{letter}_1")
        yield row("contact_trail", f"ctr_ana_{letter}", tenant_id=tenant, contact_id=f"con_ana_{letter}")
    # A segment and a ticket of Borealis that name a call of Aurora.
    segment = {"tenant_id": BOREALIS, "call_id": "call_ana_a_1"}
    yield row("transcripts", "seg_astray", position=9, **segment)
    yield row("tickets", "tic_astray", **segment)
    # An operation on a contact of Aurora that names Borealis.
    yield row("contact_trail", "ctr_astray", tenant_id=BOREALIS, contact_id="con_plain")

    yield _contact("noorder", CUMULUS)
    yield from call("noorder", CUMULUS, contact_id="con_noorder")


def _words() -> Iterator[SourceRow]:
    """What others wrote about her, and what is said about others beside her data."""
    note = "Nora Note pays late. Ask her brother at brother@secret.example or +4930901820999 first."
    yield _contact("note", full_name="Nora Note", private_note=note)

    others = {"spouse": "Ulla Umbrella", "child": {"name": "Kim Kidd", "born": "2019-05-04"}, "referrer": "Rolf Rain"}
    yield _contact("nested", custom={"loyalty": "gold", "family": others})

    yield _contact("portable")
    yield from call("portable", AURORA, contact_id="con_portable")
    yield row("routing_scores", "rsc_portable", tenant_id=AURORA, contact_id="con_portable")


def _faults() -> Iterator[SourceRow]:
    yield _contact("later")
    yield from call("later", AURORA, contact_id="con_later", created_at=days_ago(-1), started_at=days_ago(-1))

    yield _contact("nofile")
    yield from call("nofile", AURORA, contact_id="con_nofile")
