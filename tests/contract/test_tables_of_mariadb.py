"""Tables of MariaDB with keys and names that other databases do not have."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_source, owner_and_reader

from portability.api import CoverageKind, Selection, SubjectKind
from portability.api.errors import BadMap
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
PERIODS = "since date, until date, period for p (since, until)"


@pytest.mark.parametrize(
    "made",
    [
        [f"create table orders (id integer, who varchar(40), {PERIODS}, primary key (id, p without overlaps))"],
        [
            "create table orders_1 (id integer primary key, who varchar(40)) engine = myisam",
            "create table orders_2 like orders_1",
            "create table orders (id integer primary key, who varchar(40)) engine = merge union = (orders_1, orders_2)",
        ],
    ],
)
def test_a_key_that_several_rows_may_have_is_refused(
    request: pytest.FixtureRequest, tmp_path: Path, made: list[str]
) -> None:
    """A key without overlaps has a row for each period, and a table of MERGE those of several tables."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    execute_all(owner, *made)
    exporter, engine = mapped_source(reader, ROWS)
    with pytest.raises(BadMap, match="several rows of orders may have the same id"):
        exporter.prepare()
    engine.dispose()


def test_a_key_with_its_period_identifies_a_row(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The columns of the period are columns of the key."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    made = f"create table orders (id integer, who varchar(40), {PERIODS}, primary key (id, p without overlaps))"
    execute_all(owner, made, "insert into orders values (1, 'ann', '2026-01-01', '2026-02-01')")
    fields = "".join(f'fields.{name} = {{ type = "date", text = "Day." }}\n' for name in ("since", "until"))
    exporter, engine = mapped_source(reader, f'{ROWS}{fields}key = ["id", "since", "until"]')
    (batch,) = exporter.export(ANN, exporter.datasets[0], Selection())
    engine.dispose()
    assert [dict(one) for one in batch.records] == [{"id": 1, "since": "2026-01-01", "until": "2026-02-01"}]


def test_a_column_may_have_a_backtick_in_its_name(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The library gives it as it is written in a statement: the map and the check have it as the database has it."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    columns = "id integer, who varchar(40), `a``b` integer not null, `c````d` integer, unique key `k``` (`a``b`)"
    execute_all(owner, f"create table orders ({columns})", "insert into orders values (1, 'ann', 7, 8)")
    fields = "".join(
        f'fields.{name[0]} = {{ column = "{name}", type = "integer", text = "Number." }}\n' for name in ("a`b", "c``d")
    )
    exporter, engine = mapped_source(reader, f'{ROWS}{fields}key = ["a"]')
    (batch,) = exporter.export(ANN, exporter.datasets[0], Selection())
    assert {one.column for one in exporter.check().findings if one.kind is CoverageKind.UNDECIDED_COLUMN} == {"who"}
    engine.dispose()
    assert [dict(one) for one in batch.records] == [{"id": 1, "a": 7, "c": 8}]
