from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import platform_data as platform
import pytest
from sqlalchemy import Engine, delete, event, insert, text

from exporters import schema
from exporters.sql import SqlExporter
from portability.api import Batch, Dataset, Selection, Size, Slice, SlicingExporter, Subject
from portability.db import open_engine
from portability.errors import ExporterFault, SourceRefused

IN_ONE = (Slice(),)
MIB = 1 << 20


@pytest.fixture(scope="module")
def tables(platform_url: str) -> Iterator[Engine]:
    engine = open_engine(platform_url)
    schema.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(tables: Engine) -> Engine:
    """A platform without a row."""
    with tables.begin() as connection:
        connection.execute(delete(schema.calls))
        connection.execute(delete(schema.recordings))
    return tables


def exporter(engine: Engine, name: str = "calls") -> SqlExporter:
    found = platform.exporters(engine)[name]
    assert isinstance(found, SqlExporter)
    assert isinstance(found, SlicingExporter)
    return found


def dataset_of(found: SqlExporter, name: str) -> Dataset:
    return next(dataset for dataset in found.datasets if dataset.name == name)


def cut(
    engine: Engine, dataset: str, n: int, *, subject: Subject = platform.TENANT, selection: Selection | None = None
) -> tuple[Slice, ...]:
    found = exporter(engine)
    return tuple(found.slices(subject, dataset_of(found, dataset), selection or Selection(), n))


def ids(engine: Engine, dataset: str, one: Slice) -> list[object]:
    found = platform.records(exporter(engine), dataset, platform.TENANT, Selection(slice=one))
    return [record["id"] for record in found]


def fill(engine: Engine, *bytes_promised: int | None) -> None:
    """Calls one second apart, each with a recording of the same id."""
    calls, recordings = [], []
    for number, promised in enumerate(bytes_promised):
        identifier = f"{number:04}"
        known: dict[str, Any] = {"tenant_id": "ten_a", "created_at": platform.EPOCH + timedelta(seconds=number)}
        calls.append(platform.row(schema.calls, identifier, contact_id="con_1", **known)[1])
        recordings.append(platform.row(schema.recordings, identifier, call_id=identifier, bytes=promised, **known)[1])
    with engine.begin() as connection:
        connection.execute(insert(schema.calls), calls)
        connection.execute(insert(schema.recordings), recordings)


def test_nothing_to_cut(engine: Engine) -> None:
    """Where there are no rows, or nobody asks for more than one slice, the whole is one open slice."""
    assert cut(engine, "calls", 8) == IN_ONE
    fill(engine, 1, 2)
    assert cut(engine, "calls", 1) == IN_ONE
    assert cut(engine, "calls", 8, subject=replace(platform.TENANT, identities=())) == IN_ONE
    assert cut(engine, "calls", 8, selection=Selection(until=platform.EPOCH)) == IN_ONE
    private = exporter(engine, "devices")
    assert private.slices(platform.TENANT, private.datasets[0], Selection(), 8) == IN_ONE


def test_fewer_rows_than_slices(engine: Engine) -> None:
    """Each row is a slice of its own: none is empty."""
    fill(engine, 1, 2, 3)
    for dataset in ("calls", "recordings", "vcon"):
        slices = cut(engine, dataset, 8)
        assert [ids(engine, dataset, one) for one in slices] == [["0000"], ["0001"], ["0002"]]


@pytest.mark.parametrize("dataset", ["calls", "recordings", "vcon"])
def test_equal_rows_make_equal_slices(engine: Engine, dataset: str) -> None:
    """A thousand rows of one size in eight slices: a hundred and twenty-five each."""
    fill(engine, *[MIB] * 1000)
    sizes = [len(ids(engine, dataset, one)) for one in cut(engine, dataset, 8)]
    assert sizes == [125] * 8


def test_files_weigh_by_their_bytes(engine: Engine) -> None:
    """Long recordings are spread over the slices, not counted like short ones."""
    fill(engine, *[MIB] * 100, *[9 * MIB] * 100)
    halves = [len(ids(engine, "recordings", one)) for one in cut(engine, "recordings", 2)]
    assert halves == [144, 56]
    assert [len(ids(engine, "calls", one)) for one in cut(engine, "calls", 2)] == [100, 100]


@pytest.mark.parametrize("giant", [0, 1, 2, 3])
def test_a_giant_is_alone(engine: Engine, giant: int) -> None:
    """A file that outweighs all others shares its slice with nothing that could be elsewhere."""
    fill(engine, *(1000 * MIB if number == giant else MIB for number in range(4)))
    slices = cut(engine, "recordings", 3)
    assert [f"{giant:04}"] in [ids(engine, "recordings", one) for one in slices]


@pytest.mark.parametrize("promised", [None, -1, -(2**62), 2**62])
def test_promises_that_cannot_be(engine: Engine, promised: int | None) -> None:
    """A row that promises no bytes, fewer than none, or more than there can be counts as one without a file."""
    fill(engine, *[promised] * 8)
    found = exporter(engine)
    assert found.count(platform.TENANT, dataset_of(found, "recordings"), Selection()) == Size(8, 0)
    assert [len(ids(engine, "recordings", one)) for one in cut(engine, "recordings", 4)] == [2, 2, 2, 2]


def test_rows_that_come_later_are_in_one_slice(engine: Engine) -> None:
    """A bound is a place: what was deleted or added since changes no other slice."""
    fill(engine, *[1] * 8)
    slices = cut(engine, "calls", 2)
    before = [ids(engine, "calls", one) for one in slices]
    with engine.begin() as connection:
        connection.execute(text("delete from calls where id = '0004'"))
    platform.put(
        engine,
        platform.row(schema.calls, "0003b", tenant_id="ten_a", created_at=platform.EPOCH + timedelta(seconds=3.5)),
    )
    assert [ids(engine, "calls", one) for one in slices] == [[*before[0], "0003b"], before[1][1:]]


def test_a_slice_is_cut_again(engine: Engine) -> None:
    """The slices of a slice begin and end where it does."""
    fill(engine, *[1] * 9)
    slices = cut(engine, "calls", 3)
    for one in slices:
        parts = cut(engine, "calls", 2, selection=Selection(slice=one))
        assert (parts[0].begin, parts[-1].end) == (one.begin, one.end)
        assert all(part.end == other.begin for part, other in pairwise(parts))
        assert [row for part in parts for row in ids(engine, "calls", part)] == ids(engine, "calls", one)


@pytest.mark.parametrize(
    "bound", ["a", "", "[]", '["2026-01-01T00:00:00Z"]', '["x","y"]', '["2026-01-01T00:00:00Z",null]', "7"]
)
@pytest.mark.parametrize("side", ["begin", "end"])
def test_a_slice_from_elsewhere_is_a_fault(engine: Engine, bound: str, side: str) -> None:
    """A slice that this exporter never offered is refused: guessing would repeat or lose records."""
    found = exporter(engine)
    selection = Selection(slice=Slice(**{side: bound}))
    for name in ("calls", "vcon"):
        dataset = dataset_of(found, name)
        for after in (None, '["2026-01-01T00:00:00Z","x"]'):
            with pytest.raises(ExporterFault, match="the slice is not from here"):
                list(found.export(platform.TENANT, dataset, selection, after=after))
        with pytest.raises(ExporterFault, match="the slice is not from here"):
            found.count(platform.TENANT, dataset, selection)
        with pytest.raises(ExporterFault, match="the slice is not from here"):
            found.slices(platform.TENANT, dataset, selection, 3)


def test_a_database_that_refuses(engine: Engine) -> None:
    """A table that is not there is refused as it is for reading, by the dataset's name."""
    schema.recordings.drop(engine)
    try:
        with pytest.raises(SourceRefused, match=r"^recordings: "):
            cut(engine, "recordings", 2)
    finally:
        schema.recordings.create(engine)


@pytest.mark.parametrize(("dataset", "index"), [("calls", "calls_by_tenant"), ("recordings", "recordings_by_tenant")])
def test_a_slice_is_read_by_an_index(engine: Engine, dataset: str, index: str) -> None:
    """Begin, cursor and end are conditions of the index, which gives the order, too: nothing is scanned or sorted."""
    fill(engine, *[MIB] * 200)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("analyze"))
    found = exporter(engine)
    one = cut(engine, dataset, 4)[2]
    read = dataset_of(found, dataset)
    (batch,) = found.export(platform.TENANT, read, Selection(slice=one))
    for after in (None, batch.cursor):
        plan = _plan_of(engine, found.export(platform.TENANT, read, Selection(slice=one), after=after))
        assert index in plan
        assert "Sort" not in plan
        assert "TEMP B-TREE" not in plan
        if engine.dialect.name == "sqlite":
            assert f"{index} (tenant_id=? AND created_at>? AND created_at<?)" in plan
        else:
            condition = next(line for line in plan.splitlines() if "Index Cond" in line and "tenant_id" in line)
            assert "created_at >= " in condition
            assert "created_at <= " in condition


def _plan_of(engine: Engine, batches: Iterator[Batch]) -> str:
    """How the database runs the first statement on the platform's tables."""
    asked: list[tuple[str, Any]] = []

    def listen(_conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if "tenant_id" in statement:
            asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", listen)
    list(batches)
    event.remove(engine, "before_cursor_execute", listen)
    (statement, parameters), *_ = asked
    explain = "explain query plan " if engine.dialect.name == "sqlite" else "explain "
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            # A table of a few rows is scanned whole for its size: what is asked here is what the index could serve.
            connection.execute(text("set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off"))
        return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(explain + statement, parameters))
