"""This software's own records about a subject, in rows that someone has changed so that they cannot be read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, records
from factories import MadeUpExporter, World, things, world
from own_rows import present, request_with_everything
from sqlalchemy import Connection, text

from exporters.portability import reader
from exporters.portability.reader import OwnRecords
from exporters.portability.records import TABLES
from exporters.sql.values import field_type
from portability.api import Batch, Exporter, FieldType, Selection, SubjectKind
from portability.database.engine import writing
from portability.testing import sample_subject
from portability.testing.exporters import check_exporter
from portability.trust import audit

JANE = sample_subject(SubjectKind.USER, "usr_jane")
TIMES = {
    "postgresql": ("'infinity'", "'-infinity'", "'20000-01-01'", "'0044-03-15 BC'"),
    "sqlite": ("'yesterday'", "'0001'", "x'ff00'", "'2026-02-30 10:00:00.000000'"),
}
LEADS_TO_SUBJECT = {"request_id", "link_id", "transfer_id", "authorisation_id"}


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    """A deployment with a source and with the records of its requests."""
    exporters: dict[str, Exporter] = {
        "made": MadeUpExporter(things(3)),
        "portability": OwnRecords(lambda: found.engine, TABLES),
    }
    found = world(tmp_path, exporters, database_url=control_url).with_all_keys()
    return found


def dialect_of(made: World) -> str:
    return made.engine.dialect.name


def disarm(connection: Connection, *tables: str) -> None:
    """Do what someone does who changes rows: without triggers, and without the other rules of the tables."""
    if connection.dialect.name == "postgresql":
        for table in tables:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
    else:
        connection.execute(text("DROP TRIGGER IF EXISTS audit_event_append_only_update"))
        connection.execute(text("PRAGMA defer_foreign_keys = ON"))


def change_rows(made: World, table: str, what: str, where: str = "true") -> int:
    with writing(made.engine) as connection:
        disarm(connection, table)
        update = "UPDATE" if connection.dialect.name == "postgresql" else "UPDATE OR IGNORE"  # unique values stay
        return connection.exec_driver_sql(f"{update} {table} SET {what} WHERE {where}").rowcount  # of this test


def own_of(made: World) -> OwnRecords:
    return OwnRecords(lambda: made.engine, TABLES)


def batches_of(made: World, name: str, selection: Selection) -> list[Batch]:
    own = own_of(made)
    dataset = next(dataset for dataset in own.datasets if dataset.name == name)
    return list(own.export(JANE, dataset, selection))


@pytest.mark.requirement("R4")
@pytest.mark.parametrize("which", range(4))
def test_an_event_with_a_damaged_time_is_in_the_archive(made: World, which: int) -> None:
    """Its time is null, a gap names it, and it comes last; the archive says that it is partial, and is valid."""
    made.request("user:usr_jane")
    made.advance_all()
    identifier = made.request("user:usr_jane")
    audit.chain_all(made.engine)
    at, first = TIMES[dialect_of(made)][which], "(SELECT min(id) FROM audit_event WHERE export_id IS NOT NULL)"
    assert change_rows(made, "audit_event", f"at = {at}", f"id = {first}") == 1
    made.advance_all()
    archive = made.fetch(identifier)
    document, events = export_json(archive), records(archive, "portability", "events")
    assert [event["action"] for event in events] == ["export.ready", "request.accepted", "request.accepted"]
    assert [event["at"] for event in events].index(None) == 2
    assert [(gap["what"], gap["reason"], gap["record"], gap["fields"]) for gap in document["gaps"]] == [
        (f"events/{events[2]['id']}/at", "not_json", {"id": events[2]["id"]}, ["at"])
    ]
    assert document["outcome"]["own"] == "partial"
    assert made.verify(archive).ok


@pytest.mark.requirement("R4")
@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("damage", ["detail = '[]'", "at = 'infinity'", "at = '-infinity'"])
def test_an_event_that_cannot_be_chained_is_named(made: World, damage: str) -> None:
    """Only the chain gives an event its number, so it is missing as a record; the archive says so."""
    identifier = made.request("user:usr_jane")
    assert change_rows(made, "audit_unchained", damage, f"export_id = '{identifier}'") == 1
    other = made.request("user:usr_joe")
    made.advance_all()
    document = export_json(made.fetch(identifier))
    assert [(gap["dataset"], gap["what"], gap["reason"]) for gap in document["gaps"]] == [
        ("events", "events: damaged records: 1", "unreadable")
    ]
    assert export_json(made.fetch(other))["gaps"] == []


@pytest.mark.requirement("R4")
def test_damaged_times_do_not_change_the_order_of_pages(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading after each cursor gives the remaining records, each record once, whatever is in the place of times."""
    monkeypatch.setattr(reader, "BATCH_RECORDS", 2)
    identifier = made.request("user:usr_jane")
    for number in range(11):
        with writing(made.engine) as connection:
            audit.record(connection, f"thing.n{number}", actor="operator:test", export_id=identifier)
    audit.chain_all(made.engine)
    began = present(made)
    time.sleep(0.01)
    with writing(made.engine) as connection:
        audit.record(connection, "thing.later", actor="operator:test", export_id=identifier)
    audit.chain_all(made.engine)
    times = TIMES[dialect_of(made)]
    damaged = {f"thing.n{number}": at for number, at in zip((0, 3, 4, 10), times, strict=True)}
    for action, at in damaged.items():
        change_rows(made, "audit_event", f"at = {at}", f"action = '{action}'")
    selection = Selection(began_at=began)
    found = [record for batch in batches_of(made, "events", selection) for record in batch.records]
    rest = [f"thing.n{number}" for number in (1, 2, 5, 6, 7, 8, 9)]
    assert [record["action"] for record in found] == ["request.accepted", *rest, *damaged]
    assert [record["action"] for record in found if not record["at"]] == list(damaged)
    own = own_of(made)
    for dataset in own.datasets:
        if dataset.name == "events":
            assert own.count(JANE, dataset, selection).records == len(found)
            batches = list(own.export(JANE, dataset, selection))
            for number, batch in enumerate(batches):
                later = [one.records for one in own.export(JANE, dataset, selection, after=batch.cursor)]
                assert later == [one.records for one in batches[number + 1 :]]


@pytest.mark.requirement("R4")
def test_a_time_that_has_not_come_yet_hides_no_record(made: World) -> None:
    """A row that would be created in a later year was changed: it is given, with what it says."""
    made.request("user:usr_jane")
    audit.chain_all(made.engine)
    later = "'2999-01-01 00:00:00.000000'"
    change_rows(made, "audit_event", f"at = {later}", "export_id IS NOT NULL")
    (batch,) = batches_of(made, "events", Selection(began_at=present(made)))
    assert [record["at"] for record in batch.records] == ["2999-01-01T00:00:00.000000Z"]


def damage_of(made: World, shown: Any) -> str | None:
    """A value that no column of this type has; None: the database stores no other."""
    kind = field_type(shown.column.type)
    if dialect_of(made) == "sqlite":
        return "x'ff00'" if shown.name != "id" else None
    return {FieldType.DATETIME: "'infinity'"}.get(kind)


@pytest.mark.requirement("R4")
def test_each_damaged_value_of_each_dataset_is_null_and_named(made: World) -> None:
    """All values that can be damaged are, in all rows: each row is given, and a gap names each value."""
    request_with_everything(made)
    audit.chain_all(made.engine)
    before = {table.dataset.name: batches_of(made, table.dataset.name, Selection()) for table in TABLES}
    expected: dict[str, set[str]] = {}
    for table in TABLES:
        for shown in table.columns:
            value = damage_of(made, shown)
            if value and shown.name not in LEADS_TO_SUBJECT:
                expected.setdefault(table.dataset.name, set()).add(shown.name)
                change_rows(made, shown.column.table.name, f"{shown.column.name} = {value}")
    for name, intact in before.items():
        batches = batches_of(made, name, Selection())
        found = [record for batch in batches for record in batch.records]
        assert len(found) == sum(len(batch.records) for batch in intact), name
        fields = {field for batch in batches for gap in batch.gaps for field in gap.fields}
        assert fields == (expected.get(name, set()) if found else set()), name
        for gap in (gap for batch in batches for gap in batch.gaps):
            (record,) = (record for record in found if (record["id"],) == gap.key)
            assert not any(record[field] for field in gap.fields)
    check_exporter(own_of(made), JANE, selection=Selection())


@pytest.mark.requirement("R26")
def test_an_actor_without_a_role_is_not_given(made: World) -> None:
    """What is in the place of a role may be the name of a person."""
    made.request("user:usr_jane")
    audit.chain_all(made.engine)
    change_rows(made, "audit_event", "actor = 'Eve Example'", "export_id IS NOT NULL")
    (batch,) = batches_of(made, "events", Selection())
    assert [record["actor"] for record in batch.records] == [None]
    assert [gap.fields for gap in batch.gaps] == [("actor",)]


def test_a_record_whose_key_cannot_be_read_is_named(made: World) -> None:
    """SQLite stores bytes in a column of texts; the others are given."""
    if dialect_of(made) == "sqlite":
        made.request("user:usr_jane")
        for wrong in ("x'ff00'", "CAST(x'ff00' AS TEXT)"):
            change_rows(made, "notification", f"id = {wrong}", "kind = 'acknowledged'")
            (batch,) = batches_of(made, "messages", Selection())
            assert (batch.records, [gap.what for gap in batch.gaps]) == ((), ["messages: damaged records: 1"])
