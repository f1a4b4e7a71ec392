"""Chats: conversations, their messages and attachments, one of them full of hostile values."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from demo import hostile
from demo.people import MadeUpPerson
from demo.rows.interactions import NOTES, Occasion, interaction_rows
from demo.talk import Talk, make_talk
from demo.vault import store
from demo.world import AGENTS_PER_TENANT, MadeUpWorld, Row, chance, later, moment, nth, row
from exporters.reference import schema
from portability.api.storages import Storage

DAY_SECONDS = 86_400.0
ATTACHMENT_SHARE = 0.1
STRANGER_SHARE = 0.08
HOSTILE_CHAT = 1
"""The second chat, of the example contact: every hostile text, a huge, an empty and a missing one."""
CHATS_OF_EXAMPLES = (0, 0, 3, 0, 3)
PICTURE_PIXELS = 48


@dataclass(frozen=True, slots=True)
class Chat:
    """One conversation with the values that its tables share."""

    number: int
    id: str
    contact: MadeUpPerson
    known: bool
    talk: Talk
    texts: tuple[tuple[str, str | None], ...]
    """(sender, text) of each message."""
    created_at: datetime


def chat_rows(world: MadeUpWorld, number: int, files: Storage | None) -> Iterator[Row]:
    """Make one conversation with its messages, attachments and later interactions."""
    random = world.random("chat", number)
    chat = _make_chat(world, number, random)
    yield _conversation(world, chat, random)
    yield from _message_rows(world, chat, random)
    wanted = chance(random, ATTACHMENT_SHARE)
    if files is not None and (number == 0 or wanted):
        yield from _attachment_rows(world, chat, files, random)
    links = {
        "tenant_id": chat.contact.tenant.id,
        "contact_id": chat.contact.id if chat.known else None,
        "call_id": None,
        "conversation_id": chat.id,
    }
    agent_id = world.agent_id(chat.contact.tenant, number % AGENTS_PER_TENANT)
    agents = (agent_id, world.staff(chat.contact.tenant, number).id)
    occasion = Occasion(number, "m", links, *agents, "chat", chat.created_at, chat.talk, complete=number == 0)
    yield from interaction_rows(world, occasion, random)


def _make_chat(world: MadeUpWorld, number: int, random: Random) -> Chat:
    early, some = number < len(CHATS_OF_EXAMPLES), random.randrange(len(world.contacts))
    contact = world.contacts[CHATS_OF_EXAMPLES[number] % len(world.contacts) if early else some]
    talk = make_talk(
        random,
        contact.language,
        customer=contact.name,
        company=contact.tenant.name,
        city=random.choice(world.cities(contact)),
        lines_min=world.plan.messages_per_chat,
    )
    return Chat(
        number=number,
        id=world.id("cnv", number),
        contact=contact,
        known=early or not chance(random, STRANGER_SHARE),
        talk=talk,
        texts=_hostile_texts() if number == HOSTILE_CHAT else tuple(_messages(talk, number)),
        created_at=moment(random),
    )


def _messages(talk: Talk, number: int) -> Iterator[tuple[str, str]]:
    """Yield the messages; every third chat is handed over to a member of staff in the middle."""
    for place, line in enumerate(talk.lines):
        is_staff = nth(number, 3, 0) and place > len(talk.lines) // 2
        yield "contact" if line.speaker == "customer" else "human_agent" if is_staff else "ai_agent", line.text


def _hostile_texts() -> tuple[tuple[str, str | None], ...]:
    texts: tuple[str | None, ...] = (*hostile.TEXTS, hostile.huge(), None)
    return tuple(("contact", text) for text in texts)


def _conversation(world: MadeUpWorld, chat: Chat, random: Random) -> Row:
    contact, tenant = chat.contact, chat.contact.tenant
    subject = None if nth(chat.number, 11, 7) else "" if nth(chat.number, 9, 5) else chat.talk.subject
    return row(
        schema.conversations,
        id=chat.id,
        tenant_id=tenant.id,
        contact_id=contact.id if chat.known else None,
        channel=random.choice(("web", "whatsapp", "instagram")),
        visitor_name=contact.name,
        visitor_email=contact.email if chance(random, 0.6) else None,
        subject=subject,
        status=random.choice(("open", "closed")),
        language=chat.talk.language,
        agent_id=world.agent_id(tenant, chat.number % AGENTS_PER_TENANT),
        page_url=f"https://www.{tenant.domain}/help?q={chat.talk.intent}&utm=a%20b",
        custom={"browser": {"language": chat.talk.language}, "cart": []} if nth(chat.number, 3, 0) else None,
        private_note=NOTES[chat.talk.language] if nth(chat.number, 4, 0) else None,
        opened_at=chat.created_at,
        closed_at=later(chat.created_at, random, DAY_SECONDS) if chance(random, 0.7) else None,
        created_at=chat.created_at,
        retained_until=chat.created_at + timedelta(days=365 * 5) if nth(chat.number, 6, 0) else None,
        legal_hold=nth(chat.number, 40, 39),
    )


def _message_rows(world: MadeUpWorld, chat: Chat, random: Random) -> Iterator[Row]:
    sent_at, staff_id = chat.created_at, world.staff(chat.contact.tenant, chat.number).id
    for position, (sender, text) in enumerate(chat.texts):
        sent_at = later(sent_at, random, 90)
        yield row(
            schema.messages,
            id=world.id("msg", chat.number, position),
            tenant_id=chat.contact.tenant.id,
            conversation_id=chat.id,
            position=position,
            sender=sender,
            staff_id=staff_id if sender == "human_agent" else None,
            text=text,
            reply_to=world.id("msg", chat.number, position - 1) if nth(position, 5, 4) else None,
            custom={"reaction": "👍"} if nth(position, 9, 8) else None,
            sent_at=sent_at,
            read_at=later(sent_at, random, 60) if chance(random, 0.9) else None,
            edited_at=later(sent_at, random, 60) if nth(position, 13, 6) else None,
            deleted_at=later(sent_at, random, 60) if nth(chat.number * 7 + position, 97, 90) else None,
            created_at=sent_at,
            provider_message=f"wamid.{random.getrandbits(48):012x}",
        )


def _attachment_rows(world: MadeUpWorld, chat: Chat, files: Storage, random: Random) -> Iterator[Row]:
    receipt = "\r\n".join(f"{sender}: {text}" for sender, text in chat.texts[:6]).encode()
    sent_files = (
        ("photo ✨ of it.png", "image/png", "png", _picture(random)),
        ("nota.txt", "text/plain", "txt", receipt),
    )
    for place, (file_name, media_type, suffix, body) in enumerate(sent_files):
        attachment_id = world.id("att", chat.number, place)
        key = f"attachments/{chat.contact.tenant.id}/{attachment_id}.{suffix}"
        stored = store(files, key, media_type, [body])
        yield row(
            schema.attachments,
            id=attachment_id,
            tenant_id=chat.contact.tenant.id,
            conversation_id=chat.id,
            message_id=world.id("msg", chat.number, 1) if place == 0 else None,
            file_name=file_name,
            media_type=media_type,
            bytes=stored.bytes,
            sha256=stored.sha256,
            created_at=later(chat.created_at, random, 300),
            storage_key=key,
        )


def _picture(random: Random) -> bytes:
    """Return a PNG with a gradient between two colours (W3C PNG section 11)."""
    red, green = random.randrange(256), random.randrange(256)
    ramp = bytes(channel for x in range(PICTURE_PIXELS) for channel in (red, x * 255 // PICTURE_PIXELS, green))
    # Stored, not compressed: the bytes must not depend on the version of zlib.
    pixels = zlib.compress((b"\0" + ramp) * PICTURE_PIXELS, level=0)
    header = struct.pack(">IIBBBBB", PICTURE_PIXELS, PICTURE_PIXELS, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
