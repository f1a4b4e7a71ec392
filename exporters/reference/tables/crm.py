"""A tenant's CRM: its contacts, their companies, deals and activities."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, Double, Index, Integer

from exporters.sql.columns import (
    ExactNumeric,
    created,
    folded,
    internal,
    link,
    moment,
    moments,
    never,
    table,
    text,
    texts,
)
from portability.database.engine import JsonType

contacts = table(
    "contacts",
    link("tenant_id"),
    link("company_id", required=False),
    *texts("external_id", "full_name", "email"),
    moment("email_verified_at"),
    text("phone"),
    moment("phone_verified_at"),
    *texts("job_title", "address"),
    Column("born_on", Date),
    *texts("language", "source"),
    Column("tags", JsonType),
    Column("custom", JsonType),
    text("private_note"),
    Column("do_not_contact", Boolean, nullable=False, default=False),
    Column("lead_score", Double),
    created(),
    *moments("updated_at", "deleted_at"),
    never("government_id", "could be used to impersonate the person", "the number of an identity document"),
    never(
        "voiceprint",
        "recognises a voice, and cannot be changed as a password can",
        "a voiceprint: a biometric template made from calls, by which the voice is recognised",
    ),
    never("portal_token", "gives access to the tenant's customer portal", "a token for the company's customer portal"),
    internal("duplicate_of_hash", "finds doubles"),
    Index("contacts_by_tenant", "tenant_id", "created_at", "id"),
    Index("contacts_by_company", "tenant_id", "company_id"),
    Index("contacts_by_email", folded(Column("email"))),
)

companies = table(
    "companies",
    link("tenant_id"),
    *texts("name", "domain", "industry"),
    Column("employees", Integer),
    Column("annual_revenue", ExactNumeric),
    *texts("currency", "address"),
    created(),
    moment("updated_at"),
    never("sync_token", "gives access to the tenant's CRM", "a token for the CRM from which the record came"),
    Index("companies_by_tenant", "tenant_id", "created_at", "id"),
)

deals = table(
    "deals",
    link("tenant_id"),
    link("contact_id", required=False),
    link("company_id", required=False),
    *texts("name", "stage"),
    Column("amount", ExactNumeric),
    text("currency"),
    Column("probability", Double),
    Column("closes_on", Date),
    moment("closed_at"),
    text("private_note"),
    created(),
    moment("updated_at"),
    Index("deals_by_tenant", "tenant_id", "created_at", "id"),
    Index("deals_by_contact", "tenant_id", "contact_id", "created_at", "id"),
)

activities = table(
    "activities",
    link("tenant_id"),
    link("contact_id", required=False),
    link("deal_id", required=False),
    text("kind", required=True),
    *texts("subject", "body"),
    link("staff_id", required=False),
    Column("participants", JsonType),
    moment("occurred_at"),
    created(),
    never("staff_name", "is a member of the tenant's staff"),
    Index("activities_by_tenant", "tenant_id", "created_at", "id"),
    Index("activities_by_contact", "tenant_id", "contact_id", "created_at", "id"),
    Index("activities_by_deal", "tenant_id", "deal_id"),
    Index("activities_by_staff", "staff_id", "tenant_id"),
)
