from __future__ import annotations

import json
import math
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from vcon_schemas import faults

from exporters.sql import conversations
from formats import vcon
from formats.vcon import format as vcon_format
from portability.api import Dataset, Field, FieldType, Provenance, Role, SubjectKind
from portability.api.errors import FormatError
from portability.testing import check_document_format

DATASET = conversations.dataset(
    "Calls as vCon", "Calls.", provenance=Provenance.OBSERVED, role=Role.BOTH, kinds=frozenset(SubjectKind)
)
SHA256 = "ab" * 32
RECORDING = {
    "id": "rec_1",
    "file": "recordings/rec_1.wav",
    "media_type": "audio/wav",
    "bytes": 44,
    "sha256": SHA256,
    "seconds": 12.5,
    "channels": 1,
    "started_at": "2026-03-01T08:30:05.000000Z",
}
CALL: dict[str, Any] = {
    "id": "call_1",
    "kind": "call",
    "tenant_id": "ten_a",
    "channel": "phone",
    "subject": None,
    "status": "completed",
    "language": "id",
    "created_at": "2026-03-01T08:31:00.000000Z",
    "started_at": "2026-03-01T08:30:05.000000Z",
    "ended_at": "2026-03-01T08:30:17.500000Z",
    "seconds": 12.5,
    "parties": [
        {"role": "contact", "id": "con_1", "tel": "+628123"},
        {"role": "ai_agent", "id": "agt_1", "tel": "+62800"},
    ],
    "dialog": [
        {"id": "s1", "party": 1, "text": "Halo \U0001f44b", "starts_seconds": 0.0, "seconds": 2.0, "language": "id"},
        {"id": "s2", "party": 0, "text": "</script>\0\u202e", "starts_seconds": 2.0, "seconds": 3.5, "language": "id"},
    ],
    "recordings": [RECORDING],
    "attachments": [],
    "analysis": [
        {"sentiment": "neutral", "sentiment_score": 0.1, "summary": "A call.", "intent": "order", "topics": ["x"]}
    ],
}
CHAT: dict[str, Any] = CALL | {
    "id": "chat_1",
    "kind": "chat",
    "channel": "whatsapp",
    "subject": "Pesanan",
    "seconds": None,
    "parties": [{"role": "contact", "name": "Ana", "mailto": "ana@example.org"}, {"role": "human_agent"}],
    "dialog": [
        {"id": "m1", "party": 0, "text": "Halo", "started_at": "2026-03-01T08:30:10.000000Z"},
        {"id": "m2", "party": 1, "text": "", "started_at": None},
        {"id": "m3", "party": None, "text": None, "started_at": "2026-03-01T08:30:30.000000Z"},
    ],
    "recordings": [],
    "attachments": [
        {
            "id": "a1",
            "message_id": "m2",
            "file": "attachments/a1.png",
            "file_name": "a ✨.png",
            "media_type": "image/png",
        },
        {"id": "a2", "message_id": "gone", "file": None, "media_type": "lies; x"},
    ],
    "analysis": [],
}


def document_of(record: dict[str, Any], dataset: Dataset = DATASET) -> dict[str, Any]:
    """The document of a record, which is valid."""
    (document,) = vcon_format.documents(dataset, record)
    vcon = json.loads(document.body)
    assert faults(vcon) == []
    assert "://" not in document.body.decode()
    return dict(vcon)


def test_keeps_all_promises() -> None:
    """The built-in format of documents passes the public suite."""
    check_document_format(vcon_format, DATASET, [CALL, CHAT])


def test_a_call_with_its_recording() -> None:
    """Sound is named by its place in the archive with size and hash; what was said is a transcript of it."""
    (document,) = vcon_format.documents(DATASET, CALL)
    vcon = document_of(CALL)
    (recording,) = vcon["dialog"]
    assert document.name == "call_1.vcon.json"
    assert recording["filename"] == "../recordings/rec_1.wav"
    assert recording["mediatype"] == "audio/x-wav"
    assert recording["portability"] == {"id": "rec_1", "bytes": 44, "sha256": SHA256}
    assert recording["parties"] == [0, 1]
    assert [party["role"] for party in vcon["parties"]] == ["customer", "agent"]
    assert [party["type"] for party in vcon["parties"]] == ["person", "bot"]
    transcript = vcon["analysis"][0]
    assert transcript["dialog"] == [0]
    assert [(said["party"], said["text"]) for said in transcript["body"]["segments"]] == [
        (1, "Halo \U0001f44b"),
        (0, "</script>\0\u202e"),
    ]


def test_a_chat_is_text_with_its_files() -> None:
    """Each message is a dialog of its writer; NULL, the empty text and text differ; files belong to messages."""
    vcon = document_of(CHAT)
    assert [one.get("body") for one in vcon["dialog"]] == ["Halo", "", None]
    assert [one.get("parties") for one in vcon["dialog"]] == [[0], [1], None]
    assert [one["message_id"] for one in vcon["dialog"]] == ["m1", "m2", "m3"]
    assert {one["application"] for one in vcon["dialog"]} == {"whatsapp"}
    assert vcon["subject"] == "Pesanan"
    assert "analysis" not in vcon
    first, second = vcon["attachments"]
    assert (first["filename"], first["dialog"], first["party"]) == ("../attachments/a1.png", 1, 1)
    assert first["portability"]["file_name"] == "a ✨.png"
    assert "filename" not in second
    assert (second["mediatype"], second["dialog"]) == ("application/octet-stream", 0)


def test_conclusions_are_there_only_where_the_record_has_them() -> None:
    """What the plan takes out of the record (WP242: nothing derived in portability) is not in the document."""
    kinds = [one["type"] for one in document_of(CALL)["analysis"]]
    assert kinds == ["transcript", "summary", "sentiment", "report"]
    without = {name: value for name, value in CALL.items() if name != "analysis"}
    fields = tuple(field for field in DATASET.fields if field.name != "analysis")
    narrowed = Dataset("vcon", "x", "x", fields, Provenance.OBSERVED, Role.BOTH, ("id",), documents=True)
    assert [one["type"] for one in document_of(without, narrowed)["analysis"]] == ["transcript"]


def test_the_uuid_means_the_conversation() -> None:
    """A UUIDv8 that is the same in every export, and another for another tenant, kind or id."""
    uuid = document_of(CALL)["uuid"]
    assert document_of(CALL | {"status": "x", "analysis": []})["uuid"] == uuid
    assert UUID(uuid).version == 8
    others = {
        document_of(CALL | changed)["uuid"] for changed in ({"id": "2"}, {"tenant_id": "ten_b"}, {"kind": "chat"})
    }
    assert len(others | {uuid}) == 4


def test_a_call_without_recording_is_text() -> None:
    """Without sound, each segment is a dialog; the transcript stays."""
    vcon = document_of(CALL | {"recordings": []})
    assert [one["type"] for one in vcon["dialog"]] == ["text", "text"]
    assert vcon["analysis"][0]["type"] == "transcript"


def test_a_recording_whose_file_is_missing_has_no_file_name() -> None:
    """A document never points at a file that is not there."""
    (recording,) = document_of(CALL | {"recordings": [RECORDING | {"file": None}]})["dialog"]
    assert recording["type"] == "recording"
    assert "filename" not in recording


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("missed", ("incomplete", "no-answer")),
        ("busy", ("incomplete", "busy")),
        ("voicemail", ("incomplete", "voicemail-no-message")),
        ("failed", ("incomplete", "failed")),
    ],
)
def test_a_call_of_which_nothing_is_held(status: str | None, expected: tuple[str, str | None]) -> None:
    """A failed call says why."""
    (silence,) = document_of(CALL | {"status": status, "recordings": [], "dialog": []})["dialog"]
    assert (silence["type"], silence.get("disposition")) == expected


@pytest.mark.parametrize("status", ["completed", None])
def test_a_call_that_took_place_says_when_and_how_long(status: str | None) -> None:
    """Without stored content it has no dialog, which would need a media type; conclusions are about none."""
    vcon = document_of(CALL | {"status": status, "recordings": [], "dialog": []})
    assert "dialog" not in vcon
    assert (vcon["portability"]["started_at"], vcon["portability"]["seconds"]) == (CALL["started_at"], 12.5)
    assert [one["dialog"] for one in vcon["analysis"]] == [[]] * 3


@pytest.mark.parametrize(("channels", "stated"), [(2, 2), (1, None), (10**9, None), (None, None)])
def test_a_recording_of_several_channels(channels: int | None, stated: int | None) -> None:
    """All parties take part in it: the assignment of people to channels is unknown."""
    (recording,) = document_of(CALL | {"recordings": [RECORDING | {"channels": channels}]})["dialog"]
    assert recording["parties"] == [0, 1]
    assert recording["portability"].get("channels") == stated


@pytest.mark.parametrize(
    ("stated", "file", "expected"),
    [
        (None, "recordings/rec_1.mp3", "audio/x-mp3"),
        ("", "recordings/rec_1.wav", "audio/x-wav"),
        ("audio/flac", "recordings/rec_1.flac", "audio/flac"),
        (None, "recordings/rec_1.bin", "application/octet-stream"),
    ],
)
def test_the_media_type_of_a_recording(stated: str | None, file: str, expected: str) -> None:
    """What the source states, else what the name says that the archive gave the file."""
    (recording,) = document_of(CALL | {"recordings": [RECORDING | {"media_type": stated, "file": file}]})["dialog"]
    assert recording["mediatype"] == expected


def test_missing_times_are_those_of_the_conversation() -> None:
    """`start` and `created_at` are never absent: they fall back on the best time that is known."""
    times = {"started_at": None, "created_at": None, "ended_at": None}
    vcon = document_of(CHAT | times)
    assert vcon["created_at"] == "2026-03-01T08:30:10.000000Z"
    assert vcon["dialog"][1]["start"] == "2026-03-01T08:30:10.000000Z"
    assert vcon["updated_at"] == "2026-03-01T08:30:30.000000Z"
    odd = document_of(CALL | {"started_at": "yesterday", "ended_at": "2026-03-01T08:30:17"})
    assert odd["dialog"][0]["start"] == "2026-03-01T08:30:05.000000Z"
    assert "ended_at" not in odd["portability"]


@pytest.mark.parametrize(
    "changed",
    [
        {"id": None},
        {"started_at": None, "created_at": None, "dialog": []},
        {"subject": "canary\ud800"},
        {"dialog": [{"text": "canary\udfff"}]},
        {"seconds": math.nan},
        {"parties": [{"role": {"canary"}}]},
        {"canary": 1},
    ],
)
def test_what_cannot_be_carried_is_an_error(changed: dict[str, Any]) -> None:
    """It becomes a gap that names the conversation; the message has no value in it."""
    with pytest.raises(FormatError) as wrong:
        list(vcon_format.documents(DATASET, CALL | changed))
    assert str(wrong.value).startswith("vcon")
    assert "canary" not in str(wrong.value)


def test_records_that_are_no_conversations_are_left_alone() -> None:
    """A stranger's dataset of documents is for another format."""
    field = Field("id", FieldType.STRING, "Id.", Provenance.PROVIDED)
    letters = Dataset("letters", "x", "x", (field,), Provenance.PROVIDED, Role.BOTH, ("id",), documents=True)
    assert list(vcon_format.documents(letters, {"id": "1"})) == []


NAMES = sorted({name for part in (*CALL["dialog"], *CHAT["attachments"], RECORDING, *CALL["parties"]) for name in part})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.sampled_from(
        ["contact", "m1", "audio/wav", "2026-03-01T08:30:05Z", "0001-01-01T00:00:00+14:00", SHA256, "../../x"]
    ),
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner), max_leaves=12
)


@pytest.mark.slow
@example({"recordings": [{"bytes": False, "channels": True, "seconds": True}]})
@given(st.fixed_dictionaries({}, optional={f.name: ANYTHING for f in DATASET.fields if f.type is FieldType.OBJECT}))
def test_any_shape_gives_a_valid_document(changed: dict[str, Any]) -> None:
    """For any nested fields of a third-party exporter, no reference is invalid and no type is wrong."""
    for record in (CALL, CHAT):
        (document,) = vcon_format.documents(DATASET, record | changed)
        assert faults(json.loads(document.body)) == []


def test_staff_and_others_are_named_by_their_place() -> None:
    """Their names stand beside the parties, in their order; a name in the party itself comes first."""
    parties = [{"role": "contact", "name": "Ana"}, {"role": "human_agent"}, {"role": "speaker"}, {"role": "system"}]
    named = document_of(CALL | {"parties": parties, "staff": ["x", "Agent 1"], "speakers": [None, None, "Speaker 1"]})
    assert [(party.get("name"), party["role"], party["type"]) for party in named["parties"]] == [
        ("Ana", "customer", "person"),
        ("Agent 1", "agent", "person"),
        ("Speaker 1", "thirdparty", "person"),
        (None, "system", "bot"),
    ]
    for odd in (None, "Agent 1", {"0": "Agent 1"}, [7, ["Agent 1"], ""]):
        assert [
            party.get("name") for party in document_of(CALL | {"parties": parties[1:], "staff": odd})["parties"]
        ] == [None] * 3


def test_the_vendor_is_the_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its software has made transcripts and conclusions; without a brand the vendor is the name of the software."""
    for brand, vendor in ((None, "Portability"), ("Acme", "Acme")):
        if brand is not None:
            monkeypatch.setenv("PORTABILITY_BRAND_NAME", brand)
        vcon.vendor.cache_clear()
        assert vcon.vendor() == vendor
    vcon.vendor.cache_clear()
