"""Phone calls of a tenant's contacts: what happened, what was said, the sound itself, and what software made of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import FromClause, Table, and_

from exporters import conversations, schema, walls
from exporters.conversations import Parts, Party, Place, Whole, named, people, seats
from exporters.fields import (
    AGENT_ID,
    CONTACT_ID,
    CREATED_AT,
    CURRENCY,
    CUSTOM,
    ID,
    LANGUAGE,
    LEGAL_HOLD,
    PRIVATE_NOTE,
    RETAINED_UNTIL,
    STAFF_ID,
    TENANT_ID,
)
from exporters.retention import Until
from exporters.source import FileColumns, Named, source
from exporters.sql import SqlExporter
from exporters.values import rfc3339
from portability.api import JSON, Exporter, Person, Provenance, Record, Role, Sources

CALLS = schema.calls.c
CALL_ID = Named("call_id", "Identifier of the call, as in calls/calls.")


def _of_call(child: Table) -> FromClause:
    # Both sides name the tenant: a row that points at another tenant's call belongs to nobody.
    return child.join(schema.calls, and_(child.c.call_id == CALLS.id, child.c.tenant_id == CALLS.tenant_id))


_source = partial(
    source,
    role=Role.BOTH,
    kinds=walls.EVERYONE,
    where=walls.of_contact(CALLS.tenant_id, CALLS.contact_id, CALLS.caller_number),
    retention=Until(CALLS.retained_until, CALLS.legal_hold),
)

SOURCES = (
    _source(
        schema.calls,
        "calls",
        "Phone calls",
        "Calls between the company's contacts and its agents, one record each.",
        columns=(
            ID,
            TENANT_ID,
            CONTACT_ID,
            Named("direction", "Who called: inbound (the contact) or outbound (the company)."),
            Named("caller_number", "Number that called, in the international form of E.164.", None, True),
            Named("called_number", "Number that was called, in the international form of E.164.", None, True),
            AGENT_ID,
            STAFF_ID,
            Named("handled_by", "Who spoke for the company: ai_agent, human_agent, both or nobody."),
            Named("status", "How the call ended technically: completed, missed, busy, voicemail or failed."),
            LANGUAGE,
            Named("outcome", "What the call led to, in the company's own words or codes."),
            Named("started_at", "When it began to ring, in UTC."),
            Named("answered_at", "When it was answered, in UTC; null if it was not."),
            Named("ended_at", "When it ended, in UTC."),
            Named("duration_seconds", "Length of the call in seconds, from the answer to the end."),
            Named("consented_to_recording", "True if the contact agreed to be recorded; null if nobody asked."),
            Named("cost", "What the call cost the company, exact."),
            CURRENCY,
            CUSTOM,
            PRIVATE_NOTE,
            CREATED_AT,
            RETAINED_UNTIL,
            LEGAL_HOLD,
        ),
        provenance=Provenance.OBSERVED,
    ),
    _source(
        schema.transcripts,
        "transcripts",
        "Call transcripts",
        "What was said in the calls, one record for each segment of one speaker, in the order of the call.",
        columns=(
            ID,
            TENANT_ID,
            CALL_ID,
            Named("position", "Place of the segment in its call, counted upwards."),
            Named(
                "speaker",
                "Who spoke: contact, ai_agent or human_agent; a name for anybody else on the line.",
                person=Person.SPEAKER,
            ),
            STAFF_ID,
            Named("starts_seconds", "Begin of the segment, in seconds from the answer of the call."),
            Named("ends_seconds", "End of the segment, in seconds from the answer of the call."),
            Named("text", "What was said, as speech recognition wrote it down.", None, True),
            LANGUAGE,
            Named(
                "confidence",
                "How sure speech recognition was of the text, from 0 (guessed) to 1 (certain).",
                Provenance.DERIVED,
            ),
            CREATED_AT,
        ),
        provenance=Provenance.OBSERVED,
        origin=_of_call(schema.transcripts),
        order=("call_id", "position", "id"),
    ),
    _source(
        schema.recordings,
        "recordings",
        "Call recordings",
        "Recordings of the calls, as audio files beside these records. Biometric templates are not exported.",
        columns=(
            ID,
            TENANT_ID,
            CALL_ID,
            Named("media_type", "Format of the file, as a media type (RFC 6838), such as audio/wav."),
            Named("bytes", "Size of the file in bytes."),
            Named("seconds", "Length of the recording in seconds."),
            Named("channels", "Number of sound channels: 2 where each side has one of its own."),
            Named("sha256", "SHA-256 of the file when it was recorded, in lower-case hexadecimal; null if unknown."),
            CREATED_AT,
        ),
        provenance=Provenance.OBSERVED,
        origin=_of_call(schema.recordings),
        file=FileColumns(
            schema.recordings.c.storage_key,
            schema.recordings.c.media_type,
            schema.recordings.c.bytes,
            schema.recordings.c.sha256,
        ),
    ),
    _source(
        schema.call_analyses,
        "analyses",
        "Call analyses",
        "What software concluded from the calls: sentiment, intent, topics and a summary.",
        columns=(
            ID,
            TENANT_ID,
            CALL_ID,
            Named("sentiment", "Mood of the contact as software judged it: negative, neutral or positive."),
            Named("sentiment_score", "The same as a number, from -1 (negative) to 1 (positive)."),
            Named("summary", "Summary of the call, written by software.", None, True),
            Named("intent", "What the contact wanted, as software understood it."),
            Named("topics", "What the call was about: a list of words chosen by software."),
            Named("model", "Name and version of the model that made the analysis."),
            CREATED_AT,
        ),
        provenance=Provenance.DERIVED,
        origin=_of_call(schema.call_analyses),
    ),
)


HANDLED_BY: Mapping[JSON, tuple[str, ...]] = {
    "ai": ("ai_agent",),
    "ai_agent": ("ai_agent",),
    "human": ("human_agent",),
    "human_agent": ("human_agent",),
    "both": ("ai_agent", "human_agent"),
}


def _whole(call: Record, parts: Parts) -> Record:
    """A call as docs/vcon.md describes it; its times count from the answer."""
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
    theirs, ours = named(call, tel="caller_number"), named(call, tel="called_number")
    if not inbound:
        theirs, ours = ours, theirs
    contact: Party = {"role": "contact", "id": call["contact_id"], **theirs}
    roles = HANDLED_BY.get(call["handled_by"], ("company",))
    agents: list[Party] = [{"role": role, **_agent(call, role), **ours} for role in roles]
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


WHOLE = Whole(
    dataset=conversations.dataset(
        "Calls as vCon",
        "Each call as one document in the IETF's format vCon: who took part, the recordings by the names of their "
        "files, what was said, and what software concluded.",
        provenance=Provenance.OBSERVED,
        role=Role.BOTH,
        kinds=walls.EVERYONE,
    ),
    parent=SOURCES[0],
    parts={found.dataset.name: found for found in SOURCES[1:]},
    link="call_id",
    spoken="transcripts",
    shape=_whole,
)


def exporter(sources: Sources) -> Exporter:
    """The exporter of the policy's row "call recordings"."""
    return SqlExporter(sources, *SOURCES, whole=WHOLE)
