"""What goes on by itself after a failover: schedules and feeds are as people left them, and no loss is hidden."""

from __future__ import annotations

from pathlib import Path

import feeding
import pytest
from factories import MadeUpExporter, World, things, world
from going_back import Backups, contents, journal_of, reconciled

from portability.database.engine import reading, writing
from portability.feeds import feeds
from portability.requests import acceptance
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Actor
from portability.schedules import intake, schedules
from portability.schedules.schedules import EndReason


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    made = world(tmp_path, {"made": MadeUpExporter(things(3))}, database_url=control_url).with_all_keys()
    journal_of(made).ship()
    return made


def begin_schedule(made: World, account: str) -> None:
    wanted = acceptance.check(profile="access", subject=f"user:{account}", formats=("jsonl",))
    person = Actor("subject", account, issuer="https://login.example")
    with writing(made.engine) as connection:
        intake.begin(connection, made.place.settings, wanted, actor=person, auth=PRESENT)


def test_a_stopped_schedule_stays_stopped(made: World, backups: Backups) -> None:
    """One that was begun after the backup goes on, and one that was stopped after it requests no copy."""
    begin_schedule(made, "usr_1")
    journal_of(made).ship()
    before = backups.take()
    begin_schedule(made, "usr_2")
    with writing(made.engine) as connection:
        row = schedules.standing(connection, ("user", "usr_1", None))
        assert row is not None
        schedules.end(connection, row, EndReason.STOPPED, actor="subject:usr_1")
    journal_of(made).ship()
    had = contents(made)["schedule"]

    backups.restore(before)
    assert contents(made)["schedule"] != had
    found = reconciled(made)

    assert {event.outcome for event in found.events if event.action.startswith("schedule.")} == {"restored"}
    assert contents(made)["schedule"] == had


def test_an_ended_feed_stays_ended(made: World, backups: Backups) -> None:
    """Its keys are erased again; that a feed was begun cannot be restored, and the outcome says so."""
    feed = feeding.begin(made)
    journal_of(made).ship()
    before = backups.take()
    feeding.begin(made, "user:usr_2")
    with writing(made.engine) as connection:
        feeds.end(connection, feed.id, actor="officer:olga")
    journal_of(made).ship()

    backups.restore(before)
    rehearsed = reconciled(made, dry_run=True)
    with reading(made.engine) as connection:
        assert not feeds.get(connection, feed.id)["ended_at"]
    found = reconciled(made)

    told = {event.action: event.outcome for event in found.events if event.action.startswith("feed.")}
    assert told == {"feed.begun": "missing", "feed.ended": "repeated"}
    assert rehearsed.events == found.events
    with reading(made.engine) as connection:
        row = feeds.get(connection, feed.id)
    assert row["ended_at"]
    assert not row["sealed_key"]
