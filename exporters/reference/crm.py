"""A tenant's CRM data about its contacts; finds a contact's addresses, and the contacts that are the same user."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sqlalchemy import Connection, select

from exporters.reference import row_filters, schema
from exporters.reference.fields import (
    CREATED_AT,
    CURRENCY,
    ID,
    LANGUAGE,
    PRIVATE_NOTE,
    STAFF_ID,
    TENANT_ID,
    UPDATED_AT,
    custom,
)
from exporters.reference.relations import ADDRESS_USERS, BOOK
from exporters.reference.retention import CompanyClosed
from exporters.sql import address_matches, sole_addresses
from exporters.sql.columns import folded
from exporters.sql.exporter import SqlExporter
from exporters.sql.identifiers import own
from exporters.sql.source import Named, table_source
from portability.api import (
    STAFF_IDENTITY,
    Exporter,
    Identity,
    NestedKey,
    Person,
    Provenance,
    Role,
    Sources,
    Subject,
    SubjectKind,
)
from portability.people.addresses import EMAIL, fold, normal

CONTACTS = schema.contacts.c
OF_CONTACT = row_filters.rows("crm/contacts")
CONTACT_ID = Named("contact_id", "Identifier of the contact, as in crm/contacts; null if not set.")
COMPANY_ID = Named("company_id", "Identifier of the contact's employer, as in crm/companies; null if not set.")

_source = partial(table_source, provenance=Provenance.PROVIDED, role=Role.PROCESSOR, kinds=row_filters.EVERYONE)

SOURCES = (
    _source(
        schema.contacts,
        "contacts",
        "Contacts",
        "Contacts that the company knows. Numbers of identity documents are not exported.",
        ID,
        TENANT_ID,
        COMPANY_ID,
        Named("external_id", "Identifier of the contact in the company's own systems; null if not set."),
        Named("full_name", "Name of the contact."),
        Named("email", "E-mail address of the contact."),
        Named("email_verified_at", "When the contact verified the address, in UTC; null if never."),
        Named("phone", "Phone number of the contact in the international form of E.164."),
        Named("phone_verified_at", "When the contact verified the number, in UTC; null if never."),
        Named("job_title", "Position of the contact."),
        Named("address", "Postal address of the contact."),
        Named("born_on", "Date of birth of the contact."),
        LANGUAGE,
        Named("source", "Source of the contact: call, chat, import, form or integration."),
        Named("tags", "Tags that the company assigned to the contact: a list of words."),
        custom(
            *("/loyalty points", "/ledger", "/ratio", "/ukuran sepatu"),
            *("/preferences/contact by", "/preferences/note"),
        ),
        PRIVATE_NOTE,
        Named("do_not_contact", "True if the company must not approach the contact on its own initiative."),
        Named(
            "lead_score",
            "Likelihood of a purchase by the contact as estimated by software, from 0 (unlikely) to 100 (likely).",
            Provenance.DERIVED,
        ),
        CREATED_AT,
        UPDATED_AT,
        Named("deleted_at", "When the company removed the contact from its lists, in UTC; null if it did not."),
        where=row_filters.rows("crm/contacts"),
        retention=CompanyClosed(CONTACTS.tenant_id),
    ),
    _source(
        schema.companies,
        "companies",
        "Companies",
        "Employers of contacts: for a contact, only their own employer.",
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
        where=row_filters.rows("crm/companies"),
        retention=CompanyClosed(schema.companies.c.tenant_id),
    ),
    _source(
        schema.deals,
        "deals",
        "Deals",
        "Possible and completed sales of the company: for a contact, only those with that contact.",
        ID,
        TENANT_ID,
        CONTACT_ID,
        COMPANY_ID,
        Named("name", "Name that the company gave the deal.", None, True),
        Named("stage", "Stage of the deal, in the company's own words, such as qualified, offered, won or lost."),
        Named("amount", "Value of the deal, exact."),
        CURRENCY,
        Named(
            "probability",
            "Likelihood of success as estimated by software, from 0 (impossible) to 1 (certain).",
            Provenance.DERIVED,
        ),
        Named("closes_on", "Date on which the company expects the deal to close."),
        Named("closed_at", "When it ended, in UTC; null while it is open."),
        PRIVATE_NOTE,
        CREATED_AT,
        UPDATED_AT,
        where=row_filters.rows("crm/deals"),
        retention=CompanyClosed(schema.deals.c.tenant_id),
    ),
    _source(
        schema.activities,
        "activities",
        "Activities",
        "Notes of the company on meetings, calls, mails and tasks: for a contact, only those with that contact.",
        ID,
        TENANT_ID,
        CONTACT_ID,
        Named("deal_id", "Identifier of the deal that it belongs to, as in crm/deals; null if not set."),
        Named("kind", "What it was: call, meeting, email, task or note."),
        Named("subject", "What it was about.", Provenance.DERIVED, person=Person.NOTE),
        Named("body", "Notes on the activity.", Provenance.DERIVED, person=Person.NOTE),
        STAFF_ID,
        Named(
            "participants",
            "Who took part: a list of names or addresses, as they were entered.",
            person=Person.OTHER,
            keys=tuple(map(NestedKey, ("/id", "/name", "/email", "/phone", "/role"))),
        ),
        Named("occurred_at", "When it took place, in UTC."),
        CREATED_AT,
        where=row_filters.rows("crm/activities"),
        retention=CompanyClosed(schema.activities.c.tenant_id),
    ),
)

FINDS = frozenset({"contact_id", "duplicate_contact_id", "activity_id", "email", "phone", STAFF_IDENTITY})
_matches = row_filters.finder("crm")


def exporter(sources: Sources) -> Exporter:
    """Make the exporter for the policy's row "CRM integration data"."""
    by = row_filters.selects_by("crm") | {"email"}
    reviewed = row_filters.reviewed("crm")
    return SqlExporter(
        sources, *SOURCES, selects_by=by, finder=identities, finds=FINDS, knower=knows, reviewed=reviewed
    )


def knows(connection: Connection, subject: Subject) -> bool | None:
    """Return whether the tenant has the contact, also if it is marked as deleted; None for other subjects."""
    if subject.kind is not SubjectKind.CONTACT:
        return None
    this = (CONTACTS.id == subject.identities[0].value, CONTACTS.tenant_id == subject.tenant)
    return connection.scalar(select(CONTACTS.id).where(*this)) is not None


def identities(connection: Connection, subject: Subject) -> Iterator[Identity]:
    """Yield a contact's addresses within its tenant; for others, contacts of any tenant with their proved address.

    Then further records of the same person, and activities that name one of them.
    """
    if subject.kind is SubjectKind.CONTACT:
        yield from _addresses(connection, subject)
    elif subject.kind is SubjectKind.USER:
        yield from _contacts(connection, subject)
    else:
        for tenant, key, is_certain in sole_addresses.records(connection, ADDRESS_USERS, BOOK, subject):
            yield Identity("crm", BOOK.identity, key, verified=is_certain, tenant=tenant)
    for tenant, key, is_certain in address_matches.duplicates(connection, BOOK, subject):
        yield Identity("crm", BOOK.duplicate, key, verified=is_certain, tenant=tenant)
    yield from _matches(connection, subject)


def _addresses(connection: Connection, subject: Subject) -> Iterator[Identity]:
    rows = OF_CONTACT(subject)
    if rows is None:
        return
    columns = (CONTACTS.email, CONTACTS.email_verified_at, CONTACTS.phone, CONTACTS.phone_verified_at)
    for row in connection.execute(select(*columns).where(rows).order_by(CONTACTS.id)):
        for kind, value, verified_at in (("email", row[0], row[1]), ("phone", row[2], row[3])):
            if value:
                yield Identity("crm", kind, value, verified=verified_at is not None, tenant=subject.tenant)


def _contacts(connection: Connection, subject: Subject) -> Iterator[Identity]:
    addresses = own(subject, "email")
    if not addresses:
        return
    forms = {normal(EMAIL, address) for address in addresses}
    columns = (CONTACTS.tenant_id, CONTACTS.id, CONTACTS.email, CONTACTS.phone, CONTACTS.phone_verified_at)
    rows = select(*columns).where(
        folded(CONTACTS.email).in_(map(fold, addresses)), CONTACTS.email_verified_at.is_not(None)
    )
    for tenant, contact, email, phone, phone_verified_at in connection.execute(rows.order_by(CONTACTS.id)):
        if normal(EMAIL, email) not in forms:
            continue  # equal for the database only
        yield Identity("crm", "contact_id", contact, verified=True, tenant=tenant)
        if phone and phone_verified_at is not None:
            yield Identity("crm", "phone", phone, verified=True, tenant=tenant)
