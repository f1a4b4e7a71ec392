"""How fast the platform answered an account holder, and what went wrong."""

from __future__ import annotations

from exporters import schema
from exporters.fields import CREATED_AT, ID, USER_ID
from exporters.observed import observed
from exporters.source import Named
from exporters.sql import SqlExporter
from portability.api import Exporter, Sources

SOURCES = (
    observed(
        schema.api_timings,
        "api_timings",
        "Response times",
        "How long the platform took to answer you.",
        columns=(
            ID,
            USER_ID,
            Named("method", "Method of the request, such as GET or POST (RFC 9110 section 9)."),
            Named("route", "Kind of page or call that was asked for, such as /v1/calls/{id}."),
            Named("status", "Status of the answer (RFC 9110 section 15): 2xx went well, 4xx and 5xx did not."),
            Named("milliseconds", "Time until the answer was complete, in milliseconds."),
            Named("requested_at", "When you asked, in UTC."),
            CREATED_AT,
        ),
    ),
    observed(
        schema.error_logs,
        "error_logs",
        "Errors",
        "What went wrong while you used the platform.",
        columns=(
            ID,
            USER_ID,
            Named("error", "Kind of the error."),
            Named("message", "What the error said."),
            Named("url", "Address of the page on which it happened."),
            Named("app_version", "Version of the platform's pages."),
            Named("context", "Further values about the error, by name."),
            Named("occurred_at", "When it happened, in UTC."),
            CREATED_AT,
        ),
    ),
)


def exporter(sources: Sources) -> Exporter:
    """The exporter of the policy's row "performance data"."""
    return SqlExporter(sources, *SOURCES)
