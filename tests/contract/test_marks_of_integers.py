"""Marks that a database stores as integers: a row is marked by every number but 0."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import RowRemark, Selection, SubjectKind
from portability.testing import sample_subject

TYPES = [
    *(("postgresql", kind) for kind in ("smallint", "integer", "bigint", "boolean")),
    *(("mysql", kind) for kind in ("tinyint(1)", "tinyint", "int unsigned", "bigint")),
    ("sqlite", "integer"),
]
USER = sample_subject(SubjectKind.USER, "1")
LOOK_UP = """
[[identity]]
table = "orders"
from = "user_id"
column = "who"
value = "id"
gives = "order"
verified = "mark"
"""


def made(request: pytest.FixtureRequest, database: str, kind: str, folder: Path) -> str:
    """The reader of orders of one person, with the marks NULL, 0, 1 and 2, whose period is over."""
    owner, reader = owner_and_reader(request, database, folder)
    marks = ["null", "false", "true", "true"] if kind == "boolean" else ["null", "0", "1", "2"]
    rows = ", ".join(f"({place}, 1, {mark}, '2020-01-01 00:00:00')" for place, mark in enumerate(marks, 1))
    columns = f"id integer primary key, who integer, mark {kind}, ends timestamp null"
    execute_all(owner, f"create table orders ({columns})", f"insert into orders values {rows}")  # noqa: S608  # own values
    return reader


def marked_as(exporter: MappedExporter, remark: RowRemark) -> Sequence[int]:
    """Return the places of the rows with this remark."""
    (batch,) = exporter.export(USER, exporter.datasets[0], Selection())
    return list(batch.remarks.get(remark, ()))


@pytest.mark.parametrize(("database", "kind"), TYPES)
def test_a_mark_is_set_unless_it_is_0(request: pytest.FixtureRequest, database: str, kind: str, tmp_path: Path) -> None:
    """As mark of a deleted row, as proof of an identity, and as legal hold, which ends the end of a period."""
    reader = made(request, database, kind, tmp_path)
    with mapped_sources() as opened:
        deleted = opened(reader, ROWS.replace("fields.id", DELETED))
        held = opened(reader, ROWS.replace("fields.id", HELD))
        proved = opened(reader, ROWS + LOOK_UP)

        assert marked_as(deleted, RowRemark.SOFT_DELETED) == [2, 3]
        assert marked_as(held, RowRemark.PAST_RETENTION) == [0, 1]
        assert [(one.value, one.verified) for one in proved.identities(USER)] == [
            *(("1", False), ("2", False), ("3", True), ("4", True))
        ]


DELETED = 'deleted = "mark"\nfields.id'
HELD = 'retention = { until = "ends", hold = "mark" }\nfields.id'


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("equals = 2", [4]), ("among = [0, 2]", [2, 4]), ("equals = true", [3]), ("other_than = 2", [1, 2, 3])],
)
def test_a_small_number_of_mariadb_has_all_its_values(
    request: pytest.FixtureRequest, condition: str, expected: Sequence[int], tmp_path: Path
) -> None:
    """A `tinyint(1)` is a truth value, and a number where the map says so; conditions compare numbers."""
    reader = made(request, "mysql", "tinyint(1)", tmp_path)
    field = 'fields.mark = { type = "integer", text = "Mark." }\n'
    text = ROWS.replace("fields.id", f'where = [{{ column = "mark", {condition} }}]\n{field}fields.id')
    with mapped_sources() as opened:
        exporter = opened(reader, text)
        batches = exporter.export(USER, exporter.datasets[0], Selection())
        records = [record for batch in batches for record in batch.records]

    assert [one["id"] for one in records] == expected
    assert [one["mark"] for one in records] == [[None, 0, 1, 2][place - 1] for place in expected]


def test_a_mark_may_have_a_condition(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The column is compared as the number that it is, beside its use as a mark."""
    reader = made(request, "postgresql", "bigint", tmp_path)
    text = ROWS.replace("fields.id", DELETED.replace("fields", 'where = [{ column = "mark", among = [1, 2] }]\nfields'))
    with mapped_sources() as opened:
        assert marked_as(opened(reader, text), RowRemark.SOFT_DELETED) == [0, 1]
