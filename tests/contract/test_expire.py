"""Archives are kept for their time, announced, and deleted: on both databases and both kinds of storage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import MadeUpExporter, World, things, world
from simultaneous import in_threads
from sqlalchemy import update

from portability.api.errors import StorageUnavailable
from portability.api.storages import Storage
from portability.database import deployment, models
from portability.database.engine import now, open_engine, reading, writing
from portability.delivery import links
from portability.errors import LinkInvalid, WrongState
from portability.law.deadlines import UTC_CALENDAR, kept_until
from portability.messages import outbox
from portability.requests import deadline_events, exports, retries
from portability.requests.deadline_events import Extension
from portability.requests.states import ExportState
from portability.trust import audit
from worker.clock import expiry
from worker.write.withdraw import withdraw_discarded

DAY = 86_400
EXPORT, NOTIFICATION = models.export, models.notification


@pytest.fixture
def made(control_url: str, tmp_path: Path, archives: Storage) -> World:
    return world(tmp_path, {"made": MadeUpExporter(things(10))}, database_url=control_url, storage=archives)


def ready_since(made: World, subject: str = "user:usr_1", *, days_ago: float = 0, **asked: Any) -> str:
    identifier = made.request(subject, **asked)
    made.advance_all()
    age(made, identifier, days_ago)
    return identifier


def age(made: World, identifier: str, days_ago: float) -> None:
    """Make it ready since some days, with the end that was recorded then."""
    with writing(made.engine) as connection:
        row = exports.get(connection, identifier)
        ended_at = deployment.clock_of(connection) - timedelta(days=days_ago)
        end = ended_at + (row["kept_until"] - row["kept_since"])
        values = {"ended_at": ended_at, "kept_since": ended_at, "kept_until": end}
        connection.execute(update(EXPORT).where(EXPORT.c.id == identifier).values(**values))


def announced(made: World, hours_ago: float) -> None:
    with writing(made.engine) as connection:
        reminders = update(NOTIFICATION).where(NOTIFICATION.c.kind == "expiring")
        connection.execute(reminders.values(created_at=now(-hours_ago * 3600)))


def turn(made: World) -> tuple[int, int, int]:
    settings, storage = made.place.settings, made.place.storage
    announced_count, ended = expiry.announce(made.engine, settings), expiry.expire(made.engine, settings)
    return announced_count, ended, withdraw_discarded(made.engine, lambda: storage, {ExportState.EXPIRED})


def message_kinds(made: World, identifier: str) -> list[str]:
    with reading(made.engine) as connection:
        return [row["kind"] for row in outbox.messages(connection, [identifier])]


def state(made: World, identifier: str) -> str:
    return str(made.view(identifier)["state"])


@pytest.mark.requirement("R41")
@pytest.mark.parametrize(
    ("subject", "asked", "days"),
    [
        ("user:usr_1", {}, 7),
        ("contact:con_1", {"tenant": "ten_a"}, 7),
        ("tenant:ten_a", {"profile": "switch", "received_at": "2020-01-01"}, 30),  # a transition that ended long ago
    ],
)
def test_an_archive_is_kept_for_its_time(made: World, subject: str, asked: dict[str, Any], days: int) -> None:
    """Seven days for a person, thirty for a tenant; announced two days before, once; then gone whole (R41)."""
    identifier = ready_since(made, subject, days_ago=days - 2.01, **asked)
    assert turn(made) == (0, 0, 0)
    age(made, identifier, days - 1.99)
    assert turn(made) == (1, 0, 0)
    assert turn(made) == (0, 0, 0)
    assert message_kinds(made, identifier)[-1] == "expiring"
    announced(made, 47)
    age(made, identifier, days + 1)
    assert turn(made) == (0, 0, 0)
    announced(made, 49)
    age(made, identifier, days - 0.01)
    assert turn(made) == (0, 0, 0)
    age(made, identifier, days + 0.01)
    assert turn(made) == (0, 1, 1)

    assert state(made, identifier) == "expired"
    assert made.view(identifier)["volumes"] == []
    assert list(made.place.storage.list(identifier)) == []
    with reading(made.engine) as connection:
        actions = [row["action"] for row in audit.events(connection, export_id=identifier)]
        assert audit.verify(connection).ok
    assert actions[-2:] == ["export.expired", "volume.deleted"]
    assert turn(made) == (0, 0, 0)


@pytest.mark.requirement("R41")
@pytest.mark.parametrize(("customer", "days_from_receipt"), [(False, 61), (True, 161)])
def test_an_archive_of_a_switch_can_be_retrieved_for_30_days_after_the_transition(
    made: World, customer: bool, days_from_receipt: int
) -> None:
    """Data Act Art. 25(2)(g): 30 days after the transition of 30 days, or after the end that the customer chose."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    identifier = made.request("tenant:ten_a", profile="switch")
    made.advance_all()
    if customer:
        with writing(made.engine) as connection:
            connection.execute(update(EXPORT).where(EXPORT.c.id == identifier).values(state="queued"))
            asked = Extension("letter of today", until=today + timedelta(days=131), by_customer=True)
            law: Any = {"regimes": ["data_act"], "place": UTC_CALENDAR, "actor": "officer:o"}
            deadline_events.extend(connection, identifier, asked, **law)
            connection.execute(update(EXPORT).where(EXPORT.c.id == identifier).values(state="ready"))
    age(made, identifier, 35)
    assert turn(made) == (0, 0, 0)
    with reading(made.engine) as connection:
        row = exports.get(connection, identifier)
    assert row["retrieval_ends_at"] == today + timedelta(days=days_from_receipt)
    settings = made.place.settings
    assert kept_until(row["ended_at"], settings.ttl_seconds("tenant"), row["retrieval_ends_at"]) == (
        today + timedelta(days=days_from_receipt)
    )
    with writing(made.engine) as connection:
        connection.execute(update(EXPORT).values(retrieval_ends_at=now(47 * 3600)))
    assert turn(made) == (1, 0, 0)
    announced(made, 49)
    assert turn(made) == (0, 0, 0)
    with writing(made.engine) as connection:
        connection.execute(update(EXPORT).values(retrieval_ends_at=now(-1)))
    assert turn(made) == (0, 1, 1)


def test_every_deletion_of_an_archive_is_announced(made: World) -> None:
    """The clock stood still for a month: the archive is announced now, and kept for two days more."""
    identifier = ready_since(made, days_ago=40)

    assert turn(made) == (1, 0, 0)
    announced(made, 47)
    assert turn(made) == (0, 0, 0)
    announced(made, 49)
    assert turn(made) == (0, 1, 1)
    assert state(made, identifier) == "expired"


def test_links_end_with_the_archive(made: World) -> None:
    """In the transaction that ends it: at no moment does a link lead to an archive that is being deleted."""
    identifier = ready_since(made)
    folder = made.place.settings.keys
    with writing(made.engine) as connection:
        link = links.issue(connection, folder, identifier, audience="login", ttl_seconds=9 * DAY, actor="operator:test")
    age(made, identifier, 8)
    turn(made)
    announced(made, 49)
    expiry.expire(made.engine, made.place.settings)

    with reading(made.engine) as connection, pytest.raises(LinkInvalid):
        links.resolve(connection, folder, link.token)
    with reading(made.engine) as connection:
        assert [row["revoked_by"] for row in links.of(connection, identifier)] == ["clock"]


def test_what_storage_does_not_delete_now_is_deleted_later(made: World) -> None:
    """It is expired and cannot be reached; the next turn, or a sweep, deletes it and records that."""
    ready_since(made, days_ago=8)
    turn(made)
    announced(made, 49)
    expiry.expire(made.engine, made.place.settings)

    def away() -> Storage:
        raise StorageUnavailable("away")

    with pytest.raises(StorageUnavailable):
        withdraw_discarded(made.engine, away, {ExportState.EXPIRED})
    assert turn(made) == (0, 0, 1)


def test_a_retried_archive_has_its_time_anew(made: World) -> None:
    """Announced, then made again: the announcement was for the older archive."""
    identifier = ready_since(made, days_ago=6)
    turn(made)
    announced(made, 49)
    with writing(made.engine) as connection:
        connection.execute(update(EXPORT).values(state="failed"))
        retries.retry(connection, identifier, actor="operator:test")
    made.advance_all()

    assert turn(made) == (0, 0, 0)
    assert state(made, identifier) == "ready"


def test_what_has_expired_is_not_retried(made: World) -> None:
    """Its time is over: a new export can be requested."""
    identifier = ready_since(made, days_ago=8)
    turn(made)
    announced(made, 49)
    turn(made)

    with writing(made.engine) as connection, pytest.raises(WrongState):
        retries.retry_gaps(connection, identifier, actor="operator:test")
    assert made.request() != identifier


def test_of_many_clocks_one_ends_it(made: World, control_url: str) -> None:
    """One announcement and one end, for any number of clocks."""
    identifiers = [ready_since(made, f"user:usr_{number}", days_ago=8) for number in range(4)]

    def one(_number: int) -> tuple[int, int]:
        engine = open_engine(control_url)
        try:
            return expiry.announce(engine, made.place.settings), expiry.expire(engine, made.place.settings)
        finally:
            engine.dispose()

    assert sum(announced_count for announced_count, _ended in in_threads(3, one)) == 4
    announced(made, 49)
    assert sum(ended for _announced_count, ended in in_threads(3, one)) == 4
    assert {state(made, identifier) for identifier in identifiers} == {"expired"}
