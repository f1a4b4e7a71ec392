"""A tenant's digital assets: agents, flows, roles, and integrations without their secrets (Data Act Art. 2(32))."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table

from exporters import schema, walls
from exporters.fields import CREATED_AT, ID, LANGUAGE, TENANT_ID, UPDATED_AT
from exporters.source import Named, Source, source
from exporters.sql import SqlExporter
from portability.api import Exporter, Provenance, Role, Sources


def _asset(table: Table, name: str, title: str, description: str, *, columns: Sequence[Named]) -> Source:
    return source(
        table,
        name,
        title,
        description,
        columns=columns,
        provenance=Provenance.PROVIDED,
        role=Role.PROCESSOR,
        kinds=walls.TENANTS,
        where=walls.owned(tenant=table.c.tenant_id),
    )


SOURCES = (
    _asset(
        schema.agents,
        "agents",
        "AI agents",
        "AI agents as the company has set them up. The platform's own prompts are a trade secret and not exported.",
        columns=(
            ID,
            TENANT_ID,
            Named("name", "Name of the agent."),
            Named("kind", "What the agent does: voice or chat."),
            LANGUAGE,
            Named("voice", "Name of the voice that a voice agent speaks with; null for chat."),
            Named("greeting", "What the agent says first."),
            Named("instructions", "What the company told the agent to do, in full."),
            Named("settings", "Further settings of the agent, by name."),
            Named("enabled", "True if the agent is at work."),
            CREATED_AT,
            UPDATED_AT,
        ),
    ),
    _asset(
        schema.flows,
        "flows",
        "Flows",
        "Flows by which agents lead a call or chat.",
        columns=(
            ID,
            TENANT_ID,
            Named("agent_id", "Identifier of the agent that follows the flow; null for none."),
            Named("name", "Name of the flow."),
            Named("version", "Number of the version, counted upwards."),
            Named("definition", "The flow itself: its steps and the ways between them."),
            Named("published_at", "When it was put to work, in UTC; null for a draft."),
            CREATED_AT,
            UPDATED_AT,
        ),
    ),
    _asset(
        schema.roles,
        "roles",
        "Roles",
        "Roles of members and what they allow.",
        columns=(
            ID,
            TENANT_ID,
            Named("name", "Name of the role, as in account/memberships."),
            Named("description", "What the role is for."),
            Named("permissions", "What members with the role may do: a list of names."),
            CREATED_AT,
            UPDATED_AT,
        ),
    ),
    _asset(
        schema.integrations,
        "integrations",
        "Integrations",
        "Connections to other systems of the company, without the keys and tokens that open them.",
        columns=(
            ID,
            TENANT_ID,
            Named("kind", "Kind of the other system, such as crm, telephony or webhook."),
            Named("name", "Name that the company gave the connection."),
            Named("settings", "Settings of the connection, by name; secrets are kept elsewhere."),
            Named("enabled", "True if the connection is in use."),
            Named("last_synced_at", "When data was last exchanged, in UTC; null if never."),
            CREATED_AT,
            UPDATED_AT,
        ),
    ),
)


def exporter(sources: Sources) -> Exporter:
    """The exporter of what only a tenant takes along."""
    return SqlExporter(sources, *SOURCES)
