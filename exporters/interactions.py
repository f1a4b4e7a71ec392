"""What else happened between a tenant and its contacts: tickets, deeds of AI agents, satisfaction, routing scores."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Table

from exporters import schema, walls
from exporters.fields import AGENT_ID, CALL_ID, CONTACT_ID, CONVERSATION_ID, CREATED_AT, ID, PRIVATE_NOTE, TENANT_ID
from exporters.source import Named, Where, source
from exporters.sql import SqlExporter
from portability.api import Exporter, Person, Provenance, Role, Sources

_source = partial(source, role=Role.BOTH, kinds=walls.EVERYONE)


def _of_contact(table: Table) -> Where:
    return walls.of_contact(table.c.tenant_id, table.c.contact_id)


SOURCES = (
    _source(
        schema.tickets,
        "tickets",
        "Tickets",
        "Requests of contacts that the company keeps track of.",
        columns=(
            ID,
            TENANT_ID,
            CONTACT_ID,
            CALL_ID,
            CONVERSATION_ID,
            Named("number", "Number of the ticket as the company shows it."),
            Named("subject", "What the ticket is about.", Provenance.PROVIDED),
            Named("description", "What was asked for, in full.", Provenance.PROVIDED, True),
            Named("status", "State of the ticket: open, pending, resolved or closed."),
            Named("priority", "Urgency that the company gave it: low, normal, high or urgent."),
            Named("channel", "Way on which it came: phone, web, email or another channel of the company."),
            Named("tags", "Words that the company put on the ticket: a list."),
            Named(
                "assignee_id",
                "The member of the company's staff who looks after it, as `user_id` in account/memberships; null for "
                "none.",
                person=Person.STAFF,
            ),
            PRIVATE_NOTE,
            Named("opened_at", "When the ticket was opened, in UTC."),
            Named("first_replied_at", "When it was first answered, in UTC; null if never."),
            Named("resolved_at", "When it was resolved, in UTC; null if it was not."),
            CREATED_AT,
        ),
        provenance=Provenance.OBSERVED,
        where=_of_contact(schema.tickets),
    ),
    _source(
        schema.ai_agent_actions,
        "ai_agent_actions",
        "Actions of AI agents",
        "What an AI agent did for or about a contact, with what it was given and what came of it.",
        columns=(
            ID,
            TENANT_ID,
            CONTACT_ID,
            CALL_ID,
            CONVERSATION_ID,
            AGENT_ID,
            Named("action", "What the agent did, such as look_up_order, transfer_to_human or send_message."),
            Named("input", "Values with which the action was started.", None, True),
            Named("output", "Values that the action gave back.", None, True),
            Named("outcome", "How it ended: done, failed, refused or handed_over."),
            Named("occurred_at", "When it was done, in UTC."),
            CREATED_AT,
        ),
        provenance=Provenance.OBSERVED,
        where=_of_contact(schema.ai_agent_actions),
    ),
    _source(
        schema.satisfaction,
        "satisfaction",
        "Satisfaction",
        "Answers of contacts to the question how satisfied they were.",
        columns=(
            ID,
            TENANT_ID,
            CONTACT_ID,
            CALL_ID,
            CONVERSATION_ID,
            Named("score", "The score that was given; higher is better; null without an answer.", Provenance.PROVIDED),
            Named("best_score", "The best score that could be given; the worst is 1."),
            Named("comment", "What the contact wrote to the score; null for nothing.", Provenance.PROVIDED),
            Named("asked_at", "When the contact was asked, in UTC."),
            Named("answered_at", "When the contact answered, in UTC; null if never."),
            CREATED_AT,
        ),
        provenance=Provenance.OBSERVED,
        where=_of_contact(schema.satisfaction),
    ),
    _source(
        schema.routing_scores,
        "routing_scores",
        "Routing scores",
        "Scores by which software decided where a call or chat went. The model's own weights are a trade secret.",
        columns=(
            ID,
            TENANT_ID,
            CONTACT_ID,
            CALL_ID,
            CONVERSATION_ID,
            Named("score", "The score, from 0 (no hurry) to 1 (first)."),
            Named("queue", "The queue that was chosen by it."),
            Named("factors", "Which facts counted, and whether for or against: names and values."),
            Named("model", "Name and version of the model that made the score."),
            CREATED_AT,
        ),
        provenance=Provenance.DERIVED,
        where=_of_contact(schema.routing_scores),
    ),
)


def exporter(sources: Sources) -> Exporter:
    """The exporter of the policy's row "customer interaction data"."""
    return SqlExporter(sources, *SOURCES)
