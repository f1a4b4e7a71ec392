"""What the platform collects by itself when account holders use it, and who looked at their data."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, Index, Integer

from exporters.columns import created, identifier, internal, link, moment, never, table, text
from portability.db import JsonType

LOGIN = "is a login"

devices = table(
    "devices",
    identifier(),
    link("user_id"),
    text("kind"),
    text("manufacturer"),
    text("model"),
    text("operating_system"),
    text("browser"),
    text("device_identifier"),
    text("screen"),
    text("language"),
    Column("trusted", Boolean),
    moment("first_seen_at"),
    moment("last_seen_at"),
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
    identifier(),
    link("user_id"),
    text("address"),
    text("country"),
    text("city"),
    Column("times_seen", Integer),
    moment("first_seen_at"),
    moment("last_seen_at"),
    created(),
    Index("ip_addresses_by_user", "user_id", "created_at", "id"),
)

user_agents = table(
    "user_agents",
    identifier(),
    link("user_id"),
    text("user_agent"),
    Column("times_seen", Integer),
    moment("first_seen_at"),
    moment("last_seen_at"),
    created(),
    Index("user_agents_by_user", "user_id", "created_at", "id"),
)

page_views = table(
    "page_views",
    identifier(),
    link("user_id"),
    link("session_id", required=False),
    text("url"),
    text("title"),
    text("referrer"),
    Column("seconds", Double),
    moment("viewed_at"),
    created(),
    Index("page_views_by_user", "user_id", "created_at", "id"),
)

feature_uses = table(
    "feature_uses",
    identifier(),
    link("user_id"),
    link("tenant_id", required=False),
    text("feature"),
    text("action"),
    Column("detail", JsonType),
    moment("used_at"),
    created(),
    Index("feature_uses_by_user", "user_id", "created_at", "id"),
)

clicks = table(
    "clicks",
    identifier(),
    link("user_id"),
    link("session_id", required=False),
    text("url"),
    text("element"),
    Column("x_pixels", Integer),
    Column("y_pixels", Integer),
    moment("clicked_at"),
    created(),
    Index("clicks_by_user", "user_id", "created_at", "id"),
)

navigation_paths = table(
    "navigation_paths",
    identifier(),
    link("user_id"),
    link("session_id", required=False),
    Column("urls", JsonType),
    text("entry_url"),
    text("exit_url"),
    moment("began_at"),
    moment("ended_at"),
    created(),
    Index("navigation_paths_by_user", "user_id", "created_at", "id"),
)

api_timings = table(
    "api_timings",
    identifier(),
    link("user_id"),
    text("method"),
    text("route"),
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
    identifier(),
    link("user_id"),
    text("error"),
    text("message"),
    text("url"),
    text("app_version"),
    Column("context", JsonType),
    moment("occurred_at"),
    created(),
    never("request_cookies", LOGIN, "the cookies that were sent with the request, your login among them"),
    never("stack_trace", "shows paths and hosts inside the platform"),
    Index("error_logs_by_user", "user_id", "created_at", "id"),
)

cookie_sessions = table(
    "cookie_sessions",
    identifier(),
    link("user_id"),
    text("ip_address"),
    text("user_agent"),
    text("landing_url"),
    moment("started_at"),
    moment("last_seen_at"),
    moment("ended_at"),
    created(),
    never("session_token", LOGIN, "the token by which the session knew your login"),
    never("csrf_token", "is part of a login", "a token that guarded the session's forms"),
    Index("cookie_sessions_by_user", "user_id", "created_at", "id"),
)

cookie_preferences = table(
    "cookie_preferences",
    identifier(),
    link("user_id"),
    text("category"),
    Column("allowed", Boolean),
    text("policy_version"),
    text("source"),
    moment("decided_at"),
    created(),
    Index("cookie_preferences_by_user", "user_id", "created_at", "id"),
)

analytics_ids = table(
    "analytics_ids",
    identifier(),
    link("user_id"),
    text("provider"),
    text("cookie_name"),
    text("analytics_id"),
    moment("first_seen_at"),
    moment("last_seen_at"),
    created(),
    Index("analytics_ids_by_user", "user_id", "created_at", "id"),
)

processing_trail = table(
    "processing_trail",
    identifier(),
    link("user_id"),
    text("operation", required=True),
    text("purpose"),
    text("data_category"),
    text("actor_role"),
    text("recipient"),
    moment("occurred_at", required=True),
    created(),
    never("staff_id", "is a member of staff (CJEU C-579/21)"),
    never("staff_name", "is a member of staff (CJEU C-579/21)"),
    never("staff_note", "is a private note of staff"),
    internal("trace", "joins log lines of the platform"),
    Index("processing_trail_by_user", "user_id", "created_at", "id"),
)
