"""Feeds as rows, on both databases: what they remember, who ends them, and what the clock does for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from unittest.mock import MagicMock

import feeding
import platform_data
import pytest
from factories import MadeUpExporter, things, world
from feeding import Feed, KeyedMadeUpExporter
from sqlalchemy import Engine, func, select, update
from transferring import Provider, authorised, sending_world

from portability.api import Gap
from portability.api.errors import SourceRefused, SourceUnavailable
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.errors import WrongState
from portability.feeds import archives, cursor, feeds, intake
from portability.feeds.errors import FeedEnded, StaleCursor
from portability.people import pseudonyms
from portability.requests import acceptance, exports, retries
from portability.requests.login_strength import PRESENT
from portability.retention import erasures
from portability.retention.erasures import Whom
from portability.transfers import authorisations, sending
from portability.trust import keys
from portability.trust.signing import Jwks, SignatureFault
from worker.clock import erasure, lost_volumes, purge
from worker.clock import feeds as clock

FEED, PART, PSEUDONYM = models.feed, models.feed_part, models.feed_pseudonym


@pytest.fixture
def changing() -> MadeUpExporter:
    return MadeUpExporter(things(9))


@pytest.fixture
def feed(control_url: str, tmp_path: Path, changing: MadeUpExporter) -> Feed:
    """A feed of that source, without an archive."""
    return feeding.begin(world(tmp_path, {"made": changing}, database_url=control_url))


def feed_row(feed: Feed) -> dict[str, object]:
    with reading(feed.world.engine) as connection:
        return dict(feeds.get(connection, feed.id))


def stored_parts(feed: Feed) -> int:
    with reading(feed.world.engine) as connection:
        return connection.scalar(select(func.count()).select_from(PART).where(PART.c.feed_id == feed.id)) or 0


def test_what_is_delivered_is_stored_encrypted(feed: Feed) -> None:
    """No key of a record is readable in the control database, and parts are replaced, not collected."""
    for _ in range(3):
        feed.next()
    with reading(feed.world.engine) as connection:
        sealed = [bytes(part) for part in connection.scalars(select(PART.c.sealed))]
    assert len(sealed) == 1
    assert b"thing" not in b"".join(sealed)
    assert feed_row(feed)["number"] == 3


def test_the_end_erases_what_was_delivered(feed: Feed) -> None:
    """With its keys and pseudonyms; its open archive is cancelled, and no other is made."""
    feed.next()
    running = feed.request()
    with writing(feed.world.engine) as connection:
        feeds.end(connection, feed.id, actor="operator:test")
    assert stored_parts(feed) == 0
    assert (feed_row(feed)["sealed_key"], feed_row(feed)["pseudonym_key"]) == (None, None)
    assert feed.world.view(running)["state"] == "cancelled"
    with writing(feed.world.engine) as connection, pytest.raises(FeedEnded):
        feeds.end(connection, feed.id, actor="operator:test")


def test_an_ended_feed_is_purged_with_its_counts(feed: Feed) -> None:
    """The report stays until the time for which records of requests are kept is over; then nothing of the feed does."""
    feed.next()
    engine = feed.world.engine
    with writing(engine) as connection:
        feeds.end(connection, feed.id, actor="operator:test")
        assert len(archives.report(connection, feeds.get(connection, feed.id))["archives"]) == 1  # type: ignore[arg-type]  # a list
        connection.execute(update(FEED).values(ended_at=now(-40 * 86_400)))
    purge.purge(engine, 2)
    assert feed_row(feed)["number"] == 1
    purge.purge(engine, 1)
    with reading(engine) as connection:
        assert connection.scalar(select(func.count()).select_from(FEED)) == 0
        assert connection.scalar(select(func.count()).select_from(models.feed_archive)) == 0


def test_a_worker_stops_when_its_feed_has_ended(feed: Feed) -> None:
    """The archive that was requested at the same moment fails: there is nothing to compare with."""
    feed.next()
    running = feed.request()
    with writing(feed.world.engine) as connection:
        feeds.forget(connection, FEED.c.id == feed.id, actor="operator:test")
    feed.world.advance_all()
    view = feed.world.view(running)
    assert (view["state"], view["error"]["code"]) == ("failed", "feed_ended")


def test_an_erasure_deletes_the_feeds_of_its_subject(feed: Feed) -> None:
    """Nothing of what was delivered stays."""
    feed.next()
    made = feed.world
    with writing(made.engine) as connection:
        erasures.begin(connection, Whom.parse("user:usr_1", None), reason="T-1", actor="officer:o", ground="subject")
    erasure.advance(made.engine, lambda: made.place.storage)
    erasure.advance(made.engine, lambda: made.place.storage)
    with reading(made.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(FEED)) == 0
        assert connection.scalar(select(func.count()).select_from(PART)) == 0


def test_one_archive_at_a_time(feed: Feed) -> None:
    """Each begins where the last one ends: a second request is the first, and a failed archive waits its turn."""
    first = feed.request()
    assert feed.request() == first
    with writing(feed.world.engine) as connection:
        exports.cancel(connection, first, actor="operator:test")
        connection.execute(update(models.export).where(models.export.c.id == first).values(state="failed"))  # a fault
    second = feed.request()
    with writing(feed.world.engine) as connection, pytest.raises(WrongState, match="same feed"):
        retries.retry(connection, first, actor="operator:test")
    feed.world.advance_all()
    with writing(feed.world.engine) as connection:
        retries.retry(connection, first, actor="operator:test")
    feed.world.advance_all()
    assert feed.world.view(first)["state"] == "ready"
    assert second != first
    assert feed_row(feed)["number"] == 2


def test_an_archive_that_was_ready_is_not_made_again(feed: Feed, changing: MadeUpExporter) -> None:
    """Storage has lost it: it would follow itself, and forget what is gone since. The next archive goes on."""
    lost = feed.request()
    feed.next(lost)
    engine = feed.world.engine
    lost_volumes.fail(engine, lost, [1], datetime.now(UTC) + timedelta(minutes=1), actor="clock")
    assert feed.world.view(lost)["state"] == "failed"
    changing.records = [one for one in changing.records if one["id"] != "thing_4"]
    with writing(engine) as connection, pytest.raises(WrongState, match="archive 1 of feed"):
        retries.retry(connection, lost, actor="operator:test")
    assert [one["key"] for one in feeding.tombstones(feed.next())] == [{"id": "thing_4"}]


def test_a_record_without_a_value_comes_again(feed: Feed, changing: MadeUpExporter) -> None:
    """Its value was missing when it was delivered: the next archive has it, and then no other."""
    changing.gaps = {0: [Gap("things/thing_1", "missing", key=("thing_1",), fields=("text",))]}
    first = feed.next()
    with writing(feed.world.engine) as connection, pytest.raises(WrongState, match="feed"):
        retries.retry_gaps(connection, str(feed_row(feed)["export_id"]), actor="operator:test")
    changing.gaps = {}
    assert [record["id"] for record in feeding.delivered_records(feed.next())] == ["thing_1"]
    assert feeding.delivered_records(feed.next()) == []
    assert len(feeding.delivered_records(first)) == 9


def test_a_source_that_fails_makes_no_tombstones(feed: Feed, changing: MadeUpExporter) -> None:
    """What was not read is not gone: the next archive compares it again."""
    feed.next()

    def fail(number: int) -> None:
        if number == 1:
            raise RuntimeError

    changing.on_batch = fail
    changing.records = [{**record, "text": "changed"} for record in things(9)]
    second = feed.next()
    assert feeding.tombstones(second) == []
    assert len(feeding.delivered_records(second)) == 3
    changing.on_batch = lambda _number: None
    changing.records = changing.records[:-1]
    third = feed.next()
    assert [stone["key"]["id"] for stone in feeding.tombstones(third)] == ["thing_8"]
    assert len(feeding.delivered_records(third)) == 5


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([SourceUnavailable("busy")], "deleted"),
        ([SourceUnavailable("busy")] * 2, "absent"),
        ([SourceRefused("no")], "absent"),
        ([["thing_8"]], "absent"),
        ([[["thing_8"]]], "out_of_scope"),
    ],
)
def test_the_question_why_a_record_is_gone_is_retried(tmp_path: Path, answers: list[object], reason: str) -> None:
    """A question that fails is retried. Without an answer, or with one that names no key, the reason is `absent`."""
    asked = MagicMock(side_effect=[*answers, ()])
    source = KeyedMadeUpExporter(things(9))
    source.existing = asked  # type: ignore[method-assign]  # the answers of this test
    feed = feeding.begin(world(tmp_path, {"made": source}, source_retries=1))
    feed.next()
    source.records = source.records[:-1]
    assert [(stone["key"], stone["reason"]) for stone in feeding.tombstones(feed.next())] == [
        ({"id": "thing_8"}, reason)
    ]


def test_pseudonyms_are_those_of_the_feed(feed: Feed) -> None:
    """The same person has the same number in all its archives, and another number scheme in other exports."""
    seen: list[object] = []
    for _ in range(2):
        export_id = feed.request()
        assert feed.world.claim() is not None
        with writing(feed.world.engine) as connection:
            connection.execute(update(models.export).where(models.export.c.id == export_id).values(began_at=now()))
            seen.append(pseudonyms.numbers(connection, export_id, "agent", ["ann", "ben"][: 1 + len(seen)]))
            exports.cancel(connection, export_id, actor="operator:test")
        with writing(feed.world.engine) as connection:
            connection.execute(update(models.slice).values(lease_until=now(-1)))
        feed.world.advance_all()
    assert seen == [{"ann": 1}, {"ann": 1, "ben": 2}]
    with reading(feed.world.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(PSEUDONYM)) == 2
        assert connection.scalar(select(func.count()).select_from(models.pseudonym)) == 0


def test_a_cursor_is_that_of_the_last_archive(feed: Feed) -> None:
    """An older cursor, one of another feed, and a changed one are refused."""
    first, second = feeding.changes(feed.next())["cursor"], feeding.changes(feed.next())["cursor"]
    with reading(feed.world.engine) as connection:
        jwks, here = Jwks.parse(keys.jwks(connection)), feeds.get(connection, feed.id)
    cursor.check_last(second, here, jwks)
    with pytest.raises(StaleCursor, match="of archive 1"):
        cursor.check_last(first, here, jwks)
    with pytest.raises(StaleCursor, match="another feed"):
        cursor.check_last(second, {**here, "id": "feed_x"}, jwks)
    with pytest.raises(SignatureFault):
        cursor.check_last(second[:-8] + "AAAAAAAA", here, jwks)


def test_the_clock_requests_what_is_due(feed: Feed) -> None:
    """After the first archive, every day; until its end, when it is forgotten."""
    made = feed.world
    with writing(made.engine) as connection:
        connection.execute(update(FEED).values(every_days=1, next_at=now(-1), until=now(3_600)))
    assert clock.request_due(made.engine, made.place.settings) == 0
    feed.next()
    assert clock.request_due(made.engine, made.place.settings) == 1
    assert clock.request_due(made.engine, made.place.settings) == 0
    made.advance_all()
    assert feed_row(feed)["number"] == 2
    assert clock.end_over(made.engine) == 0
    with writing(made.engine) as connection:
        connection.execute(update(FEED).values(until=now(-1)))
    assert clock.end_over(made.engine) == 1
    assert stored_parts(feed) == 0


def exports_of(feed: Feed) -> int:
    with reading(feed.world.engine) as connection:
        of_feed = select(func.count()).select_from(models.export).where(models.export.c.feed_id == feed.id)
        return connection.scalar(of_feed) or 0


def test_a_feed_that_is_refused_keeps_no_other_from_its_turn(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exporter was removed: its next try is in an hour, and the others that are due are served."""
    made = feed.world
    other = feeding.begin(made, subject="user:usr_2")
    feed.next()
    other.next()
    monkeypatch.setattr(clock, "PAGE", 1)
    with writing(made.engine) as connection:
        connection.execute(update(FEED).values(every_days=1, next_at=now(-1)))
        first = update(FEED).where(FEED.c.id == feed.id)
        connection.execute(first.values(include=["gone"], next_at=now(-60)))
    assert [clock.request_due(made.engine, made.place.settings) for _ in range(3)] == [0, 1, 0]
    with reading(made.engine) as connection:
        due_at = feeds.get(connection, feed.id)["next_at"]
    assert timedelta(minutes=50) < due_at - datetime.now(UTC) < timedelta(minutes=70)


@pytest.mark.parametrize("meanwhile", ["served", "ended", "erased"])
def test_a_clock_requests_nothing_by_a_row_of_the_past(feed: Feed, meanwhile: str) -> None:
    """Another clock has requested the archive, and it is ready; or a person has ended the feed; or it is gone."""
    feed.next()
    made = feed.world
    with writing(made.engine) as connection:
        connection.execute(update(FEED).values(every_days=1, next_at=now(-1)))
        seen = feeds.get(connection, feed.id)
    if meanwhile == "served":
        assert clock.request_due(made.engine, made.place.settings) == 1
        made.advance_all()
    else:
        with writing(made.engine) as connection:
            feeds.end(connection, feed.id, actor="operator:test")
            if meanwhile == "erased":
                feeds.erase(connection, FEED.c.id == feed.id)
    before = exports_of(feed)
    with writing(made.engine) as connection:
        assert not intake.take_due(connection, made.place.settings, seen)
    assert exports_of(feed) == before


@pytest.mark.parametrize("is_over", [False, True])
def test_an_archive_follows_what_its_caller_saw(feed: Feed, *, is_over: bool) -> None:
    """A cursor that was checked by an older row would be followed by another archive, or by none of an ended feed."""
    feed.next()
    with reading(feed.world.engine) as connection:
        seen = feeds.get(connection, feed.id)
    if is_over:
        with writing(feed.world.engine) as connection:
            feeds.end(connection, feed.id, actor="operator:test")
    else:
        feed.next()
    wanted = acceptance.check(subject=feed.subject, **feed.asked)
    settings, before = feed.world.place.settings, exports_of(feed)
    with pytest.raises(WrongState, match=r"ended|just become ready"), writing(feed.world.engine) as connection:
        intake.take_next(connection, settings, seen, wanted, actor=feeding.ACTOR, auth=PRESENT)
    assert exports_of(feed) == before


def test_the_clock_serves_a_standing_consent(control_url: str, tmp_path: Path, other: Provider) -> None:
    """Each archive is sent to the recipient; with the consent the feed ends, and what was delivered is erased."""
    made = sending_world(tmp_path, database_url=control_url)
    recipient = other.recorded(made)
    until = datetime.now(UTC) + timedelta(days=30)
    consent = authorised(made, recipient, until=until)
    feed = feeding.begin(made, profile="portability")
    with writing(made.engine) as connection:
        connection.execute(update(FEED).values(authorisation_id=consent))
    feed.next()
    export_id = str(feed_row(feed)["export_id"])
    assert clock.send_ready(made.engine, made.place.settings) == 1
    assert clock.send_ready(made.engine, made.place.settings) == 0
    with reading(made.engine) as connection:
        assert [one["recipient_id"] for one in sending.of(connection, export_id)] == [recipient]
    with writing(made.engine) as connection:
        authorisations.revoke(connection, consent, actor="subject:usr_1")
    assert feed_row(feed)["ended_at"] is not None
    assert stored_parts(feed) == 0


@pytest.mark.parametrize("is_refused", [False, True])
def test_an_archive_is_sent_also_after_the_next_is_ready(
    control_url: str, tmp_path: Path, other: Provider, *, is_refused: bool
) -> None:
    """The clock rested meanwhile, or could not send it: without it the recipient can import none that follows."""
    made = sending_world(tmp_path, database_url=control_url)
    recipient = other.recorded(made)
    consent = authorised(made, recipient, until=datetime.now(UTC) + timedelta(days=30))
    feed = feeding.begin(made, profile="portability")
    approval = update(models.recipient)
    with writing(made.engine) as connection:
        connection.execute(update(FEED).values(authorisation_id=consent))
        approved_at = connection.scalar(select(models.recipient.c.approved_at))
    exported = []
    for _ in range(2):
        feed.next()
        exported.append(str(feed_row(feed)["export_id"]))
        if is_refused:
            with writing(made.engine) as connection:
                connection.execute(approval.values(approved_at=None))
            assert clock.send_ready(made.engine, made.place.settings) == 0
    with writing(made.engine) as connection:
        connection.execute(approval.values(approved_at=approved_at))

    assert [clock.send_ready(made.engine, made.place.settings) for _ in range(3)] == [1, 1, 0]

    with reading(made.engine) as connection:
        sent = connection.scalars(select(models.transfer.c.export_id).order_by(models.transfer.c.created_at)).all()
    assert sent == exported


def test_a_stopped_clock_ends(feed: Feed) -> None:
    """It does what is due before it waits."""
    stop = Event()
    stop.set()
    clock.run(feed.world.engine, feed.world.place.settings, stop)


def test_a_platform_says_which_keys_it_stores(either: Engine) -> None:
    """Of whomever; texts are compared exactly."""
    changing = platform_data.exporters(either)["calls"]
    (calls,) = (one for one in changing.datasets if one.name == "calls")
    wanted = [("call-con_1-0",), ("call-con_b-0",), ("CALL-con_1-0",), ("call-x",)]
    assert set(changing.existing(calls, wanted)) == set(wanted[:2])  # type: ignore[attr-defined]  # an optional protocol
