"""Received transfers without a sender: an offer as if its webhook had come, and what the service does, step by step."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from factories import World

from portability.database.engine import now, reading, writing
from portability.inbox import decisions, offers, received, senders, work
from portability.inbox.offers import SignedWebhook
from portability.inbox.senders import SenderEntry
from portability.inbox.states import ReceivedState
from portability.inbox.transition import transition

ORIGIN = "https://8.8.8.8"
"""A public address, which nothing is asked of."""
SECRET = "whsec_" + "A" * 43 + "="
FETCHED = {"statement": "a.b.c", "archive_kind": "user", "volumes": 1, "files": 2, "bytes": 3}


def recorded_sender(world: World) -> Mapping[Any, Any]:
    """Another provider that the deployment has recorded."""
    entry = SenderEntry("A Care", f"https://{secrets.token_hex(4)}.example", f"{ORIGIN}/jwks.json")
    with writing(world.engine) as connection:
        identifier = senders.add(connection, world.place.settings.keys, entry, SECRET, actor="operator:test")
    with reading(world.engine) as connection:
        return senders.get(connection, identifier)


def webhook(sender: Mapping[Any, Any], kind: str, sent_id: str) -> SignedWebhook:
    """What a sender says about a transfer."""
    data = {"transfer": sent_id, "url": f"{ORIGIN}/d/x", "expires_at": "2099-01-01T00:00:00Z"}
    return SignedWebhook(sender, secrets.token_hex(8), kind, data, b"")  # type: ignore[arg-type]  # a mapping is enough


def offered_here(world: World, sender: Mapping[Any, Any]) -> tuple[str, SignedWebhook]:
    """An offer of a sender; returns the id here, and the webhook."""
    said = webhook(sender, offers.OFFERED, f"trf_{secrets.token_hex(10)}")
    with writing(world.engine) as connection:
        return offers.store(connection, world.place.settings, said), said


def step(
    world: World, identifier: str, to: ReceivedState, detail: Mapping[str, Any] | None = None, **columns: Any
) -> None:
    """What the receiving service does, without its files."""
    with writing(world.engine) as connection:
        row = received.get(connection, identifier, lock=True)
        transition(connection, row, to, actor=work.ACTOR, detail=detail, columns=columns)


def fetched(world: World, identifier: str) -> None:
    """The volumes are here."""
    step(world, identifier, ReceivedState.FETCHED, {"volumes": 1, "files": 2}, fetched_at=now(), **FETCHED)


def decidable(world: World, sender: Mapping[Any, Any], subject: str) -> str:
    """A received transfer about a subject that an officer can decide on; returns its id."""
    identifier, _ = offered_here(world, sender)
    fetched(world, identifier)
    chosen: dict[str, Any] = {"tenant": None, "company": None, "on_conflict": "keep", "actor": "officer:olga"}
    with writing(world.engine) as connection:
        decisions.assign(connection, identifier, subject=subject, **chosen)
    step(world, identifier, ReceivedState.COMPARED)
    return identifier


def imported(world: World, sender: Mapping[Any, Any], subject: str) -> str:
    """A transfer that was imported for a subject; returns its id."""
    identifier = decidable(world, sender, subject)
    for state in (ReceivedState.IMPORTING, ReceivedState.IMPORTED):
        step(world, identifier, state)
    return identifier


def undone(world: World, sender: Mapping[Any, Any], subject: str) -> str:
    """A transfer that was imported for a subject, and whose import was undone; returns its id."""
    identifier = imported(world, sender, subject)
    for state in (ReceivedState.UNDOING, ReceivedState.UNDONE):
        step(world, identifier, state)
    return identifier
