"""Other interactions of a tenant with its contacts: tickets, actions of AI agents, satisfaction, routing scores."""

from __future__ import annotations

from sqlalchemy import Table

from exporters.reference import row_filters, schema
from exporters.reference.fields import (
    AGENT_ID,
    CALL_ID,
    CONTACT_ID,
    CONVERSATION_ID,
    CREATED_AT,
    ID,
    PRIVATE_NOTE,
    TENANT_ID,
)
from exporters.reference.retention import CompanyClosed
from exporters.sql.exporter import SqlExporter
from exporters.sql.source import Named, TableSource, table_source
from portability.api import STAFF_IDENTITY, Exporter, Person, Provenance, Role, Sources

OF_CONTACT = (ID, TENANT_ID, CONTACT_ID, CALL_ID, CONVERSATION_ID)


def _of_contact(
    table: Table, name: str, title: str, description: str, *columns: Named, provenance: Provenance = Provenance.OBSERVED
) -> TableSource:
    return table_source(
        *(table, name, title, description),
        *(*OF_CONTACT, *columns, CREATED_AT),
        provenance=provenance,
        role=Role.BOTH,
        kinds=row_filters.EVERYONE,
        where=row_filters.rows(f"interactions/{name}"),
        retention=CompanyClosed(table.c.tenant_id),
    )


SOURCES = (
    _of_contact(
        schema.tickets,
        "tickets",
        "Tickets",
        "Support requests of contacts.",
        Named("number", "Number of the ticket as the company shows it."),
        Named("subject", "What the ticket is about.", Provenance.PROVIDED),
        Named("description", "Text of the request, in full.", Provenance.PROVIDED, True),
        Named("status", "State of the ticket: open, pending, resolved or closed."),
        Named("priority", "Urgency that the company assigned: low, normal, high or urgent."),
        Named("channel", "Channel of the ticket: phone, web, email or another channel of the company."),
        Named("tags", "Tags that the company assigned to the ticket: a list of words."),
        Named(
            "assignee_id",
            "The responsible member of the company's staff, as `user_id` in account/memberships; null if not set.",
            person=Person.STAFF,
        ),
        PRIVATE_NOTE,
        Named("opened_at", "When the ticket was opened, in UTC."),
        Named("first_replied_at", "When it was first answered, in UTC; null if never."),
        Named("resolved_at", "When it was resolved, in UTC; null if it was not."),
    ),
    _of_contact(
        schema.ai_agent_actions,
        "ai_agent_actions",
        "Actions of AI agents",
        "Actions of AI agents for or about a contact, with their input and result.",
        AGENT_ID,
        Named("action", "What the agent did, such as look_up_order, transfer_to_human or send_message."),
        Named("input", "Input values of the action.", None, True),
        Named("output", "Output values of the action.", None, True),
        Named("outcome", "How it ended: done, failed, refused or handed_over."),
        Named("occurred_at", "When it was done, in UTC."),
    ),
    _of_contact(
        schema.satisfaction,
        "satisfaction",
        "Satisfaction",
        "Answers of contacts to satisfaction surveys.",
        Named(
            "score", "The score that the contact gave; higher is better; null without an answer.", Provenance.PROVIDED
        ),
        Named("best_score", "The best possible score; the worst is 1."),
        Named("comment", "Comment of the contact on the score; null if empty.", Provenance.PROVIDED),
        Named("asked_at", "When the contact was asked, in UTC."),
        Named("answered_at", "When the contact answered, in UTC; null if never."),
    ),
    _of_contact(
        schema.routing_scores,
        "routing_scores",
        "Routing scores",
        "Scores that software used to route calls and chats. The weights of the model are a trade secret.",
        Named("score", "The score, from 0 (not urgent) to 1 (first)."),
        Named("queue", "The queue that the score selected."),
        Named("factors", "Factors of the score, and whether they raised or lowered it: names and values."),
        Named("model", "Name and version of the model that computed the score."),
        provenance=Provenance.DERIVED,
    ),
)


FINDS = frozenset({STAFF_IDENTITY})


def exporter(sources: Sources) -> Exporter:
    """Make the exporter for the policy's row "customer interaction data"."""
    by, find = row_filters.selects_by("interactions"), row_filters.finder("interactions")
    return SqlExporter(sources, *SOURCES, selects_by=by, finder=find, finds=FINDS)
