"""The journal of an audit log in which someone has changed events that are not in storage yet."""

from __future__ import annotations

import pytest
from factories import World
from going_back import Backups, journal_of, reconciled
from sqlalchemy import text

from portability.database import incidents
from portability.database.engine import reading, writing
from portability.journal import shipping
from portability.trust import audit

JANE = "user:usr_jane"
DAMAGES = {
    "postgresql": (
        "detail = '[]'",
        "detail = '3'",
        "detail = 'null'",
        "at = 'infinity'",
        "actor = 'officer:eve'",
    ),
    "sqlite": ("detail = '{'", 'detail = \'{"a": "\\ud800"}\'', "at = 'yesterday'", "actor = x'ff00'", "action = 'x'"),
}
"""By database: four changes that make an event unreadable, and one that makes it another event."""


@pytest.fixture
def made(made: World) -> World:
    """The same, with all events in its journal."""
    journal_of(made).ship()
    return made


def damage(made: World, event_id: int, change: str) -> None:
    """Change an event as someone does who may disable triggers."""
    is_server = made.engine.dialect.name == "postgresql"
    trigger = "audit_event_append_only ON audit_event" if is_server else "audit_event_append_only_update"
    with writing(made.engine) as connection:
        connection.execute(text(f"DROP TRIGGER IF EXISTS {trigger}"))
        connection.exec_driver_sql(f"UPDATE audit_event SET {change} WHERE id = {event_id}")  # noqa: S608  # of this test


def newest_id(made: World) -> int:
    audit.chain_all(made.engine)
    with reading(made.engine) as connection:
        return audit.head(connection).event_id


def broken_count(made: World) -> int:
    return sum(row["count"] for row in incidents.counted(made.engine) if row["kind"] == "audit_broken")


@pytest.mark.parametrize("which", range(5))
def test_a_damaged_event_does_not_stop_the_journal(made: World, which: int, backups: Backups) -> None:
    """It is counted at once, later events are in storage, and the request that it is about can be restored."""
    before = backups.take()
    hit = made.request(JANE)
    event = newest_id(made)
    other = made.request("user:usr_joe")
    damage(made, event, DAMAGES[made.engine.dialect.name][which])

    assert journal_of(made).ship() == newest_id(made) - event + 1
    assert journal_of(made).flush(seconds=60)
    with reading(made.engine) as connection:
        assert not shipping.waiting(connection)
        faults = audit.verify(connection).faults
    assert [(fault.code, fault.event_id) for fault in faults] == [("edited", event)]
    assert broken_count(made) == 1

    backups.restore(before)
    found = reconciled(made)
    assert {made.view(identifier)["state"] for identifier in (hit, other)} == {"queued"}
    assert {event.outcome for event in found.events} == {"restored"}


def test_a_damaged_event_of_a_restored_database_does_not_stop_reconcile(made: World, backups: Backups) -> None:
    """It was recorded after the restore: what was lost is restored all the same."""
    before = backups.take()
    lost = made.request(JANE)
    journal_of(made).ship()
    backups.restore(before)
    made.request("user:usr_joe")
    damage(made, newest_id(made), DAMAGES[made.engine.dialect.name][0])
    found = reconciled(made)
    assert {(event.export_id, event.outcome) for event in found.events} == {(lost, "restored")}
    assert made.view(lost)["state"] == "queued"
