"""A tenant's digital assets: agents, flows, roles, and integrations without their secrets (Data Act Art. 2(32))."""

from __future__ import annotations

from sqlalchemy import Table

from exporters.reference import row_filters, schema
from exporters.reference.fields import CREATED_AT, ID, LANGUAGE, TENANT_ID, UPDATED_AT
from exporters.reference.retention import CompanyClosed
from exporters.sql.exporter import SqlExporter
from exporters.sql.source import Named, TableSource, table_source
from portability.api import Exporter, Provenance, Role, Sources


def _asset(table: Table, name: str, title: str, description: str, *columns: Named) -> TableSource:
    return table_source(
        *(table, name, title, description),
        *(ID, TENANT_ID, *columns, CREATED_AT, UPDATED_AT),
        provenance=Provenance.PROVIDED,
        role=Role.PROCESSOR,
        kinds=row_filters.TENANTS,
        where=row_filters.rows(f"configuration/{name}"),
        retention=CompanyClosed(table.c.tenant_id),
    )


SOURCES = (
    _asset(
        schema.agents,
        "agents",
        "AI agents",
        "AI agents as the company configured them. The platform's own prompts are trade secrets and not exported.",
        Named("name", "Name of the agent."),
        Named("kind", "What the agent does: voice or chat."),
        LANGUAGE,
        Named("voice", "Name of the voice that a voice agent speaks with; null for chat."),
        Named("greeting", "What the agent says first."),
        Named("instructions", "Instructions of the company for the agent, in full."),
        Named("settings", "Further settings of the agent, by name."),
        Named("enabled", "True if the agent is active."),
    ),
    _asset(
        schema.flows,
        "flows",
        "Flows",
        "Flows that agents follow in a call or chat.",
        Named("agent_id", "Identifier of the agent that follows the flow; null if not set."),
        Named("name", "Name of the flow."),
        Named("version", "Number of the version; a newer version has a higher number."),
        Named("definition", "Definition of the flow: its steps and the transitions between them."),
        Named("published_at", "When it was published, in UTC; null for a draft."),
    ),
    _asset(
        schema.roles,
        "roles",
        "Roles",
        "Roles of members and their permissions.",
        Named("name", "Name of the role, as in account/memberships."),
        Named("description", "What the role is for."),
        Named("permissions", "Permissions of members with the role: a list of names."),
    ),
    _asset(
        schema.integrations,
        "integrations",
        "Integrations",
        "Connections to other systems of the company, without their keys and tokens.",
        Named("kind", "Kind of the other system, such as crm, telephony or webhook."),
        Named("name", "Name that the company gave the connection."),
        Named("settings", "Settings of the connection, by name; secrets are kept elsewhere."),
        Named("enabled", "True if the connection is in use."),
        Named("last_synced_at", "When data was last exchanged, in UTC; null if never."),
    ),
)


def exporter(sources: Sources) -> Exporter:
    """Make the exporter for the data that only a tenant gets."""
    return SqlExporter(sources, *SOURCES, selects_by=row_filters.selects_by("configuration"))
