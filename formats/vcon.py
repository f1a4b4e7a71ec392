"""vCon: one JSON document for each whole conversation (draft-ietf-vcon-vcon-core-04, in its unsigned form).

A record is a conversation as docs/vcon.md describes it. Media are named by their place in the archive, with size and
hash, and never by URL: the archive is complete offline, and its signature covers document and media alike.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeAlias

from formats.values import encode_records, json_text
from portability.api import JSON, Dataset, Document, Record
from portability.errors import FormatError

Object: TypeAlias = dict[str, JSON]

VENDOR = "Vlint"
EXTENSION = "portability"
"""Name of our extension, and of the one object in which it keeps its parameters."""
EXTENSIONS = ("CC", EXTENSION)
"""CC: `role` of a party (draft-ietf-vcon-cc-extension-02)."""
CHANNELS_MAX = 64

PARTIES: Mapping[JSON, tuple[str, str]] = {
    "contact": ("customer", "person"),
    "ai_agent": ("agent", "bot"),
    "human_agent": ("agent", "person"),
    "company": ("agent", "organization"),
    "system": ("system", "bot"),
    "speaker": ("thirdparty", "person"),
}
"""CC's role and the core's type of a party, by its role in the record; a source's own word stays as role."""
MEDIA_TYPES: Mapping[str, str] = {
    "audio/wav": "audio/x-wav",
    "audio/mpeg": "audio/x-mp3",
    "audio/mp4": "audio/x-mp4",
    "video/mp4": "video/x-mp4",
}
"""The names that the draft suggests for what others call otherwise (section on mediatype of a Dialog Object)."""
DISPOSITIONS: Mapping[JSON, str] = {
    "missed": "no-answer",
    "busy": "busy",
    "failed": "failed",
    "voicemail": "voicemail-no-message",
}
"""Why a call of which nothing is held came to nothing, by its status."""
SHA256 = re.compile(r"[0-9a-f]{64}")
PLACE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
"""Of a file in the exporter's folder: a name with anything else in it is not the one that the archive has."""
MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")


class Vcon:
    """The format `vcon`."""

    @property
    def suffix(self) -> str:
        return ".vcon.json"

    @property
    def media_type(self) -> str:
        return "application/vcon"

    def documents(self, dataset: Dataset, record: Record) -> Iterator[Document]:
        """The one document of a conversation; none of a dataset whose records are something else.

        Raises: FormatError for a value that JSON cannot carry, and a conversation without id or without any time.
        """
        if not {"id", "kind", "parties", "dialog"} <= {field.name for field in dataset.fields}:
            return
        names = [field.name for field in dataset.fields]

        def body(values: Sequence[JSON]) -> bytes:
            return json_text(_vcon(dataset, dict(zip(names, values, strict=True))))

        # What JSON Lines refuses is refused here too, before a document is made of it.
        whole = b"".join(encode_records(dataset, [record], body))
        yield Document(f"{record['id']}{self.suffix}", whole)


format = Vcon()  # noqa: A001  # the name that the entry point and the plugin guide give it


def _vcon(dataset: Dataset, record: Record) -> Object:
    identifier, spoken = _text(record["id"]), _objects(record, "dialog")
    times = [record.get("started_at"), record.get("created_at"), *(one.get("started_at") for one in spoken)]
    begin = next((time for time in map(_time, times) if time), None)
    if identifier is None or begin is None:
        raise FormatError(f"{dataset.name}: a conversation without an id or without any time")
    parties = list(_parties(record))
    dialog = _dialog(record, begin, len(parties))
    created_at = _time(record.get("created_at")) or begin
    analysis = _objects(record, "analysis")
    changes = [record.get("ended_at"), *(one["start"] for one in dialog), *(one.get("created_at") for one in analysis)]
    return _known(
        uuid=_uuid(record),
        created_at=created_at,
        updated_at=max([created_at, *(time for time in map(_time, changes) if time)]),
        subject=_text(record.get("subject")),
        extensions=list(EXTENSIONS),
        parties=parties,
        dialog=dialog or None,
        analysis=[*_transcripts(record, dialog, len(parties)), *_conclusions(analysis)] or None,
        attachments=_attachments(record, spoken, dialog, begin) or None,
        portability=_known(
            id=identifier,
            kind=_text(record.get("kind")),
            tenant_id=_text(record.get("tenant_id")),
            status=_text(record.get("status")),
            language=_text(record.get("language")),
            ended_at=_time(record.get("ended_at")),
        ),
    )


def _uuid(record: Record) -> str:
    """A UUIDv8 (RFC 9562 section 5.8) of what names the conversation: the same in every export."""
    named = "\0".join(str(record.get(name)) for name in ("kind", "tenant_id", "id"))
    digest = bytearray(sha256(f"portability/vcon\0{named}".encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def _parties(record: Record) -> Iterator[Object]:
    """Who took part. Members of staff and others on the line stand apart in the record: they may be pseudonyms."""
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
        # Names are as they were given; nobody has checked them.
        validation="none" if name else None,
        uuid=_text(party.get("id")),
        type=kind,
        role=role,
    )


def _dialog(record: Record, begin: str, parties: int) -> list[Object]:
    """Recordings where there are any, else what was said or written, else that nothing was."""
    same: Object = {"application": _text(record.get("channel"))}
    recordings = [_recording(one, begin, parties) for one in _objects(record, "recordings")]
    dialog = recordings or [_message(one, begin, parties) for one in _objects(record, "dialog")]
    if not dialog and record["kind"] == "call":
        dialog = [_silence(record, begin, parties)]
    return [_known(**one, **same) for one in dialog]


def _recording(recording: Object, begin: str, parties: int) -> Object:
    everybody: list[JSON] = list(range(parties))
    channels = recording.get("channels")
    several = isinstance(channels, int) and 1 < channels <= CHANNELS_MAX
    return {
        "type": "recording",
        "start": _time(recording.get("started_at")) or begin,
        "duration": _seconds(recording.get("seconds")),
        # Which side is on which channel is not known; the draft wants an entry for each channel all the same.
        "parties": [everybody] * channels if isinstance(channels, int) and several else everybody,
        **_file(recording),
    }


def _message(message: Object, begin: str, parties: int) -> Object:
    text = _text(message.get("text"))
    return {
        "type": "text",
        "start": _time(message.get("started_at")) or begin,
        "duration": _seconds(message.get("seconds")),
        "parties": _place(message.get("party"), parties),
        "message_id": _text(message.get("id")),
        **({} if text is None else {"mediatype": "text/plain", "body": text, "encoding": "none"}),
    }


def _silence(record: Record, begin: str, parties: int) -> Object:
    """A call of which neither sound nor words are held: it failed, or it took place and this is all."""
    everybody: list[JSON] = list(range(parties))
    disposition = DISPOSITIONS.get(_text(record.get("status")))
    if disposition is not None:
        return {"type": "incomplete", "start": begin, "parties": everybody, "disposition": disposition}
    return {"type": "recording", "start": begin, "duration": _seconds(record.get("seconds")), "parties": everybody}


def _transcripts(record: Record, dialog: Sequence[Object], parties: int) -> Iterator[Object]:
    """What was said in a call, as it was written down: a rendering of the sound, and no conclusion from it."""
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
        "vendor": VENDOR,
        "schema": "portability/1",
        "mediatype": "application/json",
        "encoding": "json",
        "body": {"segments": segments},
    }


def _conclusions(analyses: Sequence[Object]) -> Iterator[Object]:
    """Derived data: it is here only where the profile takes it, since the record lacks it otherwise."""
    for analysis in analyses:
        origin = _known(vendor=VENDOR, product=_text(analysis.get("model")))
        if (summary := _text(analysis.get("summary"))) is not None:
            yield {"type": "summary", **origin, "mediatype": "text/plain", "encoding": "none", "body": summary}
        for kind, names in (("sentiment", ("sentiment", "sentiment_score")), ("report", ("intent", "topics"))):
            body = _known(**{name: analysis.get(name) for name in names})
            if body:
                yield {"type": kind, **origin, "mediatype": "application/json", "encoding": "json", "body": body}


def _attachments(record: Record, spoken: Sequence[Object], dialog: Sequence[Object], begin: str) -> list[Object]:
    """Files that were sent, each with its message; the draft wants one, so one of an unknown message is the first's."""
    if not dialog or not _objects(record, "parties") or _objects(record, "recordings"):
        return []
    places = {_text(message.get("id")): place for place, message in enumerate(spoken)} | {None: 0}
    found: list[Object] = []
    for sent in _objects(record, "attachments"):
        place = places.get(_text(sent.get("message_id")), 0)
        party = dialog[place].get("parties")
        found.append(
            {
                "start": _time(sent.get("sent_at")) or begin,
                "party": party if isinstance(party, int) else 0,
                "dialog": place,
                **_file(sent),
            }
        )
    return found


def _file(record: Object) -> Object:
    """Where a file lies from the document's folder, and how to know that it is this one (sha256sum's notation)."""
    media_type, name = (_text(record.get("media_type")) or "").lower(), _matching(PLACE, record.get("file"))
    known = MEDIA_TYPE.fullmatch(media_type) is not None
    size = record.get("bytes")
    counted = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    identity = _known(
        id=_text(record.get("id")),
        file_name=_text(record.get("file_name")),
        bytes=size if counted else None,
        sha256=_matching(SHA256, record.get("sha256")),
    )
    return _known(
        mediatype=MEDIA_TYPES.get(media_type, media_type) if known else "application/octet-stream",
        filename=None if name is None else f"../{name}",
        portability=identity or None,
    )


def _objects(record: Record, name: str) -> list[Object]:
    """A list of objects; what a source has there instead is no conversation's."""
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
    """RFC 3339 in UTC, always of one length, so that the later one is the greater text."""
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
    """The index of a party that there is."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < parties else None
