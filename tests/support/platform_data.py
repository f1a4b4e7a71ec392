"""A small platform for tests of exporters: two tenants, their users and contacts, and a value in every column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, TypeAlias

import filled_platforms
from sqlalchemy import Column, Engine, Table, insert

from exporters.reference import schema
from exporters.sql.values import field_type
from portability.api import Exporter, FieldType, FileStore, Identity, Record, Selection, Subject, SubjectKind
from portability.plugins import EXPORTERS, find, load_exporters
from portability.source_file import OWN_RECORDS
from portability.testing import MemoryFiles, SampleSources, sample_subject

EPOCH = datetime(2026, 3, 1, 8, 30, 0, 123456, tzinfo=UTC)
PHONE = "+6281200000001"
"""Of con_1 at ten_a and of con_b at ten_b: two subjects."""
EMAIL = "ana@example.org"
"""Of the user usr_1 and of con_1, verified; of con_b, not verified."""
CANARY = "CANARY"
SOUND = bytes(range(256)) * 64
COPIES = 3
DECLARED_KEYS = {"contacts": "ledger", "calls": "note", "conversations": "cart", "messages": "reaction"}
"""A declared key of the custom values, by table."""

PlatformRow: TypeAlias = tuple[Table, dict[str, Any]]

USER = sample_subject(
    SubjectKind.USER,
    "usr_1",
    Identity("account", "email", "Ana@Example.org", verified=True),
    Identity("crm", "contact_id", "con_1", verified=True, tenant="ten_a"),
)
CONTACT = sample_subject(
    SubjectKind.CONTACT,
    "con_1",
    Identity("crm", "phone", PHONE, verified=True, tenant="ten_a"),
    Identity("calls", "call_id", "call-con_1-2", verified=True, tenant="ten_a"),
    tenant="ten_a",
)
TENANT = sample_subject(SubjectKind.TENANT, "ten_a")
READER_EMAIL = "reader@example.org"
_SAME_CONTACT = Identity("crm", "contact_id", "con_1", verified=True, tenant="ten_a")
READER = sample_subject(
    SubjectKind.EMAIL,
    READER_EMAIL,
    Identity("account", "sole_email", READER_EMAIL, verified=True),
    _SAME_CONTACT,
)
CALLER = sample_subject(SubjectKind.PHONE, "+6281211111111", _SAME_CONTACT)
"""People without an account, whom a tenant knows as its contact."""
SUBJECTS: Mapping[SubjectKind, Subject] = {subject.kind: subject for subject in (USER, CONTACT, TENANT, READER, CALLER)}

ACCOUNTS = (schema.users, schema.organisations)
FAR = EPOCH.replace(year=2126)
"""An end that is to come: what belongs to an account is exported until long after it."""
OF_TENANT = (schema.agents, schema.flows, schema.roles, schema.integrations)
OF_CONTACT = (
    schema.tickets,
    schema.ai_agent_actions,
    schema.satisfaction,
    schema.routing_scores,
    schema.deals,
    schema.activities,
    schema.contact_trail,
)
OF_CALL = (schema.transcripts, schema.recordings, schema.call_analyses)
OF_CONVERSATION = (schema.messages, schema.attachments)
OF_READER = (schema.inquiries, schema.marketing_preferences, schema.consents, schema.campaigns_received)
OF_USER = tuple(t for t in schema.metadata.sorted_tables if "user_id" in t.c and t is not schema.memberships)


def row(table: Table, identifier: str, number: int = 0, **known: object) -> PlatformRow:
    """A row with a value in every column: canaries in columns that are never exported, made-up values elsewhere."""
    values = {column.name: _value(table, column, number) for column in table.columns}
    kept = {"retained_until": None, "legal_hold": False, "deleted_at": None, "ended_at": None}
    values |= {name: kept[name] for name in kept if name in values}
    if table in ACCOUNTS:
        values["closed_at"] = FAR
    return table, values | {"id": identifier} | known


def fill(engine: Engine) -> None:
    """Create all tables and put the platform's rows in; an empty database becomes a copy of one that is filled."""
    if not filled_platforms.copy(engine, _fill):
        _fill(engine)


def _fill(engine: Engine) -> None:
    schema.metadata.create_all(engine)
    put(engine, *_tenant_rows(), *_user_rows(), *_contact_rows(), *_reader_rows())


def put(engine: Engine, *rows: PlatformRow) -> None:
    """Insert rows."""
    with engine.begin() as connection:
        for table, values in rows:
            connection.execute(insert(table), values)


def files() -> MemoryFiles:
    """The files of all recordings and attachments."""
    return MemoryFiles(dict.fromkeys(_file_keys(), SOUND))


@cache
def _file_keys() -> tuple[str, ...]:
    tables = (schema.recordings, schema.attachments)
    return tuple(values["storage_key"] for table, values in _contact_rows() if table in tables)


def exporters(engine: Engine, store: FileStore | None = None) -> Mapping[str, Exporter]:
    """The exporters of the reference platform; the exporter of the software's own records reads another database."""
    names = [name for name in find(EXPORTERS) if name != OWN_RECORDS]
    return load_exporters(SampleSources(engine, store or files()), names)


def records(exporter: Exporter, dataset: str, subject: Subject, selection: Selection | None = None) -> list[Record]:
    """All records of one dataset."""
    (wanted,) = (found for found in exporter.datasets if found.name == dataset)
    batches = exporter.export(subject, wanted, selection or Selection())
    return [record for batch in batches for record in batch.records]


def _tenant_rows() -> Iterator[PlatformRow]:
    for tenant in ("ten_a", "ten_b"):
        yield row(schema.organisations, tenant)
        for table in OF_TENANT:
            for number in range(COPIES):
                yield row(table, f"{table.name}-{tenant}-{number}", number, tenant_id=tenant)
    for number, (company, tenant) in enumerate({"com_1": "ten_a", "com_2": "ten_a", "com_b": "ten_b"}.items()):
        yield row(schema.companies, company, number, tenant_id=tenant)


def _user_rows() -> Iterator[PlatformRow]:
    for number, (user, tenant) in enumerate({"usr_1": "ten_a", "usr_2": "ten_a", "usr_3": "ten_b"}.items()):
        email = EMAIL if user == "usr_1" else f"{user}@example.org"
        yield row(schema.users, user, number, email=email, phone=f"+62813{number}")
        yield row(schema.memberships, f"mem-{user}", number, user_id=user, tenant_id=tenant)
        for table in OF_USER:
            for copy in range(COPIES):
                known = {"tenant_id": tenant, "email": email}
                known = {name: value for name, value in known.items() if name in table.c}
                yield row(table, f"{table.name}-{user}-{copy}", copy, user_id=user, **known)
        for copy in range(COPIES):
            yield row(schema.inquiry_replies, f"rep-{user}-{copy}", copy, inquiry_id=f"inquiries-{user}-{copy}")


def _reader_rows() -> Iterator[PlatformRow]:
    """Rows of a person without an account."""
    for table in OF_READER:
        yield row(table, f"{table.name}-reader", user_id=None, email=READER_EMAIL)
    yield row(schema.inquiry_replies, "rep-reader", inquiry_id="inquiries-reader")


def _contact_rows() -> Iterator[PlatformRow]:
    for contact, tenant, company, verified_at in (
        ("con_1", "ten_a", "com_1", EPOCH),
        ("con_2", "ten_a", "com_2", EPOCH),
        ("con_b", "ten_b", "com_b", None),
    ):
        phone, email = ("+6281299999999", "other@example.org") if contact == "con_2" else (PHONE, EMAIL)
        addresses: dict[str, Any] = {"email": email, "email_verified_at": verified_at, "phone": phone}
        yield row(schema.contacts, contact, tenant_id=tenant, company_id=company, **addresses)
        wall = {"tenant_id": tenant, "contact_id": contact}
        for table in OF_CONTACT:
            for number in range(COPIES):
                yield row(table, f"{table.name}-{contact}-{number}", number, **wall)
        for number in range(COPIES):
            # The last call was not recognised: only the number tells whose it is.
            known = wall | {"contact_id": None if number == COPIES - 1 else contact, "caller_number": phone}
            yield row(schema.calls, f"call-{contact}-{number}", number, **known)
            yield from _children(OF_CALL, "call_id", f"call-{contact}-{number}", tenant)
            yield row(schema.conversations, f"chat-{contact}-{number}", number, **wall)
            yield from _children(OF_CONVERSATION, "conversation_id", f"chat-{contact}-{number}", tenant)


def _children(tables: tuple[Table, ...], parent: str, identifier: str, tenant: str) -> Iterator[PlatformRow]:
    for table in tables:
        for number in range(COPIES):
            known: dict[str, object] = {"tenant_id": tenant, parent: identifier}
            if "storage_key" in table.c:
                known |= {"storage_key": f"{table.name}/{identifier}-{number}", "media_type": "audio/wav"}
                known |= {"bytes": len(SOUND)}
            yield row(table, f"{table.name}-{identifier}-{number}", number, **known)


def _value(table: Table, column: Column[Any], number: int) -> object:
    if column.info:
        return f"{CANARY}-{table.name}-{column.name}-{number}"
    if column.name in {"custom", "participants"}:
        words = ["satu", None, "", str(number)]
        return {DECLARED_KEYS[table.name]: words} if column.name == "custom" else words
    made_up: dict[FieldType, object] = {
        FieldType.STRING: f"{column.name} {number} \N{SEEDLING}",
        FieldType.INTEGER: number,
        FieldType.NUMBER: number + 0.25,
        FieldType.DECIMAL: Decimal("1250000.00") + number,
        FieldType.BOOLEAN: number % 2 == 0,
        FieldType.DATETIME: EPOCH + timedelta(hours=number),
        FieldType.DATE: date(2026, 3, 1 + number),
        FieldType.OBJECT: {"number": number, "words": ["satu", None, ""]},
    }
    return made_up[field_type(column.type)]
