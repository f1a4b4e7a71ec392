"""Archives that the real pipeline made, imported on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import unpacked
from importing import import_as
from judges import cases
from simultaneous import in_threads
from sqlalchemy import Connection, Engine, func, select

from demo.plan import SeedPlan
from exporters.reference import schema
from exporters.sql.exporter import SqlExporter
from portability.api.storages import Storage
from portability.database.engine import open_engine
from portability.plugins import load_exporters
from portability.storage.local import LocalStorage
from receiver.binding.tables import TABLES
from receiver.binding.target import ImportTarget
from receiver.importer.contents import bags
from receiver.importer.report import ImportReport
from receiver.ledger import tables
from receiver.ledger.merge import OnConflict

OWN = ImportTarget(tenant="ten_here")
AS = {"contact": ImportTarget(tenant="ten_here", contact="con_here"), "volumes": OWN}
"""By a word in the names of the golden archives."""
PLAN = SeedPlan(
    tenants=1,
    users=2,
    contacts=4,
    calls=6,
    chats=6,
    events=10,
    recordings=3,
    recording_seconds=(0.25, 0.25),
    hostile_share=0.3,
)
GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[cases.Platform, list[Path]]]:
    """A platform, and the switch export of its tenant in several volumes, unpacked."""
    folder = tmp_path_factory.mktemp("switch")
    with cases.platform(folder, PLAN, volume_members=20) as made:
        archive = cases.exported(made.world, f"tenant:{made.examples.tenant}", profile="switch")
        assert len(archive.volumes) > 1
        yield made, unpacked.unpacked(archive.volumes, folder / "unpacked")


@pytest.fixture
def file_storage(tmp_path: Path) -> Storage:
    return LocalStorage(tmp_path / "files")


def counted(report: ImportReport) -> dict[str, tuple[int, int, int, int]]:
    return {one.table: (one.new, one.same, one.changed, one.refused.total()) for one in report.datasets}


def runs_forgotten(engine: Engine) -> None:
    """As when the days of the journal are over: what was imported last is not known any more."""
    with tables.placed(engine).begin() as connection:
        connection.execute(tables.CHANGE.delete())


def row_count(url: str, table: str) -> int:
    engine = open_engine(url)
    with engine.connect() as connection:
        count = connection.scalar(select(func.count()).select_from(schema.metadata.tables[table])) or 0
    engine.dispose()
    return count


def test_every_dataset_has_the_table_that_its_exporter_reads() -> None:
    """The importer's list of tables is that of the reference platform's exporters; records of requests have none."""
    exporters: dict[str, Any] = dict(load_exporters(None))  # type: ignore[arg-type]  # nothing is read
    read = {
        (name, dataset): source.table
        for name, exporter in exporters.items()
        if isinstance(exporter, SqlExporter)
        for dataset, source in exporter._tables.items()
    }

    assert dict(TABLES) == read


def test_what_an_exporter_gives_is_enough_for_a_row() -> None:
    """Each column that a row requires is exported, so no complete record is ever refused because of one."""
    needed = {
        f"{table.name}.{column.name}"
        for table in TABLES.values()
        for column in table.columns
        if column.info and not column.nullable
    }

    assert needed == set()


def test_all_records_come_in_and_twice_is_once(
    switch: tuple[cases.Platform, list[Path]], control_url: str, file_storage: Storage
) -> None:
    """The first run makes every row and file, the second finds all the same; the sender's own records are left."""
    made, folders = switch

    first = import_as(folders, control_url, OWN, storage=file_storage)
    second = import_as(folders, control_url, OWN, storage=file_storage)

    assert first.refused == 0
    left = [(one.exporter, one.dataset) for one in first.left if one.exporter != "portability"]
    assert left == [("calls", "vcon"), ("chats", "vcon")]
    assert ("portability", "requests") in {(one.exporter, one.dataset) for one in first.left}
    for one in first.datasets:
        assert one.new == row_count(control_url, one.table) > 0
    assert counted(second) == {table: (0, new, 0, 0) for table, (new, _, _, _) in counted(first).items()}
    stored = {one.table: one.files for one in first.datasets if one.files}
    again = {one.table: one.files for one in second.datasets if one.files}
    assert stored["recordings"].new == PLAN.recordings
    assert {table: (0, files.new) for table, files in stored.items()} == {
        table: (files.new, files.same) for table, files in again.items()
    }
    assert len(list(file_storage.list())) == sum(files.new for files in stored.values())
    assert (first.profile, first.complete) == ("switch", True)
    assert made.world.view(first.export)["state"] == "ready"


def test_rows_find_their_files(
    switch: tuple[cases.Platform, list[Path]], control_url: str, file_storage: Storage
) -> None:
    """Each row's storage key leads to the bytes that the archive has under the record's file name."""
    _, folders = switch
    import_as(folders, control_url, OWN, storage=file_storage)
    engine = open_engine(control_url)
    with engine.connect() as connection:
        found = connection.execute(select(schema.recordings.c.id, schema.recordings.c.storage_key))
        keys = {row.id: row.storage_key for row in found}
    engine.dispose()
    archived = {path.stem: path.read_bytes() for folder in folders for path in folder.glob("data/calls/recordings/*")}

    assert {identifier: b"".join(file_storage.read(key or "")) for identifier, key in keys.items()} == archived


def test_what_is_in_no_archive_is_absent_and_reported(
    switch: tuple[cases.Platform, list[Path]], control_url: str, file_storage: Storage
) -> None:
    """Secrets and the platform's own columns are NULL afterwards, and the report names each of them."""
    _, folders = switch
    report = import_as(folders, control_url, OWN, storage=file_storage)
    engine = open_engine(control_url)

    with engine.connect() as connection:
        for one in report.datasets:
            table = schema.metadata.tables[one.table]
            inside = [column for column in table.columns if column.info and column.name != "storage_key"]
            assert one.absent_columns == [column.name for column in inside]
            counts = connection.execute(select(*(func.count(column) for column in inside))).one() if inside else ()
            assert set(counts) <= {0}
    engine.dispose()


def test_a_local_change_stays_until_the_caller_takes_the_archive_s_value(
    switch: tuple[cases.Platform, list[Path]], control_url: str
) -> None:
    """Seen: a second import reset it. A column that archives never contain stays in any case."""
    _, folders = switch
    import_as(folders, control_url, OWN)
    contacts = schema.contacts
    engine = open_engine(control_url)
    with engine.begin() as connection:
        ids = connection.scalars(select(contacts.c.id)).all()
        before = connection.execute(select(contacts.c.full_name).order_by(contacts.c.id)).all()
        connection.execute(contacts.update().where(contacts.c.id == ids[0]).values(full_name="?", portal_token="own"))

    report = import_as(folders, control_url, OWN)
    with engine.connect() as connection:
        assert connection.scalar(select(contacts.c.full_name).where(contacts.c.id == ids[0])) == "?"
        connection.rollback()
    # The archive has not changed since it was imported: no conflict, and there is nothing to take.
    assert counted(report)["contacts"] == (0, len(ids) - 1, 0, 0)
    runs_forgotten(engine)
    first = import_as(folders, control_url, OWN)
    taken = import_as(folders, control_url, OWN, on_conflict=OnConflict.TAKE)
    (found,) = (one for one in first.datasets if one.table == "contacts")
    assert [(one.id, one.fields) for one in found.conflicting] == [(ids[0], ("full_name",))]
    with engine.connect() as connection:
        after = connection.execute(select(contacts.c.full_name).order_by(contacts.c.id)).all()
        kept = connection.scalar(select(contacts.c.portal_token).where(contacts.c.id == ids[0]))
    engine.dispose()
    assert counted(taken)["contacts"] == (0, len(ids) - 1, 1, 0)
    assert after == before
    assert kept == "own"


def test_a_row_of_another_tenant_is_never_touched(
    switch: tuple[cases.Platform, list[Path]], control_url: str, file_storage: Storage
) -> None:
    """Tenants are isolated on this side too: an id of another tenant is refused, and its file is not stored."""
    _, folders = switch
    import_as(folders, control_url, OWN)
    recordings = schema.recordings
    engine = open_engine(control_url)
    with engine.begin() as connection:
        taken = connection.scalars(select(recordings.c.id).order_by(recordings.c.id)).first()
        connection.execute(recordings.update().where(recordings.c.id == taken).values(tenant_id="ten_other"))

    report = import_as(folders, control_url, OWN, storage=file_storage)

    with engine.connect() as connection:
        row = connection.execute(select(recordings).where(recordings.c.id == taken)).mappings().one()
    engine.dispose()
    (dataset,) = (one for one in report.datasets if one.table == "recordings")
    assert [(one.id, one.field, one.reason) for one in dataset.examples] == [(taken, "tenant_id", "another_tenant")]
    assert (row["tenant_id"], row["storage_key"]) == ("ten_other", None)
    assert dataset.files is not None
    assert dataset.files.new == PLAN.recordings - 1
    assert len(list(file_storage.list("calls/"))) == PLAN.recordings - 1


def test_no_part_is_added_to_a_call_of_another_tenant(
    switch: tuple[cases.Platform, list[Path]], control_url: str, file_storage: Storage
) -> None:
    """What an export would leave out is not imported: a transcript that names a call which another tenant has here."""
    _, folders = switch
    import_as(folders, control_url, OWN)
    calls, transcripts = schema.calls, schema.transcripts
    engine = open_engine(control_url)
    with engine.begin() as connection:
        taken = connection.scalars(select(transcripts.c.call_id).order_by(transcripts.c.call_id)).first()
        of_call = select(func.count()).select_from(transcripts).where(transcripts.c.call_id == taken)
        parts = connection.scalar(of_call)
        connection.execute(calls.update().where(calls.c.id == taken).values(tenant_id="ten_other"))
        connection.execute(transcripts.delete().where(transcripts.c.call_id == taken))

    report = import_as(folders, control_url, OWN, storage=file_storage)

    with engine.connect() as connection:
        assert connection.scalar(of_call) == 0
    engine.dispose()
    quarantined = {one.table: dict(one.quarantined) for one in report.datasets}
    assert parts
    assert quarantined["transcripts"] == {"another_tenant": parts}
    assert quarantined["calls"] == {"another_tenant": 1}
    assert quarantined["messages"] == {}


def test_a_dry_run_reports_the_same_and_changes_nothing(
    switch: tuple[cases.Platform, list[Path]], control_url: str, file_storage: Storage, tmp_path: Path
) -> None:
    """Its report is that of the real run; not even a table, a file or a SQLite database is made."""
    _, folders = switch
    dry = import_as(folders, control_url, OWN, storage=file_storage, dry_run=True)

    assert not (tmp_path / "control.sqlite").exists()
    assert not (tmp_path / "files").exists()
    real = import_as(folders, control_url, OWN, storage=file_storage)
    assert real.import_id
    assert {**dry.as_json(), "dry_run": False, "import": real.import_id} == real.as_json()


def tables_of(connection: Connection) -> int:
    return sum(connection.dialect.has_table(connection, name) for name in schema.metadata.tables)


def test_a_dry_run_into_tables_that_are_there(
    switch: tuple[cases.Platform, list[Path]], control_engine: Engine, control_url: str
) -> None:
    """Rows that it would write are rolled back."""
    _, folders = switch
    schema.metadata.create_all(control_engine)

    report = import_as(folders, control_url, OWN, dry_run=True)

    assert sum(one.new for one in report.datasets) > 0
    assert sum(row_count(control_url, one.table) for one in report.datasets) == 0
    with control_engine.connect() as connection:
        assert tables_of(connection) == len(schema.metadata.tables)


def test_two_imports_at_once_are_one(
    switch: tuple[cases.Platform, list[Path]], control_url: str, file_storage: Storage
) -> None:
    """Into an empty database without tables: neither fails, and each row is new for one of them."""
    _, folders = switch

    reports = in_threads(2, lambda _: import_as(folders, control_url, OWN, storage=file_storage))

    for one, other in zip(reports[0].datasets, reports[1].datasets, strict=True):
        assert sorted([one.new, other.new]) == [0, row_count(control_url, one.table)]
        assert one.new + one.same == other.new + other.same


@pytest.mark.requirement("R37")
@pytest.mark.parametrize(
    ("folder", "case"),
    [
        pytest.param(listed.parent, case, id=f"{listed.parent.name} {case['name']}")
        for listed in sorted(GOLDEN.glob("*/cases.json"))
        for case in json.loads(listed.read_text())
        if case["name"].startswith(("switch", "portability")) and case["ok"]
    ],
)
def test_archives_of_older_versions_keep_importing(
    folder: Path, case: dict[str, Any], control_url: str, file_storage: Storage, tmp_path: Path
) -> None:
    """Every line of every golden archive that can be imported becomes a row, in all future versions."""
    volumes = [folder / name for name in case["volumes"]]
    unpacked.unpacked(volumes, tmp_path / "golden")

    report = import_as(bags(tmp_path / "golden"), control_url, AS[case["name"].split()[-1]], storage=file_storage)

    assert report.refused == 0
    assert sum(one.new for one in report.datasets) == unpacked.lines(volumes).total()
    assert all(not one.ignored_fields for one in report.datasets)
