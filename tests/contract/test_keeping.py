"""The end of an archive is stated as it is: to the person, and to a provider that has an offer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from factories import MadeUpExporter, World, things, world
from sqlalchemy import select, update
from transferring import Provider, authorised, encrypted, ready, sending_world, started

from portability.api import Gap
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.messages import outbox
from portability.messages.outbox import MessageKind
from portability.requests import exports, keeping, retries
from portability.settings import Settings
from worker.clock import expiry

EXPORT, NOTIFICATION = models.export, models.notification
HOUR, DAY = 3_600, 24
NEVER = None
NEAR = timedelta(seconds=30)


def aged(made: World, hours: float, announced: float | None) -> str:
    """An archive that became ready hours ago, and whose end was announced hours ago."""
    export_id = ready(made)
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(ended_at=now(-hours * HOUR)))
        if announced:
            outbox.queue(connection, MessageKind.EXPIRING, export_id)
            told = update(models.notification).where(models.notification.c.kind == "expiring")
            connection.execute(told.values(created_at=now(-announced * HOUR)))
    return export_id


@pytest.mark.parametrize(
    ("hours", "announced", "consent_hours", "kept_hours", "offer_hours"),
    [
        pytest.param(0, NEVER, NEVER, 7 * DAY, 7 * DAY, id="as long as its archive"),
        pytest.param(0, NEVER, 5, 7 * DAY, 5, id="the consent ends first"),
        pytest.param(6 * DAY, 24, NEVER, DAY, DAY, id="the archive ends first"),
        pytest.param(8 * DAY, 47, NEVER, 1, 1, id="announced late"),
        pytest.param(8 * DAY, NEVER, NEVER, 48, 48, id="not announced yet"),
        pytest.param(8 * DAY, 49, NEVER, 1 / 60, 1 / 60, id="the clock is about to delete it"),
    ],
)
def test_an_offer_ends_no_later_than_its_archive(
    tmp_path: Path,
    other: Provider,
    hours: int,
    announced: float | None,
    consent_hours: float | None,
    kept_hours: float,
    offer_hours: float,
) -> None:
    """The statement, the link, and what the API shows have one time."""
    made = sending_world(tmp_path)
    until = consent_hours and datetime.now(UTC) + timedelta(hours=consent_hours)
    authorised(made, other.recorded(made), until=until)
    export_id = aged(made, hours, announced)
    transfer_id = started(made, export_id, other.recipient)
    encrypted(made)
    with reading(made.engine) as connection:
        kept = keeping.kept_until(connection, made.place.settings, exports.get(connection, export_id))
        sent = connection.execute(select(models.transfer)).mappings().one()
        link = connection.execute(select(models.link).where(models.link.c.transfer_id == transfer_id)).mappings().one()
    exp = jwt.decode(sent["statement"], options={"verify_signature": False})["exp"]
    stated = [kept, sent["expires_at"], link["expires_at"], datetime.fromtimestamp(exp, UTC)]
    wanted = [kept_hours, offer_hours, offer_hours, offer_hours]
    for moment, in_hours in zip(stated, wanted, strict=True):
        assert abs(moment - datetime.now(UTC) - timedelta(hours=in_hours)) < NEAR


@pytest.mark.parametrize("end", ["offered", "delivered", "expired"])
def test_a_shorter_time_in_the_settings_ends_no_offer(tmp_path: Path, other: Provider, end: str) -> None:
    """Its end is in a signed statement. Once it is over, the archive has no longer time than others."""
    made = sending_world(tmp_path)
    authorised(made, other.recorded(made))
    export_id = aged(made, DAY, NEVER)
    started(made, export_id, other.recipient)
    encrypted(made)
    shorter = made.place.settings.model_copy(update={"archive_ttl_seconds": DAY * HOUR})
    with writing(made.engine) as connection:
        connection.execute(update(models.transfer).values(state=end))
        offer = connection.execute(select(models.transfer)).mappings().one()
    assert expiry.announce(made.engine, shorter) == (end != "offered")
    with writing(made.engine) as connection:
        connection.execute(update(models.notification).values(created_at=now(-3 * DAY * HOUR)))
        connection.execute(update(models.export).values(ended_at=now(-4 * DAY * HOUR)))
        kept = keeping.kept_until(connection, shorter, exports.get(connection, export_id))
    assert expiry.expire(made.engine, shorter) == (end != "offered")
    assert (kept >= offer["expires_at"]) == (end == "offered")


LONG, SHORT = 14 * DAY * HOUR, DAY * HOUR


def with_ttl(made: World, seconds: int) -> Settings:
    return made.place.settings.model_copy(update={"archive_ttl_seconds": seconds})


def end_of(made: World, export_id: str, settings: Settings) -> datetime:
    with reading(made.engine) as connection:
        return keeping.kept_until(connection, settings, exports.get(connection, export_id))


def passed(made: World, **past: float) -> None:
    """Make hours pass: what is recorded of the archives and messages is that much older."""
    moved = timedelta(**past)
    with writing(made.engine) as connection:
        for row in connection.execute(select(EXPORT)).mappings().all():
            times = {name: row[name] and row[name] - moved for name in ("ended_at", "kept_since", "kept_until")}
            connection.execute(update(EXPORT).where(EXPORT.c.id == row["id"]).values(**times))
        for row in connection.execute(select(NOTIFICATION)).mappings().all():
            earlier = update(NOTIFICATION).where(NOTIFICATION.c.id == row["id"])
            connection.execute(earlier.values(created_at=row["created_at"] - moved))


@pytest.fixture
def gapped(tmp_path: Path, control_url: str) -> World:
    """The source has a gap: its archive may get another revision."""
    source = MadeUpExporter(things(3), gaps={0: [Gap("what was lost", "missing", retryable=True)]})
    return world(tmp_path, {"made": source}, database_url=control_url)


def ready_with_a_gap(made: World) -> str:
    export_id = made.request()
    made.advance_all()
    return export_id


@pytest.mark.requirement("R41")
@pytest.mark.parametrize("seconds", [SHORT, LONG])
def test_another_time_in_the_settings_changes_no_end_that_was_stated(gapped: World, seconds: int) -> None:
    """A letter said "until 8 December": the archive ends then, and is announced two days before."""
    export_id = ready_with_a_gap(gapped)
    other = with_ttl(gapped, seconds)
    stated = end_of(gapped, export_id, gapped.place.settings)
    assert end_of(gapped, export_id, other) == stated
    passed(gapped, days=5, minutes=-1)
    assert expiry.announce(gapped.engine, other) == 0
    passed(gapped, minutes=2)
    assert expiry.announce(gapped.engine, other) == 1
    passed(gapped, days=2, minutes=-2)
    assert expiry.expire(gapped.engine, other) == 0
    passed(gapped, minutes=2)
    assert expiry.expire(gapped.engine, other) == 1


@pytest.mark.parametrize(("seconds", "days"), [(SHORT, 7), (LONG, 14 + 3)])
def test_a_revision_ends_no_earlier_than_was_stated_before_it(gapped: World, seconds: int, days: int) -> None:
    """It has the time of the settings from then on, and its own message states the end."""
    export_id = ready_with_a_gap(gapped)
    passed(gapped, days=3)
    gapped.place = replace(gapped.place, settings=with_ttl(gapped, seconds))
    with writing(gapped.engine) as connection:
        retries.retry_gaps(connection, export_id, actor="operator:test")
    gapped.advance_all()
    assert gapped.view(export_id)["revision"] == 2
    end = end_of(gapped, export_id, with_ttl(gapped, LONG * 2))
    assert abs(end - datetime.now(UTC) - timedelta(days=days - 3)) < NEAR
    with reading(gapped.engine) as connection:
        kinds = [row["kind"] for row in outbox.messages(connection, [export_id])]
    assert kinds.count("ready") == 2


def test_the_end_of_an_archive_of_an_earlier_release_follows_the_settings(gapped: World) -> None:
    """It has recorded none; or it has made a revision, and knows nothing of the end that is recorded for the last."""
    export_id = ready_with_a_gap(gapped)
    for values in ({"ended_at": now(-1)}, {"kept_since": NEVER, "kept_until": NEVER}):
        with writing(gapped.engine) as connection:
            connection.execute(update(EXPORT).values(**values))
            ended_at = exports.get(connection, export_id)["ended_at"]
        for seconds in (SHORT * 3, LONG):
            assert end_of(gapped, export_id, with_ttl(gapped, seconds)) == ended_at + timedelta(seconds=seconds)
    passed(gapped, days=3)
    assert [expiry.announce(gapped.engine, with_ttl(gapped, seconds)) for seconds in (LONG, SHORT * 3)] == [0, 1]


@pytest.mark.parametrize("days", [-400, 400])
def test_a_database_whose_time_was_wrong_states_one_end(gapped: World, days: int) -> None:
    """Set forward or back since: what letters state is what the clock applies, by the time of the database."""
    export_id = ready_with_a_gap(gapped)
    passed(gapped, days=days)
    settings = gapped.place.settings
    is_over = days > 0
    assert (end_of(gapped, export_id, settings) > datetime.now(UTC) + timedelta(days=300)) != is_over
    assert expiry.announce(gapped.engine, settings) == is_over
    assert expiry.expire(gapped.engine, settings) == 0
    if is_over:
        assert abs(end_of(gapped, export_id, settings) - datetime.now(UTC) - timedelta(hours=48)) < NEAR
