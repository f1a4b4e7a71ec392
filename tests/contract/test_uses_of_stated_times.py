"""Times that a map states for numbers, where the map uses them: marks, retention, changes, and proofs of addresses."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from source_accounts import execute_all, mapped_sources, owner_and_reader
from sqlalchemy import Engine, event
from stated_orders import (
    AUTUMN,
    SECONDS,
    USER,
    WINTER,
    delivered_ids,
    delivered_orders,
    owner_and_orders,
    stored_orders,
    with_times,
)

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import RowRemark, Selection, SubjectKind
from portability.testing import sample_subject

CANNOT_TELL = None
"""The answer of a source that no longer has the entry of its outbox from which a feed goes on."""


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_marks_and_periods_of_retention_compare_such_times(
    request: pytest.FixtureRequest, database: str, tmp_path: Path
) -> None:
    """A row is deleted, an identity proved, if its time is set: 0 and -1 say that it is not."""
    reader = stored_orders(request, database, "bigint", tmp_path, AUTUMN, 0, None, WINTER, -1)
    middle = datetime(2023, 12, 1, tzinfo=UTC)
    with mapped_sources() as opened:
        deleted = opened(reader, with_times(SECONDS, 'deleted = "at"'))
        ended = opened(reader, with_times(SECONDS, 'retention = { until = "at" }'))
        kept = opened(reader, with_times(SECONDS, 'retention = { since = "at" }'))
        held = opened(reader, with_times(SECONDS, 'retention = { until = "at", hold = "at" }'))
        proved = opened(reader, with_times(SECONDS, LOOK_UP))

        assert remarked(deleted, RowRemark.SOFT_DELETED) == [1, 4]
        assert remarked(ended, RowRemark.PAST_RETENTION, began_at=middle) == [1]
        assert remarked(kept, RowRemark.PAST_RETENTION, retention_cutoff=middle) == [1]
        assert remarked(held, RowRemark.PAST_RETENTION, began_at=middle) == []
        assert [one.value for one in proved.identities(USER) if one.verified] == ["1", "4"]


def remarked(exporter: MappedExporter, remark: RowRemark, **selected: object) -> Sequence[object]:
    """Return the ids of the rows with this remark."""
    (batch,) = exporter.export(USER, exporter.datasets[0], Selection(**selected))  # type: ignore[arg-type]  # of the test
    return [batch.records[place]["id"] for place in batch.remarks.get(remark, ())]


LOOK_UP = """
[[identity]]
table = "orders"
from = "user_id"
column = "who"
value = "id"
gives = "order"
verified = "at"
"""


TEXTS = 'times.at = { format = "rfc3339" }\n'


@pytest.mark.parametrize(("kind", "times"), [("bigint", SECONDS), ("varchar(40)", TEXTS)])
@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_a_way_that_ends_with_a_time_leads_on_while_it_is_not_set(
    request: pytest.FixtureRequest, database: str, kind: str, times: str, tmp_path: Path
) -> None:
    """0 says that a membership has not ended, as NULL does."""
    values = (AUTUMN, 0, None, -1) if kind == "bigint" else ("2023-11-14T22:13:20Z", "", None, "0")
    reader = stored_orders(request, database, kind, tmp_path, *values)
    with_end = with_times(times).replace('["user_id"] }', '["user_id"], only_if_null = "at" }')
    with mapped_sources() as opened:
        assert delivered_ids(opened(reader, with_end)) == [2, 3, 4]


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_a_joined_time_that_is_not_set_gives_way_to_that_of_the_row(
    request: pytest.FixtureRequest, database: str, tmp_path: Path
) -> None:
    """As one that is NULL does; so does one whose row is missing."""
    owner, reader = owner_and_orders(request, database, "bigint", tmp_path, AUTUMN, AUTUMN, AUTUMN, 0)
    made = "create table visits (id integer primary key, at bigint)"
    execute_all(owner, made, f"insert into visits values (1, {WINTER}), (2, 0), (4, -1)")  # noqa: S608  # own value
    join = 'join = { table = "visits", here = "id" }'
    field = 'fields.seen = { joined = "at", column = "at", type = "datetime", text = "When." }'
    with mapped_sources() as opened:
        found = delivered_orders(opened(reader, with_times('times.at = { format = "epoch_seconds" }\n', join, field)))

    autumn, winter = "2023-11-14T22:13:20.000000Z", "2024-01-01T00:00:00.000000Z"
    assert [one["seen"] for one in found] == [winter, autumn, autumn, None]


def test_an_index_of_sqlite_finds_the_new_entries_of_an_outbox(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Also those whose time is not set, so that an archive of a feed does not read all entries."""
    owner, reader = owner_and_orders(request, "sqlite", "bigint", tmp_path, AUTUMN)
    made = "create table entries (table_name text, row_key text, at bigint)"
    execute_all(owner, made, "create index entry_at on entries (at)")
    changes = 'changes = { datasets = ["orders"], outbox = { table = "entries", at = "at" } }\n'
    plans: list[str] = []

    def explain(_connection: object, cursor: sqlite3.Cursor, statement: str, values: Sequence[str], *_: object) -> None:
        if "DISTINCT" in statement:
            plans.extend(step[3] for step in cursor.execute(f"explain query plan {statement}", values))

    with mapped_sources() as opened:
        exporter = opened(reader, with_times('times.at = { format = "epoch_seconds" }\n' + changes))
        event.listen(Engine, "before_cursor_execute", explain)
        assert exporter.changed(USER, exporter.datasets[0], {"at": "2024-01-01T00:00:59Z"}, 9) == set()
        event.remove(Engine, "before_cursor_execute", explain)

    assert {step.partition(" (")[0] for step in plans if "entries" in step} == {"SEARCH entries USING INDEX entry_at"}


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_what_changed_since_is_found_by_such_times(
    request: pytest.FixtureRequest, database: str, tmp_path: Path
) -> None:
    """A feed reads what changed, and what may have; a period has rows that changed in it."""
    reader = stored_orders(request, database, "bigint", tmp_path, AUTUMN, 0, None, WINTER)
    changes = 'changes = { datasets = ["orders"], overlap_seconds = 60 }\n'
    position = {"at": "2024-01-01T00:00:59.000000Z"}
    with mapped_sources() as opened:
        exporter = opened(reader, with_times(SECONDS + changes, 'changed = "at"'))
        dataset = exporter.datasets[0]

        assert exporter.changed(USER, dataset, position, 9) == {(2,), (3,), (4,)}
        assert exporter.changed(USER, dataset, {"at": "2024-01-01T00:01:01.000000Z"}, 9) == {(2,), (3,)}


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_entries_of_an_outbox_are_found_by_such_times(
    request: pytest.FixtureRequest, database: str, tmp_path: Path
) -> None:
    """Those since the position of the last archive, of which the last entry is still there."""
    owner, reader = owner_and_orders(request, database, "bigint", tmp_path, AUTUMN, WINTER)
    made = "create table entries (table_name varchar(20), row_key varchar(20), at bigint)"
    execute_all(owner, made, f"insert into entries values ('orders', '1', {WINTER * 1000})")  # noqa: S608  # own value
    changes = 'changes = { datasets = ["orders"], outbox = { table = "entries", at = "at" } }\n'
    times = 'times.at = { format = "epoch_seconds" }\ntimes."entries.at" = { format = "epoch_ms" }\n'
    with mapped_sources() as opened:
        exporter = opened(reader, with_times(times + changes))
        (dataset,), last = exporter.datasets, exporter.horizon()
        assert isinstance(last, dict)
        late = datetime.fromtimestamp(WINTER + 1800, UTC).isoformat()
        execute_all(owner, f"insert into entries values ('orders', '2', {(WINTER + 1900) * 1000})")  # noqa: S608  # own value

        assert exporter.changed(USER, dataset, {**last, "at": late}, 9) == {(1,), (2,)}
        assert exporter.changed(USER, dataset, {**last, "at": "2024-01-01T01:20:00Z"}, 9) == {(2,)}
        execute_all(owner, "delete from entries where row_key = '1'")
        assert exporter.changed(USER, dataset, {**last, "at": late}, 9) is CANNOT_TELL


PEOPLE = """
times.at = { format = "epoch_ms" }
times.proved = { format = "epoch_seconds" }
times.gone = { format = "epoch_seconds" }
title = "CRM"
role = "processor"
kinds = ["contact", "tenant"]
[people]
table = "people"
tenant = "org"
name = "name"
until = "gone"
addresses.email = { column = "mail", since = "proved" }
[[dataset]]
name = "people"
title = "People"
description = "Your entry."
provenance = "provided"
table = "people"
tenant = "org"
rows = [{ column = "id", identities = ["contact_id"] }]
fields.id = { type = "integer", text = "Id." }
[[dataset]]
name = "calls"
title = "Calls"
description = "Your calls."
provenance = "observed"
table = "calls"
tenant = "org"
rows = [
  { column = "person", identities = ["contact_id"] },
  { address = "mail", identity = "email", unlinked = "person", at = ["at", "stored"], gives = "call" },
]
fields.id = { type = "integer", text = "Id." }
"""
TIME_OF = {"postgresql": "timestamptz", "mysql": "datetime null", "sqlite": "text"}


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_an_address_counts_from_its_proof_to_the_end_of_its_record(
    request: pytest.FixtureRequest, database: str, tmp_path: Path
) -> None:
    """Whatever forms the times of the rows, of the proof and of the end have: also beside a time of the database."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    times = (WINTER - 1, WINTER + 1, WINTER + 86_401)
    calls = [f"({place}, 'a', 'ann@example.test', {at}000, null)" for place, at in enumerate(times, 1)]
    calls += ["(4, 'a', 'ann@example.test', 0, '2024-01-01 12:00:00')"]
    execute_all(
        owner,
        "create table people (id integer primary key, org varchar(9), name varchar(9), mail varchar(40),"
        " proved bigint, gone bigint)",
        f"create table calls (id integer primary key, org varchar(9), mail varchar(40), at bigint,"
        f" stored {TIME_OF[database]}, person integer)",
        f"insert into people values (1, 'a', 'Ann', 'ann@example.test', {WINTER}, {WINTER + 86_400})",  # noqa: S608  # own values
        "insert into people values (2, 'a', 'Bob', 'bob@example.test', 0, 0)",
        f"insert into calls (id, org, mail, at, stored) values {', '.join(calls)}",  # noqa: S608  # own values
    )
    with mapped_sources() as opened:
        exporter = opened(reader, PEOPLE)
        ann = sample_subject(SubjectKind.CONTACT, "1", tenant="a")
        found = exporter.identities(ann)
        tenant = exporter.count(sample_subject(SubjectKind.TENANT, "a"), exporter.datasets[1], Selection())

    assert {one.value: one.verified for one in found if one.kind == "call"} == {
        **dict.fromkeys(["1", "3"], False),
        **dict.fromkeys(["2", "4"], True),
    }
    assert (tenant.records, tenant.unrelated) == (
        4,
        1,
    )  # to the tenant a call after the end still belongs to its person
