"""An upgrade in the middle of the work: what was begun under an older schema is ended under the newer one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from archives import records
from factories import MadeUpExporter, World, dataset, things, world
from sqlalchemy import Connection, Engine, MetaData, Table, insert, select, text
from sqlalchemy.exc import DatabaseError
from workers import until

from portability import audit, migrations, models
from portability.db import reading, writing
from portability.errors import DatabaseUnavailable
from worker import checkpoint, object_keys, pipeline

SOURCE = things(3000)
MOVED_BY_0003 = ("owner", "fence", "lease_until", "claimed_at", "attempts", "not_before", "woken_at", "progress")
"""From `export` to `slice`, beside the position."""


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    exporter = MadeUpExporter(SOURCE, batch_records=20, datasets=(dataset("first"), dataset("second")))
    return world(tmp_path, {"made": exporter}, database_url=control_url, piece_bytes=8000, volume_bytes=65_536)


def rows_of(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    with reading(engine) as connection:
        return {
            table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in models.metadata.sorted_tables
        }


def as_in_0002(rows: dict[str, list[dict[str, Any]]]) -> None:
    """What a worker of that revision would have written: one position per export, counted in ledger lines."""
    slices = {row["export_id"]: row for row in rows.pop("slice")}
    del rows["turn"]
    for export in rows["export"]:
        mine = slices[export["id"]]
        export |= {name: mine[name] for name in MOVED_BY_0003}
        position = mine["position"]
        export["position"] = position and {"ordinal" if k == "reading" else k: v for k, v in position.items()}


def put_back(engine: Engine, rows: dict[str, list[dict[str, Any]]], revision: str = "0002") -> None:
    """An older database that holds these rows, in place of the newer one."""
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("drop schema public cascade"))
            connection.execute(text("create schema public"))
        else:
            models.metadata.drop_all(connection)
            connection.execute(text("drop table alembic_version"))
    migrations.upgrade(engine, revision)
    older = MetaData()
    with writing(engine) as connection:
        older.reflect(connection)
        connection.execute(older.tables["deployment"].delete())
        for table in older.sorted_tables:
            _insert(connection, table, rows.get(table.name, []))
        if connection.dialect.name == "postgresql":
            for name in ("volume", "gap", "audit_event"):
                last = f"select setval(pg_get_serial_sequence('{name}', 'id'), 1 + max(id)) from {name}"  # noqa: S608  # constants
                connection.execute(text(last))


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    # The types of today, which know times and documents on either database; the columns of then.
    today = [models.slice, models.metadata.tables.get(table.name, models.slice)]
    types = {column.name: column.type for known in today for column in known.columns}
    for column in table.columns:
        column.type = types.get(column.name, column.type)
    if rows:
        names = {column.name for column in table.columns}
        connection.execute(insert(table), [{k: v for k, v in row.items() if k in names} for row in rows])


def advance(made: World, claims: int) -> None:
    for _ in range(claims):
        held = made.claim()
        assert held is not None
        pipeline.advance(made.place, held)


def test_exports_in_work_go_on_after_an_upgrade(made: World) -> None:
    """From revision 0002, half-way, not begun and ended: every record once, and the ended one as it was."""
    ended = made.request("user:usr_1")
    made.advance_all()
    half_way = made.request("user:usr_2")
    advance(made, 2)
    not_begun = made.request("user:usr_3")
    rows = rows_of(made.engine)
    (position,) = (row["position"] for row in rows["slice"] if row["export_id"] == half_way)
    assert position["after"] is not None
    as_in_0002(rows)
    before = made.fetch(ended)
    put_back(made.engine, rows)

    assert migrations.upgrade(made.engine) == ("0002", migrations.head())
    made.advance_all()

    for identifier in (ended, half_way, not_begun):
        view = made.view(identifier)
        assert (view["state"], view["complete"], len(view["volumes"]) > 2) == ("ready", True, True)
        paths = made.fetch(identifier)
        assert made.verify(paths).ok
        for name in ("first", "second"):
            assert records(paths, "made", name) == SOURCE
            (line,) = (line for line in view["datasets"] if line["dataset"] == name)
            assert (line["records"], line["state"]) == (len(SOURCE), "complete")
    assert [path.read_bytes() for path in made.fetch(ended)] == [path.read_bytes() for path in before]


def test_a_dead_workers_export_goes_on_after_an_upgrade(made: World) -> None:
    """It held the lease when the upgrade came: the next claim after the lease aborts its upload and goes on."""
    identifier = made.request()
    advance(made, 1)
    held = made.claim(lease_seconds=0.1)
    assert held is not None
    key = object_keys.fresh(identifier, 2, held.fence)
    upload = made.place.storage.begin(key)

    def names(number: int) -> tuple[str, str]:
        return key, f"v{number}"

    with writing(made.engine) as connection:
        row = checkpoint.reserve_volume(connection, held, None, names)
        checkpoint.note_upload(connection, held, row, upload.id)
    rows = rows_of(made.engine)
    as_in_0002(rows)
    put_back(made.engine, rows)

    migrations.upgrade(made.engine)
    until(lambda: made.advance_all() >= 0 and not made.is_open(identifier), "the export ends")

    paths = made.fetch(identifier)
    assert made.verify(paths).ok
    assert records(paths, "made", "second") == SOURCE
    assert list(made.place.storage.uploads()) == []
    upload.abort()  # what the dead worker held open


def test_events_of_before_are_chained_by_an_upgrade(made: World) -> None:
    """From revision 0003: in their order, holes of a sequence included; what comes then follows from the last one."""
    made.request("user:usr_1")
    made.advance_all()
    rows = rows_of(made.engine)
    rows["audit_event"] = rows["audit_event"][:1] + rows["audit_event"][2:]
    before = [{k: v for k, v in event.items() if "hash" not in k} for event in rows["audit_event"]]
    assert len(before) > 1
    put_back(made.engine, rows, "0003")

    assert migrations.upgrade(made.engine) == ("0003", migrations.head())
    made.request("user:usr_2")

    with reading(made.engine) as connection:
        verdict = audit.verify(connection)
        events = audit.events(connection)
    assert (verdict.ok, verdict.events) == (True, len(before) + 1)
    assert [{k: v for k, v in event.items() if "hash" not in k} for event in events[:-1]] == before
    assert events[-1]["id"] == before[-1]["id"] + 1
    with pytest.raises((DatabaseError, DatabaseUnavailable)), writing(made.engine) as connection:
        connection.execute(text("DELETE FROM audit_event WHERE true"))


def test_an_empty_log_is_chained_by_an_upgrade(control_engine: Engine) -> None:
    """A deployment in which nothing has happened yet."""
    migrations.upgrade(control_engine, "0003")
    migrations.upgrade(control_engine)
    with writing(control_engine) as connection:
        audit.record(connection, "thing.done", actor="operator:test")
        assert audit.verify(connection).ok
