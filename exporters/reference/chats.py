"""The shape of a chat with all its parts: who wrote, what was written, and the files that were sent."""

from __future__ import annotations

from exporters.sql.conversations import Parts, Party, Place, named, people, seats
from portability.api import Record

AI_AGENT: Place = ("ai_agent", None)


def chat_conversation(chat: Record, parts: Parts) -> Record:
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
