from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from factories import World
from sqlalchemy import delete, insert, text
from structlog.testing import capture_logs

from portability.database import history, incidents, models
from portability.database.engine import reading, writing
from portability.trust import audit, audit_heads, keys
from portability.trust.audit import Head
from worker.clock import audit_anchor

ISSUER = "https://export.example"
LATELY = datetime(2026, 11, 28, tzinfo=UTC)


def test_the_head_is_logged_if_it_has_moved(made: World) -> None:
    """Signed, so that a line stored elsewhere proves what the audit log was; logged again only when it has grown."""
    folder = made.place.settings.keys
    with writing(made.engine) as connection:
        keys.ensure(connection, folder, purposes=("audit",), actor="operator:test")
    with capture_logs() as lines:
        first = audit_anchor.log_head(made.engine, folder, ISSUER, None)
        assert audit_anchor.log_head(made.engine, folder, ISSUER, first) == first
        made.request()
        second = audit_anchor.log_head(made.engine, folder, ISSUER, first)
    assert [line["last_event"] for line in lines] == [first and first.event_id, second and second.event_id]
    with reading(made.engine) as connection:
        kept = audit_heads.read(connection, lines[0]["token"])
        assert audit.verify(connection, anchor=kept).ok


def test_without_its_key_the_clock_continues(made: World) -> None:
    """A line says what is missing; nothing else waits for it."""
    stop = threading.Event()
    with capture_logs() as lines:
        assert audit_anchor.log_head(made.engine, made.place.settings.keys, ISSUER, None) is None
        stop.set()
        audit_anchor.run(made.engine, made.place.settings.keys, ISSUER, stop)
    assert [line["code"] for line in lines] == ["no_signing_key"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("UPDATE audit_event SET actor = 'clock' WHERE id = (SELECT max(id) FROM audit_event)", "edited"),
        ("DELETE FROM audit_event WHERE id = (SELECT max(id) FROM audit_event)", "truncated"),
        ("DELETE FROM audit_event", "rewritten"),
    ],
)
def test_a_changed_event_is_an_incident(made: World, change: str, code: str) -> None:
    """Events since the last head are compared with their hashes; what was seen before is not read again."""
    folder = made.place.settings.keys
    with writing(made.engine) as connection:
        keys.ensure(connection, folder, purposes=("audit",), actor="operator:test")
    last = audit_anchor.log_head(made.engine, folder, ISSUER, None)
    made.request()
    last = audit_anchor.log_head(made.engine, folder, ISSUER, last)
    assert incidents.counted(made.engine) == []
    made.request("user:usr_2")
    with writing(made.engine) as connection:
        for verb in ("update", "delete"):
            connection.execute(text(f"DROP TRIGGER audit_event_append_only_{verb}"))
        connection.execute(text(change))
    with capture_logs() as lines:
        audit_anchor.log_head(made.engine, folder, ISSUER, last)
    assert [(line["event"], line.get("code")) for line in lines] == [
        ("audit.broken", code),
        ("audit.head", None),
    ]
    assert [(row["kind"], row["count"]) for row in incidents.counted(made.engine)] == [("audit_broken", 1)]


def test_a_log_without_its_head_is_an_incident(made: World) -> None:
    """The row that says with which event the log ends was deleted."""
    with writing(made.engine) as connection:
        connection.execute(delete(models.audit_head))
    with capture_logs() as lines:
        assert not audit_anchor.log_head(made.engine, made.place.settings.keys, ISSUER, None)
    assert [(line["event"], line["code"]) for line in lines] == [("audit.broken", "audit_differs")]
    assert [(row["kind"], row["count"]) for row in incidents.counted(made.engine)] == [("audit_broken", 1)]


def test_events_that_a_failover_lost_are_no_incident(made: World) -> None:
    """While the database may lack commits nothing is compared; then the head of a lost event counts as lost."""
    folder = made.place.settings.keys
    with writing(made.engine) as connection:
        keys.ensure(connection, folder, purposes=("audit",), actor="operator:test")
    lost = Head(1000, "0" * 64)
    with writing(made.engine) as connection:
        history.hold(connection)
    assert audit_anchor.log_head(made.engine, folder, ISSUER, lost) == lost
    with writing(made.engine) as connection:
        history.settle(connection, history.name(connection))
        noted = {
            "hash": lost.hash,
            "event_id": 1000,
            "at": LATELY,
            "action": "x",
            "outcome": "noted",
            "found_at": LATELY,
        }
        connection.execute(insert(models.lost_event).values(noted))
    assert audit_anchor.log_head(made.engine, folder, ISSUER, lost) != lost
    assert incidents.counted(made.engine) == []
