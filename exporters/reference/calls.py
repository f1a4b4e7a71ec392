"""Phone calls of a tenant's contacts: the calls, transcripts, recordings, and analyses by software."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import FromClause, Table, and_

from exporters.reference import row_filters, schema
from exporters.reference.fields import (
    AGENT_ID,
    CONTACT_ID,
    CREATED_AT,
    CURRENCY,
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
from exporters.sql.values import rfc3339
from portability.api import JSON, STAFF_IDENTITY, Exporter, Person, Provenance, Record, Role, Sources

CALLS = schema.calls.c
CALL_ID = Named("call_id", "Identifier of the call, as in calls/calls.")


def _of_call(child: Table) -> FromClause:
    # Both sides name the tenant: a row that refers to another tenant's call is never exported.
    # Without its call, which may be missing, a row still belongs to its tenant.
    return child.outerjoin(schema.calls, and_(child.c.call_id == CALLS.id, child.c.tenant_id == CALLS.tenant_id))


_source = partial(
    table_source,
    role=Role.BOTH,
    kinds=row_filters.EVERYONE,
    retention=Until(CALLS.retained_until, CALLS.legal_hold),
)

SOURCES = (
    _source(
        schema.calls,
        "calls",
        "Phone calls",
        "Calls between the company's contacts and its agents, one record each.",
        ID,
        TENANT_ID,
        CONTACT_ID,
        Named("direction", "Who called: inbound (the contact) or outbound (the company)."),
        Named("caller_number", "Number that called, in the international form of E.164.", None, True),
        Named("called_number", "Number that was called, in the international form of E.164.", None, True),
        AGENT_ID,
        STAFF_ID,
        Named("handled_by", "Who spoke for the company: ai_agent, human_agent, both or no one."),
        Named("status", "How the call ended technically: completed, missed, busy, voicemail or failed."),
        LANGUAGE,
        Named("outcome", "Result of the call, in the company's own words or codes."),
        Named("started_at", "When it began to ring, in UTC."),
        Named("answered_at", "When it was answered, in UTC; null if it was not."),
        Named("ended_at", "When it ended, in UTC."),
        Named("duration_seconds", "Length of the call in seconds, from the answer to the end."),
        Named(
            "consented_to_recording", "True if the contact agreed to be recorded; null if the contact was not asked."
        ),
        Named("cost", "What the call cost the company, exact."),
        CURRENCY,
        custom("/order/lines", "/note"),
        PRIVATE_NOTE,
        CREATED_AT,
        RETAINED_UNTIL,
        LEGAL_HOLD,
        provenance=Provenance.OBSERVED,
        where=row_filters.rows("calls/calls"),
    ),
    _source(
        schema.transcripts,
        "transcripts",
        "Call transcripts",
        "What was said in the calls, one record for each segment of one speaker, in the order of the call.",
        ID,
        TENANT_ID,
        CALL_ID,
        Named("position", "Position of the segment in the call; it increases."),
        Named(
            "speaker",
            "Who spoke: contact, ai_agent or human_agent; other people on the line have their name here.",
            person=Person.SPEAKER,
        ),
        STAFF_ID,
        Named("starts_seconds", "Start of the segment, in seconds after the call was answered."),
        Named("ends_seconds", "End of the segment, in seconds after the call was answered."),
        Named("text", "What was said, as speech recognition transcribed it.", None, True),
        LANGUAGE,
        Named(
            "confidence",
            "Confidence of speech recognition in the text, from 0 (guessed) to 1 (certain).",
            Provenance.DERIVED,
        ),
        CREATED_AT,
        provenance=Provenance.OBSERVED,
        origin=_of_call(schema.transcripts),
        where=row_filters.rows("calls/transcripts", joined="calls/calls"),
        order=("call_id", "position", "id"),
    ),
    _source(
        schema.recordings,
        "recordings",
        "Call recordings",
        "Recordings of the calls: audio files beside these records. Biometric templates are not exported.",
        ID,
        TENANT_ID,
        CALL_ID,
        Named("media_type", "Format of the file, as a media type (RFC 6838), such as audio/wav."),
        Named("bytes", "Size of the file in bytes."),
        Named("seconds", "Length of the recording in seconds."),
        Named("channels", "Number of audio channels: 2 if each side has its own channel."),
        Named("sha256", "SHA-256 of the file when it was recorded, in lower-case hexadecimal; null if unknown."),
        CREATED_AT,
        provenance=Provenance.OBSERVED,
        origin=_of_call(schema.recordings),
        where=row_filters.rows("calls/recordings", joined="calls/calls"),
        file=FileColumns.of(schema.recordings),
    ),
    _source(
        schema.call_analyses,
        "analyses",
        "Call analyses",
        "Analysis of the calls by software: sentiment, intent, topics and a summary.",
        ID,
        TENANT_ID,
        CALL_ID,
        Named("sentiment", "Mood of the contact as estimated by software: negative, neutral or positive."),
        Named("sentiment_score", "The same as a number, from -1 (negative) to 1 (positive)."),
        Named("summary", "Summary of the call, written by software.", None, True),
        Named("intent", "What the contact wanted, as software understood it."),
        Named("topics", "Topics of the call: a list of words chosen by software."),
        Named("model", "Name and version of the model that did the analysis."),
        CREATED_AT,
        provenance=Provenance.DERIVED,
        origin=_of_call(schema.call_analyses),
        where=row_filters.rows("calls/analyses", joined="calls/calls"),
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
    """Return a call as docs/vcon.md describes it; its times count from the answer."""
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


WHOLE = Whole(
    dataset=conversations.dataset(
        "Calls as vCon",
        "Each call as one document in the IETF's format vCon: who took part, the recordings by the names of their "
        "files, what was said, and what software concluded.",
        provenance=Provenance.OBSERVED,
        role=Role.BOTH,
        kinds=row_filters.EVERYONE,
        of_staff=True,
    ),
    parent=SOURCES[0],
    parts={found.dataset.name: found for found in SOURCES[1:]},
    link="call_id",
    spoken="transcripts",
    shape=_whole,
)


FINDS = frozenset({"call_id", STAFF_IDENTITY})


def exporter(sources: Sources) -> Exporter:
    """Make the exporter for the policy's row "call recordings"."""
    by, find = row_filters.selects_by("calls"), row_filters.finder("calls")
    reviewed = row_filters.reviewed("calls")
    return SqlExporter(sources, *SOURCES, whole=WHOLE, selects_by=by, finder=find, finds=FINDS, reviewed=reviewed)
