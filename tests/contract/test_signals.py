"""Signals of the work and of the services, as Prometheus reads them, on both databases."""

from __future__ import annotations

import resource
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import World, world
from heartbeats import WORKER, report_processes
from prometheus_client.core import Metric
from received_steps import fetched, offered_here, recorded_sender, step
from sqlalchemy import Engine, delete, insert, select, text, update

from cli import doctor
from cli.context import Context
from portability.api.storages import Storage
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.errors import DatabaseUnavailable, QueueUnavailable
from portability.inbox import work as received_work
from portability.inbox.states import ReceivedState
from portability.queue import CLOCK_KEY, WakeUps, connect, open_queue, wake
from portability.requests.states import ExportState, SliceState
from portability.signals import services, unanswered, work
from portability.signals.services import ServiceProbe, Services
from portability.storage import open_storage
from portability.storage.local import LocalStorage

EXPORT, SLICE = models.export, models.slice


def values(metrics: Sequence[Metric]) -> dict[str, dict[tuple[str, ...], float]]:
    """The values of each metric by its labels."""
    return {m.name: {tuple(s.labels.values()): s.value for s in m.samples} for m in metrics}


def signals(engine: Engine) -> dict[str, dict[tuple[str, ...], float]]:
    with reading(engine) as connection:
        return values([*work.collect(connection), *unanswered.collect(unanswered.groups(connection))])


def set_rows(engine: Engine, table: Any, **columns: object) -> None:
    with writing(engine) as connection:
        connection.execute(update(table).values(**columns))


def test_slices_are_counted_by_what_they_wait_for(made: World) -> None:
    """Claimable, claimed and backing off; the oldest claimable slice waits since its last delay."""
    for person in range(3):
        made.request(f"user:usr_{person}")
    with reading(made.engine) as connection:
        first, second, third = connection.scalars(select(SLICE.c.export_id))
    for identifier, columns in (
        (first, {"lease_until": now(60)}),
        (second, {"not_before": now(60)}),
        (third, {"created_at": now(-5000), "claimed_at": now(-900), "lease_until": now(-400), "not_before": now(-100)}),
    ):
        with writing(made.engine) as connection:
            connection.execute(update(SLICE).where(SLICE.c.export_id == identifier).values(**columns))
    seen = signals(made.engine)
    assert seen["portability_slices"] == {("claimable",): 1, ("claimed",): 1, ("backing_off",): 1}
    assert seen["portability_oldest_claimable_slice_age_seconds"][()] == pytest.approx(100, abs=20)


@pytest.mark.parametrize(("tenant", "age_seconds"), [("", 5000), ("ten_a", 0)])
def test_a_tenant_that_is_served_does_not_wait(made: World, tenant: str, age_seconds: float) -> None:
    """The volumes of a tenant are limited, so its other slices wait; people share a group that has no limit."""
    made.request()
    with writing(made.engine) as connection:
        connection.execute(update(SLICE).values(tenant=tenant, created_at=now(-5000)))
        row = connection.execute(select(SLICE)).mappings().one()
        connection.execute(insert(SLICE).values(**{**row, "number": 1, "lease_until": now(60)}))
    seen = signals(made.engine)
    assert seen["portability_oldest_claimable_slice_age_seconds"][()] == pytest.approx(age_seconds, abs=20)


def test_errors_are_counted_by_code(made: World) -> None:
    """What is retried and what has failed; the code of a plug-in is `other`, and an answered request is not counted."""
    rows = [
        (ExportState.RUNNING, "storage_unavailable"),
        (ExportState.RUNNING, None),
        (ExportState.CLOSING, "Ada Lovelace"),
        (ExportState.FAILED, "object_missing"),
        (ExportState.FAILED, "address_of_account"),
        (ExportState.CANCELLED, "storage_unavailable"),
    ]
    for person, (state, code) in enumerate(rows):
        identifier = made.request(f"user:usr_{person}")
        with writing(made.engine) as connection:
            # The state is written directly: only the counts are examined.
            columns = EXPORT.update().where(EXPORT.c.id == identifier).values(error_code=code)
            connection.execute(columns)
            connection.exec_driver_sql(f"UPDATE export SET state = '{state}' WHERE id = '{identifier}'")  # noqa: S608  # own words
    seen = signals(made.engine)
    retried, failed = (
        {c: n for (c,), n in seen[f"portability_exports_{w}"].items() if n} for w in ("retried", "failed")
    )
    assert retried == {"storage_unavailable": 1, "other": 1}
    assert failed == {"object_missing": 1}


def test_a_source_at_fault_is_named(made: World) -> None:
    """Gaps by faults of a source count for an hour after the export; a slice that waits counts now."""
    identifier = made.request()
    made.advance_all()
    gap = {"export_id": identifier, "volume": 1, "dataset": "x", "what": "x", "retryable": True}
    with writing(made.engine) as connection:
        for exporter, reason in (("crm", "source_unavailable"), ("crm", "source_unavailable"), ("calls", "missing")):
            connection.execute(insert(models.gap).values(**gap, exporter=exporter, reason=reason))
    assert signals(made.engine)["portability_source_gaps"] == {("crm", "source_unavailable"): 2}
    set_rows(made.engine, EXPORT, ended_at=now(-3700))
    assert signals(made.engine)["portability_source_gaps"] == {}

    made.request()
    progress = {"records": 3, "waits_for": "crm/deals", "code": "source_unavailable"}
    with writing(made.engine) as connection:
        waiting = update(SLICE).where(SLICE.c.state == SliceState.OPEN)
        connection.execute(waiting.values(progress=progress, lease_until=now(60)))
    assert signals(made.engine)["portability_source_waits"] == {("crm",): 1}
    set_rows(made.engine, SLICE, lease_until=now(-1))
    assert signals(made.engine)["portability_source_waits"] == {}


def test_keys_and_sweeps_have_an_age(made: World) -> None:
    """The newest active key of each purpose; a retired key does not sign. A sweep is as old as the deployment."""
    set_rows(made.engine, models.deployment, swept_at=None, created_at=now(-9000))
    with writing(made.engine) as connection:
        connection.execute(delete(models.signing_key))
        for kid, purpose, days, retired_at in (
            ("a", "archive", 400, None),
            ("b", "archive", 300, None),
            ("c", "link", 10, datetime.now(UTC)),
        ):
            row: dict[str, Any] = {"kid": kid, "purpose": purpose, "public_jwk": {}, "retired_at": retired_at}
            created_at = datetime.now(UTC) - timedelta(days=days)
            connection.execute(insert(models.signing_key).values(**row, created_at=created_at))
    seen = signals(made.engine)
    assert seen["portability_last_sweep_age_seconds"][()] == pytest.approx(9000, abs=60)
    assert {p: n for (p,), n in seen["portability_signing_keys"].items() if n} == {"archive": 2}
    ages = {purpose: age for (purpose,), age in seen["portability_signing_key_age_seconds"].items() if age}
    assert ages == {"archive": pytest.approx(300 * 86_400, abs=60)}


def no_redis() -> WakeUps:
    raise QueueUnavailable("no Valkey is running")


def test_a_received_transfer_waits_since_its_last_change(made: World) -> None:
    """For the receiving service: an offer at once, an officer's choice from then; what it works on does not wait."""
    name, table = "portability_oldest_received_work_age_seconds", models.received_transfer
    assert signals(made.engine)[name] == {(): 0}
    identifier, _ = offered_here(made, recorded_sender(made))
    set_rows(made.engine, table, created_at=now(-9000), not_before=now(-100))
    assert signals(made.engine)[name][()] == pytest.approx(100, abs=20)
    fetched(made, identifier)
    assert signals(made.engine)[name] == {(): 0}
    step(made, identifier, ReceivedState.COMPARING)
    assert signals(made.engine)[name][()] == pytest.approx(0, abs=20)
    set_rows(made.engine, table, not_before=now(-100), lease_until=now(60))
    assert signals(made.engine)[name] == {(): 0}


def test_a_step_that_fails_again_and_again_is_counted(made: World) -> None:
    """The service takes it each time, so that it does not wait for long: after ten attempts it needs a person."""
    identifier, _ = offered_here(made, recorded_sender(made))
    counted = []
    for _ in range(10):
        row = received_work.claim(made.engine, 60)
        assert row
        received_work.postpone(made.engine, row, "outside_unavailable", 0)
        seen = signals(made.engine)
        assert seen["portability_oldest_received_work_age_seconds"][()] == pytest.approx(0, abs=60)
        counted.append(seen["portability_received_failing"][()])
    assert counted == [0] * 9 + [1]
    fetched(made, identifier)
    assert signals(made.engine)["portability_received_failing"] == {(): 0}


@pytest.mark.parametrize(
    ("setting", "usual", "said"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "its memory is full"),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "read-only replica"),
    ],
    ids=["full", "replica"],
)
def test_a_redis_that_stores_nothing_is_away(
    made: World, redis_url: str, setting: Sequence[str], usual: Sequence[str], said: str
) -> None:
    """It answers, and no wake-up and no heartbeat comes through: the signals and the doctor name it, and why."""
    client = connect(redis_url)
    queue = open_queue(client)
    client.execute_command(*setting)  # type: ignore[no-untyped-call]  # untyped in the library
    try:
        assert client.ping()
        found = values(Services(made.engine, lambda: queue, lambda: made.place.storage).collect())
        settings = made.place.settings.model_copy(update={"redis_url": redis_url})
        with pytest.raises(QueueUnavailable, match="stores nothing") as raised:
            doctor.CHECKS["queue"](Context(lambda: settings, json=False))
        with pytest.raises(QueueUnavailable) as unsent:
            wake(queue, "abc234")
    finally:
        client.execute_command(*usual)  # type: ignore[no-untyped-call]  # as above
    assert found["portability_service_up"][("redis",)] == 0
    assert said in str(raised.value.hint)
    assert said in str(unsent.value.hint)
    found = values(Services(made.engine, lambda: queue, lambda: made.place.storage).collect())
    assert found["portability_service_up"][("redis",)] == 1


def test_a_database_that_stores_nothing_is_away(pg_url: str, tmp_path: Path) -> None:
    """It answers, and no request is accepted and no volume committed: the signals and the doctor name it, and why."""
    made = world(tmp_path, {}, database_url=pg_url)
    context = Context(lambda: made.place.settings, json=False)
    services = Services(made.engine, no_redis, lambda: made.place.storage)

    def is_up() -> float:
        return values(services.collect())["portability_service_up"][("database",)]

    doctor.CHECKS["control database"](context)
    assert is_up() == 1
    with writing(made.engine) as connection:
        name = connection.scalar(text("select quote_ident(current_database())"))
        connection.execute(text(f"alter database {name} set default_transaction_read_only = on"))
    for engine in (made.engine, context.engine):
        engine.dispose()  # it is of new sessions
    with pytest.raises(DatabaseUnavailable, match="ReadOnlySqlTransaction") as raised:
        doctor.CHECKS["control database"](context)
    assert "set to read only" in raised.value.hint
    assert is_up() == 0
    context.engine.dispose()
    made.engine.dispose()


def test_a_database_file_without_room_is_away(tmp_path: Path) -> None:
    """It is read as ever, and no request is accepted and no volume committed: the signals and the doctor name it."""
    made = world(tmp_path, {})
    context = Context(lambda: made.place.settings, json=False)
    collected = Services(made.engine, no_redis, lambda: made.place.storage)
    doctor.CHECKS["control database"](context)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(DatabaseUnavailable, match="SQLITE_") as raised:
            doctor.CHECKS["control database"](context)
        seen = values(collected.collect())["portability_service_up"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "is it full" in raised.value.hint
    assert seen[("database",)] == 0
    doctor.CHECKS["control database"](context)
    context.engine.dispose()
    made.engine.dispose()


def test_a_service_that_is_away_is_named(made: World, redis_url: str, tmp_path: Path) -> None:
    """Each service has 1 or 0; heartbeats, wake-ups and space are read, and have no value where no one can say."""
    report_processes(redis_url)
    queue, storage = open_queue(connect(redis_url)), LocalStorage(tmp_path / "not" / "there yet")
    wake(queue, "exp_1")
    found = values(Services(made.engine, lambda: queue, lambda: storage).collect())
    assert found["portability_service_up"] == {("database",): 1, ("redis",): 1, ("storage",): 1}
    assert (found["portability_workers"][()], found["portability_clock_up"][()]) == (1, 1)
    assert found["portability_wake_ups"][()] == 1
    assert 0 < found["portability_storage_free_bytes"][()] < found["portability_storage_size_bytes"][()]

    connect(redis_url).delete(WORKER, CLOCK_KEY)
    found = values(Services(made.engine, lambda: queue, lambda: storage).collect())
    assert (found["portability_workers"][()], found["portability_clock_up"][()]) == (0, 0)

    (tmp_path / "file").touch()
    found = values(Services(made.engine, no_redis, lambda: LocalStorage(tmp_path / "file" / "below")).collect())
    assert found["portability_service_up"] == {("database",): 1, ("redis",): 0, ("storage",): 1}
    assert found["portability_workers"] == found["portability_wake_ups"] == {}
    assert set(found["portability_service_seconds"]) == {("database",), ("storage",)}


def test_a_service_that_is_slow_is_named(made: World, tmp_path: Path) -> None:
    """The time of its answer, not of those beside it."""

    def after_a_while() -> Storage:
        threading.Event().wait(0.3)
        return LocalStorage(tmp_path)

    seconds = values(Services(made.engine, no_redis, after_a_while).collect())["portability_service_seconds"]
    assert 0.3 <= seconds[("storage",)] < 3
    assert seconds[("database",)] < seconds[("storage",)]


def test_a_bucket_that_does_not_exist_is_away(made: World, s3_url: str) -> None:
    """A bucket is asked for a list; its space is not known."""
    storages = [open_storage(s3_url), open_storage(s3_url.replace("s3://", "s3://no-"))]
    found = [values(Services(made.engine, no_redis, lambda it=it: it).collect()) for it in storages]  # type: ignore[misc]
    assert [each["portability_service_up"][("storage",)] for each in found] == [1, 0]
    assert found[0]["portability_storage_free_bytes"] == {}


def test_a_service_that_hangs_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its metrics arrive after the limit; while the question is open no second thread is started."""
    monkeypatch.setattr(services, "ANSWER_SECONDS", 0.01)
    asked, answered = [], threading.Event()

    def ask() -> int:
        asked.append(1)
        answered.wait(30)
        return 7

    probe = ServiceProbe(ask)
    assert [probe.answer(0.01) for _ in range(3)] == [None, None, None]
    answered.set()
    assert probe.answer(30) == 7
    assert len(asked) == 1
    assert probe.answer(30) == 7
    assert len(asked) == 2
