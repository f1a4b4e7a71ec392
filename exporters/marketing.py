"""Subscriptions and preferences, consents with time, version and source, and the campaigns that were sent."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Table

from exporters import schema, walls
from exporters.fields import CREATED_AT, EMAIL, ID, UPDATED_AT
from exporters.retention import ACCOUNT
from exporters.source import Named, Where, source
from exporters.sql import SqlExporter
from portability.api import Exporter, Provenance, Role, Sources

USER_ID = Named("user_id", "Identifier of your account; null if the address was given without logging in.")

_source = partial(source, role=Role.CONTROLLER, kinds=walls.USERS, retention=ACCOUNT)


def _of_reader(table: Table) -> Where:
    return walls.written_by(table.c.user_id, table.c.email)


SOURCES = (
    _source(
        schema.marketing_preferences,
        "preferences",
        "Marketing preferences",
        "Which messages you want from us and which you do not.",
        columns=(
            ID,
            USER_ID,
            EMAIL,
            Named("channel", "Way of the messages: email, sms, phone or post."),
            Named("topic", "What they are about: product_updates, newsletter, events or offers."),
            Named("subscribed", "True if you want them, false if you do not."),
            Named("frequency", "How often at most: each, weekly or monthly; null for no limit."),
            CREATED_AT,
            UPDATED_AT,
        ),
        provenance=Provenance.PROVIDED,
        where=_of_reader(schema.marketing_preferences),
    ),
    _source(
        schema.consents,
        "consents",
        "Consents",
        "Each consent that you gave or withdrew, with the text that you saw (GDPR Art. 7(1)).",
        columns=(
            ID,
            USER_ID,
            EMAIL,
            Named("purpose", "What the consent is for, such as marketing_email or analytics_cookies."),
            Named("status", "What you decided: given or withdrawn."),
            Named("text_version", "Version of the text that you saw."),
            Named("wording", "The text that you saw, in full."),
            Named("source", "Where you decided, such as registration_form, preference_page or support."),
            Named("ip_address", "Internet address from which you decided; null if unknown.", Provenance.OBSERVED),
            Named("decided_at", "When you decided, in UTC."),
            CREATED_AT,
        ),
        provenance=Provenance.PROVIDED,
        where=_of_reader(schema.consents),
    ),
    _source(
        schema.campaigns_received,
        "campaigns",
        "Campaigns",
        "Marketing messages that we sent you, and what you did with them as far as we saw.",
        columns=(
            ID,
            USER_ID,
            EMAIL,
            Named("campaign", "Name of the campaign."),
            Named("channel", "Way of the message: email, sms or phone."),
            Named("subject", "Subject of the message."),
            Named("sent_at", "When it was sent, in UTC."),
            Named("opened_at", "When you first opened it, in UTC; null if we did not see it."),
            Named("clicked_at", "When you first followed a link in it, in UTC; null if we did not see it."),
            Named("unsubscribed_at", "When you unsubscribed through it, in UTC; null if you did not."),
            CREATED_AT,
        ),
        provenance=Provenance.OBSERVED,
        where=_of_reader(schema.campaigns_received),
    ),
)


def exporter(sources: Sources) -> Exporter:
    """The exporter of the policy's row "email address and communication preferences"."""
    return SqlExporter(sources, *SOURCES)
