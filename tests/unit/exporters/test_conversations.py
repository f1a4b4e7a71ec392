from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import platform_data as platform
import pytest
from sqlalchemy import Engine, delete, update

from exporters import conversations, schema
from exporters.conversations import people, seats
from portability.api import Batch, Selection, SubjectKind
from portability.db import open_engine
from portability.testing import MemoryFiles


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'platform.db'}")
    platform.fill(engine)
    yield engine
    engine.dispose()


def batches(engine: Engine, exporter: str = "chats", selection: Selection | None = None) -> list[Batch]:
    found = platform.exporters(engine)[exporter]
    (wanted,) = (dataset for dataset in found.datasets if dataset.documents)
    return list(found.export(platform.CONTACT, wanted, selection or Selection()))


def whole(engine: Engine, exporter: str = "chats", selection: Selection | None = None) -> dict[str, dict[str, Any]]:
    """Conversations by id."""
    read = batches(engine, exporter, selection)
    return {str(record["id"]): dict(record) for batch in read for record in batch.records}


def test_a_conversation_has_all_that_belongs_to_it(engine: Engine) -> None:
    """Segments, recordings and analyses of the call, in their order, and of no other call."""
    call = whole(engine, "calls")["call-con_1-1"]
    assert [one["id"] for one in call["dialog"]] == [f"transcripts-call-con_1-1-{n}" for n in range(3)]
    assert [one["id"] for one in call["recordings"]] == [f"recordings-call-con_1-1-{n}" for n in range(3)]
    assert [one["id"] for one in call["analysis"]] == [f"call_analyses-call-con_1-1-{n}" for n in range(3)]
    assert {one["file"] for one in call["recordings"]} == {
        f"recordings/recordings-call-con_1-1-{n}.wav" for n in range(3)
    }
    assert call["parties"][0] == {"role": "contact", "id": "con_1", "tel": platform.PHONE}


def test_an_unanswered_call_and_odd_times(engine: Engine) -> None:
    """Times that are not there or not to be reckoned with are null, and never a fault."""
    with engine.begin() as connection:
        connection.execute(update(schema.calls).values(answered_at=None, started_at=None))
    assert [one["started_at"] for one in whole(engine, "calls")["call-con_1-0"]["dialog"]] == [None] * 3
    with engine.begin() as connection:
        connection.execute(update(schema.calls).values(started_at=platform.EPOCH))
        connection.execute(update(schema.transcripts).values(starts_seconds=1e300))
    call = whole(engine, "calls")["call-con_1-0"]
    assert call["started_at"] == "2026-03-01T08:30:00.123456Z"
    assert {one["started_at"] for one in call["dialog"]} == {None}


def test_a_missing_recording_has_no_file(engine: Engine) -> None:
    """Its own dataset names the gap; here it is said once more by a null, and not counted twice."""
    exporter = platform.exporters(engine, MemoryFiles({}))["calls"]
    (wanted,) = (dataset for dataset in exporter.datasets if dataset.documents)
    (batch,) = exporter.export(platform.CONTACT, wanted, Selection())
    calls: Any = batch.records
    assert {recording["file"] for call in calls for recording in call["recordings"]} == {None}
    assert batch.gaps == ()


def test_what_hangs_on_another_tenants_conversation_belongs_to_nobody(engine: Engine) -> None:
    """Both sides name the tenant, as in the other datasets."""
    with engine.begin() as connection:
        connection.execute(update(schema.messages).values(tenant_id="ten_b"))
    chats = whole(engine)
    assert len(chats) == 3
    assert all(chat["dialog"] == [] for chat in chats.values())


def test_a_period_takes_whole_conversations(engine: Engine) -> None:
    """The conversation's creation decides; what came after the export began is left out."""
    until = platform.EPOCH + timedelta(hours=1)
    (chat,) = whole(engine, selection=Selection(until=until)).values()
    assert len(chat["dialog"]) == 3
    begun = whole(engine, selection=Selection(began_at=platform.EPOCH))
    assert {len(chat["dialog"]) for chat in begun.values()} == {1}


def test_batches_are_few_conversations_and_little_text(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume ends between batches, and memory holds one: a long conversation is alone in its batch, and whole."""
    assert [len(batch.records) for batch in batches(engine)] == [3]
    monkeypatch.setattr(conversations, "BATCH_BYTES", 2000)
    with engine.begin() as connection:
        long = update(schema.messages).where(schema.messages.c.conversation_id == "chat-con_1-1")
        connection.execute(long.values(text="x" * 5000))
    read = batches(engine)
    assert [len(batch.records) for batch in read] == [1, 1, 1]
    monkeypatch.setattr(conversations, "BATCH_CONVERSATIONS", 1)
    assert [batch.records for batch in batches(engine)] == [batch.records for batch in read]


def test_chats_without_messages_count_as_well(engine: Engine) -> None:
    """A conversation of which nothing is left is still a conversation."""
    with engine.begin() as connection:
        connection.execute(delete(schema.messages))
    assert len(whole(engine)) == 3


def test_every_subject_has_the_conversations_of_its_tables(engine: Engine) -> None:
    """One record for each row of calls and conversations, for each kind of subject."""
    for name, table in (("calls", "calls"), ("chats", "conversations")):
        exporter = platform.exporters(engine)[name]
        for kind in SubjectKind:
            of_table = platform.records(exporter, table, platform.SUBJECTS[kind])
            as_whole = platform.records(exporter, "vcon", platform.SUBJECTS[kind])
            assert [one["id"] for one in as_whole] == [one["id"] for one in of_table]


def test_speakers_are_seated() -> None:
    """A source's own words mean the announced parties; whoever is not announced is added once."""
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
    """Who took the call over is another party than who answered it, whatever word the source has for both."""
    parties: list[conversations.Party] = [{"role": "contact"}, {"role": "ai_agent"}, {"role": "human_agent"}]
    spoken: list[conversations.Place] = [("agent", None), ("agent", "usr_2"), ("human_agent", "usr_3")]
    places = seats(parties, [*spoken, ("human", "usr_2"), ("human_agent", None)])
    assert [*places.values()] == [1, 2, 3, 2, 2]
    assert people(parties) == {
        "parties": [{"role": "contact"}, {"role": "ai_agent"}, {"role": "human_agent"}, {"role": "human_agent"}],
        "staff": [None, None, "usr_2", "usr_3"],
        "speakers": [None, None, None, None],
    }


def test_names_of_others_stand_apart_from_the_parties(engine: Engine) -> None:
    """The host treats whole fields: an id of staff or a name is nowhere else in the record."""
    for name in ("calls", "chats"):
        for record in whole(engine, name).values():
            staff, speakers = record.pop("staff"), record.pop("speakers")
            assert len(staff) == len(speakers) == len(record["parties"])
            assert any(speakers)
            text = str(record)
            assert not any(known in text for known in (*filter(None, staff), *filter(None, speakers)))
