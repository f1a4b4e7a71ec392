"""What account holders do on the platform's pages."""

from __future__ import annotations

from exporters.reference import row_filters, schema
from exporters.reference.fields import SESSION_ID
from exporters.reference.observed import observed
from exporters.sql.exporter import SqlExporter
from exporters.sql.source import Named
from portability.api import Exporter, Sources

SOURCES = (
    observed(
        "usage",
        schema.page_views,
        "page_views",
        "Page views",
        "Pages of the platform that you opened.",
        SESSION_ID,
        Named("url", "Address of the page."),
        Named("title", "Title of the page."),
        Named("referrer", "Address of the page from which you came; null if unknown."),
        Named("seconds", "How long the page was visible, in seconds."),
        Named("viewed_at", "When you opened it, in UTC."),
    ),
    observed(
        "usage",
        schema.feature_uses,
        "feature_uses",
        "Features used",
        "Features of the platform that you used.",
        Named("tenant_id", "Identifier of the company for which you used it; null if not set."),
        Named("feature", "Name of the feature."),
        Named("action", "What you did with it, such as open, create, change or delete."),
        Named("detail", "Further values about the use, by name."),
        Named("used_at", "When you used it, in UTC."),
    ),
    observed(
        "usage",
        schema.clicks,
        "clicks",
        "Clicks",
        "Your clicks on pages of the platform.",
        SESSION_ID,
        Named("url", "Address of the page."),
        Named("element", "Name of the button, link or field."),
        Named("x_pixels", "Distance from the left edge of the page, in pixels."),
        Named("y_pixels", "Distance from the upper edge of the page, in pixels."),
        Named("clicked_at", "When you clicked, in UTC."),
    ),
    observed(
        "usage",
        schema.navigation_paths,
        "navigation_paths",
        "Navigation paths",
        "Sequences of pages that you opened, one record for each visit.",
        SESSION_ID,
        Named("urls", "Addresses of the pages in the order of the visit: a list."),
        Named("entry_url", "Address of the first page."),
        Named("exit_url", "Address of the last page."),
        Named("began_at", "When the visit began, in UTC."),
        Named("ended_at", "When it ended, in UTC."),
    ),
)


def exporter(sources: Sources) -> Exporter:
    """Make the exporter for the policy's row "usage data"."""
    return SqlExporter(sources, *SOURCES, selects_by=row_filters.selects_by("usage"))
