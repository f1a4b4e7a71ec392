"""A person with three calls and two chats, hostile text everywhere, and files that are not what they say they are."""

from __future__ import annotations

import io
import itertools
import wave
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import platform_data
from platform_data import EMAIL, PHONE, PlatformRow
from sqlalchemy import Column, Table, create_engine

from demo import hostile
from exporters.reference import schema
from exporters.sql.values import field_type
from portability.api import FieldType
from portability.api.storages import Storage

USER, TENANT, CONTACT = "usr_1", "ten_1", "con_1"
CALLS = ("call_1", "call_2", "call_3")
CHATS = ("chat_1", "chat_2")
RUNNING = (
    "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>",
    "</script><svg onload=window.pwned=1>",
    "'\"></title></textarea><iframe srcdoc='<script>parent.pwned=1</script>'>",
    "{{constructor.constructor('window.pwned=1')()}} ${window.pwned=1} <%= window.pwned=1 %>",
    "javascript:window.pwned=1",
    "NUL \0 and \x1b[31m and \u202egnp.exe\u202c",
    "__proto__",
)
"""What would show in a browser's window if it ran."""
TEXTS = (*RUNNING, *hostile.TEXTS, *hostile.NAMES)
HUGE = hostile.huge(10_000_000)
"""The last message of the second chat."""
LONE_SURROGATE = {"lone": "\ud800 half a character"}
"""A JSON column can hold it as an escape; no UTF-8 can."""
MARKUP = b"<html><script>window.pwned=1;parent.pwned=1;alert(1)</script></html>"


@dataclass(frozen=True, slots=True)
class Held:
    """A recording of a call or an attachment of a chat."""

    of: str
    media_type: str
    """As the row has it."""
    content: bytes
    missing_bytes: int = 0
    """That the row promises besides."""


def _sound(seconds: float = 0.5) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(bytes(int(seconds * 8000) * 2))
    return target.getvalue()


FILES: Mapping[str, Held] = {
    "rec_whole": Held("call_1", "audio/wav", _sound()),
    "rec_broken": Held("call_2", "audio/wav", b"RIFF\xff\xff\xff\xffWAVEfmt , but no sound"),
    "rec_empty": Held("call_3", "audio/wav", b""),
    "rec_cut": Held("call_3", "audio/wav", b"", missing_bytes=1_000),
    "att_lie": Held("chat_1", "image/png", MARKUP),
    "att_page": Held("chat_1", "text/html", MARKUP),
    "att_drawing": Held("chat_2", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
    "att_sound": Held("chat_2", "audio/mpeg", MARKUP),
}
GAPS = {
    ("chats/messages", "messages/chat_1-m0/custom", "not_json"),
    ("chats/vcon", "messages/chat_1-m0/custom", "not_json"),
    ("calls/recordings", "recordings/rec_cut.wav", "truncated"),
}
"""What cannot be in the archive, by dataset, and why."""


def fill(source_url: str, recordings: Storage) -> None:
    """Put the person into an empty platform."""
    engine = create_engine(source_url)
    schema.metadata.create_all(engine)
    platform_data.put(engine, *rows())
    engine.dispose()
    for key, held in FILES.items():
        upload = recordings.begin(key)
        upload.write(held.content)
        upload.complete()


def rows() -> Iterator[PlatformRow]:
    """The platform's rows of this person: every column that may have any text has the next of TEXTS."""
    texts = itertools.cycle(TEXTS)
    for table, identifier, known in itertools.chain(_account(), _calls(), _chats(), _files()):
        _, plain = platform_data.row(table, identifier, **known)
        hostile_ones = {c.name: _hostile(c, texts) for c in table.c if c.name not in known and _is_free(c)}
        yield table, plain | hostile_ones


def _is_free(column: Column[Any]) -> bool:
    free = column.name not in {"id", "sender", "speaker"} and not column.name.endswith("_id") and not column.info
    return free and field_type(column.type) in {FieldType.STRING, FieldType.OBJECT}


def _hostile(column: Column[Any], texts: Iterator[str]) -> object:
    if field_type(column.type) is FieldType.STRING:
        return next(texts)
    if column.name == "custom":
        return {platform_data.DECLARED_KEYS[column.table.name]: [next(texts), next(texts)]}
    if column.name == "participants":
        return [next(texts)]
    return {"__proto__": next(texts), next(texts): [next(texts), {"toString": None}]}


Planned: TypeAlias = Iterator[tuple[Table, str, dict[str, Any]]]
"""Rows by table and id, with the columns whose values matter."""


def _account() -> Planned:
    yield schema.organisations, TENANT, {}
    yield schema.users, USER, {"email": EMAIL, "phone": PHONE}
    for table in (schema.memberships, *platform_data.OF_USER):
        links = {"user_id": USER, "tenant_id": TENANT}
        yield table, f"{table.name}_1", {name: value for name, value in links.items() if name in table.c}
    yield schema.inquiry_replies, "rep_1", {"inquiry_id": "inquiries_1"}
    yield schema.companies, "com_1", {"tenant_id": TENANT}
    yield schema.contacts, CONTACT, {"tenant_id": TENANT, "email": EMAIL, "phone": PHONE, "company_id": "com_1"}
    for table in platform_data.OF_CONTACT:
        yield table, f"{table.name}_1", {"tenant_id": TENANT, "contact_id": CONTACT}


def _calls() -> Planned:
    for call in CALLS:
        yield schema.calls, call, {"tenant_id": TENANT, "contact_id": CONTACT, "caller_number": PHONE}
        of = {"tenant_id": TENANT, "call_id": call}
        yield schema.call_analyses, f"{call}-a", of
        for place, text in enumerate(TEXTS):
            speaker = "contact" if place % 2 else "ai_agent"
            yield schema.transcripts, f"{call}-s{place}", {**of, "position": place, "text": text, "speaker": speaker}


def _chats() -> Planned:
    for chat in CHATS:
        yield schema.conversations, chat, {"tenant_id": TENANT, "contact_id": CONTACT}
        for place, text in enumerate([*TEXTS, None, HUGE if chat == CHATS[-1] else ""]):
            said = {"position": place, "text": text, "sender": "contact" if place % 2 else "human_agent"}
            lone = {"custom": LONE_SURROGATE} if chat == CHATS[0] and place == 0 else {}
            yield schema.messages, f"{chat}-m{place}", {"tenant_id": TENANT, "conversation_id": chat, **said, **lone}


def _files() -> Planned:
    for name, held in FILES.items():
        size = len(held.content) + held.missing_bytes
        stored = {"storage_key": name, "media_type": held.media_type, "bytes": size, "sha256": None}
        if held.of in CALLS:
            yield schema.recordings, name, {"tenant_id": TENANT, "call_id": held.of, **stored}
        else:
            sent = {"conversation_id": held.of, "message_id": f"{held.of}-m0"}
            yield schema.attachments, name, {"tenant_id": TENANT, **sent, **stored}
