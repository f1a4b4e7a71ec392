"""What the platform is paid: subscriptions, invoices, and payment methods by brand and last four digits only."""

from __future__ import annotations

from exporters import schema, walls
from exporters.fields import CREATED_AT, CURRENCY, ID, TENANT_ID
from exporters.retention import AccountData
from exporters.source import Named, source
from exporters.sql import SqlExporter
from portability.api import Exporter, Provenance, Role, Sources

USER_ID = Named("user_id", "Identifier of the account holder who is billed; null where only the company is.")

SUBSCRIPTION = source(
    schema.subscriptions,
    "subscription",
    "Subscriptions",
    "Plans that were booked, now and earlier.",
    columns=(
        ID,
        TENANT_ID,
        USER_ID,
        Named("plan", "The plan: free, team, business or enterprise."),
        Named("status", "State of the subscription: trial, active, past_due or cancelled."),
        Named("seats", "Number of members that the price covers."),
        Named("price", "Price for one billing period, without tax, exact."),
        CURRENCY,
        Named("billing_period", "How often the price is due: month or year."),
        Named("started_at", "When the subscription began, in UTC."),
        Named("current_period_ends_at", "When the period that is paid for ends, in UTC."),
        Named("cancelled_at", "When the subscription was cancelled, in UTC; null if it was not."),
        CREATED_AT,
    ),
    provenance=Provenance.PROVIDED,
    role=Role.CONTROLLER,
    kinds=walls.USERS_AND_TENANTS,
    where=walls.owned(user=schema.subscriptions.c.user_id, tenant=schema.subscriptions.c.tenant_id),
    retention=AccountData(schema.subscriptions.c.tenant_id),
)

INVOICES = source(
    schema.invoices,
    "invoices",
    "Invoices",
    "All invoices, with their lines.",
    columns=(
        ID,
        TENANT_ID,
        USER_ID,
        Named("number", "Number that is printed on the invoice."),
        Named("status", "State of the invoice: draft, open, paid, void or uncollectible."),
        Named("billing_name", "Name of the one who is billed, as it was given.", Provenance.PROVIDED),
        Named("billing_email", "E-mail address that invoices are sent to, as it was given.", Provenance.PROVIDED),
        Named("billing_address", "Postal address of the one who is billed, as it was given.", Provenance.PROVIDED),
        Named("tax_number", "Tax number of the one who is billed, such as NPWP or VAT number.", Provenance.PROVIDED),
        Named("net", "Sum without tax, exact."),
        Named("tax", "Tax on the sum, exact."),
        Named("total", "Sum to be paid, tax included, exact."),
        CURRENCY,
        Named("lines", "What was billed: a list of lines with text, quantity and amount."),
        Named("issued_on", "Date of the invoice."),
        Named("due_on", "Date on which the payment was due."),
        Named("paid_at", "When the payment arrived, in UTC; null if it did not."),
        CREATED_AT,
    ),
    provenance=Provenance.OBSERVED,
    role=Role.CONTROLLER,
    kinds=walls.USERS_AND_TENANTS,
    where=walls.owned(user=schema.invoices.c.user_id, tenant=schema.invoices.c.tenant_id),
    retention=AccountData(schema.invoices.c.tenant_id),
)

PAYMENT_METHODS = source(
    schema.payment_methods,
    "payment_methods",
    "Payment methods",
    "Cards and accounts that were given for payment, by brand and last four digits. Full numbers are not exported.",
    columns=(
        ID,
        TENANT_ID,
        USER_ID,
        Named("kind", "Kind of the method: card, bank_account or e_wallet."),
        Named("brand", "Brand of the card or wallet, or name of the bank."),
        Named("last_four", "Last four digits of the card or account number."),
        Named("expires_month", "Month in which the card expires, 1 to 12; null for other kinds."),
        Named("expires_year", "Year in which the card expires, with four digits; null for other kinds."),
        Named("holder_name", "Name of the holder, as it was given.", None, True),
        Named("country", "Country of the bank, as a two-letter code of ISO 3166-1."),
        Named("is_default", "True if payments are taken from this method unless another is chosen."),
        CREATED_AT,
        Named("removed_at", "When the method was removed, in UTC; null while it can be used."),
    ),
    provenance=Provenance.PROVIDED,
    role=Role.CONTROLLER,
    kinds=walls.USERS_AND_TENANTS,
    where=walls.owned(user=schema.payment_methods.c.user_id, tenant=schema.payment_methods.c.tenant_id),
    retention=AccountData(schema.payment_methods.c.tenant_id),
)


def exporter(sources: Sources) -> Exporter:
    """The exporter of the policy's row "billing information"."""
    return SqlExporter(sources, SUBSCRIPTION, INVOICES, PAYMENT_METHODS)
