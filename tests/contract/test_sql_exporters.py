from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import platform_data as platform
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, insert, text

from exporters.reference import schema
from exporters.sql import faults, pages
from portability.api import Batch, CountingExporter, Dataset, Exporter, Gap, Record, Selection, Size, Subject
from portability.api.errors import ExporterFault, SourceRefused, SourceUnavailable
from portability.database.engine import open_engine

EVERYTHING = Selection()
MOMENT = platform.EPOCH + timedelta(days=30)


def dataset_of(exporter: Exporter, name: str) -> Dataset:
    return next(dataset for dataset in exporter.datasets if dataset.name == name)


def read_dataset(
    either: Engine, exporter: str, dataset: str, subject: Subject, after: str | None = None
) -> list[Batch]:
    found = platform.exporters(either)[exporter]
    return list(found.export(subject, dataset_of(found, dataset), EVERYTHING, after=after))


def record_of(either: Engine, exporter: str, dataset: str, identifier: str) -> Record:
    found = platform.records(platform.exporters(either)[exporter], dataset, platform.CONTACT)
    (record,) = (record for record in found if record["id"] == identifier)
    return record


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch_rows=st.integers(1, 12),
    batch_bytes=st.integers(1, 4_000),
    chunk_rows=st.integers(1, 9),
    first_rows=st.integers(1, 4),
    same=st.booleans(),
)
def test_every_record_once_from_every_cursor(
    either: Engine, batch_rows: int, batch_bytes: int, chunk_rows: int, first_rows: int, same: bool
) -> None:
    """However small batches are, and wherever reading stops and continues, each record comes once and in order."""
    rows = [
        platform.row(schema.page_views, f"same-{number:02}", user_id="usr_1", title="x" * (50 * number))
        for number in range(12)
    ]
    moments = [MOMENT if same else MOMENT + timedelta(microseconds=number % 3) for number in range(12)]
    with either.begin() as connection:
        connection.execute(schema.page_views.delete().where(schema.page_views.c.id.like("same-%")))
        for (table, values), moment in zip(rows, moments, strict=True):
            connection.execute(insert(table), values | {"created_at": moment})
    whole = [record for batch in read_dataset(either, "usage", "page_views", platform.USER) for record in batch.records]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "BATCH_ROWS", batch_rows)
        patch.setattr(pages, "BATCH_BYTES", batch_bytes)
        patch.setattr(pages, "CHUNK_ROWS", chunk_rows)
        patch.setattr(pages, "FIRST_ROWS", (first_rows,))
        batches = read_dataset(either, "usage", "page_views", platform.USER)
        assert [record for batch in batches for record in batch.records] == whole
        assert all(len(batch.records) <= batch_rows for batch in batches)
        for number, batch in enumerate(batches):
            rest = read_dataset(either, "usage", "page_views", platform.USER, batch.cursor)
            assert [r for b in rest for r in b.records] == [r for b in batches[number + 1 :] for r in b.records]


def test_records_come_in_the_order_of_their_keys(either: Engine) -> None:
    """A conversation reads from its first message to its last."""
    messages = platform.records(platform.exporters(either)["chats"], "messages", platform.CONTACT)
    keys = [(str(m["conversation_id"]), int(str(m["position"]))) for m in messages]
    assert all(one < other for one, other in pairwise(keys))


def test_batches_are_bounded_by_bytes(either: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches stay near their bytes; a larger message is never split, and makes a batch of its own."""
    monkeypatch.setattr(pages, "BATCH_BYTES", 1 << 20)
    monkeypatch.setattr(pages, "FIRST_ROWS", (1,))
    sizes = [10, 3 << 20, 10, 600_000, 600_000, 10]
    rows = [
        platform.row(
            schema.messages,
            f"long-{number}",
            number,
            tenant_id="ten_a",
            conversation_id="chat-con_1-0",
            position=100 + number,
            text="\N{SEEDLING}" * (size // 2) if number == 0 else "x" * size,
        )
        for number, size in enumerate(sizes)
    ]
    platform.put(either, *rows)
    batches = read_dataset(either, "chats", "messages", platform.CONTACT)
    long = [[str(r["id"]) for r in b.records if str(r["id"]).startswith("long-")] for b in batches]
    assert [ids for ids in long if ids] == [["long-0"], ["long-1"], ["long-2", "long-3"], ["long-4", "long-5"]]
    (alone,) = (b for b in batches if b.records[0]["id"] == "long-1")
    assert len(alone.records) == 1
    assert len(str(alone.records[0]["text"])) == 3 << 20


def test_values_keep_every_digit(either: Engine) -> None:
    """Money, microseconds, control characters, and NULL beside the empty text are the same on both databases."""
    odd = "tab\t bell\a \N{RIGHT-TO-LEFT OVERRIDE}\r\n=1+1 \N{PILE OF POO}"
    call = platform.row(
        schema.calls,
        "exact",
        tenant_id="ten_a",
        contact_id="con_1",
        cost=Decimal("12345678901234567890.1200"),
        started_at=platform.EPOCH + timedelta(microseconds=1),
        outcome=odd,
        status="",
        language=None,
        custom={"list": [1, None, "\N{SEEDLING}"], "big": 2**60},
    )
    platform.put(either, call)
    record = record_of(either, "calls", "calls", "exact")
    assert record["cost"] == "12345678901234567890.1200"
    assert record["started_at"] == "2026-03-01T08:30:00.123457Z"
    assert record["outcome"] == odd
    assert (record["status"], record["language"]) == ("", None)
    assert record["custom"] == {"list": [1, None, "\N{SEEDLING}"], "big": 2**60}


def test_what_json_cannot_carry_is_a_named_gap(pg_platform: Engine) -> None:
    """NaN and infinities become null, and the gap names dataset, record and field, not the value."""
    platform.put(
        pg_platform,
        platform.row(
            schema.calls,
            "odd",
            tenant_id="ten_a",
            contact_id="con_1",
            cost=Decimal("NaN"),
            duration_seconds=math.inf,
        ),
    )
    batches = read_dataset(pg_platform, "calls", "calls", platform.CONTACT)
    (record,) = (record for batch in batches for record in batch.records if record["id"] == "odd")
    assert (record["cost"], record["duration_seconds"]) == (None, None)
    gaps = {gap for batch in batches for gap in batch.gaps}
    assert gaps == {
        Gap(f"calls/odd/{name}", "not_json", key=("odd",), fields=(name,)) for name in ("duration_seconds", "cost")
    }


def test_bytes_in_a_text_column_are_a_named_gap(tmp_path: Path) -> None:
    """SQLite can contain bytes in a text column: they are not converted to text by guessing."""
    engine = open_engine(f"sqlite:///{tmp_path / 'platform.db'}")
    platform.fill(engine)
    with engine.begin() as connection:
        connection.execute(text("update calls set outcome = x'ff00' where id = 'call-con_1-0'"))
    (batch,) = read_dataset(engine, "calls", "calls", platform.CONTACT)
    assert batch.gaps == (Gap("calls/call-con_1-0/outcome", "not_json", key=("call-con_1-0",), fields=("outcome",)),)
    engine.dispose()


def test_counts_files_too(either: Engine) -> None:
    """Progress knows how many records come, and how many bytes of files."""
    calls = platform.exporters(either)["calls"]
    assert isinstance(calls, CountingExporter)
    nine = Size(9, 9 * len(platform.SOUND))
    assert calls.count(platform.CONTACT, dataset_of(calls, "recordings"), EVERYTHING) == nine
    assert calls.count(platform.CONTACT, dataset_of(calls, "transcripts"), EVERYTHING) == Size(9, None)
    stranger = replace(platform.CONTACT, identities=())
    assert calls.count(stranger, dataset_of(calls, "recordings"), EVERYTHING) == Size(0, 0)


@pytest.mark.parametrize(
    "cursor", ["", "nonsense", "[]", "[1]", '["2026-01-01T00:00:00Z",null]', '["x","y"]', '{"a":1}']
)
def test_a_cursor_from_elsewhere_is_a_fault(either: Engine, cursor: str) -> None:
    """A cursor that this exporter never gave is refused: guessing would repeat or lose records."""
    with pytest.raises(ExporterFault, match="cursor"):
        read_dataset(either, "devices", "devices", platform.USER, cursor)


def test_no_transaction_is_open_between_batches(either: Engine) -> None:
    """While a batch is written, the database waits for nothing and holds nothing."""
    devices = platform.exporters(either)["devices"]
    batches = devices.export(platform.USER, devices.datasets[0], EVERYTHING)
    next(batches)
    assert either.pool.checkedout() == 0  # type: ignore[attr-defined]
    batches.close()


def test_reading_cannot_write(pg_platform: Engine) -> None:
    """The transactions of exporters are READ ONLY to the database itself."""
    with (
        pytest.raises(SourceRefused, match="ReadOnlySqlTransaction 25006"),
        faults.reading(pg_platform, "devices") as connection,
    ):
        connection.execute(text("delete from devices"))


def test_a_missing_table_is_refused(either: Engine) -> None:
    """A table that is not there will not be there later: no retry, and the message names the dataset alone."""
    schema.devices.drop(either)
    with pytest.raises(SourceRefused, match=r"^devices: .* refuses the query \(\w+ \w+\)$") as caught:
        read_dataset(either, "devices", "devices", platform.USER)
    assert "usr_1" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert not caught.value.retryable


def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """A database that does not answer may answer later."""
    for url in (f"sqlite:///{tmp_path}/none/x.db", "postgresql+psycopg://nobody@127.0.0.1:1/none"):
        engine = create_engine(url)
        with pytest.raises(SourceUnavailable, match="does not answer"):
            read_dataset(engine, "devices", "devices", platform.USER)
        engine.dispose()


def test_a_lost_connection_is_unavailable(pg_platform: Engine, pg_url: str) -> None:
    """When the database ends a connection in the middle, the export may continue later from its cursor."""

    def interrupted() -> None:
        with faults.reading(pg_platform, "devices") as connection:
            process_id = connection.scalar(text("select pg_backend_pid()"))
            with psycopg.connect(pg_url.replace("+psycopg", ""), autocommit=True) as other:
                other.execute("select pg_terminate_backend(%s)", [process_id])
            connection.execute(text("select 1"))

    with pytest.raises(SourceUnavailable, match="does not answer"):
        interrupted()
    assert read_dataset(pg_platform, "devices", "devices", platform.USER)


def test_forbidden_columns_need_no_rights(pg_platform: Engine) -> None:
    """An account that may read the exported columns alone is enough; without any right the source refuses."""
    pg_url = pg_platform.url.render_as_string(hide_password=False)
    with psycopg.connect(pg_url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("drop role if exists portability_reader")
        admin.execute("create role portability_reader login")
    reader = open_engine(pg_url.replace("postgres@", "portability_reader@"))
    try:
        with pytest.raises(SourceRefused, match="InsufficientPrivilege 42501"):
            read_dataset(reader, "account", "profile", platform.USER)
        columns = ", ".join(c.name for c in schema.users.columns if schema.NEVER not in c.info)
        with psycopg.connect(pg_url.replace("+psycopg", ""), autocommit=True) as admin:
            admin.execute(f"grant select ({columns}) on users to portability_reader")
        (batch,) = read_dataset(reader, "account", "profile", platform.USER)
        assert len(batch.records) == 1
    finally:
        reader.dispose()
        with psycopg.connect(pg_url.replace("+psycopg", ""), autocommit=True) as admin:
            admin.execute("drop owned by portability_reader")
            admin.execute("drop role portability_reader")
