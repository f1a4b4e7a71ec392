from __future__ import annotations

from datetime import timedelta
from typing import Any

import platform_data as platform
import pytest
from sqlalchemy import Engine, delete, update

from exporters.reference import schema
from exporters.sql import conversations
from exporters.sql.conversations import people, seats
from portability.api import Batch, Selection, SubjectKind
from portability.testing import MemoryFiles


def batches(filled_platform: Engine, exporter: str = "chats", selection: Selection | None = None) -> list[Batch]:
    found = platform.exporters(filled_platform)[exporter]
    (wanted,) = (dataset for dataset in found.datasets if dataset.documents)
    return list(found.export(platform.CONTACT, wanted, selection or Selection()))


def whole_conversations(
    filled_platform: Engine, exporter: str = "chats", selection: Selection | None = None
) -> dict[str, dict[str, Any]]:
    """Conversations by id."""
    read = batches(filled_platform, exporter, selection)
    return {str(record["id"]): dict(record) for batch in read for record in batch.records}


def test_a_conversation_has_all_that_belongs_to_it(filled_platform: Engine) -> None:
    """Segments, recordings and analyses of the call, in their order, and of no other call."""
    call = whole_conversations(filled_platform, "calls")["call-con_1-1"]
    assert [one["id"] for one in call["dialog"]] == [f"transcripts-call-con_1-1-{n}" for n in range(3)]
    assert [one["id"] for one in call["recordings"]] == [f"recordings-call-con_1-1-{n}" for n in range(3)]
    assert [one["id"] for one in call["analysis"]] == [f"call_analyses-call-con_1-1-{n}" for n in range(3)]
    assert {one["file"] for one in call["recordings"]} == {
        f"recordings/recordings-call-con_1-1-{n}.wav" for n in range(3)
    }
    assert call["parties"][0] == {"role": "contact", "id": "con_1", "tel": platform.PHONE}


def test_an_unanswered_call_and_odd_times(filled_platform: Engine) -> None:
    """Times that are not there or not to be reckoned with are null, and never a fault."""
    with filled_platform.begin() as connection:
        connection.execute(update(schema.calls).values(answered_at=None, started_at=None))
    assert [one["started_at"] for one in whole_conversations(filled_platform, "calls")["call-con_1-0"]["dialog"]] == [
        None
    ] * 3
    with filled_platform.begin() as connection:
        connection.execute(update(schema.calls).values(started_at=platform.EPOCH))
        connection.execute(update(schema.transcripts).values(starts_seconds=1e300))
    call = whole_conversations(filled_platform, "calls")["call-con_1-0"]
    assert call["started_at"] == "2026-03-01T08:30:00.123456Z"
    assert {one["started_at"] for one in call["dialog"]} == {None}


def test_a_missing_recording_has_no_file(filled_platform: Engine) -> None:
    """The conversation says null, and a gap names the conversation, so that a retry delivers it again with the file."""
    exporter = platform.exporters(filled_platform, MemoryFiles({}))["calls"]
    (wanted,) = (dataset for dataset in exporter.datasets if dataset.documents)
    (batch,) = exporter.export(platform.CONTACT, wanted, Selection())
    calls: Any = batch.records
    assert {recording["file"] for call in calls for recording in call["recordings"]} == {None}
    missing = [(gap.reason, gap.key) for gap in batch.gaps if gap.key == ("call-con_1-0",)]
    assert missing == [("missing", ("call-con_1-0",))] * 3
    assert len(batch.gaps) == sum(len(call["recordings"]) for call in calls)


def test_what_refers_to_another_tenants_conversation_is_not_exported(filled_platform: Engine) -> None:
    """Both sides name the tenant, as in the other datasets."""
    with filled_platform.begin() as connection:
        connection.execute(update(schema.messages).values(tenant_id="ten_b"))
    chats = whole_conversations(filled_platform)
    assert len(chats) == 3
    assert all(chat["dialog"] == [] for chat in chats.values())


def test_a_period_takes_whole_conversations(filled_platform: Engine) -> None:
    """The conversation's creation decides; what came after the export began is left out."""
    until = platform.EPOCH + timedelta(hours=1)
    (chat,) = whole_conversations(filled_platform, selection=Selection(until=until)).values()
    assert len(chat["dialog"]) == 3
    begun = whole_conversations(filled_platform, selection=Selection(began_at=platform.EPOCH))
    assert {len(chat["dialog"]) for chat in begun.values()} == {1}


def test_batches_are_few_conversations_and_little_text(
    filled_platform: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume ends between batches, and memory has one batch: a long conversation is a batch of its own, complete."""
    assert [len(batch.records) for batch in batches(filled_platform)] == [3]
    monkeypatch.setattr(conversations, "BATCH_BYTES", 2000)
    with filled_platform.begin() as connection:
        long = update(schema.messages).where(schema.messages.c.conversation_id == "chat-con_1-1")
        connection.execute(long.values(text="x" * 5000))
    read = batches(filled_platform)
    assert [len(batch.records) for batch in read] == [1, 1, 1]
    monkeypatch.setattr(conversations, "BATCH_CONVERSATIONS", 1)
    assert [batch.records for batch in batches(filled_platform)] == [batch.records for batch in read]


def test_chats_without_messages_count_as_well(filled_platform: Engine) -> None:
    """A conversation of which nothing is left is still a conversation."""
    with filled_platform.begin() as connection:
        connection.execute(delete(schema.messages))
    assert len(whole_conversations(filled_platform)) == 3


def test_every_subject_has_the_conversations_of_its_tables(filled_platform: Engine) -> None:
    """One record for each row of calls and conversations, for each kind of subject."""
    for name, table in (("calls", "calls"), ("chats", "conversations")):
        exporter = platform.exporters(filled_platform)[name]
        for kind in SubjectKind:
            of_table = platform.records(exporter, table, platform.SUBJECTS[kind])
            as_whole = platform.records(exporter, "vcon", platform.SUBJECTS[kind])
            assert [one["id"] for one in as_whole] == [one["id"] for one in of_table]


def test_speakers_are_seated() -> None:
    """A source's own words refer to the announced parties; a speaker who is not announced is added once."""
    parties: list[conversations.Party] = [{"role": "contact"}, {"role": "human_agent"}]
    words = ("customer", "agent", "contact", None, "Budi", "Budi", "ai")
    places = seats(parties, [(word, None) for word in words])
    assert {word: place for (word, _), place in places.items()} == {
        "customer": 0,
        "agent": 1,
        "contact": 0,
        "Budi": 2,
        "ai": 3,
    }
    assert [party["role"] for party in parties] == ["contact", "human_agent", "speaker", "ai_agent"]
    alone: list[conversations.Party] = []
    assert seats(alone, [("agent", None)]) == {("agent", None): 0}
    assert alone == [{"role": "agent"}]


def test_each_member_of_staff_sits_apart() -> None:
    """The person who took the call over is another party than the one who answered it, for any word of the source."""
    parties: list[conversations.Party] = [{"role": "contact"}, {"role": "ai_agent"}, {"role": "human_agent"}]
    spoken: list[conversations.Place] = [("agent", None), ("agent", "usr_2"), ("human_agent", "usr_3")]
    places = seats(parties, [*spoken, ("human", "usr_2"), ("human_agent", None)])
    assert [*places.values()] == [1, 2, 3, 2, 2]
    assert people(parties) == {
        "parties": [{"role": "contact"}, {"role": "ai_agent"}, {"role": "human_agent"}, {"role": "human_agent"}],
        "staff": [None, None, "usr_2", "usr_3"],
        "speakers": [None, None, None, None],
    }


@pytest.mark.slow
def test_names_of_others_stand_apart_from_the_parties(filled_platform: Engine) -> None:
    """The host treats whole fields: an id of staff or a name is nowhere else in the record."""
    for name in ("calls", "chats"):
        for record in whole_conversations(filled_platform, name).values():
            staff, speakers = record.pop("staff"), record.pop("speakers")
            assert len(staff) == len(speakers) == len(record["parties"])
            assert any(speakers)
            text = str(record)
            assert not any(known in text for known in (*filter(None, staff), *filter(None, speakers)))
