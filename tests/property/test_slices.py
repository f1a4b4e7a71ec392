"""The slices of the table reader together are the dataset, for any rows, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import platform_data as platform
import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, insert

from exporters.reference import schema
from exporters.sql import pages
from exporters.sql.exporter import SqlExporter
from portability.api import Dataset, Gap, Record, Selection, Slice
from portability.api.ranges import chained
from portability.database.engine import open_engine
from portability.testing import MemoryFiles

IDS = st.text('aAbB-_"\\,[] é\N{SEEDLING}', min_size=1, max_size=4)
MOMENTS = st.integers(0, 3).map(lambda hours: platform.EPOCH + timedelta(hours=hours))
PERIODS = st.builds(Selection, since=st.none() | MOMENTS, until=st.none() | MOMENTS, began_at=st.none() | MOMENTS)
PROMISED_BYTES = st.sampled_from([None, -(2**62), 2**62]) | st.integers(0, 5000) | st.integers(0, 1 << 30)
LATER = platform.EPOCH + timedelta(days=10_000)


@dataclass(frozen=True, slots=True)
class Call:
    """A call with a recording and two segments."""

    id: str
    tenant: str
    created_at: Any
    retained_until: Any
    bytes: int | None

    def rows(self) -> Iterator[platform.PlatformRow]:
        wall = {"tenant_id": self.tenant, "created_at": self.created_at}
        contact = "con_1" if self.tenant == "ten_a" else "con_b"
        yield platform.row(schema.calls, self.id, contact_id=contact, retained_until=self.retained_until, **wall)
        has_file: dict[str, Any] = {"bytes": self.bytes, "storage_key": "sound" if self.bytes else None}
        yield platform.row(schema.recordings, self.id, call_id=self.id, **has_file, **wall)
        for number in range(2):
            # The position says nothing: the id decides.
            yield platform.row(schema.transcripts, f"{self.id}{number}", call_id=self.id, position=7, **wall)


CALLS = st.lists(
    st.builds(
        Call,
        id=IDS,
        tenant=st.sampled_from(["ten_a", "ten_a", "ten_b"]),
        created_at=MOMENTS,
        retained_until=st.sampled_from([None, None, LATER, platform.EPOCH]),
        bytes=PROMISED_BYTES,
    ),
    max_size=12,
    unique_by=lambda call: call.id,
)
CALLS_TABLES = (schema.calls, schema.recordings, schema.transcripts)


@pytest.fixture(scope="module")
def platform_engine(platform_url: str) -> Iterator[Engine]:
    engine = open_engine(platform_url)
    platform.fill(engine)
    yield engine
    engine.dispose()


def exporter(platform_engine: Engine) -> SqlExporter:
    found = platform.exporters(platform_engine, MemoryFiles({"sound": platform.SOUND}))["calls"]
    assert isinstance(found, SqlExporter)
    return found


def fill_calls(platform_engine: Engine, calls: Sequence[Call]) -> None:
    with platform_engine.begin() as connection:
        for table in CALLS_TABLES:
            connection.execute(delete(table))
        for call in calls:
            for table, values in call.rows():
                connection.execute(insert(table), values)


def read_all(
    calls: SqlExporter, dataset: Dataset, selection: Selection, after: str | None = None
) -> tuple[list[Record], list[tuple[str, int | None]], list[Gap]]:
    batches = list(calls.export(platform.TENANT, dataset, selection, after=after))
    return (
        [record for batch in batches for record in batch.records],
        [(file.name, file.size) for batch in batches for file in batch.files],
        [gap for batch in batches for gap in batch.gaps],
    )


@settings(max_examples=examples(10), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=CALLS, period=PERIODS, n=st.integers(1, 15), batch_rows=st.integers(1, 5))
def test_slices_together_are_the_dataset(
    platform_engine: Engine, rows: list[Call], period: Selection, n: int, batch_rows: int
) -> None:
    """Records, files and gaps of at most n slices, one after the other, are those of the whole: each once, in order.

    For all ties, retention rules, periods and stated bytes; and each slice counts its own.
    """
    fill_calls(platform_engine, rows)
    calls = exporter(platform_engine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "FIRST_ROWS", (1,))
        patch.setattr(pages, "BATCH_ROWS", batch_rows)
        patch.setattr(pages, "FILE_BATCH_ROWS", batch_rows)
        for dataset in calls.datasets:
            whole = read_all(calls, dataset, period)
            slices = chained(dataset.name, calls.slices(platform.TENANT, dataset, period, n), n)
            selections = [replace(period, slice=one) for one in slices]
            parts = [read_all(calls, dataset, one) for one in selections]
            assert len(slices) <= max(1, len(whole[0]))
            assert tuple(map(sum, zip(*parts, strict=True), ([], [], []))) == whole
            assert [len(part[0]) for part in parts] == [
                calls.count(platform.TENANT, dataset, one).records for one in selections
            ]
            assert all(record["tenant_id"] == "ten_a" for record in whole[0])


@settings(max_examples=examples(7), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=CALLS, n=st.integers(2, 6))
def test_every_cursor_of_a_slice_gives_its_rest(platform_engine: Engine, rows: list[Call], n: int) -> None:
    """Wherever reading a slice stops, it continues there and ends where the slice ends."""
    fill_calls(platform_engine, rows)
    calls = exporter(platform_engine)
    dataset = next(dataset for dataset in calls.datasets if dataset.name == "recordings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "FILE_BATCH_ROWS", 1)
        for one in calls.slices(platform.TENANT, dataset, Selection(), n):
            selection = Selection(slice=one)
            records, _, _ = read_all(calls, dataset, selection)
            batches = list(calls.export(platform.TENANT, dataset, selection))
            for number, batch in enumerate(batches, start=1):
                assert read_all(calls, dataset, selection, batch.cursor)[0] == records[number:]


@settings(max_examples=examples(12), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(sizes=st.lists(st.integers(0, 64), min_size=1, max_size=30), n=st.integers(1, 12))
def test_no_slice_is_much_heavier_than_its_share(platform_engine: Engine, sizes: list[int], n: int) -> None:
    """A slice exceeds the n-th part of all weight by less than its heaviest row, wherever heavy rows lie."""
    fill_calls(
        platform_engine,
        [
            Call(f"call-{number:03}", "ten_a", platform.EPOCH, None, kib * 1024)
            for number, kib in enumerate(sizes, start=1)
        ],
    )
    calls = exporter(platform_engine)
    dataset = next(dataset for dataset in calls.datasets if dataset.name == "recordings")
    slices = calls.slices(platform.TENANT, dataset, Selection(), n)
    weights = [_kib(calls, dataset, one) for one in slices]
    assert sum(weights) == sum(sizes) + len(sizes)
    assert max(weights) <= sum(weights) / n + max(sizes) + 1


def _kib(calls: SqlExporter, dataset: Dataset, one: Slice) -> int:
    size = calls.count(platform.TENANT, dataset, Selection(slice=one))
    return size.records + (size.bytes or 0) // 1024
