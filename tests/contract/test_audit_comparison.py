"""The audit log is compared with what it is about: exports, ledgers and storage (R49)."""

from __future__ import annotations

from pathlib import Path

import pytest
from factories import MadeUpExporter, World, things, world
from sqlalchemy import Delete, Update, delete, insert, text, update

from portability.database import models
from portability.database.engine import reading, writing
from portability.requests import audit_comparison, exports
from portability.requests.states import ExportState
from portability.requests.transition import transition
from portability.retention import recalls
from portability.trust import audit

EXPORT, EVENT = models.export, models.audit_event


@pytest.fixture
def made(tmp_path: Path, control_url: str) -> World:
    return world(tmp_path, {"made": MadeUpExporter(things(3))}, database_url=control_url)


def contradictions(made: World, *, storage: bool = True) -> list[tuple[str, str]]:
    with reading(made.engine) as connection:
        found = audit_comparison.compare(connection, made.place.storage if storage else None)
    return [(fault.code, fault.export_id) for fault in found.faults]


def ready_export(made: World, subject: str = "user:usr_1") -> str:
    identifier = made.request(subject)
    made.advance_all()
    assert made.view(identifier)["state"] == "ready"
    return identifier


def change_row(made: World, identifier: str, **columns: object) -> None:
    with writing(made.engine) as connection:
        connection.execute(update(EXPORT).where(EXPORT.c.id == identifier).values(**columns))


def test_what_happened_as_recorded_has_no_fault(made: World) -> None:
    """Exports in several states, each reached by its events."""
    ready_export(made)
    cancelled, _queued = made.request("user:usr_2"), made.request("user:usr_3")
    with writing(made.engine) as connection:
        exports.cancel(connection, cancelled, actor="operator:test")
    assert contradictions(made) == []


def test_an_empty_log_beside_exports_is_a_fault(made: World) -> None:
    """A log that was emptied, or a database that was restored without it, verifies as a chain of no events."""
    identifier = ready_export(made)
    with writing(made.engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE audit_event DISABLE TRIGGER ALL"))
        else:
            connection.execute(text("DROP TRIGGER IF EXISTS audit_event_append_only_delete"))
        connection.execute(delete(EVENT))
        connection.execute(update(models.audit_head).values(event_id=0, hash=audit.NOTHING))
    with reading(made.engine) as connection:
        assert audit.verify(connection).ok
    assert contradictions(made) == [("unrecorded", identifier)]


@pytest.mark.parametrize("state", ["queued", "failed", "expired", "recalled", "denied", "cancelled"])
def test_a_state_without_its_event_is_a_fault(made: World, state: str) -> None:
    """The row was changed by hand: no event leads there."""
    identifier = ready_export(made)
    change_row(made, identifier, state=state)
    assert contradictions(made, storage=False) == [("state_differs", identifier)]


def test_a_recall_of_what_has_ended_changes_no_state(made: World) -> None:
    """It opens a breach record: copies that were downloaded cannot be recalled, and the archive stays expired."""
    identifier, cancelled = ready_export(made), made.request("user:usr_2")
    with writing(made.engine) as connection:
        row = exports.lock(connection, identifier)
        transition(connection, row, ExportState.EXPIRED, actor="clock")
        exports.cancel(connection, cancelled, actor="operator:test")
        for one in (identifier, cancelled):
            recalls.recall(connection, one, reason="wrong person", actor="operator:test")
    assert contradictions(made, storage=False) == []
    change_row(made, identifier, state="ready")
    assert contradictions(made, storage=False) == [("state_differs", identifier)]


def test_an_archive_whose_next_revision_was_given_up_differs_from_nothing(made: World) -> None:
    """The archive is as it was before."""
    identifier = ready_export(made)
    with writing(made.engine) as connection:
        for action in ("export.gaps_retried", "export.reverted"):
            audit.record(connection, action, actor="worker", export_id=identifier)
    assert contradictions(made, storage=False) == []


def test_complete_beside_a_gap_is_a_fault(made: World) -> None:
    """The word and the ledger must agree."""
    identifier = ready_export(made)
    with writing(made.engine) as connection:
        connection.execute(update(models.ledger).values(state="partial"))
    assert contradictions(made) == [("ledger_differs", identifier)]


@pytest.mark.parametrize(
    ("columns", "is_fault"),
    [
        ({"complete": True}, True),
        ({"complete": False}, False),
        ({"complete": None}, False),
        ({"complete": True, "state": "failed"}, False),
    ],
)
def test_only_a_ready_archive_that_is_called_complete_is_compared(
    made: World, columns: dict[str, object], is_fault: bool
) -> None:
    """With a gap it may not be called complete; a partial archive, and an export without one, contradict nothing."""
    identifier = ready_export(made)
    change_row(made, identifier, **columns)
    with writing(made.engine) as connection:
        gap = {"export_id": identifier, "exporter": "made", "dataset": "things", "what": "x", "reason": "missing"}
        connection.execute(insert(models.gap).values(**gap, volume=1, retryable=True))
        if "state" in columns:
            audit.record(connection, "export.failed", actor="worker", export_id=identifier)
    assert contradictions(made, storage=False) == ([("ledger_differs", identifier)] if is_fault else [])


@pytest.mark.parametrize(("own", "is_fault"), [("complete", True), (None, False)])
def test_data_of_a_company_is_not_beside_complete(made: World, own: str | None, is_fault: bool) -> None:
    """A referred dataset makes the archive incomplete since there are outcomes; before them it did not."""
    identifier = ready_export(made)
    change_row(made, identifier, outcome_own=own)
    with writing(made.engine) as connection:
        connection.execute(update(models.ledger).values(state="needs_instruction"))
    assert contradictions(made) == ([("ledger_differs", identifier)] if is_fault else [])


def test_an_object_that_is_gone_or_changed_is_a_fault(made: World) -> None:
    """The log says that it is ready, and storage cannot deliver it."""
    identifier = ready_export(made)
    (key,) = made.archive_keys()
    made.place.storage.delete(key)
    assert contradictions(made) == [("object_missing", identifier)]
    assert contradictions(made, storage=False) == []
    upload = made.place.storage.begin(key)
    upload.write(b"other bytes")
    upload.complete()
    assert contradictions(made) == [("object_differs", identifier)]


@pytest.mark.parametrize("change", [delete(models.volume), update(models.volume).values(state="writing")])
def test_volumes_without_their_rows_are_a_fault(made: World, change: Delete | Update) -> None:
    """A ready archive without a volume delivers nothing, or too little: its event says how many it had."""
    identifier, other = ready_export(made), ready_export(made, "user:usr_2")
    with writing(made.engine) as connection:
        connection.execute(change.where(models.volume.c.export_id == identifier))
    assert contradictions(made) == [("volumes_differ", identifier)]
    change_row(made, other, revision=0)
    assert set(contradictions(made, storage=False)) == {("volumes_differ", identifier), ("volumes_differ", other)}


@pytest.mark.parametrize("detail", ['{"code":null}', "[]", "{", ""])
def test_an_event_that_does_not_say_the_volumes_is_not_compared(tmp_path: Path, detail: str) -> None:
    """Release 0.1.0 did not say it, and a damaged event is a fault of the chain."""
    made = world(tmp_path, {"made": MadeUpExporter(things(3))})
    ready_export(made)
    with writing(made.engine) as connection:
        connection.execute(text("DROP TRIGGER audit_event_append_only_update"))
        written = text("UPDATE audit_event SET detail = :detail WHERE action = 'export.ready'")
        connection.execute(written, {"detail": detail})
        connection.execute(delete(models.volume))
    assert contradictions(made) == []


def test_events_without_their_export_are_a_fault(made: World) -> None:
    """A row that was deleted by hand; a record that the clock has purged is not a fault."""
    with writing(made.engine) as connection:
        audit.record(connection, "request.accepted", actor="operator:test", export_id="e" * 24)
        audit.record(connection, "request.accepted", actor="operator:test", export_id="f" * 24)
        audit.record(connection, "request.purged", actor="clock", export_id="f" * 24)
    assert contradictions(made) == [("export_missing", "e" * 24)]


def test_every_change_of_a_state_is_known(made: World) -> None:
    """A request that failed and was retried: the last event that changes a state decides."""
    identifier = ready_export(made)
    change_row(made, identifier, state="failed")
    with writing(made.engine) as connection:
        audit.record(connection, "export.failed", actor="worker", export_id=identifier)
    assert contradictions(made, storage=False) == []
    change_row(made, identifier, state="queued")
    with writing(made.engine) as connection:
        audit.record(connection, "export.retried", actor="operator:test", export_id=identifier)
    assert contradictions(made) == []
