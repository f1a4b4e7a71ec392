"""A clock is stopped between any two of its transactions, and continues when another has done its work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import feeding
from factories import MadeUpExporter, World, things, world
from going_back import journal_of
from paused import PausedProcess, paused_before
from postbox import Postbox
from sqlalchemy import RowMapping, select, update
from transferring import Provider, authorised, encrypted, sending_world

from portability.api import Contact, Subject
from portability.database import deployment, models
from portability.database.engine import now, reading, writing
from portability.feeds import feeds
from portability.journal import seals
from portability.people import subjects
from portability.requests import retries
from portability.retention import erasures
from portability.retention.erasures import Whom
from portability.safe_http import SafeHttpClient
from portability.transfers import receipts
from worker.clock import erasure, message_delivery, sweep
from worker.clock import feeds as feeder
from worker.clock.envelopes import Desk

TEST = "operator:test"


def at_each_pause(url: str, act: Callable[[PausedProcess], None], meanwhile: Callable[[], object]) -> int:
    """Repeat for each transaction of the clock, until it ends without being stopped; returns how often."""
    for number in count(1):
        with paused_before(url, number, meanwhile) as pause:
            act(pause)
        if pause.is_over:
            return number
    raise AssertionError


def has_journal_key(made: World, subject: Sequence[str | None]) -> bool:
    with reading(made.engine) as connection:
        own, ref = deployment.identity(connection), subjects.pairwise_ref(connection, *subject)  # type: ignore[arg-type]  # of a name
    return ref in {key_ref for key_ref, _found in seals.stored(made.place.storage, own)}


def test_an_erasure_that_another_clock_has_ended_erases_nothing_later(control_url: str, tmp_path: Path) -> None:
    """What the person asks for after it is another request: it stays, and so do the keys of its journal."""
    made = world(tmp_path, {"made": MadeUpExporter(things(4))}, database_url=control_url)
    made.with_all_keys()
    later: list[str] = []

    def ended_and_asked_again() -> None:
        erasure.advance(made.engine, lambda: made.place.storage)
        later.append(made.request("user:usr_1"))
        made.advance_all()
        journal_of(made).ship()

    def erased(pause: PausedProcess) -> None:
        made.request("user:usr_1")
        made.advance_all()
        with writing(made.engine) as connection:
            whom = Whom.parse("user:usr_1", None)
            erasures.begin(connection, whom, reason="T-1", actor="officer:o", ground="subject")
        later.clear()
        erasure.advance(pause.engine, lambda: made.place.storage)
        for identifier in later:
            assert made.view(identifier)["state"] == "ready", pause.begun
            assert made.fetch(identifier)
            assert has_journal_key(made, ("user", "usr_1", None)), pause.begun

    assert at_each_pause(control_url, erased, ended_and_asked_again) > 5


def test_an_archive_of_a_feed_that_another_clock_has_sent_is_not_sent_again(
    control_url: str, tmp_path: Path, other: Provider
) -> None:
    """Also once its recipient has confirmed it."""
    made = sending_world(tmp_path, database_url=control_url)
    recipient = other.recorded(made)
    consent = authorised(made, recipient, until=datetime.now(UTC) + timedelta(days=30))
    feed = feeding.begin(made, profile="portability")
    with writing(made.engine) as connection:
        connection.execute(update(models.feed).values(authorisation_id=consent))

    def transfers() -> Sequence[RowMapping]:
        with reading(made.engine) as connection:
            return connection.execute(select(models.transfer)).mappings().all()

    def sent_and_confirmed() -> None:
        feeder.send_ready(made.engine, made.place.settings)
        encrypted(made)
        for row in transfers():
            if row["state"] == "offered":
                to = {"domain": "localhost", "jwks_url": f"{other.server.url}/jwks.json"}
                token, iss = other.receipt(made, row["id"]), made.place.settings.iss
                receipt = receipts.checked(SafeHttpClient(loopback=True), token, row, to, iss=iss)
                with writing(made.engine) as connection:
                    receipts.record(connection, row["id"], receipt)

    def sent(pause: PausedProcess) -> None:
        feed.next()
        before = len(transfers())
        feeder.send_ready(pause.engine, made.place.settings)
        assert len(transfers()) == before + 1, pause.begun

    assert at_each_pause(control_url, sent, sent_and_confirmed) > 2


def test_an_export_that_was_written_again_does_not_fail_for_what_was_lost_before(
    control_url: str, tmp_path: Path
) -> None:
    """A volume has the number of the one that was lost, and another object."""
    made = world(tmp_path, {"made": MadeUpExporter(things(4))}, database_url=control_url)
    made.with_all_keys()
    storage = made.place.storage
    for number in range(5):
        made.request(f"user:usr_{number + 10}")
    made.advance_all()
    again: list[str] = []

    def retried() -> None:
        sweep.sweep(made.engine, storage, actor=TEST)
        with writing(made.engine) as connection:
            retries.retry(connection, again[-1], actor=TEST)
        made.advance_all()

    def swept(pause: PausedProcess) -> None:
        again.append(made.request("user:usr_1"))
        made.advance_all()
        with reading(made.engine) as connection:
            volume = select(models.volume.c.object_key).where(models.volume.c.export_id == again[-1])
            (key,) = connection.scalars(volume)
        storage.delete(key)
        sweep.sweep(pause.engine, storage, actor=TEST)
        if not pause.is_over:
            assert made.view(again[-1])["state"] == "ready", pause.begun
            assert made.fetch(again[-1])
        with writing(made.engine) as connection:
            connection.execute(update(models.export).where(models.export.c.id == again[-1]).values(state="cancelled"))

    assert at_each_pause(control_url, swept, retried) > 5


def test_a_mail_that_another_clock_has_sent_is_not_sent_again(control_url: str, tmp_path: Path, box: Postbox) -> None:
    """Unless the clock was stopped between the server's answer and its own commit, which no one can know."""
    made = world(tmp_path, {"made": MadeUpExporter(things(4))}, database_url=control_url)
    made.with_all_keys()
    settings = made.place.settings.model_copy(update={"smtp_url": box.url, "mail_from": "data@vlint.example"})
    directory = AnnsDirectory()
    handed_over: list[int] = []
    people = count(1)

    def sent_elsewhere() -> None:
        handed_over.append(len(box.taken))
        with writing(made.engine) as connection:
            connection.execute(update(models.notification).values(lease_until=now(-1)))
        message_delivery.deliver(Desk(made.engine, settings, directory))

    def sent(pause: PausedProcess) -> None:
        made.request(f"user:usr_{next(people)}")
        box.taken.clear()
        handed_over.clear()
        message_delivery.deliver(Desk(pause.engine, settings, directory))
        assert 1 <= len(box.taken) <= 1 + sum(handed_over), pause.begun

    assert at_each_pause(control_url, sent, sent_elsewhere) > 3


class AnnsDirectory:
    """A directory in which each subject has an address."""

    def contact(self, _subject: Subject) -> Contact | None:
        return Contact("ann@mail.example", "en", verified=True, changed_at=None)


def test_a_clock_that_gives_up_leaves_what_another_is_sending(control_url: str, tmp_path: Path, box: Postbox) -> None:
    """The other has the lease: what it finds out counts."""
    made = world(tmp_path, {"made": MadeUpExporter(things(4))}, database_url=control_url)
    made.with_all_keys()
    settings = made.place.settings.model_copy(update={"smtp_url": box.url, "mail_from": "data@vlint.example"})
    box.on_recipient = lambda _address: "550 5.1.1 unknown"
    claimed: list[RowMapping | None] = []
    people = count(1)

    def claimed_elsewhere() -> None:
        with writing(made.engine) as connection:
            connection.execute(update(models.notification).values(lease_until=now(-1)))
        claimed.append(message_delivery.claim(made.engine, 60))

    def given_up(pause: PausedProcess) -> None:
        made.request(f"user:usr_{next(people)}")
        claimed.clear()
        message_delivery.deliver(Desk(pause.engine, settings, AnnsDirectory()))
        if any(claimed):
            with reading(made.engine) as connection:
                assert set(connection.scalars(select(models.notification.c.state))) == {"queued"}, pause.begun
        with writing(made.engine) as connection:
            connection.execute(models.notification.delete())

    assert at_each_pause(control_url, given_up, claimed_elsewhere) > 3


def test_a_feed_that_another_clock_has_ended_keeps_no_other_from_its_end(control_url: str, tmp_path: Path) -> None:
    """Nor the next steps of the round."""
    made = world(tmp_path, {"made": MadeUpExporter(things(4))}, database_url=control_url)

    def is_open(feed: feeding.Feed) -> bool:
        with reading(made.engine) as connection:
            return not feeds.get(connection, feed.id)["ended_at"]

    def ended(pause: PausedProcess) -> None:
        begun.extend(feeding.begin(made) for _ in range(2))
        with writing(made.engine) as connection:
            connection.execute(update(models.feed).values(until=now(-1)))
        feeder.end_over(pause.engine)
        assert not any(map(is_open, begun)), pause.begun

    begun: list[feeding.Feed] = []

    def one_ended() -> None:
        with writing(made.engine) as connection:
            for feed in filter(is_open, begun[-2:-1]):
                feeds.end(connection, feed.id, actor="clock")

    assert at_each_pause(control_url, ended, one_ended) > 2
