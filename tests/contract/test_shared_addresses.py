"""An address that two people may have used: an officer decides, and the next revision follows the decision."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import platform_data as platform
import pytest
from archives import export_json, members
from factories import World, world
from gap_sources import retry_gaps
from sqlalchemy import Engine, select

from exporters.reference import schema
from portability.database.engine import reading, writing
from portability.requests import exports, reviews
from portability.requests.policy import Actor
from portability.requests.reviews import ReviewState
from portability.trust import audit

READER = platform.READER_EMAIL
OLGA = Actor("officer", "olga")
OWN = {"inquiries/inquiries", "marketing/preferences", "marketing/consents", "marketing/campaigns"}


@pytest.fixture
def made(either: Engine, tmp_path: Path) -> World:
    """Someone with another name has written from the reader's address."""
    second: dict[str, Any] = {"user_id": None, "email": READER, "name": "Pat Second"}
    platform.put(either, platform.row(schema.inquiries, "second", **second))
    return world(tmp_path / "made", platform.exporters(either))


def requested(made: World, **asked: Any) -> str:
    identifier = made.request(f"email:{READER}", formats=["jsonl"], **asked)
    made.advance_all()
    return identifier


def decide(made: World, export_id: str, decision: ReviewState, reason: str = "subject") -> None:
    with writing(made.engine) as connection:
        found = reviews.find(connection, exports.get(connection, export_id), "account/profile", "email")
        reviews.decide(connection, export_id, found, decision, reason=reason, actor=OLGA)


def delivered(made: World, export_id: str) -> dict[str, list[str]]:
    """The ids of the records by dataset, also those that come twice."""
    found: dict[str, list[str]] = {}
    for path, body in members(made.fetch(export_id)):
        named = re.match(r"data/(\w+/[a-z]+)", path)
        if named and (name := named[1]) in OWN:
            found.setdefault(name, []).extend(json.loads(line)["id"] for line in body.splitlines())
    return found


@pytest.mark.requirement("R1")
def test_nothing_is_delivered_before_the_decision(made: World) -> None:
    """Each row is a gap, and one question is open, whose record does not contain the address."""
    identifier = requested(made)
    document = export_json(made.fetch(identifier))
    assert delivered(made, identifier) == {}
    assert {(gap["reason"], gap["exporter"]) for gap in document["gaps"]} == {
        ("needs_review", "inquiries"),
        ("needs_review", "marketing"),
    }
    with reading(made.engine) as connection:
        (row,) = reviews.of(connection, exports.get(connection, identifier))
    assert (row["exporter"], row["dataset"], row["record"], row["state"]) == ("account", "profile", "email", "open")


@pytest.mark.requirement("R1")
def test_what_is_theirs_is_delivered_once(made: World) -> None:
    """The next revision has every row under the address, and is complete; the audit log has no address."""
    identifier = requested(made)
    decide(made, identifier, ReviewState.THEIRS)
    retry_gaps(made, identifier)
    document = export_json(made.fetch(identifier))
    found = delivered(made, identifier)
    assert {name: sorted(ids) for name, ids in found.items()} == {
        "inquiries/inquiries": ["inquiries-reader", "second"],
        "marketing/preferences": ["marketing_preferences-reader"],
        "marketing/consents": ["consents-reader"],
        "marketing/campaigns": ["campaigns_received-reader"],
    }
    assert (document["complete"], document["gaps"]) == (True, [])
    with reading(made.engine) as connection:
        events = connection.execute(select(audit.LOG)).all()
        assert audit.verify(connection).ok
    assert "review.decided" in str(events)
    assert READER not in str(events)


@pytest.mark.requirement("R1", "R14")
def test_what_is_not_theirs_is_not_delivered(made: World) -> None:
    """The gaps close, the archive counts the decision and has none of the rows; also a later export."""
    identifier = requested(made)
    decide(made, identifier, ReviewState.NOT_THEIRS, "unproven")
    retry_gaps(made, identifier)
    later = requested(made)
    for export_id in (identifier, later):
        document = export_json(made.fetch(export_id))
        assert (delivered(made, export_id), document["gaps"], document["complete"]) == ({}, [], True)
        (counted,) = document["reviews"]
        assert (counted["decision"], counted["reason"], counted["records"]) == ("not_theirs", "unproven", 1)


@pytest.mark.requirement("R1")
def test_a_later_export_uses_the_decision(made: World) -> None:
    """Without a new question."""
    decide(made, requested(made), ReviewState.THEIRS)
    later = requested(made, since="2000-01-01")
    assert export_json(made.fetch(later))["complete"] is True
    assert sorted(delivered(made, later)["inquiries/inquiries"]) == ["inquiries-reader", "second"]
