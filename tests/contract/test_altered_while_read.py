"""Tables and views that are altered between two pages of a dataset: what it lacks then is a gap."""

from __future__ import annotations

from pathlib import Path

import pytest
from altered_orders import ANN, GAP, GRANT, INSERT, MAP, OF_POSTGRESQL, TABLE, VIEW
from source_accounts import execute_all, mapped_sources, owner_and_reader

from portability.api import Gap, Selection

LETTERS = ", ".join(f"('{one}{two}', 'ann', 'a')" for one in "XYZa" for two in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""104 rows: in the order of bytes the first page ends among those with Z, and those with a small letter follow."""
REPLACED = ["create or replace view orders as select id, who, note from stored where id < 90"]
SWAPPED = [
    "create table other (like orders including all)",
    "alter table orders rename to orders_2025",
    "alter table other rename to orders",
    GRANT,
]
BY_BYTES = {"postgresql": 'collate "C"', "mysql": "collate utf8mb4_bin", "sqlite": ""}
BY_LETTERS = {"postgresql": 'collate "en-x-icu"', "mysql": "collate utf8mb4_general_ci"}
TEXT_TYPE = "varchar(9)"
ALTERED = [
    ("postgresql", OF_POSTGRESQL, ["alter table orders detach partition part_2"], 80),
    (
        "postgresql",
        [*(one.replace("orders", "stored") for one in OF_POSTGRESQL), VIEW[-1], GRANT],
        ["alter table stored detach partition part_2"],
        80,
    ),
    ("postgresql", [TABLE, INSERT], SWAPPED, 64),
    (
        "postgresql",
        [TABLE, INSERT],
        [SWAPPED[0], "insert into other select * from orders", "drop table orders", *SWAPPED[2:]],
        130,
    ),
    ("postgresql", [*VIEW, GRANT], REPLACED, 89),
    ("postgresql", [TABLE, INSERT], ["alter table orders alter note type bytea using note::bytea"], 130),
    ("mysql", VIEW, REPLACED, 89),
    ("sqlite", VIEW, ["drop view orders", REPLACED[0].replace("or replace ", "")], 89),
]
"""Database, what is made, what happens after the first page, and how many rows are then read."""
NOT_ALTERED = [
    ("postgresql", OF_POSTGRESQL, ["drop table part_2"], 80),
    (
        "postgresql",
        OF_POSTGRESQL,
        ["create table part_4 partition of orders for values from (200) to (300)"],
        130,
    ),
    (
        "postgresql",
        [TABLE, INSERT],
        ["alter table orders add column other integer", "create index on orders (who)"],
        130,
    ),
    ("postgresql", [*VIEW, GRANT], ["create index on stored (who)", "delete from stored where id > 100"], 100),
]
FORCED = "alter table {} force row level security"


def altered(
    request: pytest.FixtureRequest, folder: Path, database: str, made: list[str], change: list[str], text: str = MAP
) -> tuple[int, list[Gap]]:
    """Read the dataset, with a change after its first page; return the number of records, and the gaps."""
    owner, reader = owner_and_reader(request, database, folder)
    execute_all(owner, *made)
    with mapped_sources() as opened:
        exporter = opened(reader, text)
        batches = exporter.export(ANN, exporter.datasets[0], Selection())
        found = [next(batches)]
        execute_all(owner, *change)
        found += batches
    assert len(found[0].records) == 64
    return sum(len(batch.records) for batch in found), [gap for batch in found for gap in batch.gaps]


@pytest.mark.parametrize(("database", "made", "change", "records"), ALTERED)
def test_a_table_that_is_altered_while_it_is_read_is_a_gap(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, made: list[str], change: list[str], records: int
) -> None:
    """Rows that are elsewhere now, or that another type gives in another form, are not left out without a word."""
    found, gaps = altered(request, tmp_path, database, made, change)
    assert found == records
    assert gaps[-1:] == [GAP]


@pytest.mark.parametrize(("database", "made", "change", "records"), NOT_ALTERED)
def test_rows_that_are_deleted_or_come_are_no_gap(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, made: list[str], change: list[str], records: int
) -> None:
    """Nor are a partition that is dropped or added, and a new column or index of PostgreSQL."""
    assert altered(request, tmp_path, database, made, change) == (records, [])


@pytest.mark.parametrize("view", [[], ["alter table orders rename to stored", VIEW[-1], GRANT]], ids=["table", "view"])
@pytest.mark.parametrize(
    "change",
    [
        ["create policy own on {} using (id < 90)", "alter table {} enable row level security", FORCED],
        ["create policy most on {} as restrictive using (id < 90)"],
    ],
    ids=["switched on", "narrower"],
)
def test_policies_that_hide_rows_meanwhile_are_a_gap(
    request: pytest.FixtureRequest, tmp_path: Path, change: list[str], view: list[str]
) -> None:
    """Where the map takes the policies as they are, PostgreSQL leaves rows out and refuses nothing."""
    made = [TABLE, INSERT, *view]
    table = "stored" if view else "orders"
    if "as restrictive" in change[0]:
        made += [f"create policy all_rows on {table} using (true)"]
        made += [one.format(table) for one in ("alter table {} enable row level security", FORCED)]
    text = f"{MAP}\n[session]\nshows_all_rows = true\n"
    found, gaps = altered(request, tmp_path, "postgresql", made, [one.format(table) for one in change], text)
    assert gaps == [GAP]
    # The owner of these tables is a superuser, whom no policy concerns: views of it give all rows.
    assert found == (130 if view else 89)


@pytest.mark.parametrize("database", ["postgresql", "mysql"])
def test_an_order_that_is_another_one_is_a_gap(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> None:
    """By another collation the rows behind a key are others."""
    made = f"create table orders (id {TEXT_TYPE} {BY_BYTES[database]} not null primary key, who varchar(9), note text)"
    is_postgresql = database == "postgresql"
    change = "alter table orders alter id type" if is_postgresql else "alter table orders modify id"
    change += f" {TEXT_TYPE} {BY_LETTERS[database]}" + ("" if is_postgresql else " not null")
    insert = f"insert into orders values {LETTERS}"  # noqa: S608  # of this module
    records, gaps = altered(request, tmp_path, database, [made, insert], [change])
    assert records == 78
    assert gaps == [GAP]
