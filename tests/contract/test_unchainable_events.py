"""Recorded events that someone has changed before the chain of the audit log had them."""

from __future__ import annotations

import pytest
from factories import World
from going_back import Backups, journal_of, reconciled
from sqlalchemy import text
from structlog.testing import capture_logs

from portability.database import incidents
from portability.database.engine import reading, writing
from portability.journal import comparison, shipping
from portability.requests import timelines
from portability.trust import audit
from portability.trust.audit import ChainFault
from worker.clock import audit_anchor

pytestmark = pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
DAMAGES = (
    "at = 'infinity'",
    "at = '-infinity'",
    "at = '20000-01-01'",
    "at = '0044-03-15 BC'",
    "detail = '[]'",
    "detail = '3'",
    "detail = 'null'",
    "detail = '{\"number\": 99999999999999999999}'",
    "actor = ''",
    "actor = NULL",
    "entry = (SELECT entry FROM audit_event WHERE id = 1)",
    'detail = \'{"code": "\\u0000"}\'',
)
"""The last change, a text that PostgreSQL refuses in JSONB, can be stored after the column's type was changed."""


@pytest.fixture
def made(made: World) -> World:
    """The same, with all events in its journal."""
    journal_of(made).ship()
    return made


def damage(made: World, change: str, action: str) -> int:
    """Change a recorded event as someone does who may disable triggers; returns its id in `audit_unchained`."""
    with writing(made.engine) as connection:
        connection.execute(text("ALTER TABLE audit_unchained DISABLE TRIGGER ALL"))
        connection.execute(text("ALTER TABLE audit_unchained ALTER actor DROP NOT NULL"))
        if "u0000" in change:
            connection.execute(text("ALTER TABLE audit_unchained ALTER detail TYPE json"))
        query = f"UPDATE audit_unchained SET {change} WHERE action = '{action}' RETURNING id"  # noqa: S608  # of this test
        changed = connection.exec_driver_sql(query).scalar_one()
        connection.execute(text("ALTER TABLE audit_unchained ENABLE TRIGGER ALL"))
    return int(changed)


def record(made: World, *actions: str, export_id: str | None = None) -> None:
    for action in actions:
        with writing(made.engine) as connection:
            audit.record(connection, action, actor="operator:test", export_id=export_id, detail={"n": 1})


def recorded_rows(made: World) -> list[str]:
    """All that the database has of recorded events, as text."""
    with reading(made.engine) as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT u::text FROM audit_unchained u ORDER BY id")]


def broken_count(made: World) -> int:
    return sum(row["count"] for row in incidents.counted(made.engine) if row["kind"] == "audit_broken")


@pytest.mark.requirement("R49")
@pytest.mark.parametrize("change", DAMAGES)
def test_a_damaged_event_stays_and_the_others_are_chained(made: World, change: str) -> None:
    """It is kept as it is and named; the events around it are in the chain in their order, and in the journal."""
    record(made, "thing.one", "thing.two", "thing.three")
    event = damage(made, change, "thing.two")
    kept = [row for row in recorded_rows(made) if row.startswith(f"({event},")]

    assert audit.chain_all(made.engine) == 2
    record(made, "thing.four")
    assert journal_of(made).ship() == 3
    assert journal_of(made).flush(seconds=60)
    assert recorded_rows(made) == kept
    with reading(made.engine) as connection:
        verdict = audit.verify(connection)
        shown = [each["action"] for each in audit.chained(connection)][-3:]
        assert len(audit.events(connection)) >= verdict.events
        assert not shipping.waiting(connection)
    assert verdict.faults == (ChainFault("unchainable", event),)
    assert (verdict.unchained, shown) == (0, ["thing.one", "thing.three", "thing.four"])


def test_more_damaged_events_than_one_transaction_reads(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events behind them are chained all the same, in their order."""
    monkeypatch.setattr(audit, "CHAINED_AT_ONCE", 2)
    names = [f"thing.n{number}" for number in range(9)]
    record(made, *names)
    for number in (0, 1, 2, 5):
        damage(made, "detail = '[]'", f"thing.n{number}")
    assert audit.chain_all(made.engine) == 5
    with reading(made.engine) as connection:
        chained = audit.chained(connection)[-5:]
    assert [event["action"] for event in chained] == ["thing.n3", "thing.n4", "thing.n6", "thing.n7", "thing.n8"]
    assert [event["id"] - chained[0]["id"] for event in chained] == [0, 1, 2, 3, 4]


def test_each_look_of_the_clock_logs_it_and_the_first_counts_it(made: World) -> None:
    """It is one incident, however long the row stays as evidence."""
    record(made, "thing.one", "thing.two")
    event = damage(made, "at = 'infinity'", "thing.one")
    with capture_logs() as lines:
        counted = audit_anchor.log_unchainable(made.engine, frozenset())
        assert audit_anchor.log_unchainable(made.engine, counted) == counted
    seen = [(line["event"], line["code"], line["broken_at"]) for line in lines]
    assert seen == [("audit.broken", "unchainable", event)] * 2
    assert broken_count(made) == 1
    folder = made.place.settings.keys
    with capture_logs() as lines:
        last = audit_anchor.log_head(made.engine, folder, "https://export.example", None)
        record(made, "thing.three")
        audit.chain_all(made.engine)
        audit_anchor.log_head(made.engine, folder, "https://export.example", last)
    assert [line["event"] for line in lines] == ["audit.head", "audit.head"]


def test_the_request_of_a_damaged_event_is_in_the_journal(made: World, backups: Backups) -> None:
    """It is restored from the events about it that the chain has; its timeline is shown before and after."""
    before = backups.take()
    hit = made.request("user:usr_jane")
    record(made, "export.assigned", "export.approved", export_id=hit)
    damage(made, "at = 'infinity'", "export.assigned")
    journal_of(made).ship()
    with reading(made.engine) as connection:
        shown, _ = timelines.page(connection, hit)
    assert [event["action"] for event in shown] == ["export.assigned", "export.approved", "request.accepted"]
    assert [event.get("is_damaged", False) for event in shown] == [True, False, False]
    backups.restore(before)
    record(made, "thing.one")
    damage(made, "at = '-infinity', detail = '3'", "thing.one")
    assert {event.outcome for event in reconciled(made).events} == {"restored"}
    assert made.view(hit)["state"] == "queued"


@pytest.mark.parametrize("at", ["9999-12-31", "0001-01-01", "infinity", "2300-01-01"])
def test_the_time_of_the_newest_event_does_not_hide_lost_batches(made: World, backups: Backups, at: str) -> None:
    """Neither one that was changed before the chain had it, nor one that was changed in it."""
    before = backups.take()
    lost = made.request("user:usr_jane")
    journal_of(made).ship()
    assert comparison.lost(made.engine, made.place.storage) == []
    backups.restore(before)
    record(made, "thing.one", "thing.two")
    damage(made, f"at = '{at}'", "thing.one")
    assert len(comparison.lost(made.engine, made.place.storage)) == 1
    with writing(made.engine) as connection:
        connection.execute(text("ALTER TABLE audit_event DISABLE TRIGGER ALL"))
        newest = "(SELECT max(id) FROM audit_event)"
        connection.exec_driver_sql(f"UPDATE audit_event SET at = '{at}' WHERE id = {newest}")  # noqa: S608  # of this test
    assert len(comparison.lost(made.engine, made.place.storage)) == 1
    assert {event.export_id for event in reconciled(made).events} == {lost}


@pytest.mark.parametrize("at", ["9999-12-01", "1990-01-01"])
def test_a_batch_has_the_present_day_if_the_time_of_its_event_was_changed(
    made: World, backups: Backups, at: str
) -> None:
    """So a comparison after a loss finds it."""
    before = backups.take()
    record(made, "thing.one")
    damage(made, f"at = '{at}'", "thing.one")
    journal_of(made).ship()
    backups.restore(before)
    assert len(comparison.lost(made.engine, made.place.storage)) == 1


def test_doctor_and_metrics_read_times_that_no_event_has(made: World) -> None:
    """Events that are not in storage yet are counted, and the first readable time is theirs."""
    record(made, "thing.one", "thing.two")
    damage(made, "at = '1990-01-01'", "thing.one")
    audit.chain_all(made.engine)
    with writing(made.engine) as connection:
        connection.execute(text("ALTER TABLE audit_event DISABLE TRIGGER ALL"))
        one = "id = (SELECT max(id) FROM audit_event)"
        connection.exec_driver_sql(f"UPDATE audit_event SET at = '-infinity' WHERE {one}")  # noqa: S608  # of this test
    with reading(made.engine) as connection:
        waiting = shipping.waiting(connection)
    assert waiting
    assert (waiting.events, waiting.since.year > 2000) == (2, True)
