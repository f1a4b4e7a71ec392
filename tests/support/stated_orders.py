"""Orders of one person, whose times are numbers or texts that a map states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, owner_and_reader

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import Record, Selection, SubjectKind
from portability.testing import sample_subject

USER = sample_subject(SubjectKind.USER, "1")
NUMBERS = [
    *(("postgresql", kind) for kind in ("bigint", "numeric(25, 6)", "double precision")),
    *(("mysql", kind) for kind in ("bigint", "decimal(25, 6)", "double")),
    *(("sqlite", kind) for kind in ("integer", "real", "datetime")),
]
SMALL = [("postgresql", "integer"), ("mysql", "int(10) unsigned"), ("mysql", "bigint(10)"), ("sqlite", "int")]
SECONDS = 'times."orders.at" = { format = "epoch_seconds" }\n'
TIME = 'fields.at = { type = "datetime", text = "When." }\n'
AUTUMN, WINTER = 1_700_000_000, 1_704_067_200
"""2023-11-14 22:13:20 and 2024-01-01 00:00:00."""


def with_times(times: str, *lines: str) -> str:
    """The map of orders, with its `[times]` and further lines of the dataset."""
    return times + ROWS + "\n".join(lines)


def stored_orders(request: pytest.FixtureRequest, database: str, kind: str, folder: Path, *values: object) -> str:
    """The reader of orders of one person, with one order for each time."""
    return owner_and_orders(request, database, kind, folder, *values)[1]


def owner_and_orders(
    request: pytest.FixtureRequest, database: str, kind: str, folder: Path, *values: object
) -> tuple[str, str]:
    """The owner of these orders, too."""
    owner, reader = owner_and_reader(request, database, folder)
    written = (repr(value) if value is not None else "null" for value in values)
    rows = ", ".join(f"({place}, 1, {value})" for place, value in enumerate(written, 1))
    made = f"create table orders (id integer primary key, who integer, at {kind} null)"
    execute_all(owner, made, f"insert into orders values {rows}")  # noqa: S608  # own values
    return owner, reader


def delivered_orders(exporter: MappedExporter, selection: Selection = Selection()) -> Sequence[Record]:  # noqa: B008  # it is frozen
    return [one for batch in exporter.export(USER, exporter.datasets[0], selection) for one in batch.records]


def delivered_ids(exporter: MappedExporter, **selected: object) -> Sequence[object]:
    return [one["id"] for one in delivered_orders(exporter, Selection(**selected))]  # type: ignore[arg-type]  # of the test
