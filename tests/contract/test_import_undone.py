"""Undoing an import brings back what the target database had, as the driver of the database alone reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
from faults import FaultyStorage, Killed
from handmade import CREATED, content, table, unpacked_archive
from importing import KEY, import_as, undone
from sqlalchemy import Engine, create_engine, select

from exporters.reference import schema
from portability.api.errors import BadInput, StorageUnavailable
from portability.storage.local import LocalStorage
from receiver.binding.target import ImportTarget
from receiver.faults import UnknownImport
from receiver.importer import tombstones
from receiver.importer import undo as undo_module
from receiver.importer.database import opened
from receiver.importer.report import ImportReport
from receiver.importer.undo import UndoReport, undo
from receiver.importer.values import Reason
from receiver.ledger import runs
from receiver.ledger.merge import OnConflict
from receiver.ledger.tables import PENDING_FILE


@pytest.fixture
def receiving(empty_url: str) -> Iterator[Engine]:
    """The receiving platform with its tables, without a row."""
    engine = create_engine(empty_url)
    schema.metadata.create_all(engine)
    yield engine
    engine.dispose()


def bare_contact(identifier: str, **values: object) -> dict[str, Any]:
    """A record of crm/contacts."""
    return {"id": identifier, "tenant_id": "ten_x", "created_at": CREATED, **values}


def bare_deal(identifier: str, **values: object) -> dict[str, Any]:
    """A record of crm/deals."""
    return {**bare_contact(identifier), "stage": identifier, **values}


def import_records(folder: Path, url: str, dataset: str, *records: object) -> ImportReport:
    """Import records of the CRM; conflicts are decided for the archive."""
    place = folder / f"archive-{len(list(folder.iterdir()))}"
    place.mkdir()
    archive = unpacked_archive(place, [table(dataset, *records, exporter="crm")])
    return import_as(archive, url, ImportTarget(tenant="ten_a"), on_conflict=OnConflict.TAKE)


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def selected(engine: Engine, query: str) -> Sequence[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_a_machine_with_a_wrong_clock_deletes_no_journal(
    tmp_path: Path, receiving: Engine, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine whose clock is 40 days ahead lists imports that can be undone for 30 days, and keeps them."""

    class FastClock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # a plain datetime is returned
            return datetime.now(tz) + timedelta(days=40)

    report = import_records(tmp_path, empty_url, "contacts", bare_contact("a"))
    monkeypatch.setattr(runs, "datetime", FastClock)
    with opened(empty_url, make=False) as engine, engine.begin() as connection:
        assert [run.state for run in runs.listed(connection)] == ["done"]
    undone(empty_url, report)
    assert selected(receiving, "SELECT id FROM contacts") == []


def test_an_import_that_is_undone_while_it_runs_ends(tmp_path: Path, receiving: Engine, empty_url: str) -> None:
    """It writes no row after the undo has begun: the run and its journal are gone, so nothing could remove the row."""
    archive = unpacked_archive(
        tmp_path,
        [table("contacts", bare_contact("a"), exporter="crm"), table("deals", bare_deal("b"), exporter="crm")],
    )
    reports: list[UndoReport] = []

    def undo_after_contacts(_size: int) -> None:
        if not reports and selected(receiving, "SELECT id FROM contacts"):
            with opened(empty_url, make=False) as engine:
                with engine.connect() as connection:
                    (run,) = runs.listed(connection)
                reports.append(undo(engine, run.id, KEY))

    with pytest.raises(UnknownImport, match="was undone"):
        import_as(archive, empty_url, ImportTarget(tenant="ten_a"), started=lambda _size: undo_after_contacts)

    assert [report.removed for report in reports] == [1]
    assert selected(receiving, "SELECT id FROM contacts UNION SELECT id FROM deals") == []


def test_a_file_of_a_deleted_row_is_deleted_after_a_kill(
    tmp_path: Path, receiving: Engine, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is gone with the first run, and the second finds its file; undoing brings back the row alone."""
    storage = LocalStorage(tmp_path / "files")
    place = ImportTarget(tenant="ten_a")
    recording = {"id": "rec_1", "tenant_id": "ten_x", "call_id": "cal_1", "created_at": CREATED, "file": "rec_1.wav"}
    sound = ("calls/recordings/rec_1.wav", b"sound", content("recordings", file="rec_1.wav"))
    import_as(feed_archive(tmp_path / "1", table("recordings", recording), sound), empty_url, place, storage=storage)
    second = feed_archive(tmp_path / "2", table("contacts", exporter="crm"), after="e1", gone="rec_1")

    with monkeypatch.context() as broken:
        broken.setattr(tombstones, "_delete_files", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            import_as(second, empty_url, place, storage=storage)
    assert selected(receiving, "SELECT id FROM recordings") == []
    assert len(list(storage.list())) == 1
    report = import_as(second, empty_url, place, storage=storage)

    assert list(storage.list()) == []
    assert undone(empty_url, report, storage=storage).restored == 1
    assert selected(receiving, "SELECT id, storage_key FROM recordings") == [("rec_1", None)]


@pytest.mark.parametrize("fault", [StorageUnavailable("made: it is away"), Killed()])
def test_files_of_a_batch_that_was_rolled_back_are_deleted(
    tmp_path: Path, receiving: Engine, empty_url: str, fault: BaseException
) -> None:
    """No row and no journal lead to them; one that a row of another import needs stays. The import can be run again.

    An undo without the storage would forget them: it is refused.
    """
    storage = FaultyStorage(LocalStorage(tmp_path / "files"))

    def sound(name: str, parts: str) -> list[Any]:
        of = {"tenant_id": "ten_x", "call_id": "cal_1", "created_at": CREATED}
        records = [{"id": f"rec_{part}", **of, "file": f"{part}.wav"} for part in parts]
        paths = [f"calls/recordings/{part}.wav" for part in parts]
        files = [(path, path.encode(), content("recordings", file=path[-5:])) for path in paths]
        (tmp_path / name).mkdir()
        return unpacked_archive(tmp_path / name, [table("recordings", *records), *files], export=name, subject="sub_1")

    def fail(operation: str, count: int) -> None:
        if (operation, count) == ("complete", 4):
            raise fault

    place = ImportTarget(tenant="ten_a")
    import_as(sound("first", "a"), empty_url, place, storage=storage)
    storage.before = fail
    second = sound("second", "abcde")
    with pytest.raises(type(fault)):
        import_as(second, empty_url, place, storage=storage)
    assert len(list(storage.inner.list())) == 3
    with opened(empty_url, make=False) as engine, engine.connect() as connection:
        (unfinished,) = [run.id for run in runs.listed(connection) if run.state == "running"]
    with opened(empty_url, make=False) as engine:
        with pytest.raises(BadInput, match=rf"a batch of import {unfinished} has not ended"):
            undo(engine, unfinished, KEY)
        kept = undo(engine, unfinished, KEY, storage=storage)
    assert (kept.removed, kept.files) == (0, 2)
    assert [stored.key.rpartition("/")[2] for stored in storage.inner.list()] == ["a.wav"]
    report = import_as(second, empty_url, place, storage=storage)
    assert (len(list(storage.inner.list())), len(selected(receiving, "SELECT id FROM recordings"))) == (5, 5)
    with opened(empty_url, make=False) as engine, engine.connect() as connection:
        assert connection.execute(select(PENDING_FILE)).all() == []
    assert undone(empty_url, report, storage=storage).files == 4


def feed_archive(folder: Path, *members: Any, after: str | None = None, gone: str | None = None) -> list[Path]:
    """An archive of a feed, with a tombstone of a recording."""
    folder.mkdir()
    path = "tombstones/calls/recordings.jsonl"
    listed = [{"exporter": "calls", "dataset": "recordings", "path": path, "records": 1}] if gone else []
    before = {"number": 1, "export": after} if after else None
    document = {"feed": "feed_1", "number": 2 if after else 1, "after": before, "tombstones": listed}
    stones = {path: orjson.dumps({"key": {"id": gone}}) + b"\n"} if gone else {}
    tags = {"changes.json": orjson.dumps(document), **stones}
    return unpacked_archive(folder, list(members), export="e2" if after else "e1", subject="sub_1", tags=tags)


def test_an_undo_that_is_killed_counts_all_that_was_undone(
    tmp_path: Path, receiving: Engine, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that continues reports both: a row was changed in part, two stay, and no file is forgotten."""
    monkeypatch.setattr(undo_module, "BATCH", 3)
    storage = LocalStorage(tmp_path / "files")
    sound = ("calls/recordings/rec_1.wav", b"sound", content("recordings", file="rec_1.wav"))
    recording = {"id": "rec_1", "tenant_id": "ten_x", "call_id": "cal_1", "created_at": CREATED, "file": "rec_1.wav"}
    import_records(tmp_path, empty_url, "contacts", bare_contact("a", full_name="first", phone="1"))
    contacts = [bare_contact("a", full_name="second", phone="2"), *map(bare_contact, "bcdefg")]
    members = [table("contacts", *contacts, exporter="crm"), table("recordings", recording), sound]
    (tmp_path / "second").mkdir()
    archive = unpacked_archive(tmp_path / "second", members)
    options = {"on_conflict": OnConflict.TAKE, "storage": storage}
    report = import_as(archive, empty_url, ImportTarget(tenant="ten_a"), **options)
    assert len(list(storage.list())) == 1
    execute(receiving, "UPDATE contacts SET full_name = 'ours' WHERE id = 'a' OR id = 'b'")
    dry = undone(empty_url, report, storage=storage, dry_run=True)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(LocalStorage, "delete", killed)
        with pytest.raises(Killed):
            undone(empty_url, report, storage=storage)
    for _ in range(2):
        with pytest.raises(Killed):
            undone(empty_url, report, storage=storage, progress=killed)
    result = undone(empty_url, report, storage=storage)

    assert kept_rows(result) == kept_rows(dry)
    assert {**result.as_json(), "dry_run": True} == dry.as_json()
    assert (result.removed, result.restored, result.files, result.conflicts) == (6, 1, 1, 2)
    assert list(storage.list()) == []


@pytest.mark.parametrize(
    "stored", ["null", '{"n": 12345678901234567890.123456789}', '{"n": 0.10}', '["x", null]', '{"n": 1e400}']
)
def test_undoing_restores_json_to_the_digit(tmp_path: Path, receiving: Engine, empty_url: str, stored: str) -> None:
    """JSON's own null stays another value than NULL, and a number keeps digits that a double does not have."""
    import_records(tmp_path, empty_url, "contacts", bare_contact("a", custom={"first": 1}))
    execute(receiving, f"UPDATE contacts SET custom = '{stored}'")  # noqa: S608  # a constant
    before = selected(receiving, "SELECT CAST(custom AS TEXT) FROM contacts")

    report = import_records(tmp_path, empty_url, "contacts", bare_contact("a", custom={"second": 2}))
    assert selected(receiving, "SELECT CAST(custom AS TEXT) FROM contacts") == [('{"second": 2}',)]
    undone(empty_url, report)

    assert selected(receiving, "SELECT CAST(custom AS TEXT) FROM contacts") == before


@pytest.mark.parametrize(
    ("column", "stored"),
    [("amount", "1E+2"), ("amount", " 10.50"), ("closed_at", "2026-01-02T12:00:00+02:00"), ("closed_at", "2026-01-02")],
)
def test_undoing_restores_the_texts_of_sqlite(tmp_path: Path, column: str, stored: str) -> None:
    """A number or a time that another program has written in its own form has this form again."""
    empty_url = f"sqlite:///{tmp_path}/platform.db"
    engine = create_engine(empty_url)
    import_records(tmp_path, empty_url, "deals", bare_deal("a"))
    execute(engine, f"UPDATE deals SET {column} = '{stored}'")  # noqa: S608  # a constant
    report = import_records(tmp_path, empty_url, "deals", bare_deal("a", amount="1.5", closed_at=CREATED))
    assert selected(engine, f"SELECT {column} FROM deals") != [(stored,)]  # noqa: S608  # as above

    undone(empty_url, report)

    assert selected(engine, f"SELECT {column} FROM deals") == [(stored,)]  # noqa: S608  # as above
    engine.dispose()


KEEPS = {
    "sqlite": ["CREATE TRIGGER keeps BEFORE {on} ON deals BEGIN SELECT RAISE(IGNORE); END"],
    "postgresql": [
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER keeps BEFORE {on} ON deals FOR EACH ROW EXECUTE FUNCTION keep()",
    ],
}


def kept_rows(result: UndoReport) -> list[tuple[str, tuple[str, ...], str]]:
    return [(one.id, one.fields, one.action) for one in result.kept]


@pytest.mark.parametrize("on", ["DELETE", "UPDATE"])
def test_a_row_that_a_trigger_keeps_is_listed(
    tmp_path: Path, receiving: Engine, empty_url: str, on: Literal["DELETE", "UPDATE"]
) -> None:
    """A row that a trigger keeps without an error is counted as a conflict, and not as removed or restored."""
    import_records(tmp_path, empty_url, "deals", bare_deal("a", stage="first"))
    report = import_records(tmp_path, empty_url, "deals", bare_deal("a", stage="later"), bare_deal("b"))
    execute(receiving, *(one.format(on=on) for one in KEEPS[receiving.dialect.name]))

    result = undone(empty_url, report)

    if on == "DELETE":
        assert (result.removed, result.restored, kept_rows(result)) == (0, 1, [("b", (), "new")])
        assert selected(receiving, "SELECT id, stage FROM deals ORDER BY id") == [("a", "first"), ("b", "b")]
    else:
        assert (result.removed, result.restored, kept_rows(result)) == (1, 0, [("a", ("stage",), "changed")])
        assert selected(receiving, "SELECT id, stage FROM deals ORDER BY id") == [("a", "later")]


def test_a_value_that_the_target_refuses_by_now_is_listed(tmp_path: Path, receiving: Engine, empty_url: str) -> None:
    """If another row has a unique value by now, the row stays as it is, and the others are undone."""
    execute(receiving, "CREATE UNIQUE INDEX alone ON deals (stage)")
    import_records(tmp_path, empty_url, "deals", bare_deal("a", stage="first"), bare_deal("b", name="first"))
    second = [bare_deal("a", stage="later"), bare_deal("b", name="later"), bare_deal("c")]
    report = import_records(tmp_path, empty_url, "deals", *second)
    execute(
        receiving,
        "INSERT INTO deals (id, tenant_id, stage, created_at)"
        " VALUES ('own', 'ten_a', 'first', '2026-01-02 03:04:05.000006')",
    )

    result = undone(empty_url, report)

    assert (result.removed, result.restored, kept_rows(result)) == (1, 1, [("a", ("stage",), "changed")])
    stored = [("a", "later", None), ("b", "b", "first"), ("own", "first", None)]
    assert selected(receiving, "SELECT id, stage, name FROM deals ORDER BY id") == stored


@pytest.mark.parametrize("on_delete", ["CASCADE", "SET NULL"])
def test_undoing_changes_no_row_of_the_platform_by_a_foreign_key(
    tmp_path: Path, receiving: Engine, empty_url: str, on_delete: Literal["CASCADE", "SET NULL"]
) -> None:
    """A row to which the platform's own row refers stays, also if the key would delete or change the own row."""
    report = import_records(tmp_path, empty_url, "deals", bare_deal("a"), bare_deal("b"))
    execute(
        receiving,
        f"CREATE TABLE task (id text PRIMARY KEY, deal text REFERENCES deals (id) ON DELETE {on_delete})",
        "INSERT INTO task VALUES ('call back', 'b')",
    )

    result = undone(empty_url, report)

    assert (result.removed, kept_rows(result)) == (1, [("b", (), "new")])
    assert selected(receiving, "SELECT id, deal FROM task") == [("call back", "b")]


def test_a_deferred_key_of_sqlite_fails_no_commit(tmp_path: Path) -> None:
    """A row that own rows need stays and is listed, as the dry run says; imported rows that refer to each other go."""
    url = f"sqlite:///{tmp_path}/platform.db"
    engine = create_engine(url)
    schema.metadata.create_all(engine)
    deferred = "REFERENCES deals (id) DEFERRABLE INITIALLY DEFERRED"
    execute(engine, f"CREATE TABLE task (id text PRIMARY KEY, deal text {deferred})")
    execute(engine, f"ALTER TABLE deals ADD COLUMN next text {deferred}")
    report = import_records(tmp_path, url, "deals", *map(bare_deal, "abcd"))
    execute(engine, "INSERT INTO task VALUES ('call back', 'b')", "UPDATE deals SET next = 'd' WHERE id = 'c'")

    tried, result = undone(url, report, dry_run=True), undone(url, report)

    assert kept_rows(tried) == kept_rows(result) == [("b", (), "new")]
    assert (tried.removed, result.removed) == (3, 3)
    assert selected(engine, "SELECT id FROM deals") == [("b",)]
    engine.dispose()


def deals_with_key(folder: Path, key: str, *made: str) -> tuple[str, Engine]:
    """A platform on SQLite whose deals have a deferred foreign key; `made` are statements before them."""
    url = f"sqlite:///{folder}/platform.db"
    engine = create_engine(url)
    schema.metadata.create_all(engine)
    columns = ", ".join(f"{one.name} {one.type.compile(engine.dialect)}" for one in schema.deals.columns)
    deferred = f"FOREIGN KEY {key} DEFERRABLE INITIALLY DEFERRED"
    execute(engine, "DROP TABLE deals", *made, f"CREATE TABLE deals ({columns}, PRIMARY KEY (id), {deferred})")
    return url, engine


def test_a_record_that_a_deferred_key_of_sqlite_refuses_is_refused_alone(tmp_path: Path) -> None:
    """As on PostgreSQL: the commit of its batch would fail, and nothing could be imported."""
    url, engine = deals_with_key(tmp_path, "(stage) REFERENCES deals (id)")
    records = (bare_deal("a"), bare_deal("b", stage="nowhere"), bare_deal("c", stage="a"), bare_deal("d", stage=None))

    (found,) = import_records(tmp_path, url, "deals", *records).datasets

    assert (found.new, dict(found.refused)) == (3, {Reason.CONSTRAINT: 1})
    assert selected(engine, "SELECT id FROM deals ORDER BY id") == [("a",), ("c",), ("d",)]
    engine.dispose()


def test_a_deferred_key_of_sqlite_may_lead_to_a_key_without_its_name(tmp_path: Path) -> None:
    """`REFERENCES stages` leads to the primary key of that table, whatever its name is: no other record is refused."""
    url, engine = deals_with_key(
        tmp_path,
        "(stage) REFERENCES stages",
        "CREATE TABLE stages (label TEXT, code TEXT PRIMARY KEY)",
        "INSERT INTO stages VALUES ('Won', 'won')",
    )

    records = (bare_deal("a", stage="won"), bare_deal("b", stage="lost"))
    (found,) = import_records(tmp_path, url, "deals", *records).datasets

    assert (found.new, dict(found.refused)) == (1, {Reason.CONSTRAINT: 1})
    assert selected(engine, "SELECT id FROM deals") == [("a",)]
    engine.dispose()


def test_a_deferred_key_of_several_columns_refuses_nothing_by_one_of_them(tmp_path: Path) -> None:
    """With a NULL in one of its columns it leads nowhere, and SQLite accepts the row."""
    url, engine = deals_with_key(
        tmp_path,
        "(stage, currency) REFERENCES stages (code, currency)",
        "CREATE TABLE stages (code TEXT, currency TEXT, PRIMARY KEY (code, currency))",
    )

    (found,) = import_records(tmp_path, url, "deals", bare_deal("a", stage="won", currency=None)).datasets

    assert (found.new, dict(found.refused)) == (1, {})
    engine.dispose()


def test_undoing_deletes_imported_rows_that_refer_to_each_other(tmp_path: Path, pg_url: str) -> None:
    """Rows that imports have made do not keep a row, also if their key has ON DELETE CASCADE."""
    engine = create_engine(pg_url)
    schema.metadata.create_all(engine)
    execute(engine, "ALTER TABLE deals ADD FOREIGN KEY (stage) REFERENCES deals ON DELETE CASCADE")
    report = import_records(tmp_path, pg_url, "deals", bare_deal("a"), bare_deal("b", stage="a"))

    result = undone(pg_url, report)

    assert (result.removed, result.conflicts, selected(engine, "SELECT id FROM deals")) == (2, 0, [])
    engine.dispose()


def test_a_time_of_sqlite_is_compared_with_its_offset(tmp_path: Path) -> None:
    """A time that another program has written with an offset is the same as the archive's time, and only then."""
    url = f"sqlite:///{tmp_path}/platform.db"
    engine = create_engine(url)
    import_records(tmp_path, url, "deals", bare_deal("a"), bare_deal("b"))
    execute(engine, "UPDATE deals SET closed_at = '2026-01-02T12:00:00+02:00'")

    records = [bare_deal("a", closed_at="2026-01-02T10:00:00Z"), bare_deal("b", closed_at="2026-01-02T12:00:00Z")]
    (deals,) = import_records(tmp_path, url, "deals", *records).datasets

    assert (deals.same, deals.changed) == (1, 1)
    stored = [("a", "2026-01-02T12:00:00+02:00"), ("b", "2026-01-02 12:00:00.000000")]
    assert selected(engine, "SELECT id, closed_at FROM deals ORDER BY id") == stored
    engine.dispose()


@pytest.mark.parametrize("named", [" (place, code)", ""])
def test_a_deferred_key_of_several_columns_refuses_a_record_alone(tmp_path: Path, named: str) -> None:
    """A NULL in one of its columns leads nowhere, and needs no row; without names it leads to the primary key."""
    url, engine = deals_with_key(
        tmp_path,
        f"(name, stage) REFERENCES stages{named}",
        "CREATE TABLE stages (code TEXT, place TEXT, PRIMARY KEY (place, code))",
        "INSERT INTO stages VALUES ('won', 'here'), ('lost', 'there')",
    )
    pairs = {"a": ("here", "won"), "b": ("here", "lost"), "c": ("nowhere", None), "d": ("there", "lost")}
    records = (bare_deal(one, name=name, stage=stage) for one, (name, stage) in pairs.items())

    (found,) = import_records(tmp_path, url, "deals", *records).datasets

    assert (found.new, dict(found.refused)) == (3, {Reason.CONSTRAINT: 1})
    assert selected(engine, "SELECT id FROM deals ORDER BY id") == [("a",), ("c",), ("d",)]
    engine.dispose()
