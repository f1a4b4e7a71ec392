"""The shape of a phone call with all its parts: the parties in the order of the call, and what each of them said."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from exporters.sql.conversations import Parts, Party, Place, named, people, seats
from exporters.sql.values import rfc3339
from portability.api import JSON, Record

HANDLED_BY: Mapping[JSON, tuple[str, ...]] = {
    "ai": ("ai_agent",),
    "ai_agent": ("ai_agent",),
    "human": ("human_agent",),
    "human_agent": ("human_agent",),
    "both": ("ai_agent", "human_agent"),
}


def call_conversation(call: Record, parts: Parts) -> Record:
    """Return a call as docs/vcon.md describes it; its times count from the answer. The hook `call_conversation`."""
    parties, answered_at = _parties(call), call["answered_at"] or call["started_at"]
    places = seats(parties, [_voice(segment) for segment in parts["transcripts"]])
    same = ("id", "tenant_id", "status", "language", "created_at", "ended_at")
    return {
        **{name: call[name] for name in same},
        "kind": "call",
        "channel": "phone",
        "subject": None,
        "started_at": answered_at,
        "seconds": call["duration_seconds"],
        **people(parties),
        "dialog": [_segment(segment, answered_at, places) for segment in parts["transcripts"]],
        "recordings": [
            {
                **named(recording, id="id", file="file", media_type="media_type", bytes="bytes", sha256="sha256"),
                **named(recording, seconds="seconds", channels="channels"),
                "started_at": answered_at,
            }
            for recording in parts["recordings"]
        ],
        "attachments": [],
        "analysis": [
            {name: value for name, value in analysis.items() if name not in {"tenant_id", "call_id"}}
            for analysis in parts["analyses"]
        ],
    }


def _parties(call: Record) -> list[Party]:
    inbound = call["direction"] != "outbound"
    caller, called = named(call, tel="caller_number"), named(call, tel="called_number")
    if not inbound:
        caller, called = called, caller
    contact: Party = {"role": "contact", "id": call["contact_id"], **caller}
    roles = HANDLED_BY.get(call["handled_by"], ("company",))
    agents: list[Party] = [{"role": role, **_agent(call, role), **called} for role in roles]
    return [contact, *agents] if inbound else [*agents, contact]


def _agent(call: Record, role: str) -> Party:
    return {
        "id": call["agent_id"] if role == "ai_agent" else None,
        "staff": call["staff_id"] if role == "human_agent" else None,
    }


def _voice(segment: Record) -> Place:
    return segment["speaker"], segment["staff_id"]


def _segment(segment: Record, answered_at: JSON, places: Mapping[Place, int]) -> Record:
    begin, end = segment["starts_seconds"], segment["ends_seconds"]
    return {
        **named(segment, id="id", text="text", language="language", starts_seconds="starts_seconds"),
        "party": places.get(_voice(segment)),
        "started_at": _later(answered_at, begin),
        "seconds": round(end - begin, 6) if isinstance(begin, float) and isinstance(end, float) else None,
    }


def _later(moment: JSON, seconds: JSON) -> str | None:
    if not isinstance(moment, str) or not isinstance(seconds, float):
        return None
    try:
        return rfc3339(datetime.fromisoformat(moment) + timedelta(seconds=seconds))
    except OverflowError:
        return None
