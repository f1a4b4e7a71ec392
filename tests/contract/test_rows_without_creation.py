"""A row whose time of creation is NULL belongs to every export: nothing says that it is newer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from source_accounts import ROWS, mapped_sources, owner_and_reader
from sqlalchemy import create_engine

from portability.api import Selection, SubjectKind
from portability.testing import sample_subject

MAP = f"""{ROWS}
created = "made"
[[dataset]]
name = "items"
title = "Items"
description = "Items of your orders."
provenance = "provided"
table = "items"
rows = [{{ column = "order_id", dataset = "orders", part = true }}]
created = "made"
fields.id = {{ type = "integer", text = "Id." }}
"""
BEGAN = datetime(2026, 2, 1, tzinfo=UTC)
SINCE = datetime(2026, 1, 25, tzinfo=UTC)


@pytest.mark.parametrize(("database", "kind"), [("postgresql", "timestamp"), ("mysql", "datetime"), ("sqlite", "text")])
def test_a_row_without_a_time_of_creation_is_exported(
    request: pytest.FixtureRequest, database: str, kind: str, tmp_path: Path
) -> None:
    """Order 1 has no time, order 2 is newer than the export, order 3 is older; each has two items like that."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    engine = create_engine(owner)
    with engine.begin() as connection:
        for statement in (
            f"create table orders (id integer primary key, who varchar(9), made {kind} null)",
            f"create table items (id integer primary key, order_id integer, made {kind} null)",
            "insert into orders values (1, 'usr_1', null)",
            "insert into orders values (2, 'usr_1', '2026-02-01 10:00:00'), (3, 'usr_1', '2026-01-20 10:00:00')",
            "insert into items values (11, 1, null), (21, 2, null), (31, 3, null), (12, 1, '2026-02-01 10:00:00')",
            "insert into items values (22, 2, '2026-01-20 10:00:00'), (32, 3, '2026-01-20 10:00:00')",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    user = sample_subject(SubjectKind.USER, "usr_1")
    cases = [
        (Selection(began_at=BEGAN), [[1, 3], [11, 31, 32]]),
        (Selection(since=SINCE), [[1, 2], [11, 12, 21, 31]]),
        (Selection(until=SINCE), [[1, 3], [11, 21, 22, 31, 32]]),
    ]
    with mapped_sources() as opened:
        exporter = opened(reader, MAP)
        for selection, expected in cases:
            found = [
                [record["id"] for batch in exporter.export(user, one, selection) for record in batch.records]
                for one in exporter.datasets
            ]
            assert found == expected, selection
            assert [exporter.count(user, one, selection).records for one in exporter.datasets] == [*map(len, expected)]
