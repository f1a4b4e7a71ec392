"""The platform's reference schema on SQLite and PostgreSQL (docs/source-schema.md).

Every column is exported, or carries the reason why it is not: `info["never"]` or `info["internal"]`.
Texts are ids, times are aware UTC, money is exact, JSON is JSONB on PostgreSQL.
"""

from __future__ import annotations

from exporters.columns import INTERNAL, NEVER, metadata
from exporters.tables.account import (
    campaigns_received,
    consents,
    inquiries,
    inquiry_replies,
    invoices,
    marketing_preferences,
    memberships,
    organisations,
    payment_methods,
    subscriptions,
    users,
)
from exporters.tables.configuration import agents, flows, integrations, roles
from exporters.tables.crm import activities, companies, contacts, deals
from exporters.tables.service import (
    ai_agent_actions,
    attachments,
    call_analyses,
    calls,
    conversations,
    messages,
    recordings,
    routing_scores,
    satisfaction,
    tickets,
    transcripts,
)
from exporters.tables.web import (
    analytics_ids,
    api_timings,
    clicks,
    cookie_preferences,
    cookie_sessions,
    devices,
    error_logs,
    feature_uses,
    ip_addresses,
    navigation_paths,
    page_views,
    processing_trail,
    user_agents,
)

__all__ = [
    "INTERNAL",
    "NEVER",
    "activities",
    "agents",
    "ai_agent_actions",
    "analytics_ids",
    "api_timings",
    "attachments",
    "call_analyses",
    "calls",
    "campaigns_received",
    "clicks",
    "companies",
    "consents",
    "contacts",
    "conversations",
    "cookie_preferences",
    "cookie_sessions",
    "deals",
    "devices",
    "error_logs",
    "feature_uses",
    "flows",
    "inquiries",
    "inquiry_replies",
    "integrations",
    "invoices",
    "ip_addresses",
    "marketing_preferences",
    "memberships",
    "messages",
    "metadata",
    "navigation_paths",
    "organisations",
    "page_views",
    "payment_methods",
    "processing_trail",
    "recordings",
    "roles",
    "routing_scores",
    "satisfaction",
    "subscriptions",
    "tickets",
    "transcripts",
    "user_agents",
    "users",
]
