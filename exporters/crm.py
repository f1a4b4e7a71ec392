"""What a tenant's CRM holds of its contacts; finds a contact's addresses, and the contacts that a user is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sqlalchemy import Connection, select

from exporters import schema, walls
from exporters.columns import fold, folded
from exporters.fields import CREATED_AT, CURRENCY, CUSTOM, ID, LANGUAGE, PRIVATE_NOTE, STAFF_ID, TENANT_ID, UPDATED_AT
from exporters.source import Named, source
from exporters.sql import SqlExporter
from portability.api import Exporter, Identity, Person, Provenance, Role, Sources, Subject, SubjectKind

CONTACTS = schema.contacts.c
CONTACT_ID = Named("contact_id", "Identifier of the contact, as in crm/contacts; null for none.")
COMPANY_ID = Named("company_id", "Identifier of the contact's employer, as in crm/companies; null for none.")

_source = partial(source, provenance=Provenance.PROVIDED, role=Role.PROCESSOR, kinds=walls.EVERYONE)

SOURCES = (
    _source(
        schema.contacts,
        "contacts",
        "Contacts",
        "People whom the company knows. Identity documents' numbers are not exported.",
        columns=(
            ID,
            TENANT_ID,
            COMPANY_ID,
            Named("external_id", "Identifier of the contact in the company's own systems; null for none."),
            Named("full_name", "Name of the contact."),
            Named("email", "E-mail address of the contact."),
            Named("email_verified_at", "When the contact proved that the address is theirs, in UTC; null if never."),
            Named("phone", "Phone number of the contact in the international form of E.164."),
            Named("phone_verified_at", "When the contact proved that the number is theirs, in UTC; null if never."),
            Named("job_title", "Position of the contact."),
            Named("address", "Postal address of the contact."),
            Named("born_on", "Date of birth of the contact."),
            LANGUAGE,
            Named("source", "How the company came to know the contact: call, chat, import, form or integration."),
            Named("tags", "Words that the company put on the contact: a list."),
            CUSTOM,
            PRIVATE_NOTE,
            Named("do_not_contact", "True if the company must not approach the contact by itself."),
            Named(
                "lead_score",
                "How likely software thinks a purchase by the contact is, from 0 (unlikely) to 100 (likely).",
                Provenance.DERIVED,
            ),
            CREATED_AT,
            UPDATED_AT,
            Named("deleted_at", "When the company removed the contact from its lists, in UTC; null if it did not."),
        ),
        where=walls.of_contact(CONTACTS.tenant_id, CONTACTS.id),
    ),
    _source(
        schema.companies,
        "companies",
        "Companies",
        "Employers of contacts: for a contact, only its own.",
        columns=(
            ID,
            TENANT_ID,
            Named("name", "Name of the employer.", None, True),
            Named("domain", "Internet domain of the employer.", None, True),
            Named("industry", "What the employer does.", None, True),
            Named("employees", "Number of people who work there, as far as the company knows.", None, True),
            Named("annual_revenue", "Revenue in a year, exact as it was entered.", None, True),
            CURRENCY,
            Named("address", "Postal address of the employer.", None, True),
            CREATED_AT,
            UPDATED_AT,
        ),
        where=walls.company_of_contact,
    ),
    _source(
        schema.deals,
        "deals",
        "Deals",
        "Sales that the company hopes to make or has made: for a contact, only those with it.",
        columns=(
            ID,
            TENANT_ID,
            CONTACT_ID,
            COMPANY_ID,
            Named("name", "Name that the company gave the deal.", None, True),
            Named("stage", "How far it is, in the company's own words, such as qualified, offered, won or lost."),
            Named("amount", "Worth of the deal, exact."),
            CURRENCY,
            Named("probability", "How likely software thinks it is, from 0 (never) to 1 (sure).", Provenance.DERIVED),
            Named("closes_on", "Date on which the company expects an end."),
            Named("closed_at", "When it ended, in UTC; null while it is open."),
            PRIVATE_NOTE,
            CREATED_AT,
            UPDATED_AT,
        ),
        where=walls.of_contact(schema.deals.c.tenant_id, schema.deals.c.contact_id),
    ),
    _source(
        schema.activities,
        "activities",
        "Activities",
        "What the company wrote down of meetings, calls, mails and tasks: for a contact, only those with it.",
        columns=(
            ID,
            TENANT_ID,
            CONTACT_ID,
            Named("deal_id", "Identifier of the deal that it belongs to, as in crm/deals; null for none."),
            Named("kind", "What it was: call, meeting, email, task or note."),
            Named("subject", "What it was about.", None, True),
            Named("body", "What was written down of it.", None, True),
            STAFF_ID,
            Named(
                "participants",
                "Who took part: a list of names or addresses, as they were entered.",
                person=Person.OTHER,
            ),
            Named("occurred_at", "When it took place, in UTC."),
            CREATED_AT,
        ),
        where=walls.of_contact(schema.activities.c.tenant_id, schema.activities.c.contact_id),
    ),
)


def exporter(sources: Sources) -> Exporter:
    """The exporter of the policy's row "CRM integration data"."""
    return SqlExporter(sources, *SOURCES, finder=identities)


def identities(connection: Connection, subject: Subject) -> Iterator[Identity]:
    """A contact's addresses within its tenant; for a user, the contacts of any tenant with its verified e-mail."""
    if subject.kind is SubjectKind.CONTACT:
        yield from _addresses(connection, subject)
    elif subject.kind is SubjectKind.USER:
        yield from _contacts(connection, subject)


def _addresses(connection: Connection, subject: Subject) -> Iterator[Identity]:
    rows = walls.of_contact(CONTACTS.tenant_id, CONTACTS.id)(subject)
    if rows is None:
        return
    columns = (CONTACTS.email, CONTACTS.email_verified_at, CONTACTS.phone, CONTACTS.phone_verified_at)
    for row in connection.execute(select(*columns).where(rows).order_by(CONTACTS.id)):
        for kind, value, verified_at in (("email", row[0], row[1]), ("phone", row[2], row[3])):
            if value:
                yield Identity("crm", kind, value, verified=verified_at is not None, tenant=subject.tenant)


def _contacts(connection: Connection, subject: Subject) -> Iterator[Identity]:
    addresses = walls.own(subject, "email")
    if not addresses:
        return
    columns = (CONTACTS.tenant_id, CONTACTS.id, CONTACTS.phone, CONTACTS.phone_verified_at)
    rows = select(*columns).where(
        folded(CONTACTS.email).in_(map(fold, addresses)), CONTACTS.email_verified_at.is_not(None)
    )
    for tenant, contact, phone, phone_verified_at in connection.execute(rows.order_by(CONTACTS.id)):
        yield Identity("crm", "contact_id", contact, verified=True, tenant=tenant)
        if phone and phone_verified_at is not None:
            yield Identity("crm", "phone", phone, verified=True, tenant=tenant)
