"""Tables that are altered between two processes that read one dataset: what it lacks then is a gap there, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from altered_orders import ANN, COLUMNS, GAP, GRANT, INSERT, MAP, OF_POSTGRESQL, TABLE, VIEW
from source_accounts import execute_all, mapped_sources, owner_and_reader
from sqlalchemy import create_engine, text
from workers import until

from portability.api import Batch, Gap, Selection, Slice

ANOTHER = [f"create table other {COLUMNS}", INSERT.replace("orders", "other").replace("'a'", "'b'")]
RENAMED_OTHER = ["alter table other rename to orders", GRANT]
RENAMED = ["rename table orders to earlier, other to orders"]
ALTERED = [
    ("postgresql", [TABLE, INSERT, *ANOTHER], ["alter table orders rename to earlier", *RENAMED_OTHER]),
    ("postgresql", [TABLE, INSERT, *ANOTHER], ["drop table orders", *RENAMED_OTHER]),
    ("postgresql", OF_POSTGRESQL, ["alter table orders detach partition part_2"]),
    ("postgresql", [*VIEW, GRANT], ["create or replace view orders as select id, who, note from stored where id < 90"]),
    ("postgresql", [TABLE, INSERT], ["alter table orders alter note type text"]),
    ("mysql", [TABLE, INSERT, *ANOTHER], RENAMED),
    ("mysql", [TABLE, INSERT, *ANOTHER], ["drop table orders", "rename table other to orders"]),
    ("mysql", [*VIEW, *ANOTHER], ["rename table stored to earlier, other to stored"]),
    ("mysql", [TABLE, INSERT], ["alter table orders modify note text"]),
    ("sqlite", [TABLE, INSERT, *ANOTHER], ["alter table orders rename to earlier", RENAMED_OTHER[0]]),
]
"""Database, what is made, and what happens between the two processes."""
ARE_EARLIER = text("select max(create_time) < sysdate() from information_schema.tables where table_schema = database()")
CASES = pytest.mark.parametrize(("database", "made", "change"), ALTERED)


def gaps_of(batches: list[Batch]) -> list[Gap]:
    return [gap for batch in batches for gap in batch.gaps]


def made_tables(request: pytest.FixtureRequest, folder: Path, database: str, made: list[str]) -> tuple[str, str]:
    """Make tables that are not of the present second: MariaDB tells the time of a change in whole seconds."""
    owner, reader = owner_and_reader(request, database, folder)
    execute_all(owner, *made)
    if database == "mysql":
        engine = create_engine(owner)
        with engine.connect() as connection:
            until(lambda: bool(connection.scalar(ARE_EARLIER)), "the second is over")
        engine.dispose()
    return owner, reader


@CASES
def test_a_read_that_another_process_continues_reports_it(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, made: list[str], change: list[str]
) -> None:
    """A worker died after its first page, and the next one continues at its cursor."""
    owner, reader = made_tables(request, tmp_path, database, made)
    with mapped_sources() as opened:
        first, second = opened(reader, MAP), opened(reader, MAP)
        dataset = first.datasets[0]
        page = next(first.export(ANN, dataset, Selection()))
        assert not gaps_of([page])
        execute_all(owner, *change)
        found = list(second.export(ANN, dataset, Selection(), after=page.cursor))
    assert gaps_of(found) == [GAP]


@CASES
def test_slices_that_are_read_by_others_report_it(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, made: list[str], change: list[str]
) -> None:
    """Every slice that is read after the change has a gap, also one that is short, and none that was read before."""
    owner, reader = made_tables(request, tmp_path, database, made)
    with mapped_sources() as opened:
        planner, others = opened(reader, MAP), [opened(reader, MAP) for _ in range(4)]
        dataset = planner.datasets[0]
        slices = planner.slices(ANN, dataset, Selection(), 4)
        early = list(others[0].export(ANN, dataset, Selection(slice=slices[0])))
        execute_all(owner, *change)
        late = [
            list(other.export(ANN, dataset, Selection(slice=part)))
            for other, part in zip(others[1:], slices[1:], strict=True)
        ]
    assert not gaps_of(early)
    assert [gaps_of(found) for found in late] == [[GAP]] * 3


@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_without_a_change_there_is_no_gap(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> None:
    """Slices, slices of a slice, their counts, and reads that are continued by others give each record once."""
    _, reader = made_tables(request, tmp_path, database, [TABLE, INSERT])
    with mapped_sources() as opened:
        first, second = opened(reader, MAP), opened(reader, MAP)
        dataset = first.datasets[0]
        halves = first.slices(ANN, dataset, Selection(), 2)
        parts = [part for half in halves for part in second.slices(ANN, dataset, Selection(slice=half), 2)]
        found = [batch for part in parts for batch in second.export(ANN, dataset, Selection(slice=part))]
        counts = [second.count(ANN, dataset, Selection(slice=part)).records for part in parts]
        page = next(first.export(ANN, dataset, Selection()))
        rest = list(second.export(ANN, dataset, Selection(), after=page.cursor))
    assert [record["id"] for batch in found for record in batch.records] == [str(one) for one in range(1, 131)]
    assert [part.begin for part in parts[1:]] == [part.end for part in parts[:-1]]
    assert parts[1].end == halves[0].end
    assert sum(counts) == 130
    assert len(page.records) + sum(len(batch.records) for batch in rest) == 130
    assert not gaps_of([*found, page, *rest])


def test_a_cursor_of_an_earlier_version_is_a_place_still(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """An export that is running while the software is replaced continues, from a cursor and within a slice."""
    _, reader = made_tables(request, tmp_path, "postgresql", [TABLE, INSERT])
    with mapped_sources() as opened:
        exporter = opened(reader, MAP)
        dataset, part = exporter.datasets[0], Selection(slice=Slice("[40]", "[90]"))
        found = list(exporter.export(ANN, dataset, part, after="[50]"))
    assert [record["id"] for batch in found for record in batch.records] == [str(one) for one in range(51, 90)]
    assert not gaps_of(found)
