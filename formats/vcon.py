"""vCon: one JSON document for each whole conversation (draft-ietf-vcon-vcon-core-04, in its unsigned form).

A record is a conversation as docs/vcon.md describes it. Media are referenced by their place in the archive, with size
and hash, never by URL: the archive is complete offline, and its signature covers documents and media.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import TypeAlias

from formats.values import json_text
from formats.vcon_media import media_type_of
from portability.api import JSON, Dataset, Document, Record, RecordChecker
from portability.api.errors import FormatError
from portability.settings import load_settings

Object: TypeAlias = dict[str, JSON]

EXTENSION = "portability"
"""Name of our extension, and of the only object that contains its parameters."""
EXTENSIONS = ("CC", EXTENSION)
"""Extension CC: `role` of a party (draft-ietf-vcon-cc-extension-02)."""
CHANNELS_MAX = 64
PURPOSE = "file sent in the conversation"
"""The purpose of each attachment."""

PARTIES: Mapping[JSON, tuple[str, str]] = {
    "contact": ("customer", "person"),
    "ai_agent": ("agent", "bot"),
    "human_agent": ("agent", "person"),
    "company": ("agent", "organization"),
    "system": ("system", "bot"),
    "speaker": ("thirdparty", "person"),
}
"""CC's role and the core's type of a party, by its role in the record; a source's own word is kept as role."""
DISPOSITIONS: Mapping[JSON, str] = {
    "missed": "no-answer",
    "busy": "busy",
    "failed": "failed",
    "voicemail": "voicemail-no-message",
}
"""The disposition of a call without content, by its status."""
SHA256 = re.compile(r"[0-9a-f]{64}")
PLACE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
"""A file in the exporter's folder: a name with other characters is not the one in the archive."""


class Vcon:
    """The format `vcon`."""

    @property
    def suffix(self) -> str:
        return ".vcon.json"

    @property
    def media_type(self) -> str:
        return "application/vcon"

    def documents(self, dataset: Dataset, record: Record) -> Iterator[Document]:
        """Make the document of a conversation; none for a dataset with other records.

        Raises: FormatError for a value that JSON cannot represent, and a conversation without id or without any time.
        """
        if not {"id", "kind", "parties", "dialog"} <= {field.name for field in dataset.fields}:
            return
        names = [field.name for field in dataset.fields]
        # What JSON Lines refuses is refused here too, before a document is made.
        values = RecordChecker(dataset).values(record)
        whole = json_text(_vcon(dataset, dict(zip(names, values, strict=True))))
        yield Document(f"{record['id']}{self.suffix}", whole)


@cache
def vendor() -> str:
    """Return the name of the platform whose software made a transcript or an analysis."""
    return load_settings().brand


format = Vcon()  # noqa: A001  # the name in the entry point and the plug-in guide


def _vcon(dataset: Dataset, record: Record) -> Object:
    identifier, spoken, made_by = _text(record["id"]), _objects(record, "dialog"), vendor()
    times = [record.get("started_at"), record.get("created_at"), *(one.get("started_at") for one in spoken)]
    begin = next((time for time in map(_time, times) if time), None)
    if identifier is None or begin is None:
        raise FormatError(f"{dataset.name}: a conversation without an id or without any time")
    parties = list(_parties(record))
    dialog = _dialog(record, begin, len(parties))
    is_silent = record["kind"] == "call" and not dialog
    created_at = _time(record.get("created_at")) or begin
    analysis = _objects(record, "analysis")
    conclusions = _conclusions(analysis, dialog, made_by)
    changes = [record.get("ended_at"), *(one["start"] for one in dialog), *(one.get("created_at") for one in analysis)]
    return _known(
        uuid=_uuid(record),
        created_at=created_at,
        updated_at=max([created_at, *(time for time in map(_time, changes) if time)]),
        subject=_text(record.get("subject")),
        extensions=list(EXTENSIONS),
        parties=parties,
        dialog=dialog or None,
        analysis=[*_transcripts(record, dialog, len(parties), made_by), *conclusions] or None,
        attachments=_attachments(record, spoken, dialog, begin) or None,
        portability=_known(
            id=identifier,
            kind=_text(record.get("kind")),
            tenant_id=_text(record.get("tenant_id")),
            status=_text(record.get("status")),
            language=_text(record.get("language")),
            started_at=begin if is_silent else None,
            seconds=_seconds(record.get("seconds")) if is_silent else None,
            ended_at=_time(record.get("ended_at")),
        ),
    )


def _uuid(record: Record) -> str:
    """Return a UUIDv8 (RFC 9562 section 5.8) of the conversation's ids: the same in every export."""
    named = "\0".join(str(record.get(name)) for name in ("kind", "tenant_id", "id"))
    digest = bytearray(sha256(f"portability/vcon\0{named}".encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def _parties(record: Record) -> Iterator[Object]:
    """Yield the participants. Staff and others are separate fields of the record, because they may be pseudonyms."""
    named = [_list(record, name) for name in ("staff", "speakers")]
    for place, party in enumerate(_objects(record, "parties")):
        others = (_text(names[place]) for names in named if place < len(names))
        yield _party(party, _text(party.get("name")) or next(filter(None, others), None))


def _party(party: Object, name: str | None) -> Object:
    word = party.get("role")
    role, kind = PARTIES.get(word, (_text(word), None)) if isinstance(word, str) else (None, None)
    return _known(
        tel=_text(party.get("tel")),
        mailto=_text(party.get("mailto")),
        name=name,
        # Names are as they were given, without any check.
        validation="none" if name else None,
        uuid=_text(party.get("id")),
        type=kind,
        role=role,
    )


def _dialog(record: Record, begin: str, parties: int) -> list[Object]:
    """Return recordings if there are any, else what was said or written, else why a call failed."""
    same: Object = {"application": _text(record.get("channel"))}
    recordings = [_recording(one, begin, parties) for one in _objects(record, "recordings")]
    dialog = recordings or [_message(one, begin, parties) for one in _objects(record, "dialog")]
    if not dialog and record["kind"] == "call":
        dialog = [*_failure(record, begin, parties)]
    return [_known(**one, **same) for one in dialog]


def _recording(recording: Object, begin: str, parties: int) -> Object:
    return {
        "type": "recording",
        "start": _time(recording.get("started_at")) or begin,
        "duration": _seconds(recording.get("seconds")),
        "parties": [*range(parties)],
        **_file(recording),
    }


def _message(message: Object, begin: str, parties: int) -> Object:
    text, party = _text(message.get("text")), _place(message.get("party"), parties)
    return {
        "type": "text",
        "start": _time(message.get("started_at")) or begin,
        "duration": _seconds(message.get("seconds")),
        "parties": None if party is None else [party],
        "message_id": _text(message.get("id")),
        "mediatype": "text/plain",
        **({} if text is None else {"body": text, "encoding": "none"}),
    }


def _failure(record: Record, begin: str, parties: int) -> Iterator[Object]:
    """Yield why a call failed; a call that took place and left no content has no dialog: the extension says when."""
    disposition = DISPOSITIONS.get(_text(record.get("status")))
    if disposition is not None:
        yield {"type": "incomplete", "start": begin, "parties": [*range(parties)], "disposition": disposition}


def _transcripts(record: Record, dialog: Sequence[Object], parties: int, made_by: str) -> Iterator[Object]:
    """Yield the transcript of a call: a rendering of the sound, not a conclusion from it."""
    spoken = _objects(record, "dialog")
    if record["kind"] != "call" or not spoken:
        return
    segments: list[JSON] = [
        _known(
            id=_text(segment.get("id")),
            party=_place(segment.get("party"), parties),
            starts_seconds=_seconds(segment.get("starts_seconds")),
            seconds=_seconds(segment.get("seconds")),
            language=_text(segment.get("language")),
            text=_text(segment.get("text")),
        )
        for segment in spoken
    ]
    yield {
        "type": "transcript",
        "dialog": list(range(len(dialog))),
        "vendor": made_by,
        "schema": "portability/1",
        "mediatype": "application/json",
        "encoding": "json",
        "body": {"segments": segments},
    }


def _conclusions(analyses: Sequence[Object], dialog: Sequence[Object], made_by: str) -> Iterator[Object]:
    """Yield derived data, each of the whole dialog; the record contains it only if the profile includes it."""
    about: list[JSON] = [*range(len(dialog))]
    for analysis in analyses:
        origin = _known(dialog=about, vendor=made_by, product=_text(analysis.get("model")))
        if (summary := _text(analysis.get("summary"))) is not None:
            yield {"type": "summary", **origin, "mediatype": "text/plain", "encoding": "none", "body": summary}
        for kind, names in (("sentiment", ("sentiment", "sentiment_score")), ("report", ("intent", "topics"))):
            body = _known(**{name: analysis.get(name) for name in names})
            if body:
                yield {"type": kind, **origin, "mediatype": "application/json", "encoding": "json", "body": body}


def _attachments(record: Record, spoken: Sequence[Object], dialog: Sequence[Object], begin: str) -> list[Object]:
    """Return the sent files, each with its message, which the draft requires: without a known one, the first."""
    if not dialog or not _objects(record, "parties") or _objects(record, "recordings"):
        return []
    places = {_text(message.get("id")): place for place, message in enumerate(spoken)} | {None: 0}
    found: list[Object] = []
    for sent in _objects(record, "attachments"):
        place = places.get(_text(sent.get("message_id")), 0)
        wrote = dialog[place].get("parties")
        found.append(
            {
                "purpose": PURPOSE,
                "start": _time(sent.get("sent_at")) or begin,
                "party": wrote[0] if isinstance(wrote, list) and wrote else 0,
                "dialog": place,
                **_file(sent),
                # The library of the working group demands a body or a URL; the content is the file.
                "encoding": "none",
                "body": "",
            }
        )
    return found


def _file(record: Object) -> Object:
    """Return a file's path from the document's folder, and its identity (in sha256sum's notation)."""
    name = _matching(PLACE, record.get("file"))
    size = record.get("bytes")
    counted = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    channels = record.get("channels")
    several = isinstance(channels, int) and 1 < channels <= CHANNELS_MAX
    identity = _known(
        id=_text(record.get("id")),
        file_name=_text(record.get("file_name")),
        bytes=size if counted else None,
        sha256=_matching(SHA256, record.get("sha256")),
        channels=channels if several else None,
    )
    return _known(
        mediatype=media_type_of(_text(record.get("media_type")), name),
        filename=None if name is None else f"../{name}",
        portability=identity or None,
    )


def _objects(record: Record, name: str) -> list[Object]:
    """Return a list's objects; other values of the source are ignored."""
    return [dict(value) for value in _list(record, name) if isinstance(value, Mapping)]


def _list(record: Record, name: str) -> Sequence[JSON]:
    values = record.get(name)
    return values if isinstance(values, list | tuple) else ()


def _known(**values: JSON) -> Object:
    return {name: value for name, value in values.items() if value is not None}


def _text(value: JSON) -> str | None:
    return value if isinstance(value, str) else None


def _matching(pattern: re.Pattern[str], value: JSON) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _time(value: JSON) -> str | None:
    """Return RFC 3339 in UTC, always of the same length, so that text order is time order."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        known = None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return None if known is None else known.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _seconds(value: JSON) -> float | int | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if isinstance(value, int | float) and number and value >= 0 else None


def _place(value: JSON, parties: int) -> int | None:
    """Return the index of an existing party, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < parties else None
