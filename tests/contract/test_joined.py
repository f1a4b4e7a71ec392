"""Columns that PostgreSQL joins: what is read so is what is read value by value, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import platform_data as platform
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, insert

from exporters.reference import schema
from exporters.reference.maps import TABLES, form_of, relations
from exporters.sql import joined, pages
from exporters.sql.mapped.compiling import sources_of
from exporters.sql.rows import rows_of
from portability.api import Batch, Dataset, Exporter, Selection
from portability.api.errors import SourceUnavailable
from portability.api.rows import Rows
from portability.database.engine import open_engine

EVERYTHING = Selection()
ROWS = 2 * sum(pages.FIRST_ROWS)
"""More rows than are read one by one."""
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=["\0"]), max_size=20)
ODD_TEXTS = st.sampled_from(["", "a\x1fb", "\x1f", "\\u001f", 'say "hi"\n', "\x1e", "null", "\N{SEEDLING}" * 9])
CALLS = st.fixed_dictionaries(
    {
        "outcome": st.none() | TEXTS | ODD_TEXTS,
        "duration_seconds": st.none() | st.floats() | st.integers(-5, 5).map(float),
        "cost": st.none() | st.decimals(places=2, min_value=-(10**6), max_value=10**6) | st.just(Decimal("NaN")),
        "custom": st.none() | st.dictionaries(TEXTS, TEXTS | st.integers(-(2**70), 2**70) | st.none(), max_size=2),
        "started_at": st.none() | st.datetimes(timezones=st.just(UTC)),
    }
)


def calls_of(pg_platform: Engine) -> tuple[Exporter, Dataset]:
    found = platform.exporters(pg_platform)["calls"]
    return found, next(dataset for dataset in found.datasets if dataset.name == "calls")


def read_calls(pg_platform: Engine) -> list[Batch]:
    exporter, dataset = calls_of(pg_platform)
    return list(exporter.export(platform.TENANT, dataset, EVERYTHING))


def fill_calls(pg_platform: Engine, *rows: dict[str, Any]) -> None:
    """These calls, and no others."""
    with pg_platform.begin() as connection:
        connection.execute(schema.calls.delete())
        for number, values in enumerate(rows):
            moment = platform.EPOCH + timedelta(seconds=number // 3)
            table, row = platform.row(schema.calls, f"call-{number:04}", tenant_id="ten_a", **values)
            connection.execute(insert(table), row | {"created_at": moment})


def is_joined(batch: Batch) -> bool:
    assert isinstance(batch.records, Rows)
    return batch.records.texts is not None


@contextmanager
def value_by_value(pg_platform: Engine) -> Iterator[None]:
    """A server that refuses to join."""
    url = pg_platform.url.set(drivername="postgresql").render_as_string(hide_password=False)
    revoke = "revoke execute on function pg_catalog.string_agg(text, text) from public"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(revoke)
        try:
            yield
        finally:
            admin.execute("grant execute on function pg_catalog.string_agg(text, text) to public")


def test_more_than_the_first_rows_are_joined(pg_platform: Engine) -> None:
    """The first rows are read one by one, in two pages, and all others as joined columns."""
    fill_calls(pg_platform, *({"outcome": f"answered {number}"} for number in range(sum(pages.FIRST_ROWS) + 200)))

    batches = read_calls(pg_platform)

    first, second = pages.FIRST_ROWS
    assert [(len(b.records), is_joined(b)) for b in batches] == [(first, False), (second, False), (200, True)]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=st.lists(CALLS, min_size=2, max_size=12), batch_rows=st.integers(1, 12), batch_bytes=st.integers(1, 9_000))
def test_joined_rows_are_those_that_are_read_one_by_one(
    pg_platform: Engine, rows: list[dict[str, Any]], batch_rows: int, batch_bytes: int
) -> None:
    """Records, their lines and their gaps: with every kind of value, NULL, and values that hold the separator."""
    fill_calls(pg_platform, *rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "FIRST_ROWS", (len(rows),))
        wanted = read_calls(pg_platform)
        patch.setattr(pages, "FIRST_ROWS", (1,))
        patch.setattr(pages, "BATCH_ROWS", batch_rows)
        patch.setattr(pages, "BATCH_BYTES", batch_bytes)
        found = read_calls(pg_platform)

    assert [record for batch in found for record in batch.records] == list(wanted[0].records)
    assert b"".join(lines(batch) for batch in found) == b"".join(map(lines, wanted))
    assert [gap for batch in found for gap in batch.gaps] == [gap for batch in wanted for gap in batch.gaps]


def lines(batch: Batch) -> bytes:
    assert isinstance(batch.records, Rows)
    return batch.records.lines


def test_a_value_that_cannot_be_distinguished_is_read_by_itself(pg_platform: Engine) -> None:
    """A value with the separator: its neighbours are read one by one too, and later rows are joined again."""
    count = 200
    fill_calls(pg_platform, *({"outcome": "a\x1fb" if number == count // 2 else "ab"} for number in range(count)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "FIRST_ROWS", (64,))
        patch.setattr(pages, "BATCH_ROWS", 40)
        batches = read_calls(pg_platform)

    outcomes = [record["outcome"] for batch in batches for record in batch.records]
    assert outcomes == ["ab"] * (count // 2) + ["a\x1fb"] + ["ab"] * (count - count // 2 - 1)
    assert [is_joined(batch) for batch in batches] == [False, True, False, True, True]


def test_a_server_that_refuses_to_join(pg_platform: Engine) -> None:
    """All is read value by value."""
    fill_calls(pg_platform, *({"outcome": "ab"} for _number in range(ROWS)))
    role = "portability_plain"
    with psycopg.connect(pg_platform.url.set(drivername="postgresql").render_as_string(), autocommit=True) as admin:
        admin.execute(f"drop role if exists {role}")
        admin.execute(f"create role {role} login")
        admin.execute(f"grant select on all tables in schema public to {role}")
    plain = open_engine(pg_platform.url.set(username=role).render_as_string())
    try:
        with value_by_value(pg_platform):
            batches = read_calls(plain)
    finally:
        plain.dispose()
        with psycopg.connect(pg_platform.url.set(drivername="postgresql").render_as_string(), autocommit=True) as admin:
            admin.execute(f"drop owned by {role}")
            admin.execute(f"drop role {role}")

    assert sum(len(batch.records) for batch in batches) == ROWS
    assert not any(map(is_joined, batches))


def test_a_connection_that_is_lost_is_asked_again(pg_platform: Engine, pg_url: str) -> None:
    """The source is unavailable, not refused, and a retry continues where it was."""
    fill_calls(pg_platform, *({"outcome": "ab"} for _number in range(ROWS)))
    exporter, dataset = calls_of(pg_platform)
    batches = exporter.export(platform.TENANT, dataset, EVERYTHING)
    first = [next(batches) for _page in pages.FIRST_ROWS]
    with psycopg.connect(pg_url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("select pg_terminate_backend(pid, 10000) from pg_stat_activity where pid <> pg_backend_pid()")

    with pytest.raises(SourceUnavailable):
        next(batches)

    rest = list(exporter.export(platform.TENANT, dataset, EVERYTHING, after=first[-1].cursor))
    assert sum(len(batch.records) for batch in [*first, *rest]) == ROWS


def test_no_answer_is_much_larger_than_a_batch(pg_platform: Engine) -> None:
    """Rows that are far larger than those before do not come all at once: the server counts their bytes."""
    sizes = [10] * 70 + [100_000] * 200
    fill_calls(pg_platform, *({"outcome": "x" * size} for size in sizes))
    table = sources_of(form_of("calls"), TABLES, relations(), "calls")[0]
    rows = rows_of(table, platform.TENANT, EVERYTHING, joined.behind(table))
    assert rows is not None
    query = joined.query(table, rows, pg_platform, 1 << 20)

    answer = joined.ask(pg_platform, query, [platform.EPOCH, "call-0000"], 1000)

    assert (1 << 20) < sum(len(text or "") for text in answer.joined) < 3 << 20
    assert [len(str(record["outcome"])) for batch in read_calls(pg_platform) for record in batch.records] == sizes
