"""Account holders, their companies, their payments, and their messages to support, sales and marketing."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, Index, Integer

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

organisations = table(
    "organisations",
    text("name", required=True),
    *texts("legal_name", "industry", "address", "country", "plan", "data_region"),
    created(),
    *moments("updated_at", "closed_at"),
    Column("legal_hold", Boolean, nullable=False, default=False),
    never("api_token", "gives access to the platform's API", "a token of the company for the platform's API"),
    never("webhook_secret", "signs webhooks", "a secret that signs the company's webhooks"),
    internal("database_shard", "where the platform keeps the company's rows"),
)

users = table(
    "users",
    text("email", required=True),
    moment("email_verified_at"),
    text("phone"),
    moment("phone_verified_at"),
    *texts("full_name", "company_name", "job_title", "locale", "time_zone"),
    Column("mfa_enabled", Boolean, nullable=False, default=False),
    created(),
    *moments("updated_at", "last_login_at", "closed_at"),
    Column("legal_hold", Boolean, nullable=False, default=False),
    never("password_hash", "could be used to guess the password offline", "a bcrypt hash of your password"),
    never(
        "mfa_seed",
        "generates codes of the second factor",
        "the seed of your second factor (the code that an authenticator app makes)",
    ),
    never(
        "recovery_codes", "give access to the account without a second factor", "recovery codes for your second factor"
    ),
    never("security_question", "could be used to take over the account", "the security question that you chose"),
    never("security_answer", "could be used to take over the account", "your answer to the security question"),
    never("session_token", "gives access to the account", "a token of your open session"),
    never("refresh_token", "creates new logins", "a token that prolongs your login"),
    never("password_reset_token", "gives access to the account", "a token of your last request for a new password"),
    never(
        "government_id",
        "could be used to impersonate the person",
        "the number of an identity document that you gave us",
    ),
    Index("users_email", folded(Column("email"))),
)

memberships = table(
    "memberships",
    link("tenant_id"),
    link("user_id"),
    text("role", required=True),
    text("invited_by"),
    *texts("member_name", "member_email"),
    created(),
    moment("ended_at"),
    never(
        "invitation_token",
        "gives access to the tenant's workspace",
        "a token of the invitation to the company's workspace",
    ),
    Index("memberships_by_tenant", "tenant_id", "created_at", "id"),
    Index("memberships_by_user", "user_id", "created_at", "id"),
)

subscriptions = table(
    "subscriptions",
    link("tenant_id"),
    link("user_id", required=False),
    text("plan", required=True),
    text("status", required=True),
    Column("seats", Integer),
    Column("price", ExactNumeric),
    *texts("currency", "billing_period"),
    *moments("started_at", "current_period_ends_at", "cancelled_at"),
    created(),
    internal("processor_customer", "the payment processor's own key"),
    Index("subscriptions_by_tenant", "tenant_id", "created_at", "id"),
    Index("subscriptions_by_user", "user_id", "created_at", "id"),
)

invoices = table(
    "invoices",
    link("tenant_id"),
    link("user_id", required=False),
    text("number", required=True),
    text("status", required=True),
    *texts("billing_name", "billing_email", "billing_address", "tax_number"),
    Column("net", ExactNumeric),
    Column("tax", ExactNumeric),
    Column("total", ExactNumeric),
    text("currency"),
    Column("lines", JsonType),
    Column("issued_on", Date),
    Column("due_on", Date),
    moment("paid_at"),
    created(),
    internal("pdf_storage_key", "where the platform keeps the printed invoice"),
    Index("invoices_by_tenant", "tenant_id", "created_at", "id"),
    Index("invoices_by_user", "user_id", "created_at", "id"),
)

payment_methods = table(
    "payment_methods",
    link("tenant_id"),
    link("user_id", required=False),
    text("kind", required=True),
    *texts("brand", "last_four"),
    Column("expires_month", Integer),
    Column("expires_year", Integer),
    *texts("holder_name", "country"),
    Column("is_default", Boolean, nullable=False, default=False),
    created(),
    moment("removed_at"),
    never(
        "card_number",
        "can be charged (PCI DSS 3.4)",
        "the full number of a payment card; its brand and last four digits are exported",
    ),
    never("cvv", "must not even be stored (PCI DSS 3.3)", "the security code of a payment card"),
    never(
        "bank_account_number",
        "can be debited",
        "the full number of a bank account; its last four digits are exported",
    ),
    never("processor_token", "can be charged", "a token of the payment service for the payment method"),
    Index("payment_methods_by_tenant", "tenant_id", "created_at", "id"),
    Index("payment_methods_by_user", "user_id", "created_at", "id"),
)

inquiries = table(
    "inquiries",
    link("user_id", required=False),
    *texts("email", "name", "company_name", "department", "channel", "subject", "message", "status"),
    created(),
    moment("closed_at"),
    never("assignee_name", "is a member of staff"),
    text("private_note"),
    Index("inquiries_by_user", "user_id", "created_at", "id"),
    Index("inquiries_by_email", folded(Column("email")), "created_at", "id"),
)

inquiry_replies = table(
    "inquiry_replies",
    link("inquiry_id"),
    *texts("author", "body"),
    moment("sent_at"),
    created(),
    never("staff_name", "is a member of staff"),
    never("staff_email", "is a member of staff"),
    Index("inquiry_replies_by_inquiry", "inquiry_id", "created_at", "id"),
)

marketing_preferences = table(
    "marketing_preferences",
    link("user_id", required=False),
    *texts("email", "channel", "topic"),
    Column("subscribed", Boolean),
    text("frequency"),
    created(),
    moment("updated_at"),
    never("unsubscribe_token", "changes preferences without a login", "a token in the links by which mail is stopped"),
    Index("marketing_preferences_by_user", "user_id", "created_at", "id"),
    Index("marketing_preferences_by_email", folded(Column("email")), "created_at", "id"),
)

consents = table(
    "consents",
    link("user_id", required=False),
    text("email"),
    text("purpose", required=True),
    text("status", required=True),
    *texts("text_version", "wording", "source", "ip_address"),
    moment("decided_at", required=True),
    created(),
    never(
        "confirmation_token",
        "confirms a consent in the subject's name",
        "a token of the mail that confirmed a consent",
    ),
    Index("consents_by_user", "user_id", "created_at", "id"),
    Index("consents_by_email", folded(Column("email")), "created_at", "id"),
)

campaigns_received = table(
    "campaigns_received",
    link("user_id", required=False),
    *texts("email", "campaign", "channel", "subject"),
    *moments("sent_at", "opened_at", "clicked_at", "unsubscribed_at"),
    created(),
    never(
        "tracking_token",
        "acts for the subject in links of the mail",
        "a token that marks who follows a link of the mail",
    ),
    internal("provider_message", "the mail provider's own key"),
    Index("campaigns_received_by_user", "user_id", "created_at", "id"),
    Index("campaigns_received_by_email", folded(Column("email")), "created_at", "id"),
)
