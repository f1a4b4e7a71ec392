"""A fault of one item or step keeps no other from its turn, whatever it is: a bug, a driver's error, a broken row."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import feeding
import pytest
from factories import World
from sqlalchemy import select, update
from structlog.testing import capture_logs
from transferring import Provider, authorised, encrypted, ready, sending_world, started

from portability.api.errors import StorageRefused
from portability.api.storages import Storage
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.database.history import DatabaseBehind
from portability.errors import DatabaseUnavailable
from portability.feeds import feeds as feed_rows
from portability.feeds import intake
from portability.messages import outbox
from portability.pulls import copies
from portability.queue import connect, open_queue
from portability.report import counts
from portability.requests import deadline_events
from portability.requests.policy import Actor
from portability.retention import anonymise, erasures
from portability.retention.erasures import Whom
from portability.safe_http import SafeHttpClient
from portability.settings import load_settings
from worker.clock import (
    audit_anchor,
    dispatch,
    erasure,
    expiry,
    feeds,
    history_counts,
    pulls,
    purge,
    turns,
    webhook_delivery,
)
from worker.write import withdraw

EXPORT, FEED, TRANSFER, PULL = models.export, models.feed, models.transfer, models.pull
BUG = "a bug of this software"
PEOPLE = ("user:usr_1", "user:usr_2")
DAY = 86_400


@pytest.fixture
def made(tmp_path: Path) -> World:
    return sending_world(tmp_path)


class FailsForTheFirst:
    """In place of a function: it fails for the first item that it gets, each time, and works for all others."""

    def __init__(self, real: Callable[..., Any], position: int, key: str = "") -> None:
        self.real, self.position, self.key = real, position, key
        self.victim: Any = None

    def __call__(self, *args: Any, **more: Any) -> Any:
        given = args[self.position]
        item = given[self.key] if self.key else given
        self.victim = self.victim or item
        if item == self.victim:
            raise RuntimeError(BUG)
        return self.real(*args, **more)


def breaking(monkeypatch: pytest.MonkeyPatch, room: Any, name: str, position: int = 1, key: str = "") -> None:
    monkeypatch.setattr(room, name, FailsForTheFirst(getattr(room, name), position, key))


def waiting_copies(made: World, other: Provider) -> None:
    recipient = other.recorded(made)
    for number, subject in enumerate(PEOPLE):
        actor = Actor("subject", subject.partition(":")[2])
        consent = authorised(made, recipient, subject=subject, actor=actor)
        export_id = ready(made, subject)
        pull = {"id": f"pul_{number}", "authorisation_id": consent, "export_id": export_id, "created_at": now()}
        with writing(made.engine) as connection:
            connection.execute(PULL.insert().values(**pull))


def served_feeds(made: World, other: Provider) -> None:
    """Two feeds, each with an archive that its recipient lacks."""
    recipient = other.recorded(made)
    for subject in PEOPLE:
        actor, until = Actor("subject", subject.partition(":")[2]), datetime.now(UTC) + timedelta(days=30)
        consent = authorised(made, recipient, subject=subject, until=until, actor=actor)
        feed = feeding.begin(made, subject, profile="portability")
        with writing(made.engine) as connection:
            connection.execute(update(FEED).where(FEED.c.id == feed.id).values(authorisation_id=consent))
        feed.next()


def change_all(made: World, table: Any, **values: Any) -> None:
    with writing(made.engine) as connection:
        connection.execute(update(table).values(**values))


def test_a_copy_that_cannot_be_sent(made: World, other: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting_copies(made, other)
    breaking(monkeypatch, copies, "send", 2)
    settings = made.place.settings
    assert [pulls.send_ready(made.engine, settings) for _ in range(2)] == [1, 0]


def test_more_copies_that_cannot_be_sent_than_one_round_takes(
    made: World, other: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest were taken first, in each round."""
    waiting_copies(made, other)
    monkeypatch.setattr(copies, "AT_ONCE", 1)
    breaking(monkeypatch, copies, "send", 2)
    settings = made.place.settings
    assert sum(pulls.send_ready(made.engine, settings) for _ in range(64)) == 1


def test_a_feed_with_a_fault(made: World, other: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its archive is not sent, not requested, it does not end: all others are, do, and do."""
    served_feeds(made, other)
    settings = made.place.settings
    with monkeypatch.context() as broken:
        breaking(broken, feeds, "_send", 2)
        assert [feeds.send_ready(made.engine, settings) for _ in range(2)] == [1, 0]
    change_all(made, FEED, next_at=now(-1), every_days=1)
    with monkeypatch.context() as broken:
        breaking(broken, intake, "take_due", 2, "id")
        assert [feeds.request_due(made.engine, settings) for _ in range(2)] == [1, 0]
    with reading(made.engine) as connection:
        assert all(at > datetime.now(UTC) for at in connection.scalars(select(FEED.c.next_at)))
    change_all(made, EXPORT, state="cancelled")
    change_all(made, TRANSFER, state="failed")
    with monkeypatch.context() as broken:
        breaking(broken, feed_rows, "give_up", 1)
        assert [feeds.give_up(made.engine) for _ in range(2)] == [1, 0]
    change_all(made, FEED, until=now(-1), ended_at=None)
    with monkeypatch.context() as broken:
        breaking(broken, feed_rows, "end", 1)
        assert [feeds.end_over(made.engine) for _ in range(2)] == [1, 0]


def test_an_archive_whose_time_is_over(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not announced, does not end and is not purged; all others are."""
    for subject in PEOPLE:
        ready(made, subject)
    change_all(made, EXPORT, ended_at=now(-8 * DAY))
    settings = made.place.settings
    with monkeypatch.context() as broken:
        breaking(broken, outbox, "queue", 2)
        assert [expiry.announce(made.engine, settings) for _ in range(2)] == [1, 0]
    assert expiry.announce(made.engine, settings) == 1
    change_all(made, models.notification, created_at=now(-3 * DAY))
    with monkeypatch.context() as broken:
        breaking(broken, expiry, "transition", 1, "id")
        assert [expiry.expire(made.engine, settings) for _ in range(2)] == [1, 0]
    with writing(made.engine) as connection:
        connection.execute(models.volume.delete())
    change_all(made, EXPORT, state="cancelled", ended_at=now(-999 * DAY))
    breaking(monkeypatch, anonymise, "delete_record", 1)
    assert [purge.purge(made.engine, 24) for _ in range(2)] == [1, 0]


def test_an_offer_whose_end_fails(made: World, other: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The offers of others end in time; it stays as it is, and ends once it can."""
    recipient = other.recorded(made)
    for subject in PEOPLE:
        authorised(made, recipient, subject=subject, actor=Actor("subject", subject.partition(":")[2]))
        started(made, ready(made, subject), recipient)
    encrypted(made)
    change_all(made, TRANSFER, expires_at=now(-1))
    with monkeypatch.context() as broken:
        breaking(broken, outbox, "queue", 2)
        assert [expiry.end_offers(made.engine) for _ in range(2)] == [1, 0]
    assert expiry.end_offers(made.engine) == 1


def test_a_volume_whose_row_cannot_be_deleted(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The objects and rows of other archives that have ended go; the caller hears of it."""
    for subject in PEOPLE:
        ready(made, subject)
    change_all(made, EXPORT, state="expired")
    breaking(monkeypatch, withdraw, "forget", 1, "id")
    with pytest.raises(RuntimeError, match=BUG):
        withdraw.withdraw_discarded(made.engine, lambda: made.place.storage)
    with reading(made.engine) as connection:
        assert len(connection.scalars(select(models.volume.c.id)).all()) == 1


def test_a_pause_that_cannot_be_counted(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadlines of other requests move."""
    for subject in PEOPLE:
        export_id = made.request(subject)
        with writing(made.engine) as connection:
            deadline_events.pause(connection, export_id, reason="identity", actor="operator:test")
    breaking(monkeypatch, deadline_events, "_due", 1, "id")
    assert dispatch.refresh_deadlines(made.engine, made.place.settings) == 1


def test_an_erasure_that_cannot_go_on(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another goes on; the caller hears of it."""
    for subject in PEOPLE:
        ready(made, subject)
        with writing(made.engine) as connection:
            whom = Whom.parse(subject, None)
            erasures.begin(connection, whom, reason="T-1", actor="officer:o", ground="subject")
    breaking(monkeypatch, erasure, "_carry_on", 2, "id")
    with pytest.raises(RuntimeError, match=BUG):
        erasure.advance(made.engine, lambda: made.place.storage)
    with reading(made.engine) as connection:
        assert len(erasures.begun(connection)) == 1


def test_a_copy_of_one_person_that_storage_keeps_holds_no_erasure_of_another(
    made: World, other: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Object Lock keeps it for days."""
    waiting_copies(made, other)
    pulls.send_ready(made.engine, made.place.settings)
    encrypted(made)
    with reading(made.engine) as connection:
        locked = connection.scalars(select(TRANSFER.c.export_id).order_by(TRANSFER.c.created_at)).first()
        subjects = select(EXPORT.c.subject_id).where(EXPORT.c.id != locked)
        person = connection.scalar(subjects)
    change_all(made, TRANSFER, expires_at=now(-1))
    storage, real = made.place.storage, made.place.storage.delete

    def delete(key: str) -> None:
        if str(locked) in key:
            raise StorageRefused("Object Lock keeps it")
        real(key)

    monkeypatch.setattr(storage, "delete", delete)
    with writing(made.engine) as connection:
        whom = Whom.parse(f"user:{person}", None)
        erasures.begin(connection, whom, reason="T-1", actor="officer:o", ground="subject")
    assert erasure.advance(made.engine, lambda: storage) == 1


@pytest.mark.parametrize("fault", [DatabaseUnavailable("away"), DatabaseBehind("behind")])
def test_a_fault_of_all_ends_the_round(fault: Exception) -> None:
    """Each further item would wait for it once more."""
    tried: list[str] = []

    def work(item: str) -> int:
        tried.append(item)
        raise fault

    with pytest.raises(type(fault)):
        turns.take_each("test", ["one", "two"], work)
    assert tried == ["one"]


class Rounds(threading.Event):
    """Ends a loop of the clock after two rounds."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002  # the signature of Event
        self.waited += 1
        if self.waited > 1:
            self.set()
        return self.is_set()


def raising(*_args: Any, **_more: Any) -> int:
    raise RuntimeError(BUG)


def test_a_step_with_a_fault_keeps_no_later_step_from_its_turn(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the rounds of retention, feeds and erasure; the log names the step."""
    settings, engine = made.place.settings, made.engine

    def away() -> Storage:
        raise RuntimeError(BUG)

    done: list[str] = []
    for room, name in ((purge, "purge"), (feeds, "request_due"), (erasure, "attest")):
        monkeypatch.setattr(room, name, lambda *_args, name=name: done.append(name))
    for room, name in ((expiry, "announce"), (feeds, "end_over"), (erasure, "advance")):
        monkeypatch.setattr(room, name, raising)
    with capture_logs() as lines:
        expiry.run(engine, away, settings, Rounds())
        feeds.run(engine, settings, Rounds())
        erasure.run(engine, away, settings.keys, settings.iss, 0, Rounds())
    assert done == [name for name in ("purge", "request_due", "attest") for _ in range(2)]
    assert {line["step"] for line in lines if line["event"] == "turn.failed"} == {"announced", "ended", "erasures"}


def test_no_task_of_the_clock_ends_with_a_fault(made: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that has ended does nothing until the clock is started anew; nor do the copies keep the wake-ups."""
    settings, queue = load_settings(clock_seconds=0.001), open_queue(connect(f"unix://{tmp_path}/nobody"))
    for room, name in ((audit_anchor, "log_head"), (counts, "count"), (pulls, "send_ready"), (dispatch, "dispatch")):
        monkeypatch.setattr(room, name, raising)
    monkeypatch.setattr(history_counts, "REST", 0)
    with capture_logs() as lines:
        audit_anchor.run(made.engine, settings.keys, "https://x.example", Rounds())
        history_counts.run(made.engine, UTC, Rounds())
        dispatch.run(made.engine, queue, settings, Rounds())
    found = [line["event"] for line in lines]
    expected = ["audit.head_failed"] * 2 + ["counts.failed"] * 2 + ["turn.failed", "clock.failed"] * 2
    assert found == expected


@pytest.mark.parametrize(("days", "state"), [(0, "queued"), (8, "failed")])
def test_a_message_with_a_fault_is_retried_and_given_up(
    made: World, other: Provider, monkeypatch: pytest.MonkeyPatch, days: int, state: str
) -> None:
    """It was retried for ever at the end of its lease, and nothing counted it."""
    recipient = other.recorded(made)
    authorised(made, recipient)
    started(made, ready(made), recipient)
    encrypted(made)
    change_all(made, models.webhook, created_at=now(-days * DAY))
    monkeypatch.setattr(webhook_delivery, "_send", raising)
    client = SafeHttpClient(loopback=True)
    assert webhook_delivery.announce(made.engine, made.place.settings, client)
    with reading(made.engine) as connection:
        row = connection.execute(select(models.webhook)).mappings().one()
    assert (row["state"], row["reason"]) == (state, "internal_error")
