"""Chats of a tenant's contacts: conversations, their messages, and the files that were sent."""

from __future__ import annotations

from functools import partial

from sqlalchemy import FromClause, Table, and_

from exporters.reference import row_filters, schema
from exporters.reference.fields import (
    AGENT_ID,
    CONTACT_ID,
    CREATED_AT,
    ID,
    LANGUAGE,
    LEGAL_HOLD,
    PRIVATE_NOTE,
    RETAINED_UNTIL,
    STAFF_ID,
    TENANT_ID,
    custom,
)
from exporters.sql import conversations
from exporters.sql.conversations import Parts, Party, Place, Whole, named, people, seats
from exporters.sql.exporter import SqlExporter
from exporters.sql.retention import Until
from exporters.sql.source import FileColumns, Named, table_source
from portability.api import STAFF_IDENTITY, Exporter, Person, Provenance, Record, Role, Sources

CHATS = schema.conversations.c
AI_AGENT: Place = ("ai_agent", None)
CONVERSATION_ID = Named("conversation_id", "Identifier of the conversation, as in chats/conversations.")


def _of_conversation(child: Table) -> FromClause:
    # Both sides name the tenant: a row that refers to another tenant's conversation is never exported.
    same = and_(child.c.conversation_id == CHATS.id, child.c.tenant_id == CHATS.tenant_id)
    # Without its conversation, which may be missing, a row still belongs to its tenant.
    return child.outerjoin(schema.conversations, same)


_source = partial(
    table_source,
    provenance=Provenance.PROVIDED,
    role=Role.BOTH,
    kinds=row_filters.EVERYONE,
    retention=Until(CHATS.retained_until, CHATS.legal_hold),
)

SOURCES = (
    _source(
        schema.conversations,
        "conversations",
        "Conversations",
        "Chats between the company's contacts and its agents, one record each; what was written is in messages.",
        ID,
        TENANT_ID,
        CONTACT_ID,
        Named("channel", "Channel of the chat: web, whatsapp, email, sms or another channel of the company."),
        Named("visitor_name", "Name that the contact gave in the chat."),
        Named("visitor_email", "E-mail address that the contact gave in the chat."),
        Named("subject", "What the chat is about, as it was given."),
        Named("status", "State of the chat: open, waiting or closed.", Provenance.OBSERVED),
        LANGUAGE,
        AGENT_ID,
        Named("page_url", "Web page on which the chat was opened; null elsewhere.", Provenance.OBSERVED),
        custom("/browser/language", "/cart"),
        PRIVATE_NOTE,
        Named("opened_at", "When the chat was opened, in UTC.", Provenance.OBSERVED),
        Named("closed_at", "When the chat was closed, in UTC; null while it is open.", Provenance.OBSERVED),
        CREATED_AT,
        RETAINED_UNTIL,
        LEGAL_HOLD,
        where=row_filters.rows("chats/conversations"),
    ),
    _source(
        schema.messages,
        "messages",
        "Messages",
        "What was written in the chats, by both sides, in the order of the conversation.",
        ID,
        TENANT_ID,
        CONVERSATION_ID,
        Named("position", "Position of the message in the conversation; it increases."),
        Named(
            "sender",
            "Who wrote: contact, ai_agent, human_agent or system; other people in the chat have their name here.",
            person=Person.SPEAKER,
        ),
        STAFF_ID,
        Named("text", "The message as it was written.", None, True),
        Named("reply_to", "Identifier of the message that this one answers; null if not set."),
        custom("/reaction"),
        Named("sent_at", "When it was sent, in UTC.", Provenance.OBSERVED),
        Named("read_at", "When the other side read it, in UTC; null if unknown.", Provenance.OBSERVED),
        Named("edited_at", "When it was last changed by its writer, in UTC; null if never.", Provenance.OBSERVED),
        Named(
            "deleted_at",
            "When it was hidden in the chat, in UTC; null if it was not; the text is still stored and is included.",
            Provenance.OBSERVED,
        ),
        CREATED_AT,
        origin=_of_conversation(schema.messages),
        where=row_filters.rows("chats/messages", joined="chats/conversations"),
        order=("conversation_id", "position", "id"),
    ),
    _source(
        schema.attachments,
        "attachments",
        "Attachments",
        "Files that were sent in the chats. The files themselves are beside these records.",
        ID,
        TENANT_ID,
        CONVERSATION_ID,
        Named("message_id", "Identifier of the message that carried the file; null if unknown."),
        Named("file_name", "Original name of the file; the archive uses another name.", None, True),
        Named("media_type", "Format of the file as its sender gave it, as a media type (RFC 6838)."),
        Named("bytes", "Size of the file in bytes."),
        Named("sha256", "SHA-256 of the file when it was sent, in lower-case hexadecimal; null if unknown."),
        CREATED_AT,
        origin=_of_conversation(schema.attachments),
        where=row_filters.rows("chats/attachments", joined="chats/conversations"),
        file=FileColumns.of(schema.attachments),
    ),
)


def _whole(chat: Record, parts: Parts) -> Record:
    """Return a chat as docs/vcon.md describes it: messages with their own times."""
    messages, agent = parts["messages"], chat["agent_id"]
    contact = {"role": "contact", **named(chat, id="contact_id", name="visitor_name", mailto="visitor_email")}
    parties: list[Party] = [contact]
    # The AI agent took part, even if it wrote nothing.
    places = seats(parties, [*map(_writer, messages), *([] if agent is None else [AI_AGENT])])
    if agent is not None:
        parties[places[AI_AGENT]]["id"] = agent
    same = ("id", "tenant_id", "channel", "subject", "status", "language", "created_at")
    return {
        **{name: chat[name] for name in same},
        **named(chat, started_at="opened_at", ended_at="closed_at"),
        "kind": "chat",
        "seconds": None,
        **people(parties),
        "dialog": [
            {
                **named(message, id="id", text="text"),
                "party": places.get(_writer(message)),
                "started_at": message["sent_at"] or message["created_at"],
            }
            for message in messages
        ],
        "recordings": [],
        "attachments": [
            {
                **named(sent, id="id", message_id="message_id", file="file", file_name="file_name"),
                **named(sent, media_type="media_type", bytes="bytes", sha256="sha256", sent_at="created_at"),
            }
            for sent in parts["attachments"]
        ],
        "analysis": [],
    }


def _writer(message: Record) -> Place:
    return message["sender"], message["staff_id"]


WHOLE = Whole(
    dataset=conversations.dataset(
        "Chats as vCon",
        "Each chat as one document in the IETF's format vCon: who took part, what was written, and the files that "
        "were sent by their names.",
        provenance=Provenance.PROVIDED,
        role=Role.BOTH,
        kinds=row_filters.EVERYONE,
    ),
    parent=SOURCES[0],
    parts={found.dataset.name: found for found in SOURCES[1:]},
    link="conversation_id",
    spoken="messages",
    shape=_whole,
)


FINDS = frozenset({"conversation_id", STAFF_IDENTITY})


def exporter(sources: Sources) -> Exporter:
    """Make the exporter for the policy's row "chat transcripts"."""
    by, find = row_filters.selects_by("chats"), row_filters.finder("chats")
    reviewed = row_filters.reviewed("chats")
    return SqlExporter(sources, *SOURCES, whole=WHOLE, selects_by=by, finder=find, finds=FINDS, reviewed=reviewed)
