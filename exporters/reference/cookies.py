"""Cookies: sessions without their tokens, cookie preferences, and identifiers of analytics."""

from __future__ import annotations

from exporters.reference import row_filters, schema
from exporters.reference.fields import FIRST_SEEN_AT, LAST_SEEN_AT
from exporters.reference.observed import observed
from exporters.sql.exporter import SqlExporter
from exporters.sql.source import Named
from portability.api import Exporter, Provenance, Sources

SOURCES = (
    observed(
        "cookies",
        schema.cookie_sessions,
        "sessions",
        "Sessions",
        "Periods in which you were logged in. The tokens in the cookies are not exported: they allow logins.",
        Named("ip_address", "Internet address from which the session began."),
        Named("user_agent", "How the browser identified itself (RFC 9110 section 10.1.5)."),
        Named("landing_url", "Address of the first page of the session."),
        Named("started_at", "When the session began, in UTC."),
        LAST_SEEN_AT,
        Named("ended_at", "When it ended, in UTC; null while it lasts."),
    ),
    observed(
        "cookies",
        schema.cookie_preferences,
        "preferences",
        "Cookie preferences",
        "Which kinds of cookies you allowed.",
        Named("category", "Kind of the cookies: necessary, preferences, analytics or marketing."),
        Named("allowed", "True if you allowed them, false if you did not.", Provenance.PROVIDED),
        Named("policy_version", "Version of the cookie notice that you saw."),
        Named("source", "Where you decided: banner or settings."),
        Named("decided_at", "When you decided, in UTC."),
    ),
    observed(
        "cookies",
        schema.analytics_ids,
        "analytics_ids",
        "Analytics identifiers",
        "Identifiers by which analytics recognises your browser.",
        Named("provider", "Provider of the analytics."),
        Named("cookie_name", "Name of the cookie that contains the identifier."),
        Named("analytics_id", "The identifier."),
        FIRST_SEEN_AT,
        LAST_SEEN_AT,
    ),
)


def exporter(sources: Sources) -> Exporter:
    """Make the exporter for the policy's row "cookies and tracking technologies"."""
    return SqlExporter(sources, *SOURCES, selects_by=row_filters.selects_by("cookies"))
