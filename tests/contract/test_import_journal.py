"""The journal of imports on SQLite and PostgreSQL: three-way merge, undoing, kills, encryption, and its end."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from handmade import CREATED, content, table, unpacked_archive
from importing import import_as, undone
from sqlalchemy import Engine, insert, inspect, select, text, update

from exporters.reference import schema
from portability.storage.local import LocalStorage
from receiver.binding.target import ImportTarget
from receiver.faults import ImportConflict, UnknownImport
from receiver.importer import write
from receiver.importer.database import opened
from receiver.importer.report import ImportReport
from receiver.importer.undo import undo
from receiver.ledger import runs, tables
from receiver.ledger.journal import RowJournal
from receiver.ledger.merge import OnConflict
from receiver.ledger.seals import JournalCipher, JournalKey

MOMENT = datetime.fromisoformat(CREATED)
TEN_A = ImportTarget(tenant="ten_a")
SOUND = ("calls/recordings/rec_1.wav", b"sound", content("recordings", file="rec_1.wav"))


def deal(number: int, **values: object) -> dict[str, Any]:
    """A record of crm/deals."""
    own = {"id": f"dea_{number}", "tenant_id": "ten_x", "name": "theirs", "stage": "open", "amount": "10.50"}
    return {**own, "closes_on": "2026-02-03", "created_at": CREATED, **values}


@pytest.fixture
def target(control_engine: Engine) -> Engine:
    """A company that is here, with rows of its own."""
    schema.metadata.create_all(control_engine)
    with control_engine.begin() as connection:
        own = {"id": "ten_a", "name": "Here", "industry": "Here", "api_token": "own", "created_at": MOMENT}
        connection.execute(insert(schema.organisations), own)
        own = {"id": "dea_1", "tenant_id": "ten_a", "name": "own", "created_at": MOMENT}
        connection.execute(insert(schema.deals), own)
    return control_engine


def import_deals(folder: Path, url: str, name: str, *records: object, **options: Any) -> ImportReport:
    """Import an archive with these deals and a company, unpacked below a folder of this name."""
    place = folder / name
    place.mkdir()
    company = {"id": "ten_x", "name": "There", "industry": "There", "created_at": CREATED}
    members = [table("organisation", company, exporter="account"), table("deals", *records, exporter="crm")]
    return import_as(unpacked_archive(place, members), url, TEN_A, **options)


def everything(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of the platform."""
    with engine.connect() as connection:
        return {
            of.name: [tuple(row) for row in connection.execute(select(of).order_by(of.c.id))]
            for of in schema.metadata.sorted_tables
        }


def dumped(url: str) -> list[str]:
    """SQLite's own `.dump`, without the tables of the receiver."""
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        return [line for line in connection.iterdump() if tables.SCHEMA not in line]


def deal_values(engine: Engine, *columns: str) -> dict[str, tuple[Any, ...]]:
    with engine.connect() as connection:
        of = schema.deals.c
        found = connection.execute(select(of.id, *(of[name] for name in columns)))
        return {row[0]: tuple(row[1:]) for row in found}


def change_deal(engine: Engine, identifier: str, **values: object) -> None:
    with engine.begin() as connection:
        connection.execute(update(schema.deals).where(schema.deals.c.id == identifier).values(**values))


def test_a_later_archive_is_merged_field_by_field(tmp_path: Path, target: Engine, control_url: str) -> None:
    """Theirs where only they changed, ours where only we changed, and a conflict where both did: ours stays."""
    import_deals(tmp_path, control_url, "first", deal(2), deal(3))
    change_deal(target, "dea_2", name="ours")
    change_deal(target, "dea_3", name="ours", stage="ours")
    report = import_deals(tmp_path, control_url, "second", deal(2, stage="won"), deal(3, stage="won"))
    assert deal_values(target, "name", "stage") == {
        "dea_1": ("own", None),
        "dea_2": ("ours", "won"),
        "dea_3": ("ours", "ours"),
    }
    (deals,) = (one for one in report.datasets if one.table == "deals")
    assert (deals.changed, deals.kept, deals.conflicts) == (1, 1, 1)
    assert [(one.id, one.fields) for one in deals.conflicting] == [("dea_3", ("stage",))]
    import_deals(tmp_path, control_url, "third", deal(3, stage="won"), on_conflict=OnConflict.TAKE)
    assert deal_values(target, "name", "stage")["dea_3"] == ("ours", "won")


def test_a_row_that_was_deleted_here_stays_deleted(tmp_path: Path, target: Engine, control_url: str) -> None:
    """It is a conflict; only `take` makes it again."""
    import_deals(tmp_path, control_url, "first", deal(2))
    with target.begin() as connection:
        connection.execute(schema.deals.delete().where(schema.deals.c.id == "dea_2"))
    report = import_deals(tmp_path, control_url, "second", deal(2))
    (deals,) = (one for one in report.datasets if one.table == "deals")
    assert [(one.id, one.is_deleted) for one in deals.conflicting] == [("dea_2", True)]
    assert "dea_2" not in deal_values(target)
    import_deals(tmp_path, control_url, "third", deal(2), on_conflict=OnConflict.TAKE)
    assert "dea_2" in deal_values(target)


def test_fail_imports_nothing(tmp_path: Path, target: Engine, control_url: str) -> None:
    """A conflict with a row that was here before is found before the first row is written."""
    before = everything(target)
    with pytest.raises(ImportConflict, match="1 records were changed on both sides"):
        import_deals(tmp_path, control_url, "first", deal(2), on_conflict=OnConflict.FAIL)
    assert everything(target) == before
    with tables.placed(target).connect() as connection:
        assert not tables.exist(connection)


@pytest.mark.parametrize("batch_rows", [1, 500])
def test_undoing_an_import_restores_every_row(
    tmp_path: Path, target: Engine, control_url: str, batch_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL row for row, SQLite also by its own dump; files go, and the next import begins anew."""
    monkeypatch.setattr(write, "BATCH_ROWS", batch_rows)
    before, dump = everything(target), dumped(control_url) if "sqlite" in control_url else []
    storage = LocalStorage(tmp_path / "files")
    recording = {"id": "rec_1", "tenant_id": "ten_x", "call_id": "cal_1", "created_at": CREATED, "file": "rec_1.wav"}
    company = {"id": "ten_x", "name": "There", "industry": "There", "created_at": CREATED}
    twice = [deal(1), deal(2, name="first"), deal(2, name="second", amount="1e0")]
    members = [
        table("organisation", company, exporter="account"),
        table("deals", *twice, deal(2, name="third"), exporter="crm"),
        table("recordings", recording),
        SOUND,
    ]
    folders = unpacked_archive(tmp_path, members)
    options = {"storage": storage, "on_conflict": OnConflict.TAKE}
    first = import_as(folders, control_url, TEN_A, **options)
    assert everything(target) != before
    dry = undone(control_url, first, storage=storage, dry_run=True)
    report = undone(control_url, first, storage=storage)
    assert everything(target) == before
    assert not dump or dumped(control_url) == dump
    assert (report.conflicts, report.files) == (dry.conflicts, dry.files) == (0, 1)
    assert list(storage.list()) == []
    with pytest.raises(UnknownImport):
        undone(control_url, first)
    again = import_as(folders, control_url, TEN_A, **options)
    assert [one.new for one in again.datasets] == [one.new for one in first.datasets]


def test_later_local_changes_outlive_undoing(tmp_path: Path, target: Engine, control_url: str) -> None:
    """A new row with a later change stays, a changed value with a later change stays, and both are listed."""
    report = import_deals(tmp_path, control_url, "first", deal(2), deal(3), on_conflict=OnConflict.TAKE)
    change_deal(target, "dea_2", private_note="ours")
    with target.begin() as connection:
        connection.execute(update(schema.organisations).values(name="Later"))
    result = undone(control_url, report)
    assert sorted((one.table, one.id, one.fields, one.action) for one in result.kept) == [
        ("deals", "dea_2", ("private_note",), "new"),
        ("organisations", "ten_a", ("name",), "changed"),
    ]
    assert set(deal_values(target)) == {"dea_1", "dea_2"}
    with target.connect() as connection:
        found = connection.execute(select(schema.organisations.c.name, schema.organisations.c.industry)).one()
    assert tuple(found) == ("Later", "Here")
    again = import_deals(tmp_path, control_url, "second", deal(2))
    (deals,) = (one for one in again.datasets if one.table == "deals")
    assert (deals.new, set(deal_values(target))) == (0, {"dea_1", "dea_2"})


class KilledBatch(BaseException):
    """In place of a kill: the transaction of the batch is lost."""


@pytest.mark.parametrize("at", range(5))
def test_an_import_that_was_killed_is_continued(
    tmp_path: Path, target: Engine, control_url: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KilledBatch in any batch, the next run has the same id, makes what is missing, and is undone as one import."""
    before = everything(target)
    monkeypatch.setattr(write, "BATCH_ROWS", 2)
    seen: list[int] = []
    commit = RowJournal.add

    def killed(self: Any, *arguments: Any) -> None:
        commit(self, *arguments)
        seen.append(1)
        if len(seen) == at + 1:
            raise KilledBatch

    monkeypatch.setattr(RowJournal, "add", killed)
    records = [deal(number) for number in range(10, 18)]
    with pytest.raises(KilledBatch):
        import_deals(tmp_path, control_url, "in", *records)
    with tables.placed(target).connect() as connection:
        (unfinished,) = (row.id for row in runs.listed(connection))
    report = import_as(sorted((tmp_path / "in" / "in").iterdir()), control_url, TEN_A)
    assert report.import_id == unfinished
    assert len(deal_values(target)) == 1 + len(records)
    assert undone(control_url, report).conflicts == 0
    assert everything(target) == before


def test_undoing_that_was_killed_is_continued(
    tmp_path: Path, target: Engine, control_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch goes with its part of the journal."""
    before = everything(target)
    report = import_deals(tmp_path, control_url, "in", *(deal(number) for number in range(10, 18)))
    monkeypatch.setattr("receiver.importer.undo.BATCH", 3)

    def kill(_count: int) -> None:
        raise KilledBatch

    with pytest.raises(KilledBatch):
        undone(control_url, report, progress=kill)
    assert 1 < len(deal_values(target)) < 9
    undone(control_url, report)
    assert everything(target) == before


def test_the_journal_is_unreadable_without_its_key(tmp_path: Path, target: Engine, control_url: str) -> None:
    """No value is in the database but in its own row, and another key undoes nothing."""
    report = import_deals(tmp_path, control_url, "in", deal(2, name="a secret name"))
    with tables.placed(target).connect() as connection:
        found = [str(tuple(row)) for of in tables.metadata.sorted_tables for row in connection.execute(select(of))]
    assert found
    assert not [line for line in found if "secret" in line]
    with opened(control_url, make=False) as engine, pytest.raises(UnknownImport):
        undo(engine, report.import_id or "", JournalKey(Fernet.generate_key()))
    assert "dea_2" in deal_values(target)


def test_a_journal_ends_after_its_days(tmp_path: Path, target: Engine, control_url: str) -> None:
    """The next import deletes it. Without it a difference is a conflict, and the import cannot be undone."""
    report = import_deals(tmp_path, control_url, "first", deal(2))
    with tables.placed(target).begin() as connection:
        connection.execute(update(tables.RUN).values(keep_until=datetime.now(UTC) - timedelta(seconds=1)))
    later = import_deals(tmp_path, control_url, "second", deal(2, stage="won"))
    assert later.import_id != report.import_id
    assert later.conflicts == 2
    with pytest.raises(UnknownImport, match="its time is over"):
        undone(control_url, report)


def test_an_erased_person_is_forgotten(tmp_path: Path, target: Engine, control_url: str) -> None:
    """Entries about a contact, and about parts of its calls, go from the company's journal; other entries stay."""
    call = {"id": "cal_1", "tenant_id": "ten_x", "contact_id": "con_1", "direction": "in", "created_at": CREATED}
    part = {"id": "tra_1", "tenant_id": "ten_x", "call_id": "cal_1", "position": 1, "created_at": CREATED}
    members = [table("calls", call), table("transcripts", part), table("deals", deal(2), exporter="crm")]
    import_as(unpacked_archive(tmp_path, members), control_url, TEN_A)
    with tables.placed(target).begin() as connection:
        assert runs.forget(connection, "contact:ten_a/con_1", "contacts/con_1") == 2
        assert list(connection.scalars(select(tables.CHANGE.c.name))) == ["deals"]
        runs.forget(connection, TEN_A.name, None)
        assert [connection.execute(select(of)).all() for of in tables.metadata.sorted_tables] == [[]] * 6


def test_a_dry_run_names_the_difference(tmp_path: Path, target: Engine, control_url: str) -> None:
    """By record and field, with base, ours and theirs; it uses the journal, and writes nothing."""
    import_deals(tmp_path, control_url, "first", deal(2))
    change_deal(target, "dea_2", stage="ours")
    before, lines = everything(target), list[str]()
    import_deals(
        tmp_path, control_url, "second", deal(2, stage="won", amount="11"), dry_run=True, difference=lines.append
    )
    (line,) = [line for line in lines if '"dea_2"' in line]
    for said in (
        '"stage": {"base": "open", "ours": "ours", "theirs": "won", "conflict": true, "taken": false}',
        '"amount": {"base": "10.50", "ours": "10.50", "theirs": "11", "conflict": false, "taken": true}',
    ):
        assert said in line
    assert everything(target) == before


def test_every_type_of_the_schema_outlives_the_journal() -> None:
    """A value of each type is the same after encryption, however much it resembles another type."""
    cipher = JournalCipher(Fernet.generate_key())
    values = {
        "time": MOMENT,
        "day": MOMENT.date(),
        "digits": Decimal("1.500"),
        "list": ["time", "2026"],
        "object": {"\0date": "x"},
        "text": "2026-01-02",
        "absent": None,
        "number": 0.1,
    }
    assert cipher.open(cipher.seal({"base": values})) == {"base": values}


def at(day: int, folder: Path, url: str, *records: object, **options: Any) -> ImportReport:
    """Import an archive of an export of its own, which began on this day and was unpacked below a new folder."""
    place = folder / f"of day {day}, {len(list(folder.iterdir()))}"
    place.mkdir()
    began = f"2026-11-{day:02}T08:30:00.5Z"
    company = {"id": "ten_x", "name": f"of day {day}", "created_at": CREATED}
    members = [table("organisation", company, exporter="account"), table("deals", *records, exporter="crm")]
    archive = unpacked_archive(place, members, export=f"e{day}", subject="sub_1", began_at=began)
    return import_as(archive, url, TEN_A, **options)


@pytest.mark.parametrize("on_conflict", [OnConflict.KEEP, OnConflict.TAKE])
def test_an_archive_of_an_earlier_time_replaces_nothing(
    tmp_path: Path, target: Engine, control_url: str, on_conflict: OnConflict
) -> None:
    """Another export of the same company, imported later: its values are older. Rows that only it has are imported."""
    at(20, tmp_path, control_url, deal(2, stage="won"), deal(3))
    change_deal(target, "dea_2", name="ours")
    with target.begin() as connection:
        connection.execute(schema.deals.delete().where(schema.deals.c.id == "dea_3"))
    records = [deal(2, name="old"), deal(3), deal(4)]
    report = at(19, tmp_path, control_url, *records, on_conflict=on_conflict)

    (deals,) = (one for one in report.datasets if one.table == "deals")
    assert deal_values(target, "name", "stage") == {
        "dea_1": ("own", None),
        "dea_2": ("ours", "won"),
        "dea_4": ("theirs", "open"),
    }
    assert (deals.new, deals.changed, deals.kept, deals.older, deals.conflicts) == (1, 0, 2, 2, 0)
    assert deals.as_json()["older"] == 2
    later = at(21, tmp_path, control_url, deal(2, stage="lost"), deal(4, stage="lost"))
    (deals,) = (one for one in later.datasets if one.table == "deals")
    assert (deals.changed, deals.older) == (2, 0)
    assert deal_values(target, "name", "stage")["dea_2"] == ("ours", "lost")


def test_an_archive_of_an_earlier_time_counts_again_after_undoing(
    tmp_path: Path, target: Engine, control_url: str
) -> None:
    """What the newer archive has brought is gone then; an archive without a time is compared with none."""
    first = at(19, tmp_path, control_url, deal(2, stage="open"))
    newer = at(20, tmp_path, control_url, deal(2, stage="won"))
    assert at(19, tmp_path, control_url, deal(2, stage="open")).datasets[-1].older == 1
    undone(control_url, newer)
    again = at(19, tmp_path, control_url, deal(2, stage="open"))
    assert (again.datasets[-1].same, again.datasets[-1].older) == (1, 0)
    assert deal_values(target, "stage")["dea_2"] == ("open",)
    assert (again.import_id, again.is_repeated) == (first.import_id, True)
    (tmp_path / "untimed").mkdir()
    members = [table("deals", deal(2, stage="lost"), exporter="crm")]
    for time in (None, 7, "yesterday", "2026-11-01T08:30:00"):
        archive = unpacked_archive(tmp_path / "untimed", members, export="e22", subject="sub_1", began_at=time)
        (deals,) = import_as(archive, control_url, TEN_A, dry_run=True).datasets
        assert (deals.changed, deals.older) == (1, 0)
        shutil.rmtree(tmp_path / "untimed")
        (tmp_path / "untimed").mkdir()


def test_the_tables_of_an_earlier_release_get_the_time(tmp_path: Path, target: Engine, control_url: str) -> None:
    """Its imports have none, so nothing is older than they are; they are listed before and after."""
    at(20, tmp_path, control_url, deal(2, stage="won"))
    place = "portability_import." if target.dialect.name == "postgresql" else ""
    with target.begin() as connection:
        connection.execute(text(f"ALTER TABLE {place}portability_import_run DROP COLUMN read_at"))
    with opened(control_url, make=False) as engine, engine.begin() as connection:
        assert [row.export for row in runs.listed(connection)] == ["e20"]
    dry = at(19, tmp_path, control_url, deal(2), dry_run=True)
    report = at(19, tmp_path, control_url, deal(2))

    assert [(one.datasets[-1].changed, one.datasets[-1].older) for one in (dry, report)] == [(1, 0), (1, 0)]
    with opened(control_url, make=False) as engine, engine.begin() as connection:
        assert {row.export for row in runs.listed(connection)} == {"e19", "e20"}


def test_an_import_of_an_earlier_release_can_be_undone(tmp_path: Path, target: Engine, control_url: str) -> None:
    """Its tables lack columns, which only imports added; a dry run adds none."""
    before = deal_values(target, "stage")
    report = at(20, tmp_path, control_url, deal(2))
    place = "portability_import." if target.dialect.name == "postgresql" else ""
    run, feed = "portability_import_run", "portability_import_feed"
    later = [(run, "undone"), (run, "repeat"), (feed, "cursor_sha256")]
    with target.begin() as connection:
        for name, column in later:
            connection.execute(text(f"ALTER TABLE {place}{name} DROP COLUMN {column}"))
    with opened(control_url, make=False) as engine, engine.begin() as connection:
        assert [row.id for row in runs.listed(connection)] == [report.import_id]
    assert undone(control_url, report, dry_run=True).removed == 1
    folder = place.rstrip(".") or None
    for name, column in later:
        assert column not in {one["name"] for one in inspect(target).get_columns(name, folder)}
    assert undone(control_url, report).removed == 1
    assert deal_values(target, "stage") == before
