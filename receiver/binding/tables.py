"""The tables of the reference schema by dataset; a test compares them with what the exporters read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Table

from exporters.reference import schema
from receiver.binding.columns import RULES

FILE = "file"
"""The field of a record that names its file."""
STORAGE_KEY = "storage_key"

TABLES: Mapping[tuple[str, str], Table] = {
    ("account", "profile"): schema.users,
    ("account", "organisation"): schema.organisations,
    ("account", "memberships"): schema.memberships,
    ("billing", "subscription"): schema.subscriptions,
    ("billing", "invoices"): schema.invoices,
    ("billing", "payment_methods"): schema.payment_methods,
    ("calls", "calls"): schema.calls,
    ("calls", "transcripts"): schema.transcripts,
    ("calls", "recordings"): schema.recordings,
    ("calls", "analyses"): schema.call_analyses,
    ("chats", "conversations"): schema.conversations,
    ("chats", "messages"): schema.messages,
    ("chats", "attachments"): schema.attachments,
    ("configuration", "agents"): schema.agents,
    ("configuration", "flows"): schema.flows,
    ("configuration", "roles"): schema.roles,
    ("configuration", "integrations"): schema.integrations,
    ("cookies", "sessions"): schema.cookie_sessions,
    ("cookies", "preferences"): schema.cookie_preferences,
    ("cookies", "analytics_ids"): schema.analytics_ids,
    ("crm", "contacts"): schema.contacts,
    ("crm", "companies"): schema.companies,
    ("crm", "deals"): schema.deals,
    ("crm", "activities"): schema.activities,
    ("devices", "devices"): schema.devices,
    ("devices", "ip_addresses"): schema.ip_addresses,
    ("devices", "user_agents"): schema.user_agents,
    ("inquiries", "inquiries"): schema.inquiries,
    ("inquiries", "replies"): schema.inquiry_replies,
    ("interactions", "tickets"): schema.tickets,
    ("interactions", "ai_agent_actions"): schema.ai_agent_actions,
    ("interactions", "satisfaction"): schema.satisfaction,
    ("interactions", "routing_scores"): schema.routing_scores,
    ("marketing", "preferences"): schema.marketing_preferences,
    ("marketing", "consents"): schema.consents,
    ("marketing", "campaigns"): schema.campaigns_received,
    ("performance", "api_timings"): schema.api_timings,
    ("performance", "error_logs"): schema.error_logs,
    ("trail", "processing_trail"): schema.processing_trail,
    ("trail", "contact_trail"): schema.contact_trail,
    ("usage", "page_views"): schema.page_views,
    ("usage", "feature_uses"): schema.feature_uses,
    ("usage", "clicks"): schema.clicks,
    ("usage", "navigation_paths"): schema.navigation_paths,
}


@dataclass(frozen=True, slots=True)
class Fields:
    """How the fields of a dataset's records are imported."""

    taken: frozenset[str]
    forbidden: frozenset[str]
    """Columns that only a mapping of the caller allows."""
    ignored: frozenset[str]
    """Fields without a column, of secrets, and of columns that the import table does not list."""


@lru_cache(maxsize=256)
def fields_of(dataset: str, names: frozenset[str], allowed: frozenset[str]) -> Fields:
    """Return the fields of records with these names. Columns that are never exported are never imported."""
    exporter, _, name = dataset.partition("/")
    table, rules = TABLES[exporter, name], RULES[dataset]
    listed = {column.name for column in table.columns if not column.info and column.name in rules.columns}
    forbidden = (listed & rules.forbidden.keys()) - allowed
    ignored = names - listed - ({FILE} if has_files(table) else set())
    return Fields(*map(frozenset, ((listed - forbidden) & names, forbidden & names, ignored)))


def has_files(table: Table) -> bool:
    """Return whether each row has a file in storage."""
    return STORAGE_KEY in table.c


def absent(table: Table) -> list[str]:
    """Return columns that no archive contains: secrets, and the platform's technical data."""
    return [column.name for column in table.columns if column.info and column.name != STORAGE_KEY]


def in_order(datasets: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Sort datasets so that a row comes after the row that it is a part of; first those that name the target."""
    first = [("account", "organisation"), ("account", "profile"), ("crm", "contacts")]

    def place(name: tuple[str, str]) -> tuple[int, int, tuple[str, str]]:
        rules = RULES.get("/".join(name))
        depth = 1 if rules is not None and rules.parent else 0
        return depth, first.index(name) if name in first else len(first), name

    return sorted(datasets, key=place)
