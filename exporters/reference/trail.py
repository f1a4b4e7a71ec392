"""The processing trail: which role accessed a person's data, when and why (UU PDP Art. 32(1)).

Account holders have a trail of the platform as controller, and contacts have a trail for their company.
"""

from __future__ import annotations

from exporters.reference import row_filters, schema
from exporters.reference.fields import CREATED_AT, ID, TENANT_ID
from exporters.reference.observed import observed
from exporters.sql.exporter import SqlExporter
from exporters.sql.retention import Since
from exporters.sql.source import Named, table_source
from portability.api import DisclosureFields, Exporter, Provenance, Role, Sources

OPERATION = (
    Named("operation", "What was done: view, change, export, disclose, restrict or delete."),
    Named("purpose", "Purpose of the operation, such as support, security or a legal obligation."),
    Named("data_category", "Kind of the data concerned, such as profile, billing or usage."),
    Named(
        "actor_role",
        "Role of the person or system that did it: support, security, sales, engineer, system or yourself.",
    ),
    Named("recipient", "Name of the recipient of the data; null if it was not disclosed.", None, True),
    Named("occurred_at", "When it was done, in UTC."),
)

DISCLOSURES = DisclosureFields(recipient="recipient", at="occurred_at")

OF_USERS = observed(
    "trail",
    schema.processing_trail,
    "processing_trail",
    "Processing trail",
    "Each access to your data, each change and each disclosure. Members of staff are not named (CJEU C-579/21).",
    *OPERATION,
    retention=Since(schema.processing_trail.c.created_at),
    disclosures=DISCLOSURES,
)

OF_CONTACTS = table_source(
    schema.contact_trail,
    "contact_trail",
    "Processing trail of contacts",
    "Each access to the data of the company's contacts, each change and each disclosure, by the company or for it. "
    "Members of staff are not named (CJEU C-579/21).",
    ID,
    TENANT_ID,
    Named("contact_id", "Identifier of the contact, as in crm/contacts."),
    *OPERATION,
    CREATED_AT,
    provenance=Provenance.OBSERVED,
    role=Role.PROCESSOR,
    kinds=row_filters.EVERYONE,
    where=row_filters.rows("trail/contact_trail"),
    retention=Since(schema.contact_trail.c.created_at),
    disclosures=DISCLOSURES,
)


def exporter(sources: Sources) -> Exporter:
    """Make the exporter for the processing trails, which belong to a copy of the data."""
    return SqlExporter(sources, OF_USERS, OF_CONTACTS, selects_by=row_filters.selects_by("trail"))
