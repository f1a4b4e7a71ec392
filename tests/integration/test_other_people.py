"""A call with two tenants, three people and a spoken card number: who sees what, side by side.

Ana calls Toko A; Dewi, of its staff, takes the call, and Budi speaks from Ana's side. With the same number she has
called Toko B, too. Everything of an archive is searched, whatever file it is in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import platform_data as platform
import pytest
from archives import export_json, members, records
from factories import world
from judges.cases import exported
from judges.cases import platform as seeded
from platform_data import EPOCH, PlatformRow, row
from sqlalchemy import Engine

from exporters.reference import schema
from portability.database.engine import open_engine, writing
from portability.requests import instructions
from portability.testing import MemoryFiles

NUMBER = "+6281200000001"
"""Of Ana; a contact of both tenants has it."""
CARD = "4111 1111 1111 1111"
ANA, DEWI, EKO = "ana@mail.example", "dewi@toko-a.example", "eko@toko-b.example"
NOTE = "Ana sounded tipsy. Check with rina@mail.example before a refund."
LEFT_OF_NOTE = b"Ana sounded tipsy. Check with [redacted:other-address] before a refund."
SOUND = b"RIFF the sound of Ana and Dewi WAVE" * 99

FACTS: Mapping[str, bytes] = {
    "her number": NUMBER.encode(),
    "number called": b"+62215550001",
    "audio": SOUND,
    "her words": b"charged me twice",
    "staff's words": b"look that up for you",
    "Budi's words": b"it was the yearly plan",
    "staff's id": b"usr_dewi",
    "staff's name": b"Dewi Lestari",
    "staff's mail": DEWI.encode(),
    "Budi's name": b"Budi Santoso",
    "guest's name": b"Citra Halim",
    "the note": NOTE.encode(),
    "note, masked": LEFT_OF_NOTE,
    "Rina's mail": b"rina@mail.example",
    "the card": CARD.encode(),
    "card's mark": b"[masked:card-number",
    "call at B": b"call_b",
    "B's words": b"your parcel is in Bandung",
    "B's staff": b"usr_eko",
    "Agent 1": b"Agent 1",
    "Speaker 1": b"Speaker 1",
    "guests' mark": b"[redacted:other-person]",
}
PSEUDONYMS = ("Agent 1", "Speaker 1")
SEEN = {
    # Whose archive:    Ana at A       Ana at B       Ana's account  Toko A         Dewi's own account
    "her number":      ("yes",         "yes",         "yes",         "yes",         "yes"),
    "number called":   ("yes",         "-",           "yes",         "yes",         "yes"),
    "audio":           ("yes",         "-",           "yes",         "yes",         "yes"),
    "her words":       ("yes",         "-",           "yes",         "yes",         "yes"),
    "staff's words":   ("yes",         "-",           "yes",         "yes",         "yes"),
    "Budi's words":    ("yes",         "-",           "yes",         "yes",         "yes"),
    "staff's id":      ("-",           "-",           "-",           "yes",         "yes"),
    "staff's name":    ("-",           "-",           "-",           "yes",         "yes"),
    "staff's mail":    ("-",           "-",           "-",           "yes",         "yes"),
    "Budi's name":     ("-",           "-",           "-",           "yes",         "-"),
    "guest's name":    ("-",           "-",           "-",           "yes",         "-"),
    "the note":        ("-",           "-",           "-",           "yes",         "-"),
    "note, masked":    ("yes",         "yes",         "yes",         "-",           "yes"),
    "Rina's mail":     ("-",           "-",           "-",           "yes",         "-"),
    "the card":        ("-",           "-",           "-",           "yes",         "-"),
    "card's mark":     ("yes",         "-",           "yes",         "-",           "yes"),
    "call at B":       ("-",           "yes",         "-",           "-",           "-"),
    "B's words":       ("-",           "yes",         "-",           "-",           "-"),
    "B's staff":       ("-",           "-",           "-",           "-",           "-"),
    "Agent 1":         ("yes",         "yes",         "yes",         "-",           "-"),
    "Speaker 1":       ("yes",         "-",           "yes",         "-",           "yes"),
    "guests' mark":    ("yes",         "-",           "yes",         "-",           "yes"),
}  # fmt: skip
"""Dewi took part in the call, and Toko A has instructed the export: she gets it with her own id.

Toko A's archive has the name as it was entered among a meeting's guests: that is the company's own data."""
ASKED: Mapping[str, Mapping[str, str]] = {
    "Ana at A": {"subject": "contact:con_a", "tenant": "ten_a"},
    "Ana at B": {"subject": "contact:con_b", "tenant": "ten_b"},
    "Ana's account": {"subject": "user:usr_ana"},
    "Toko A": {"subject": "tenant:ten_a", "profile": "switch"},
    "Dewi's own account": {"subject": "user:usr_dewi"},
}
ACCOUNT = re.compile(rb"usr_[a-z0-9]+_[0-9]+")
PEOPLE = ("Ana at A", "Ana at B", "Ana's account", "Dewi's own account")
Archives: TypeAlias = Mapping[str, list[Path]]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archives]:
    """One archive for each, from one platform; both tenants have instructed the export of their contacts."""
    folder = tmp_path_factory.mktemp("side-by-side")
    source = open_engine(f"sqlite:///{folder / 'platform.sqlite'}")
    _fill(source)
    made = world(folder, platform.exporters(source, MemoryFiles({"rec_a.wav": SOUND})))
    with writing(made.engine) as connection:
        for tenant in ("ten_a", "ten_b"):
            instructions.add(connection, tenant, contact_id=None, exporters=None, actor="operator:test")
    asked = {who: made.request(**wanted) for who, wanted in ASKED.items()}
    made.advance_all()
    yield {who: made.fetch(identifier) for who, identifier in asked.items()}
    made.engine.dispose()
    source.dispose()


def _fill(source: Engine) -> None:
    schema.metadata.create_all(source)
    platform.put(source, *_people(), *_at_a(), *_at_b())


def _people() -> Iterator[PlatformRow]:
    for tenant in ("ten_a", "ten_b"):
        yield row(schema.organisations, tenant)
    for user, name, email in (
        ("usr_ana", "Ana", ANA),
        ("usr_dewi", "Dewi Lestari", DEWI),
        ("usr_eko", "Eko", EKO),
    ):
        yield row(schema.users, user, full_name=name, email=email, phone=None)
    for user, tenant in (("usr_dewi", "ten_a"), ("usr_eko", "ten_b")):
        yield row(schema.memberships, f"mem_{user}", user_id=user, tenant_id=tenant, invited_by=user)
    for contact, tenant, email in (("con_a", "ten_a", ANA), ("con_b", "ten_b", "ana@post.example")):
        known: dict[str, Any] = {
            "tenant_id": tenant,
            "company_id": None,
            "phone": NUMBER,
            "private_note": NOTE,
            "full_name": "Ana",
        }
        yield row(schema.contacts, contact, email=email, **known)


def _at_a() -> Iterator[PlatformRow]:
    wall: dict[str, Any] = {"tenant_id": "ten_a"}
    call: dict[str, Any] = {"direction": "inbound", "caller_number": NUMBER, "called_number": "+62215550001"}
    staff: dict[str, Any] = {"handled_by": "human_agent", "staff_id": "usr_dewi", "private_note": NOTE}
    yield row(schema.calls, "call_a", contact_id="con_a", **wall, **call, **staff)
    for place, (speaker, staff_id, text) in enumerate(
        (
            ("contact", None, f"You charged me twice. My card is {CARD}."),
            ("human_agent", "usr_dewi", "Let me look that up for you."),
            ("Budi Santoso", None, "No, it was the yearly plan."),
        )
    ):
        said: dict[str, Any] = {"position": place, "speaker": speaker, "staff_id": staff_id, "text": text}
        yield row(schema.transcripts, f"seg_a{place}", call_id="call_a", **wall, **said)
    sound: dict[str, Any] = {"storage_key": "rec_a.wav", "media_type": "audio/wav", "bytes": len(SOUND), "sha256": None}
    yield row(schema.recordings, "rec_a", call_id="call_a", **wall, **sound)
    of_call = wall | {"contact_id": "con_a", "call_id": "call_a", "conversation_id": None}
    yield row(schema.tickets, "tic_a", **of_call, assignee_id="usr_dewi", private_note=NOTE)
    yield row(schema.conversations, "chat_a", contact_id="con_a", **wall, visitor_email=ANA, private_note=None)
    for place, (sender, staff_id) in enumerate((("contact", None), ("human_agent", "usr_dewi"))):
        known: dict[str, Any] = {"position": place, "sender": sender, "staff_id": staff_id, "conversation_id": "chat_a"}
        yield row(schema.messages, f"msg_a{place}", **wall, **known)
    guests = [
        {"name": "Ana", "email": ANA},
        {"name": "Citra Halim", "email": "citra@mail.example"},
        {"name": "Dewi Lestari", "email": DEWI},
    ]
    yield row(schema.activities, "act_a", contact_id="con_a", **wall, staff_id="usr_dewi", participants=guests)


def _at_b() -> Iterator[PlatformRow]:
    wall: dict[str, Any] = {"tenant_id": "ten_b"}
    later: dict[str, Any] = {
        "created_at": EPOCH + timedelta(days=1),
        "handled_by": "human_agent",
        "staff_id": "usr_eko",
    }
    yield row(schema.calls, "call_b", contact_id=None, caller_number=NUMBER, **wall, **later)
    said: dict[str, Any] = {
        "position": 0,
        "speaker": "human_agent",
        "staff_id": "usr_eko",
        "text": "Hello, your parcel is in Bandung.",
    }
    yield row(schema.transcripts, "seg_b0", call_id="call_b", **wall, **said)


def all_bytes(paths: list[Path], part: str = "") -> bytes:
    """Every byte of every file of an archive whose name has the part, unpacked, and the names of these files."""
    return b"\n".join(name.encode() + b"\n" + body for name, body in members(paths) if part in name)


def seen(paths: list[Path], fact: str) -> str:
    # The viewer's sentences name pseudonyms as examples, whether this archive has them or not.
    return "yes" if FACTS[fact] in all_bytes(paths, "data/" if fact in PSEUDONYMS else "") else "-"


@pytest.mark.requirement("R27", "R24")
@pytest.mark.parametrize("fact", FACTS)
def test_who_sees_what(archives: Archives, fact: str) -> None:
    """Their own words, calls and counterparts for the person; who the others are for the company alone."""
    assert tuple(seen(archives[who], fact) for who in ASKED) == SEEN[fact]


@pytest.mark.requirement("R26", "R27")
@pytest.mark.parametrize("who", PEOPLE)
def test_no_staff_in_a_copy_for_a_person(archives: Archives, who: str) -> None:
    """No id, name or address of any member of staff, in no file: but for who asks about themselves."""
    found = all_bytes(archives[who])
    for secret in (b"usr_dewi", b"Dewi Lestari", DEWI.encode(), b"usr_eko", EKO.encode()):
        is_own = who == "Dewi's own account" and b"ewi" in secret
        assert (secret in found) is is_own, secret


@pytest.mark.requirement("R27")
@pytest.mark.parametrize("who", ["Ana at A", "Ana's account"])
def test_one_agent_in_all_files(archives: Archives, who: str) -> None:
    """Calls, transcripts, messages, tickets, activities and the vCon name the same person alike."""
    paths = archives[who]
    named = {
        record[column]
        for exporter, dataset, column in (
            ("calls", "calls", "staff_id"),
            ("calls", "transcripts", "staff_id"),
            ("chats", "messages", "staff_id"),
            ("interactions", "tickets", "assignee_id"),
            ("crm", "activities", "staff_id"),
        )
        for record in records(paths, exporter, dataset)
    }
    assert named == {None, "Agent 1"}
    assert [record["speaker"] for record in records(paths, "calls", "transcripts")] == [
        "contact",
        "human_agent",
        "Speaker 1",
    ]
    (vcon,) = (json.loads(body) for name, body in members(paths) if name == "data/calls/vcon/call_a.vcon.json")
    assert [(party.get("name"), party["role"]) for party in vcon["parties"]] == [
        (None, "customer"),
        ("Agent 1", "agent"),
        ("Speaker 1", "thirdparty"),
    ]
    (transcript,) = (one for one in vcon["analysis"] if one["type"] == "transcript")
    assert [segment["party"] for segment in transcript["body"]["segments"]] == [0, 1, 2]


@pytest.mark.requirement("R27")
def test_the_subject_stays_among_the_guests(archives: Archives) -> None:
    """No list is refused as a whole: the entry with a verified address of the subject stays, the others are marked."""
    (meeting,) = records(archives["Ana at A"], "crm", "activities")
    assert meeting["participants"] == [{"name": "Ana", "email": ANA}, *["[redacted:other-person]"] * 2]


@pytest.mark.requirement("R24")
def test_recordings_go_out_as_audio(archives: Archives) -> None:
    """The voice is personal data: the file as it is, beside its transcript, byte for byte."""
    for who in ("Ana at A", "Ana's account", "Toko A"):
        held = dict(members(archives[who]))
        assert held["data/calls/recordings/rec_a.wav"] == SOUND
        (line,) = (line for line in export_json(archives[who])["datasets"] if line["dataset"] == "recordings")
        assert (line["files"], line.get("redactions")) == (1, None)
        assert len(records(archives[who], "calls", "transcripts")) == 3


@pytest.mark.requirement("R27", "R4")
def test_what_was_redacted_is_counted_by_rule(archives: Archives) -> None:
    """Nothing disappears silently: the ledger of a person's copy counts; a company's has nothing to count."""
    lines = {(line["exporter"], line["dataset"]): line for line in export_json(archives["Ana at A"])["datasets"]}
    spoken = {"card-number": 1, "speaker-pseudonym": 1, "staff-pseudonym": 1}
    assert lines["calls", "transcripts"]["redactions"] == spoken
    assert lines["calls", "calls"]["redactions"] == {"other-address": 1, "staff-pseudonym": 1}
    assert lines["crm", "activities"]["redactions"] == {"other-person": 2, "staff-pseudonym": 1}
    assert lines["calls", "calls"]["state"] == lines["calls", "vcon"]["state"] == "with_remarks"
    assert export_json(archives["Ana at A"])["complete"] is True
    of_people = {rule for line in export_json(archives["Toko A"])["datasets"] for rule in line.get("redactions", ())}
    assert of_people == set()


@pytest.mark.requirement("R27")
def test_the_schema_marks_fields_about_other_people(archives: Archives) -> None:
    """Fields about other people are marked for machine readers, with how they were redacted."""
    held = dict(members(archives["Ana at A"]))
    resources = {one["path"]: one for one in json.loads(held["datapackage.json"])["resources"]}
    described = resources["data/calls/transcripts.jsonl"]["schema"]["fields"]
    fields = {field["name"]: field for field in described}
    assert (fields["staff_id"]["x-third-party"], fields["staff_id"]["x-person"]) == (True, "staff")
    assert fields["speaker"]["x-person"] == "speaker"
    assert "x-person" not in fields["text"]
    assert fields["text"]["x-third-party"] is True


@pytest.mark.requirement("R26", "R27")
def test_no_account_but_your_own_is_in_made_up_archives(tmp_path: Path) -> None:
    """Of a whole made-up platform: no id of another account is in any byte of a person's copies; in switch they are."""
    with seeded(tmp_path) as made:
        own = {"user": made.examples.user, "contact": made.examples.contact}
        asked = [
            (f"user:{own['user']}", "access", {}),
            (f"user:{own['user']}", "portability", {}),
            (f"contact:{own['contact']}", "access", {"tenant": made.examples.contact_tenant}),
        ]
        for subject, profile, wall in asked:
            found = all_bytes(list(exported(made.world, subject, profile=profile, **wall).volumes))
            assert {*ACCOUNT.findall(found)} <= {made.examples.user.encode()}, (subject, profile)
        switch = exported(made.world, f"tenant:{made.examples.tenant}", profile="switch")
        assert len({*ACCOUNT.findall(all_bytes(list(switch.volumes)))}) > 1


@pytest.mark.requirement("R22", "R27")
def test_the_spoken_card_number_is_counted(archives: Archives) -> None:
    """Masked in a person's copy; in the company's own it is reported, and its words stay (docs/scan.md)."""
    for who, name in (("Ana at A", "redactions"), ("Ana's account", "redactions"), ("Toko A", "findings")):
        lines = {(line["exporter"], line["dataset"]): line for line in export_json(archives[who])["datasets"]}
        for dataset in ("transcripts", "vcon"):
            assert lines["calls", dataset][name]["card-number"] >= 1, (who, dataset)
    spoken = [record["text"] for record in records(archives["Ana at A"], "calls", "transcripts")]
    assert spoken[0].startswith("You charged me twice. My card is [masked:card-number")
