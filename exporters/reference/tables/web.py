"""Data that the platform records while account holders use it, and accesses to their data."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, Index, Integer, Table

from exporters.sql.columns import OTHER_PERSON, created, internal, link, moment, moments, never, table, text, texts
from portability.database.engine import JsonType

LOGIN = "gives access to the account"

devices = table(
    "devices",
    link("user_id"),
    *texts("kind", "manufacturer", "model", "operating_system", "browser", "device_identifier", "screen", "language"),
    Column("trusted", Boolean),
    *moments("first_seen_at", "last_seen_at"),
    created(),
    never("push_token", "sends messages to the device", "a token by which messages reach the device"),
    never(
        "trust_token",
        "replaces the second factor",
        "a token by which the device is trusted without a second factor",
    ),
    Index("devices_by_user", "user_id", "created_at", "id"),
)

ip_addresses = table(
    "ip_addresses",
    link("user_id"),
    *texts("address", "country", "city"),
    Column("times_seen", Integer),
    *moments("first_seen_at", "last_seen_at"),
    created(),
    Index("ip_addresses_by_user", "user_id", "created_at", "id"),
)

user_agents = table(
    "user_agents",
    link("user_id"),
    text("user_agent"),
    Column("times_seen", Integer),
    *moments("first_seen_at", "last_seen_at"),
    created(),
    Index("user_agents_by_user", "user_id", "created_at", "id"),
)

page_views = table(
    "page_views",
    link("user_id"),
    link("session_id", required=False),
    *texts("url", "title", "referrer"),
    Column("seconds", Double),
    moment("viewed_at"),
    created(),
    Index("page_views_by_user", "user_id", "created_at", "id"),
)

feature_uses = table(
    "feature_uses",
    link("user_id"),
    link("tenant_id", required=False),
    *texts("feature", "action"),
    Column("detail", JsonType),
    moment("used_at"),
    created(),
    Index("feature_uses_by_user", "user_id", "created_at", "id"),
)

clicks = table(
    "clicks",
    link("user_id"),
    link("session_id", required=False),
    *texts("url", "element"),
    Column("x_pixels", Integer),
    Column("y_pixels", Integer),
    moment("clicked_at"),
    created(),
    Index("clicks_by_user", "user_id", "created_at", "id"),
)

navigation_paths = table(
    "navigation_paths",
    link("user_id"),
    link("session_id", required=False),
    Column("urls", JsonType),
    *texts("entry_url", "exit_url"),
    *moments("began_at", "ended_at"),
    created(),
    Index("navigation_paths_by_user", "user_id", "created_at", "id"),
)

api_timings = table(
    "api_timings",
    link("user_id"),
    *texts("method", "route"),
    Column("status", Integer),
    Column("milliseconds", Double),
    moment("requested_at"),
    created(),
    never("authorization_header", LOGIN, "the login that was sent with the request"),
    never("server_host", "is an address inside the platform"),
    Index("api_timings_by_user", "user_id", "created_at", "id"),
)

error_logs = table(
    "error_logs",
    link("user_id"),
    *texts("error", "message", "url", "app_version"),
    Column("context", JsonType),
    moment("occurred_at"),
    created(),
    never("request_cookies", LOGIN, "the cookies that were sent with the request, your login among them"),
    never("stack_trace", "shows paths and hosts inside the platform"),
    Index("error_logs_by_user", "user_id", "created_at", "id"),
)

cookie_sessions = table(
    "cookie_sessions",
    link("user_id"),
    *texts("ip_address", "user_agent", "landing_url"),
    *moments("started_at", "last_seen_at", "ended_at"),
    created(),
    never("session_token", LOGIN, "the token by which the session knew your login"),
    never("csrf_token", "is part of a login", "a token that guarded the session's forms"),
    Index("cookie_sessions_by_user", "user_id", "created_at", "id"),
)

cookie_preferences = table(
    "cookie_preferences",
    link("user_id"),
    text("category"),
    Column("allowed", Boolean),
    *texts("policy_version", "source"),
    moment("decided_at"),
    created(),
    Index("cookie_preferences_by_user", "user_id", "created_at", "id"),
)

analytics_ids = table(
    "analytics_ids",
    link("user_id"),
    *texts("provider", "cookie_name", "analytics_id"),
    *moments("first_seen_at", "last_seen_at"),
    created(),
    Index("analytics_ids_by_user", "user_id", "created_at", "id"),
)


def _trail(name: str, *subject: Column[str] | Index) -> Table:
    """Define a table of operations on the data of one kind of people."""
    columns = [one for one in subject if isinstance(one, Column)]
    return table(
        name,
        *columns,
        text("operation", required=True),
        *texts("purpose", "data_category", "actor_role", "recipient"),
        moment("occurred_at", required=True),
        created(),
        never("staff_id", "is a member of staff (CJEU C-579/21)"),
        never("staff_name", "is a member of staff (CJEU C-579/21)"),
        never(
            "staff_note",
            "identifies members of staff (CJEU C-579/21)",
            "a note of the member of staff on the operation",
            OTHER_PERSON,
        ),
        internal("trace", "joins log lines of the platform"),
        *(one for one in subject if isinstance(one, Index)),
    )


processing_trail = _trail(
    "processing_trail", link("user_id"), Index("processing_trail_by_user", "user_id", "created_at", "id")
)
contact_trail = _trail(
    "contact_trail",
    link("tenant_id"),
    link("contact_id"),
    Index("contact_trail_by_tenant", "tenant_id", "created_at", "id"),
    Index("contact_trail_by_contact", "tenant_id", "contact_id", "created_at", "id"),
)
