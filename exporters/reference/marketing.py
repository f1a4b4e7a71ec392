"""Subscriptions and preferences, consents with time, version and source, and the campaigns that were sent."""

from __future__ import annotations

from sqlalchemy import Table

from exporters.reference import row_filters, schema
from exporters.reference.fields import CREATED_AT, EMAIL, ID, UPDATED_AT
from exporters.reference.retention import ACCOUNT
from exporters.sql.exporter import SqlExporter
from exporters.sql.retention import Since
from exporters.sql.source import Named, RowRetention, TableSource, table_source
from portability.api import Exporter, Provenance, Role, Sources

USER_ID = Named("user_id", "Identifier of your account; null if the address was entered without a login.")


def _of_reader(
    table: Table,
    name: str,
    title: str,
    description: str,
    *columns: Named,
    provenance: Provenance,
    retention: RowRetention = ACCOUNT,
) -> TableSource:
    return table_source(
        *(table, name, title, description),
        *(ID, USER_ID, EMAIL, *columns),
        provenance=provenance,
        role=Role.CONTROLLER,
        kinds=row_filters.READERS,
        where=row_filters.rows(f"marketing/{name}"),
        retention=retention,
    )


SOURCES = (
    _of_reader(
        schema.marketing_preferences,
        "preferences",
        "Marketing preferences",
        "Which messages you want from us and which you do not.",
        Named("channel", "Channel of the messages: email, sms, phone or post."),
        Named("topic", "What they are about: product_updates, newsletter, events or offers."),
        Named("subscribed", "True if you want them, false if you do not."),
        Named("frequency", "Maximum frequency: each, weekly or monthly; null for no limit."),
        CREATED_AT,
        UPDATED_AT,
        provenance=Provenance.PROVIDED,
    ),
    _of_reader(
        schema.consents,
        "consents",
        "Consents",
        "Each consent that you gave or withdrew, with the text that you saw (GDPR Art. 7(1)).",
        Named("purpose", "What the consent is for, such as marketing_email or analytics_cookies."),
        Named("status", "What you decided: given or withdrawn."),
        Named("text_version", "Version of the text that you saw."),
        Named("wording", "The text that you saw, in full."),
        Named("source", "Where you decided, such as registration_form, preference_page or support."),
        Named("ip_address", "Internet address from which you decided; null if unknown.", Provenance.OBSERVED),
        Named("decided_at", "When you decided, in UTC."),
        CREATED_AT,
        provenance=Provenance.PROVIDED,
        retention=Since(schema.consents.c.decided_at, only=schema.consents.c.status == "withdrawn"),
    ),
    _of_reader(
        schema.campaigns_received,
        "campaigns",
        "Campaigns",
        "Marketing messages that we sent you, and your reactions that we recorded.",
        Named("campaign", "Name of the campaign."),
        Named("channel", "Channel of the message: email, sms or phone."),
        Named("subject", "Subject of the message."),
        Named("sent_at", "When it was sent, in UTC."),
        Named("opened_at", "When you first opened it, in UTC; null if not recorded."),
        Named("clicked_at", "When you first followed a link in it, in UTC; null if not recorded."),
        Named("unsubscribed_at", "When you unsubscribed through it, in UTC; null if you did not."),
        CREATED_AT,
        provenance=Provenance.OBSERVED,
    ),
)


def exporter(sources: Sources) -> Exporter:
    """Make the exporter for the policy's row "email address and communication preferences"."""
    return SqlExporter(sources, *SOURCES, selects_by=row_filters.selects_by("marketing"))
