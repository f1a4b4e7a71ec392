"""What account holders do on the platform's pages."""

from __future__ import annotations

from exporters import schema
from exporters.fields import CREATED_AT, ID, SESSION_ID, USER_ID
from exporters.observed import observed
from exporters.source import Named
from exporters.sql import SqlExporter
from portability.api import Exporter, Sources

SOURCES = (
    observed(
        schema.page_views,
        "page_views",
        "Page views",
        "Pages of the platform that you looked at.",
        columns=(
            ID,
            USER_ID,
            SESSION_ID,
            Named("url", "Address of the page."),
            Named("title", "Title of the page."),
            Named("referrer", "Address of the page from which you came; null if unknown."),
            Named("seconds", "How long the page was in front, in seconds."),
            Named("viewed_at", "When you opened it, in UTC."),
            CREATED_AT,
        ),
    ),
    observed(
        schema.feature_uses,
        "feature_uses",
        "Features used",
        "Features of the platform that you used.",
        columns=(
            ID,
            USER_ID,
            Named("tenant_id", "Identifier of the company for which you used it; null for none."),
            Named("feature", "Name of the feature."),
            Named("action", "What you did with it, such as open, create, change or delete."),
            Named("detail", "Further values about the use, by name."),
            Named("used_at", "When you used it, in UTC."),
            CREATED_AT,
        ),
    ),
    observed(
        schema.clicks,
        "clicks",
        "Clicks",
        "What you clicked on.",
        columns=(
            ID,
            USER_ID,
            SESSION_ID,
            Named("url", "Address of the page."),
            Named("element", "Name of the button, link or field."),
            Named("x_pixels", "Distance from the left edge of the page, in pixels."),
            Named("y_pixels", "Distance from the upper edge of the page, in pixels."),
            Named("clicked_at", "When you clicked, in UTC."),
            CREATED_AT,
        ),
    ),
    observed(
        schema.navigation_paths,
        "navigation_paths",
        "Navigation paths",
        "The ways you took through the pages, one record for each visit.",
        columns=(
            ID,
            USER_ID,
            SESSION_ID,
            Named("urls", "Addresses of the pages in the order of the visit: a list."),
            Named("entry_url", "Address of the first page."),
            Named("exit_url", "Address of the last page."),
            Named("began_at", "When the visit began, in UTC."),
            Named("ended_at", "When it ended, in UTC."),
            CREATED_AT,
        ),
    ),
)


def exporter(sources: Sources) -> Exporter:
    """The exporter of the policy's row "usage data"."""
    return SqlExporter(sources, *SOURCES)
