"""Response times of the platform for an account holder, and errors."""

from __future__ import annotations

from exporters.reference import row_filters, schema
from exporters.reference.observed import observed
from exporters.sql.exporter import SqlExporter
from exporters.sql.source import Named
from portability.api import Exporter, Sources

SOURCES = (
    observed(
        "performance",
        schema.api_timings,
        "api_timings",
        "Response times",
        "Response times of the platform for your requests.",
        Named("method", "Method of the request, such as GET or POST (RFC 9110 section 9)."),
        Named("route", "Kind of page or call that was requested, such as /v1/calls/{id}."),
        Named("status", "Status of the response (RFC 9110 section 15): 2xx is success, 4xx and 5xx are errors."),
        Named("milliseconds", "Time until the response was complete, in milliseconds."),
        Named("requested_at", "When the request was sent, in UTC."),
    ),
    observed(
        "performance",
        schema.error_logs,
        "error_logs",
        "Errors",
        "Errors that occurred while you used the platform.",
        Named("error", "Kind of the error."),
        Named("message", "Message of the error."),
        Named("url", "Address of the page on which it occurred."),
        Named("app_version", "Version of the platform's pages."),
        Named("context", "Further values about the error, by name."),
        Named("occurred_at", "When it occurred, in UTC."),
    ),
)


def exporter(sources: Sources) -> Exporter:
    """Make the exporter for the policy's row "performance data"."""
    return SqlExporter(sources, *SOURCES, selects_by=row_filters.selects_by("performance"))
