"""Decisions of officers on unclear records: what a further revision has, and what a later export has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platform_data as platform
import pytest
from archives import export_json, members
from factories import World, world
from gap_sources import retry_gaps
from sqlalchemy import Engine, func, select, text

from exporters.reference import schema
from portability.database import models
from portability.database.engine import reading, writing
from portability.errors import NotAllowed, WrongState
from portability.requests import exports, instructions, retries, reviews
from portability.requests.policy import Actor
from portability.requests.reviews import ReviewState, UnknownReview
from portability.retention import erasures
from portability.trust import audit
from worker.clock import erasure

OLD = datetime(2015, 6, 1, 12, tzinfo=UTC)
UNLINKED: dict[str, Any] = {
    "tenant_id": "ten_a",
    "contact_id": None,
    "direction": "inbound",
    "caller_number": "+6281200000001",
}
OLGA, OPERATOR = Actor("officer", "olga"), Actor("operator", "test")
ASKED = {"tenant": "ten_a", "include": ["calls"], "formats": ["jsonl", "vcon"]}


@pytest.fixture
def made(either: Engine, tmp_path: Path) -> World:
    """Two calls of 2015 from the number that con_1 proved in 2026, with a transcript each, under an instruction."""
    for call in ("old-1", "old-2"):
        platform.put(either, platform.row(schema.calls, call, **UNLINKED, started_at=OLD))
        platform.put(either, platform.row(schema.transcripts, f"said-{call}", tenant_id="ten_a", call_id=call))
    made = world(tmp_path / "made", platform.exporters(either))
    with writing(made.engine) as connection:
        instructions.add(connection, "ten_a", contact_id=None, exporters=None, actor="operator:test")
    return made


def with_reviews(made: World) -> str:
    identifier = made.request("contact:con_1", **ASKED)
    made.advance_all()
    assert made.view(identifier)["state"] == "ready"
    return identifier


def decide(
    made: World, export_id: str, record: str, decision: str, reason: str = "content", actor: Actor = OLGA
) -> None:
    with writing(made.engine) as connection:
        found = reviews.find(connection, exports.get(connection, export_id), "calls/calls", record)
        reviews.decide(connection, export_id, found, ReviewState(decision), reason=reason, actor=actor)


def delivered(paths: list[Path], dataset: str) -> list[str]:
    """The ids of the records in some volumes, also those that come twice."""
    lines = [
        json.loads(line)
        for path, body in members(paths)
        if path.startswith(f"data/calls/{dataset}") and path.endswith(".jsonl")
        for line in body.splitlines()
    ]
    return sorted(line["id"] for line in lines)


def gaps(document: Mapping[str, Any]) -> list[str]:
    return sorted(f"{gap['dataset']} {gap['what']}" for gap in document["gaps"])


@pytest.mark.requirement("R1")
def test_a_record_that_is_theirs_is_delivered_alone(made: World) -> None:
    """Seen: nothing could close the gap. The next revision has the call and its parts, once, and nothing else."""
    identifier = with_reviews(made)
    first = made.fetch(identifier)
    assert "old-1" not in delivered(first, "calls")
    decide(made, identifier, "old-1", "theirs")
    retry_gaps(made, identifier)

    paths = made.fetch(identifier)

    added = [path for path in paths if path.name not in {one.name for one in first}]
    assert delivered(added, "calls") == ["old-1"]
    assert delivered(added, "transcripts") == ["said-old-1"]
    documents = [path for path, _body in members(added) if path.startswith("data/calls/vcon/")]
    assert documents == ["data/calls/vcon/old-1.vcon.json"]
    document = export_json(paths)
    assert (document["complete"], document["revision"], document["outcome"]["own"]) == (False, 2, "partial")
    assert gaps(document) == [
        "calls calls/old-2", "transcripts transcripts/call_id=old-2", "vcon vcon/old-2",
    ]  # fmt: skip  # one list
    assert made.verify(paths).ok


@pytest.mark.requirement("R1")
def test_each_decision_closes_its_own_gaps(made: World) -> None:
    """The second retry delivers the second call only, and then the archive is complete."""
    identifier = with_reviews(made)
    decide(made, identifier, "old-1", "theirs")
    retry_gaps(made, identifier)
    before = {path.name for path in made.fetch(identifier)}
    decide(made, identifier, "old-2", "theirs", "tenant")
    retry_gaps(made, identifier)
    paths = made.fetch(identifier)
    assert delivered([path for path in paths if path.name not in before], "calls") == ["old-2"]
    found = delivered(paths, "calls")
    assert len(found) == len(set(found))
    assert {"old-1", "old-2"} <= set(found)
    assert (export_json(paths)["complete"], gaps(export_json(paths))) == (True, [])


@pytest.mark.requirement("R1")
def test_a_record_of_another_person_is_counted(made: World) -> None:
    """The gap is closed, the outcome follows from the rest, and the archive says how many records were examined."""
    identifier = with_reviews(made)
    decide(made, identifier, "old-1", "not_theirs", "content")
    decide(made, identifier, "old-2", "not_theirs", "unproven")
    retry_gaps(made, identifier)
    paths = made.fetch(identifier)
    document = export_json(paths)
    assert (document["complete"], document["outcome"]["own"], gaps(document)) == (True, "with_remarks", [])
    assert not {"old-1", "old-2"} & set(delivered(paths, "calls"))
    found = [{name: value for name, value in one.items() if name != "explanation"} for one in document["reviews"]]
    named = {"exporter": "calls", "dataset": "calls", "decision": "not_theirs"}
    assert found == [{**named, "reason": "content", "records": 1}, {**named, "reason": "unproven", "records": 1}]
    (page,) = (body.decode() for path, body in members(paths[-1:]) if path == "README.html")
    assert "Examined records" in page


def test_a_later_export_asks_no_one_again(made: World) -> None:
    """It has the record that is theirs and lacks the second record, and it is complete at once."""
    identifier = with_reviews(made)
    decide(made, identifier, "old-1", "theirs")
    decide(made, identifier, "old-2", "not_theirs")
    later = with_reviews(made)
    assert later != identifier
    paths = made.fetch(later)
    assert {"old-1", "old-2"} & set(delivered(paths, "calls")) == {"old-1"}
    assert (export_json(paths)["complete"], export_json(paths)["revision"]) == (True, 1)
    with reading(made.engine) as connection:
        found = reviews.of(connection, exports.get(connection, later))
    assert [(one["record"], one["state"]) for one in found] == [("old-1", "theirs"), ("old-2", "not_theirs")]


def test_without_a_decision_there_is_nothing_to_retry(made: World) -> None:
    """A retry does not close a gap on which no one has decided, and says what is missing."""
    identifier = with_reviews(made)
    with writing(made.engine) as connection, pytest.raises(WrongState) as refused:
        retries.retry_gaps(connection, identifier, actor="operator:test")
    assert "portability reviews" in (refused.value.hint or "")


def test_a_decision_on_a_duplicate_record_leads_on(either: Engine, made: World) -> None:
    """A second contact record is theirs: its calls are delivered, and its own number leads to a new review."""
    same: dict[str, Any] = {
        "tenant_id": "ten_a",
        "email": "ana@example.org",
        "email_verified_at": OLD,
        "deleted_at": None,
    }
    number: dict[str, Any] = {"phone": "+4930123456", "phone_verified_at": datetime(2026, 1, 1, tzinfo=UTC)}
    platform.put(either, platform.row(schema.contacts, "twin", **same, **number, full_name=None))
    platform.put(either, platform.row(schema.calls, "of-twin", tenant_id="ten_a", contact_id="twin"))
    platform.put(
        either, platform.row(schema.calls, "older", **{**UNLINKED, "caller_number": "+4930123456"}, started_at=OLD)
    )
    identifier = with_reviews(made)
    with writing(made.engine) as connection:
        export = exports.get(connection, identifier)
        twin = reviews.find(connection, export, "crm/contacts", "twin")
        reviews.decide(connection, identifier, twin, ReviewState.THEIRS, reason="subject", actor=OLGA)
        with pytest.raises(UnknownReview):
            reviews.find(connection, export, "calls/calls", "older")
    before = {path.name for path in made.fetch(identifier)}
    retry_gaps(made, identifier)
    paths = made.fetch(identifier)
    assert delivered([path for path in paths if path.name not in before], "calls") == ["of-twin"]
    assert "calls calls/older" in gaps(export_json(paths))
    with reading(made.engine) as connection:
        assert reviews.find(connection, exports.get(connection, identifier), "calls/calls", "older")


def test_the_decision_is_stored_without_personal_data(made: World) -> None:
    """Who decided, when and why, and an event of the audit log with dataset and record."""
    identifier = with_reviews(made)
    decide(made, identifier, "old-1", "theirs", "records")
    with reading(made.engine) as connection:
        (row, _other) = reviews.of(connection, exports.get(connection, identifier))
        (event,) = (one for one in audit.events(connection) if one["action"] == "review.decided")
    assert (row["state"], row["reason"], row["decided_by"]) == ("theirs", "records", "officer:olga")
    assert row["decided_at"] is not None
    named = {"exporter": "calls", "dataset": "calls", "record": "old-1"}
    assert event["detail"] == {"review": row["id"], **named, "decision": "theirs", "reason": "records"}


def test_a_decision_is_corrected_in_one_direction(made: World) -> None:
    """Not theirs may become theirs; a record that may have been delivered cannot be taken back by a decision."""
    identifier = with_reviews(made)
    decide(made, identifier, "old-1", "not_theirs")
    with pytest.raises(WrongState):
        decide(made, identifier, "old-1", "not_theirs")
    decide(made, identifier, "old-1", "theirs")
    with pytest.raises(WrongState) as refused:
        decide(made, identifier, "old-1", "not_theirs")
    assert "recall" in (refused.value.hint or "")


def test_who_asked_does_not_decide(made: World) -> None:
    """Four eyes: the person who requested an export of the subject cannot decide, and support cannot either."""
    identifier = with_reviews(made)
    for actor in (OPERATOR, Actor("staff", "sam"), Actor("subject", "con_1")):
        with pytest.raises(NotAllowed):
            decide(made, identifier, "old-1", "theirs", actor=actor)


def test_an_erasure_deletes_the_reviews(made: World) -> None:
    """After the erasure no review names the subject."""
    with_reviews(made)
    with writing(made.engine) as connection:
        whom = erasures.Whom.parse("contact:con_1", "ten_a")
        erasures.begin(connection, whom, reason="ticket 9", actor="operator:test", ground="subject")
    erasure.advance(made.engine, lambda: made.place.storage)
    with reading(made.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(models.review)) == 0


def test_a_source_that_fails_keeps_the_decision_for_the_next_retry(either: Engine, made: World) -> None:
    """The table of calls is away during the retry: the gap stays, and the next retry delivers the call."""
    identifier = with_reviews(made)
    decide(made, identifier, "old-1", "theirs")
    with either.begin() as connection:
        connection.execute(text("ALTER TABLE transcripts RENAME TO away"))
    retry_gaps(made, identifier)
    assert made.view(identifier)["complete"] is False
    with either.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO transcripts"))
    retry_gaps(made, identifier)
    assert delivered(made.fetch(identifier), "transcripts").count("said-old-1") == 1


def test_a_record_that_the_source_has_linked_meanwhile_keeps_its_gap(either: Engine, made: World) -> None:
    """The earlier volumes lack the record, and identities no longer show it: the archive is not called complete."""
    identifier = with_reviews(made)
    decide(made, identifier, "old-2", "not_theirs")
    with either.begin() as connection:
        connection.execute(text("UPDATE calls SET contact_id = 'con_1' WHERE id = 'old-1'"))
    retry_gaps(made, identifier)
    document = export_json(made.fetch(identifier))
    assert (document["complete"], "calls calls/old-1" in gaps(document)) == (False, True)
    assert "old-1" in delivered(made.fetch(with_reviews(made)), "calls")
