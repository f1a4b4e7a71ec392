from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import platform_data as platform
import pytest
from sqlalchemy import Engine, delete, event, insert, text

from exporters.reference import schema
from exporters.sql.exporter import SqlExporter
from portability.api import Batch, Dataset, Selection, Slice, SlicingExporter, Subject
from portability.api.errors import ExporterFault, SourceRefused
from portability.database.engine import open_engine

IN_ONE = (Slice(),)
MIB = 1 << 20


@pytest.fixture(scope="module")
def tables(platform_url: str) -> Iterator[Engine]:
    engine = open_engine(platform_url)
    schema.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def empty_platform(tables: Engine) -> Engine:
    """A platform without a row."""
    with tables.begin() as connection:
        connection.execute(delete(schema.calls))
        connection.execute(delete(schema.recordings))
    return tables


def exporter(empty_platform: Engine, name: str = "calls") -> SqlExporter:
    found = platform.exporters(empty_platform)[name]
    assert isinstance(found, SqlExporter)
    assert isinstance(found, SlicingExporter)
    return found


def dataset_of(found: SqlExporter, name: str) -> Dataset:
    return next(dataset for dataset in found.datasets if dataset.name == name)


def cut(
    empty_platform: Engine,
    dataset: str,
    n: int,
    *,
    subject: Subject = platform.TENANT,
    selection: Selection | None = None,
) -> tuple[Slice, ...]:
    found = exporter(empty_platform)
    return tuple(found.slices(subject, dataset_of(found, dataset), selection or Selection(), n))


def ids(empty_platform: Engine, dataset: str, one: Slice) -> list[object]:
    found = platform.records(exporter(empty_platform), dataset, platform.TENANT, Selection(slice=one))
    return [record["id"] for record in found]


def fill_calls(empty_platform: Engine, *bytes_promised: int | None) -> None:
    """Calls one second apart, each with a recording of the same id."""
    calls, recordings = [], []
    for number, promised in enumerate(bytes_promised):
        identifier = f"{number:04}"
        known: dict[str, Any] = {"tenant_id": "ten_a", "created_at": platform.EPOCH + timedelta(seconds=number)}
        calls.append(platform.row(schema.calls, identifier, contact_id="con_1", **known)[1])
        recordings.append(platform.row(schema.recordings, identifier, call_id=identifier, bytes=promised, **known)[1])
    with empty_platform.begin() as connection:
        connection.execute(insert(schema.calls), calls)
        connection.execute(insert(schema.recordings), recordings)


def test_nothing_to_cut(empty_platform: Engine) -> None:
    """Without rows, or if only one slice is requested, the whole is one unbounded slice."""
    assert cut(empty_platform, "calls", 8) == IN_ONE
    fill_calls(empty_platform, 1, 2)
    assert cut(empty_platform, "calls", 1) == IN_ONE
    assert cut(empty_platform, "calls", 8, subject=replace(platform.TENANT, identities=())) == IN_ONE
    assert cut(empty_platform, "calls", 8, selection=Selection(until=platform.EPOCH)) == IN_ONE
    private = exporter(empty_platform, "devices")
    assert private.slices(platform.TENANT, private.datasets[0], Selection(), 8) == IN_ONE


def test_fewer_rows_than_slices(empty_platform: Engine) -> None:
    """Each row is a slice of its own: none is empty."""
    fill_calls(empty_platform, 1, 2, 3)
    for dataset in ("calls", "recordings", "vcon"):
        slices = cut(empty_platform, dataset, 8)
        assert [ids(empty_platform, dataset, one) for one in slices] == [["0000"], ["0001"], ["0002"]]


@pytest.mark.parametrize("dataset", ["calls", "recordings", "vcon"])
def test_equal_rows_make_equal_slices(empty_platform: Engine, dataset: str) -> None:
    """A thousand rows of equal size in eight slices: a hundred and twenty-five each."""
    fill_calls(empty_platform, *[MIB] * 1000)
    sizes = [len(ids(empty_platform, dataset, one)) for one in cut(empty_platform, dataset, 8)]
    assert sizes == [125] * 8


def test_files_weigh_by_their_bytes(empty_platform: Engine) -> None:
    """Long recordings are spread over the slices, by their size."""
    fill_calls(empty_platform, *[MIB] * 100, *[9 * MIB] * 100)
    halves = [len(ids(empty_platform, "recordings", one)) for one in cut(empty_platform, "recordings", 2)]
    assert halves == [144, 56]
    assert [len(ids(empty_platform, "calls", one)) for one in cut(empty_platform, "calls", 2)] == [100, 100]


@pytest.mark.parametrize("giant", [0, 1, 2, 3])
def test_a_giant_is_alone(empty_platform: Engine, giant: int) -> None:
    """A file that outweighs all others shares its slice with nothing that could be elsewhere."""
    fill_calls(empty_platform, *(1000 * MIB if number == giant else MIB for number in range(4)))
    slices = cut(empty_platform, "recordings", 3)
    assert [f"{giant:04}"] in [ids(empty_platform, "recordings", one) for one in slices]


@pytest.mark.parametrize("promised", [None, -1, -(2**62), 2**62])
def test_promises_that_cannot_be(empty_platform: Engine, promised: int | None) -> None:
    """A row whose file size is missing, negative or impossible counts like a row without a file."""
    fill_calls(empty_platform, *[promised] * 8)
    found = exporter(empty_platform)
    size = found.count(platform.TENANT, dataset_of(found, "recordings"), Selection())
    assert (size.records, size.bytes) == (8, 0)
    assert [len(ids(empty_platform, "recordings", one)) for one in cut(empty_platform, "recordings", 4)] == [2, 2, 2, 2]


def test_rows_that_come_later_are_in_one_slice(empty_platform: Engine) -> None:
    """A bound is a place: what was deleted or added since changes no other slice."""
    fill_calls(empty_platform, *[1] * 8)
    slices = cut(empty_platform, "calls", 2)
    before = [ids(empty_platform, "calls", one) for one in slices]
    with empty_platform.begin() as connection:
        connection.execute(text("delete from calls where id = '0004'"))
    platform.put(
        empty_platform,
        platform.row(schema.calls, "0003b", tenant_id="ten_a", created_at=platform.EPOCH + timedelta(seconds=3.5)),
    )
    assert [ids(empty_platform, "calls", one) for one in slices] == [[*before[0], "0003b"], before[1][1:]]


def test_a_slice_is_cut_again(empty_platform: Engine) -> None:
    """The slices of a slice begin and end where it does."""
    fill_calls(empty_platform, *[1] * 9)
    slices = cut(empty_platform, "calls", 3)
    for one in slices:
        parts = cut(empty_platform, "calls", 2, selection=Selection(slice=one))
        assert (parts[0].begin, parts[-1].end) == (one.begin, one.end)
        assert all(part.end == other.begin for part, other in pairwise(parts))
        assert [row for part in parts for row in ids(empty_platform, "calls", part)] == ids(
            empty_platform, "calls", one
        )


@pytest.mark.parametrize(
    "bound", ["a", "", "[]", '["2026-01-01T00:00:00Z"]', '["x","y"]', '["2026-01-01T00:00:00Z",null]', "7"]
)
@pytest.mark.parametrize("side", ["begin", "end"])
def test_a_slice_from_elsewhere_is_a_fault(empty_platform: Engine, bound: str, side: str) -> None:
    """A slice that this exporter never offered is refused: guessing would repeat or lose records."""
    found = exporter(empty_platform)
    selection = Selection(slice=Slice(**{side: bound}))
    for name in ("calls", "vcon"):
        dataset = dataset_of(found, name)
        for after in (None, '["2026-01-01T00:00:00Z","x"]'):
            with pytest.raises(ExporterFault, match="invalid slice"):
                list(found.export(platform.TENANT, dataset, selection, after=after))
        with pytest.raises(ExporterFault, match="invalid slice"):
            found.count(platform.TENANT, dataset, selection)
        with pytest.raises(ExporterFault, match="invalid slice"):
            found.slices(platform.TENANT, dataset, selection, 3)


def test_a_database_that_refuses(empty_platform: Engine) -> None:
    """A table that is not there is refused as it is for reading, by the dataset's name."""
    schema.recordings.drop(empty_platform)
    try:
        with pytest.raises(SourceRefused, match=r"^recordings: "):
            cut(empty_platform, "recordings", 2)
    finally:
        schema.recordings.create(empty_platform)


@pytest.mark.parametrize(("dataset", "index"), [("calls", "calls_by_tenant"), ("recordings", "recordings_by_tenant")])
def test_a_slice_is_read_by_an_index(empty_platform: Engine, dataset: str, index: str) -> None:
    """Begin, cursor and end are conditions of the index, which gives the order, too: nothing is scanned or sorted."""
    fill_calls(empty_platform, *[MIB] * 200)
    with empty_platform.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("analyze"))
    found = exporter(empty_platform)
    one = cut(empty_platform, dataset, 4)[2]
    read = dataset_of(found, dataset)
    (batch,) = found.export(platform.TENANT, read, Selection(slice=one))
    for after in (None, batch.cursor):
        plan = _plan_of(empty_platform, found.export(platform.TENANT, read, Selection(slice=one), after=after))
        assert index in plan
        assert "Sort" not in plan
        assert "TEMP B-TREE" not in plan
        if empty_platform.dialect.name == "sqlite":
            assert f"{index} (tenant_id=? AND created_at>? AND created_at<?)" in plan
        else:
            condition = next(line for line in plan.splitlines() if "Index Cond" in line and "tenant_id" in line)
            assert "created_at >= " in condition
            assert "created_at <= " in condition


def _plan_of(empty_platform: Engine, batches: Iterator[Batch]) -> str:
    """How the database runs the first statement on the platform's tables."""
    asked: list[tuple[str, Any]] = []

    def listen(_conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if "tenant_id" in statement:
            asked.append((statement, parameters))

    event.listen(empty_platform, "before_cursor_execute", listen)
    list(batches)
    event.remove(empty_platform, "before_cursor_execute", listen)
    (statement, parameters), *_ = asked
    explain = "explain query plan " if empty_platform.dialect.name == "sqlite" else "explain "
    with empty_platform.connect() as connection:
        if empty_platform.dialect.name == "postgresql":
            # A table of a few rows is scanned whole for its size: what is asked here is what the index could serve.
            connection.execute(text("set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off"))
        return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(explain + statement, parameters))
