"""A map states what has changed: by an outbox table or by the time of the last change, on all databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import crm_database
import pytest
from crm_database import DEALS, MAP, TYPES, CrmDatabase, open_crm
from sqlalchemy import text
from wrong_clocks import set_machine_wrong

from exporters.sql import by_keys
from exporters.sql.mapped.exporter import MappedExporter
from portability.api import JSON, ChangingExporter, CoverageKind, RecordKey, Selection, SubjectKind
from portability.api.errors import BadMap
from portability.api.times import rfc3339
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.CONTACT, "con_1", tenant="org_a")
OUTBOX = """
[changes]
datasets = ["contacts", "deals", "tasks"]
[changes.outbox]
table = "outbox"
at = "at"
tenant = "org_id"
"""
BY_TIME = '[changes]\ndatasets = ["deals"]\n'
LIMIT = 100


@cache
def late() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mysql"])
def crm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CrmDatabase:
    """The CRM with an outbox table, without entries."""
    made = crm_database.filled_on(request.param, request, tmp_path_factory.mktemp("crm"))
    engine = made.engine()
    types = TYPES[engine.dialect.name]
    engine.dispose()
    made.run("create table outbox (table_name {text}, row_key {text}, org_id {text}, at {time})".format(**types))
    if request.param == "postgresql":
        made.run("grant select on outbox to public")
    return made


def open_stating(crm: CrmDatabase, changes: str) -> MappedExporter:
    return open_crm(crm, changed=MAP.read_text() + changes)


@pytest.fixture
def stating(crm: CrmDatabase) -> Iterator[MappedExporter]:
    found = open_stating(crm, OUTBOX)
    yield found
    crm.run("delete from outbox")
    found._section.sources.database.dispose()


def write_entry(crm: CrmDatabase, table: str, key: str, tenant: str | None = "org_a", ago: int = 0) -> None:
    at = f"{late() - timedelta(seconds=ago):%Y-%m-%d %H:%M:%S.%f}"
    if crm.url.startswith("postgresql"):
        at += "+00"
    crm.put("outbox", [(table, key, tenant, at)])


def stated_keys(exporter: MappedExporter, name: str, since: JSON, limit: int = LIMIT) -> set[RecordKey] | None:
    (dataset,) = (one for one in exporter.datasets if one.name == name)
    keys = exporter.changed(ANN, dataset, since, limit)
    return None if keys is None else set(keys)


def position_of(seconds: int = 0) -> dict[str, Any]:
    return {"at": rfc3339(late() - timedelta(seconds=seconds))}


def test_entries_name_records(crm: CrmDatabase, stating: MappedExporter) -> None:
    """Their keys are those of the records: of the subject's tenant or of any, each once."""
    assert isinstance(stating, ChangingExporter)
    for key in (DEALS[1], DEALS[1], DEALS[5]):
        write_entry(crm, "deals", key)
    write_entry(crm, "tasks", "17", tenant=None)
    write_entry(crm, "contacts", "con_3", tenant="org_b")
    assert stated_keys(stating, "deals", position_of()) == {(DEALS[1],), (DEALS[5],)}
    assert stated_keys(stating, "tasks", position_of()) == {(17,)}
    assert stated_keys(stating, "contacts", position_of()) == set()


def test_an_overlap_is_read_again(crm: CrmDatabase, stating: MappedExporter) -> None:
    """An entry of the last hour before the position may have been committed after it; an older entry is past."""
    write_entry(crm, "deals", DEALS[1], ago=3_500)
    write_entry(crm, "deals", DEALS[5], ago=3_700)
    assert stated_keys(stating, "deals", position_of()) == {(DEALS[1],)}
    assert stated_keys(stating, "deals", position_of(200)) == {(DEALS[1],), (DEALS[5],)}


def test_a_source_that_cannot_say_it(crm: CrmDatabase, stating: MappedExporter) -> None:
    """More entries than allowed, an entry that names no record, a position of another kind: compare everything."""
    write_entry(crm, "tasks", "17")
    write_entry(crm, "tasks", "18")
    assert stated_keys(stating, "tasks", position_of(), 1) is None
    assert stated_keys(stating, "tasks", {"transaction": 7}) is None
    assert stated_keys(stating, "tasks", None) is None
    write_entry(crm, "tasks", "all of them")
    assert stated_keys(stating, "tasks", position_of()) is None


@pytest.mark.parametrize("crm", ["postgresql"], indirect=True, scope="module")
def test_an_outbox_whose_columns_name_nothing(crm: CrmDatabase) -> None:
    """JSON and `regclass` are not the text of a key: the check says that each archive compares everything."""
    crm.run("create table entries (table_name regclass, row_key jsonb, org_id text, at timestamptz)")
    crm.run("create index by_time on entries (at)")
    crm.run("grant select on entries to public")
    stating = open_stating(crm, OUTBOX.replace('table = "outbox"', 'table = "entries"'))
    found = [(one.kind, one.column, one.detail) for one in stating.check().findings if one.table == "entries"]
    stating._section.sources.database.dispose()
    crm.run("drop table entries")
    kind = CoverageKind.NAMES_NOTHING
    assert found == [(kind, "table_name", "regclass"), (kind, "row_key", "jsonb")]


def test_the_outbox_needs_no_decision(crm: CrmDatabase, stating: MappedExporter) -> None:
    """Its entries name records: the coverage of the map says nothing about its columns, only that no index serves."""

    def found() -> list[tuple[CoverageKind, str]]:
        return [(one.kind, one.detail) for one in stating.check().findings if one.table == "outbox"]

    assert found() == [(CoverageKind.NO_INDEX, "at")]
    crm.run("create index entries on outbox (at, org_id)")
    assert found() == []
    crm.run("drop index entries" + (" on outbox" if crm.url.startswith("mysql") else ""))
    assert "outbox" in stating.declaration.tables


def test_the_position_is_a_time(stating: MappedExporter) -> None:
    """That of the source, where its clock and that of the worker agree."""
    position = stating.horizon()
    assert isinstance(position, dict)
    assert abs(datetime.fromisoformat(position["at"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_worker_that_is_hours_ahead_passes_by_no_change(
    crm: CrmDatabase, stating: MappedExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The position is not later than the clock by which the source writes the times of its entries."""
    write_entry(crm, "tasks", "17", ago=7200)
    with monkeypatch.context() as ahead:
        set_machine_wrong(ahead, hours=3)
        position = stating.horizon()
    write_entry(crm, "deals", DEALS[1], ago=-60)
    assert stated_keys(stating, "deals", position) == {(DEALS[1],)}


def test_a_worker_that_is_behind_reads_more_again(stating: MappedExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs that write the times may have another clock than the database: the earlier one decides."""
    set_machine_wrong(monkeypatch, hours=-3)
    position = stating.horizon()
    assert isinstance(position, dict)
    age = datetime.now(UTC) - datetime.fromisoformat(position["at"])
    assert timedelta(minutes=179) < age < timedelta(minutes=181)


def test_a_source_whose_clock_was_set_back_cannot_say_it(crm: CrmDatabase, stating: MappedExporter) -> None:
    """A position that is later than now: what has changed since then may have earlier times, so all is compared."""
    write_entry(crm, "deals", DEALS[1])
    assert stated_keys(stating, "deals", position_of()) == {(DEALS[1],)}
    assert stated_keys(stating, "deals", position_of(-7200)) is None
    by_time = open_stating(crm, BY_TIME)
    assert stated_keys(by_time, "deals", position_of(-7200)) is None
    by_time._section.sources.database.dispose()


def test_records_are_read_by_their_keys(stating: MappedExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only through the subject's filter, in several statements, and from each cursor on; created whenever."""
    monkeypatch.setattr(by_keys, "PART_KEYS", 100)
    (tasks,) = (one for one in stating.datasets if one.name == "tasks")
    keys = tuple((number,) for number in (*range(0, 700, 2), 1000, 9999))
    selection = Selection(keys=keys, began_at=datetime(2000, 1, 1, tzinfo=UTC))
    batches = list(stating.export(ANN, tasks, selection))
    numbers = [record["id"] for batch in batches for record in batch.records]
    assert numbers == list(range(0, 700, 2))
    rest = stating.export(ANN, tasks, selection, after=batches[2].cursor)
    assert [record["id"] for batch in rest for record in batch.records] == [
        record["id"] for batch in batches[3:] for record in batch.records
    ]
    (deals,) = (one for one in stating.datasets if one.name == "deals")
    chosen = Selection(keys=((DEALS[1],), (DEALS[2],), (DEALS[3],), ("no uuid",)))
    assert [record["id"] for batch in stating.export(ANN, deals, chosen) for record in batch.records] == [DEALS[1]]
    assert list(stating.export(ANN, deals, Selection(keys=()))) == []


def test_the_time_of_the_last_change(crm: CrmDatabase) -> None:
    """Rows of the subject since the position and its overlap, and rows without such a time."""
    exporter = open_stating(crm, BY_TIME)
    at = f"{late():%Y-%m-%d %H:%M:%S}"
    crm.run("update deals set updated_at = '2020-01-01 00:00:00'")
    crm.run(f"update deals set updated_at = '{at}' where name in ('Deal 1', 'Deal 2')")  # noqa: S608  # a time
    assert stated_keys(exporter, "deals", position_of()) == {(DEALS[1],)}
    crm.run("update deals set updated_at = null where name = 'Deal 5'")
    assert stated_keys(exporter, "deals", position_of()) == {(DEALS[1],), (DEALS[5],)}
    assert stated_keys(exporter, "deals", position_of(), 1) is None
    assert exporter.changes is not None
    assert (exporter.changes.mode, exporter.changes.reconcile_days) == ("updated_at", 7)
    exporter._section.sources.database.dispose()


def test_numbers_of_transactions_are_those_of_postgresql(crm: CrmDatabase) -> None:
    """Elsewhere the map is refused, and so is a column of another type."""
    exporter = open_stating(crm, OUTBOX.replace('at = "at"', 'transaction = "row_key"'))
    with pytest.raises(BadMap, match="not xid8 or bigint" if crm.url.startswith("postgresql") else "no numbers"):
        exporter.prepare()
    exporter._section.sources.database.dispose()


@pytest.mark.parametrize("kind", ["xid8", "bigint"])
def test_open_transactions_are_waited_for(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    """An entry that is committed after the position was taken is after it, whatever was committed in between."""
    made = crm_database.filled_on("postgresql", request, tmp_path)
    cast = "" if kind == "xid8" else "::text::bigint"
    columns = f"table_name text, row_key text, org_id text, number {kind} default pg_current_xact_id(){cast}"
    made.run(
        f"create table outbox ({columns})",
        "grant select on outbox to public",
    )
    exporter = open_stating(made, OUTBOX.replace('at = "at"', 'transaction = "number"'))
    engine = made.engine()
    entry = text("insert into outbox (table_name, row_key) values ('tasks', :key)")
    with engine.connect() as early, early.begin():
        early.execute(entry, {"key": "1"})
        with engine.begin() as other:
            other.execute(entry, {"key": "2"})
        before = exporter.horizon()
        assert stated_keys(exporter, "tasks", before) == {(2,)}
    assert stated_keys(exporter, "tasks", before) == {(1,), (2,)}
    after = exporter.horizon()
    assert stated_keys(exporter, "tasks", after) == set()
    assert stated_keys(exporter, "tasks", {"transaction": 10**12}) is None
    engine.dispose()
    exporter._section.sources.database.dispose()
