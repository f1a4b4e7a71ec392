"""Payments to the platform: subscriptions, invoices, and payment methods by brand and last four digits only."""

from __future__ import annotations

from sqlalchemy import Table

from exporters.reference import row_filters, schema
from exporters.reference.fields import CREATED_AT, CURRENCY, ID, TENANT_ID
from exporters.reference.retention import AccountClosed
from exporters.sql.exporter import SqlExporter
from exporters.sql.retention import Since
from exporters.sql.source import Named, RowRetention, TableSource, table_source
from portability.api import Exporter, Provenance, Role, Sources

USER_ID = Named("user_id", "Identifier of the account holder who is billed; null where only the company is.")


def _billed(
    table: Table,
    name: str,
    title: str,
    description: str,
    *columns: Named,
    provenance: Provenance,
    retention: RowRetention,
) -> TableSource:
    return table_source(
        *(table, name, title, description),
        *(ID, TENANT_ID, USER_ID, *columns),
        provenance=provenance,
        role=Role.CONTROLLER,
        kinds=row_filters.USERS_AND_TENANTS,
        where=row_filters.rows(f"billing/{name}"),
        retention=retention,
    )


SUBSCRIPTION = _billed(
    schema.subscriptions,
    "subscription",
    "Subscriptions",
    "Current and earlier subscriptions to plans.",
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
    provenance=Provenance.PROVIDED,
    retention=Since(schema.subscriptions.c.cancelled_at),
)

INVOICES = _billed(
    schema.invoices,
    "invoices",
    "Invoices",
    "All invoices, with their lines.",
    Named("number", "Number of the invoice."),
    Named("status", "State of the invoice: draft, open, paid, void or uncollectible."),
    Named("billing_name", "Name of the invoice recipient, as entered.", Provenance.PROVIDED),
    Named("billing_email", "E-mail address that invoices are sent to, as entered.", Provenance.PROVIDED),
    Named("billing_address", "Postal address of the invoice recipient, as entered.", Provenance.PROVIDED),
    Named("tax_number", "Tax number of the invoice recipient, such as NPWP or VAT number.", Provenance.PROVIDED),
    Named("net", "Sum without tax, exact."),
    Named("tax", "Tax on the sum, exact."),
    Named("total", "Sum to be paid, tax included, exact."),
    CURRENCY,
    Named("lines", "Lines of the invoice: a list with text, quantity and amount."),
    Named("issued_on", "Date of the invoice."),
    Named("due_on", "Date on which the payment was due."),
    Named("paid_at", "When the payment arrived, in UTC; null if it did not."),
    CREATED_AT,
    provenance=Provenance.OBSERVED,
    retention=Since(schema.invoices.c.issued_on),
)

PAYMENT_METHODS = _billed(
    schema.payment_methods,
    "payment_methods",
    "Payment methods",
    "Cards and accounts for payment, with brand and last four digits. Full numbers are not exported.",
    Named("kind", "Kind of the method: card, bank_account or e_wallet."),
    Named("brand", "Brand of the card or wallet, or name of the bank."),
    Named("last_four", "Last four digits of the card or account number."),
    Named("expires_month", "Month in which the card expires, 1 to 12; null for other kinds."),
    Named("expires_year", "Year in which the card expires, with four digits; null for other kinds."),
    Named("holder_name", "Name of the holder, as entered.", None, True),
    Named("country", "Country of the bank, as a two-letter code of ISO 3166-1."),
    Named("is_default", "True if this is the default method for payments."),
    CREATED_AT,
    Named("removed_at", "When the method was removed, in UTC; null while it can be used."),
    provenance=Provenance.PROVIDED,
    retention=AccountClosed(schema.payment_methods.c.tenant_id),
)


def exporter(sources: Sources) -> Exporter:
    """Make the exporter for the policy's row "billing information"."""
    return SqlExporter(sources, SUBSCRIPTION, INVOICES, PAYMENT_METHODS, selects_by=row_filters.selects_by("billing"))
