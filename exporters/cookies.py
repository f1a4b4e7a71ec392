"""Cookies: sessions without their tokens, choices, and the identifiers of analytics."""

from __future__ import annotations

from exporters import schema
from exporters.fields import CREATED_AT, FIRST_SEEN_AT, ID, LAST_SEEN_AT, USER_ID
from exporters.observed import observed
from exporters.source import Named
from exporters.sql import SqlExporter
from portability.api import Exporter, Provenance, Sources

SOURCES = (
    observed(
        schema.cookie_sessions,
        "sessions",
        "Sessions",
        "Times during which you were logged in. The tokens in the cookies are not exported: they are logins.",
        columns=(
            ID,
            USER_ID,
            Named("ip_address", "Internet address from which the session began."),
            Named("user_agent", "How the browser named itself (RFC 9110 section 10.1.5)."),
            Named("landing_url", "Address of the first page of the session."),
            Named("started_at", "When the session began, in UTC."),
            LAST_SEEN_AT,
            Named("ended_at", "When it ended, in UTC; null while it lasts."),
            CREATED_AT,
        ),
    ),
    observed(
        schema.cookie_preferences,
        "preferences",
        "Cookie preferences",
        "Which kinds of cookies you allowed.",
        columns=(
            ID,
            USER_ID,
            Named("category", "Kind of the cookies: necessary, preferences, analytics or marketing."),
            Named("allowed", "True if you allowed them, false if you did not.", Provenance.PROVIDED),
            Named("policy_version", "Version of the cookie notice that you saw."),
            Named("source", "Where you decided: banner or settings."),
            Named("decided_at", "When you decided, in UTC."),
            CREATED_AT,
        ),
    ),
    observed(
        schema.analytics_ids,
        "analytics_ids",
        "Analytics identifiers",
        "Identifiers by which analytics knows your browser again.",
        columns=(
            ID,
            USER_ID,
            Named("provider", "Who runs the analytics."),
            Named("cookie_name", "Name of the cookie that holds the identifier."),
            Named("analytics_id", "The identifier."),
            FIRST_SEEN_AT,
            LAST_SEEN_AT,
            CREATED_AT,
        ),
    ),
)


def exporter(sources: Sources) -> Exporter:
    """The exporter of the policy's row "cookies and tracking technologies"."""
    return SqlExporter(sources, *SOURCES)
