"""Telephone calls: participants, transcripts and sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from demo.people import CURRENCIES, MadeUpPerson
from demo.rows.interactions import NOTES, Occasion, interaction_rows
from demo.speech import wav_blocks
from demo.talk import Talk, make_talk
from demo.vault import store
from demo.world import AGENTS_PER_TENANT, MadeUpWorld, Row, chance, later, moment, nth, row
from exporters.reference import schema
from portability.api.storages import Storage

DAY_SECONDS = 86_400.0
WAV = "audio/wav"
ANONYMOUS_SHARE = 0.12
HIDDEN_SHARE = 0.3
"""Calls without a known contact or number."""
HANDLED_BY = ("both", "ai", "human")
"""In turn: the example's first call begins with software and ends with a member of staff."""
NEIGHBOUR_EVERY = 5
"""Every nth call has another person on the customer's side who speaks."""
CALLS_OF_EXAMPLES = (0, 0, 3, 0, 3, 0)
"""Contacts of the first calls: the example, and the first user as a contact."""


@dataclass(frozen=True, slots=True)
class MadeUpCall:
    """One call with the values that its tables share."""

    number: int
    id: str
    contact: MadeUpPerson
    known: bool
    """Whether the platform matched the number to the contact."""
    talk: Talk
    created_at: datetime
    frames: int
    """Number of frames of sound, at the plan's rate."""
    recorded: bool
    handled_by: str


def call_rows(world: MadeUpWorld, number: int, files: Storage | None) -> Iterator[Row]:
    """Make one call with its transcript, recording, analysis and later interactions."""
    random = world.random("call", number)
    call = _make_call(world, number, random, files)
    yield _call(world, call, random)
    yield from _transcript_rows(world, call, random)
    if call.recorded and files is not None:
        yield _recording(world, call, files)
    if number == 0 or chance(random, 0.8):
        yield _analysis(world, call, random)
    links = {
        "tenant_id": call.contact.tenant.id,
        "contact_id": call.contact.id if call.known else None,
        "call_id": call.id,
        "conversation_id": None,
    }
    agent_id = world.agent_id(call.contact.tenant, number % AGENTS_PER_TENANT)
    agents = (agent_id, world.staff(call.contact.tenant, number).id)
    occasion = Occasion(number, "c", links, *agents, "phone", call.created_at, call.talk, complete=number == 0)
    yield from interaction_rows(world, occasion, random)


def _make_call(world: MadeUpWorld, number: int, random: Random, files: Storage | None) -> MadeUpCall:
    plan, early = world.plan, number < len(CALLS_OF_EXAMPLES)
    some = random.randrange(len(world.contacts))
    contact = world.contacts[CALLS_OF_EXAMPLES[number] % len(world.contacts) if early else some]
    shortest, longest = plan.recording_seconds
    recorded = number < plan.recordings and files is not None
    # Squared: many short and a few long calls.
    seconds = shortest + (longest - shortest) * random.random() ** 2
    return MadeUpCall(
        number=number,
        id=world.id("cal", number),
        contact=contact,
        known=early or not chance(random, ANONYMOUS_SHARE),
        talk=make_talk(
            random,
            contact.language,
            customer=contact.name,
            company=contact.tenant.name,
            city=random.choice(world.cities(contact)),
        ),
        created_at=moment(random),
        frames=round(seconds * plan.recording_rate_hz),
        recorded=recorded,
        handled_by=HANDLED_BY[number % len(HANDLED_BY)],
    )


def _staff(world: MadeUpWorld, call: MadeUpCall) -> str | None:
    return None if call.handled_by == "ai" else world.staff(call.contact.tenant, 1 + call.number).id


def _voice(world: MadeUpWorld, call: MadeUpCall, position: int) -> tuple[str, str | None]:
    """Return who speaks a line, and which member of staff; in a call with both, software has the first half."""
    line, half = call.talk.lines[position], len(call.talk.lines) // 2
    if line.speaker == "customer":
        is_neighbour = nth(call.number, NEIGHBOUR_EVERY, 0) and nth(position, 4, 3)
        return ("customer_2" if is_neighbour else "customer"), None
    is_staff = call.handled_by == "human" or (call.handled_by == "both" and position > half)
    return "agent", _staff(world, call) if is_staff else None


def _seconds(world: MadeUpWorld, call: MadeUpCall) -> float:
    return call.frames / world.plan.recording_rate_hz


def _call(world: MadeUpWorld, call: MadeUpCall, random: Random) -> Row:
    tenant, inbound = call.contact.tenant, chance(random, 0.8)
    company_number = world.company_number(tenant)
    hidden = not call.known and chance(random, HIDDEN_SHARE)
    number = None if hidden else call.contact.phone
    answered_at = later(call.created_at, random, 20)
    return row(
        schema.calls,
        id=call.id,
        tenant_id=tenant.id,
        contact_id=call.contact.id if call.known else None,
        direction="inbound" if inbound else "outbound",
        caller_number=number if inbound else company_number,
        called_number=company_number if inbound else number,
        agent_id=world.agent_id(tenant, call.number % AGENTS_PER_TENANT),
        staff_id=_staff(world, call),
        handled_by=call.handled_by,
        status="answered",
        language=call.talk.language,
        outcome=random.choice(("solved", "handed_over", "callback", None)),
        started_at=call.created_at,
        answered_at=answered_at,
        ended_at=answered_at + timedelta(seconds=_seconds(world, call)),
        duration_seconds=_seconds(world, call),
        consented_to_recording=call.recorded or chance(random, 0.5),
        cost=Decimal(random.randrange(1, 10**9)).scaleb(-8),
        currency=CURRENCIES[tenant.language],
        custom={"order": {"lines": [1, 2.5, None, "x"]}, "note": ""} if nth(call.number, 4, 0) else None,
        private_note=NOTES[call.talk.language] if nth(call.number, 3, 0) else None,
        created_at=call.created_at,
        retained_until=call.created_at + timedelta(days=365 * 5) if nth(call.number, 6, 0) else None,
        legal_hold=nth(call.number, 50, 49),
        media_host=f"media-{call.number % 9}.internal.example",
    )


def _transcript_rows(world: MadeUpWorld, call: MadeUpCall, random: Random) -> Iterator[Row]:
    """Make the transcript; its lines are spread over the call by their length."""
    characters = sum(len(line.text) for line in call.talk.lines)
    seconds_per_character, begins = _seconds(world, call) / characters, 0.0
    for position, line in enumerate(call.talk.lines):
        ends = begins + len(line.text) * seconds_per_character
        speaker, staff_id = _voice(world, call, position)
        yield row(
            schema.transcripts,
            id=world.id("tsg", call.number, position),
            tenant_id=call.contact.tenant.id,
            call_id=call.id,
            position=position,
            speaker=speaker,
            staff_id=staff_id,
            starts_seconds=round(begins, 3),
            ends_seconds=round(ends, 3),
            text=line.text,
            language=call.talk.language,
            confidence=round(random.uniform(0.7, 1), 4),
            created_at=call.created_at + timedelta(seconds=ends),
        )
        begins = ends


def _recording(world: MadeUpWorld, call: MadeUpCall, files: Storage) -> Row:
    recording_id, tenant = world.id("rec", call.number), call.contact.tenant
    key, rate_hz = f"recordings/{tenant.id}/{recording_id}.wav", world.plan.recording_rate_hz
    stored = store(files, key, WAV, wav_blocks(recording_id, call.frames, rate_hz))
    return row(
        schema.recordings,
        id=recording_id,
        tenant_id=tenant.id,
        call_id=call.id,
        media_type=WAV,
        bytes=stored.bytes,
        seconds=_seconds(world, call),
        channels=1,
        sha256=stored.sha256,
        created_at=call.created_at + timedelta(seconds=_seconds(world, call)),
        storage_key=key,
    )


def _analysis(world: MadeUpWorld, call: MadeUpCall, random: Random) -> Row:
    mood = {"positive": 0.7, "neutral": 0.0, "negative": -0.6}[call.talk.sentiment]
    return row(
        schema.call_analyses,
        id=world.id("ana", call.number),
        tenant_id=call.contact.tenant.id,
        call_id=call.id,
        sentiment=call.talk.sentiment,
        sentiment_score=mood + random.uniform(-0.2, 0.2),
        summary=call.talk.summary,
        intent=call.talk.intent,
        topics=[call.talk.intent, random.choice(("price", "quality", "waktu"))],
        model="listener-2025-06",
        created_at=later(call.created_at, random, DAY_SECONDS),
    )
