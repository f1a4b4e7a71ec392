"""Results of software about a call or a chat: tickets, actions, ratings, routing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random

from demo.talk import Talk
from demo.world import MadeUpWorld, Row, chance, later
from exporters.reference import schema

DAY_SECONDS = 86_400.0
TICKET_SHARE = 0.3
ACTION_SHARE = 0.6
RATING_SHARE = 0.5
ROUTING_SHARE = 0.8
NOTES = {
    "en": "Sounded upset; ask Rina before promising a refund.",
    "id": "Nadanya kesal; tanya Rina dulu sebelum janji refund.",
}
"""Private notes of staff."""
COMMENTS = {
    "en": ("Quick and friendly 👍", "Had to wait too long.", "", None),
    "id": ("Cepat dan ramah 👍", "Terlalu lama menunggu.", "", None),
}


@dataclass(frozen=True, slots=True)
class Occasion:
    """The call or chat that an interaction belongs to."""

    number: int
    letter: str
    """Makes the ids for calls and chats different."""
    links: Mapping[str, str | None]
    """tenant_id, contact_id, call_id, conversation_id."""
    agent_id: str
    staff_id: str
    channel: str
    at: datetime
    talk: Talk
    complete: bool
    """Make all kinds of rows, independent of chance."""


def interaction_rows(world: MadeUpWorld, about: Occasion, random: Random) -> Iterator[Row]:
    """Make some rows of each kind."""
    makers = (
        (TICKET_SHARE, schema.tickets, "tic", _ticket),
        (ACTION_SHARE, schema.ai_agent_actions, "aia", _action),
        (RATING_SHARE, schema.satisfaction, "sat", _rating),
        (ROUTING_SHARE, schema.routing_scores, "rou", _routing),
    )
    for share, table, prefix, make in makers:
        wanted = chance(random, share)
        if wanted or about.complete:
            created_at = later(about.at, random, DAY_SECONDS / 24)
            shared = {"id": world.id(prefix + about.letter, about.number), "created_at": created_at, **about.links}
            yield table, shared | make(about, created_at, random)


def _ticket(about: Occasion, created_at: datetime, random: Random) -> dict[str, object]:
    replied_at = later(created_at, random, DAY_SECONDS)
    resolved = chance(random, 0.7)
    return {
        "number": f"{about.letter.upper()}{about.number:07d}",
        "subject": about.talk.subject,
        "description": about.talk.summary,
        "status": "resolved" if resolved else "open",
        "priority": random.choice(("low", "normal", "high")),
        "channel": about.channel,
        "tags": [about.talk.intent, about.talk.sentiment] if chance(random, 0.7) else None,
        "assignee_id": about.staff_id,
        "private_note": random.choice((None, "", NOTES[about.talk.language])),
        "opened_at": created_at,
        "first_replied_at": replied_at,
        "resolved_at": later(replied_at, random, 3 * DAY_SECONDS) if resolved else None,
    }


def _action(about: Occasion, created_at: datetime, random: Random) -> dict[str, object]:
    return {
        "agent_id": about.agent_id,
        "action": random.choice(("look_up_order", "send_sms", "book_delivery", "hand_over")),
        "input": {"intent": about.talk.intent, "language": about.talk.language},
        "output": {"found": True, "items": random.randint(0, 3), "score": random.random()},
        "outcome": random.choice(("done", "failed", "handed_over")),
        "occurred_at": created_at,
    }


def _rating(about: Occasion, created_at: datetime, random: Random) -> dict[str, object]:
    answered = chance(random, 0.7)
    return {
        "score": random.randint(1, 5) if answered else None,
        "best_score": 5,
        "comment": random.choice(COMMENTS[about.talk.language]) if answered else None,
        "asked_at": created_at,
        "answered_at": later(created_at, random, DAY_SECONDS) if answered else None,
    }


def _routing(about: Occasion, _created_at: datetime, random: Random) -> dict[str, object]:
    return {
        "score": random.random(),
        "queue": f"{about.talk.intent}-{about.talk.language}",
        "factors": {"sentiment": about.talk.sentiment, "waiting_seconds": random.randrange(600), "churn": 0.1 + 0.2},
        "model": "router-2025-03",
    }
