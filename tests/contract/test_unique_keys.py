"""Which columns identify a row of a table: the order of a map ends with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import Selection, SubjectKind
from portability.api.errors import BadMap
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
EVERY = ("sqlite", "postgresql", "mysql")
CODE = "code varchar(20) not null"
UNIQUE = [
    *((database, [f"{CODE} unique"]) for database in EVERY),
    *((database, [f"{CODE}, constraint one unique (code)"]) for database in EVERY),
    *((database, [CODE, "create unique index one on orders (code)"]) for database in EVERY),
    ("sqlite", ['"code" varchar(20) NOT NULL UNIQUE COLLATE NOCASE']),
    ("sqlite", [CODE, "create unique index one on orders (code collate nocase)"]),
    ("postgresql", [CODE, "create unique index one on orders (code) include (who)"]),
    ("postgresql", [CODE, 'create unique index one on orders (code collate "C")']),
]
REPEATED = [
    *((database, [f"{CODE}, unique (code, who)"]) for database in EVERY),
    *((database, [CODE, "create index one on orders (code)"]) for database in EVERY),
    *((database, [CODE, "create unique index one on orders (code) where id > 5"]) for database in EVERY[:2]),
    *((database, [CODE, "create unique index one on orders (lower(code), code)"]) for database in EVERY[:2]),
]
ALIKE = [
    ("sqlite", ["code text collate nocase not null, unique (code collate binary)"]),
    ("sqlite", ["code text not null collate rtrim", "create unique index one on orders (code collate binary)"]),
    ("postgresql", ["code text collate any_case not null", 'create unique index one on orders (code collate "C")']),
]
"""Keys that tell texts apart which the column's collation takes for equal."""
MAP = f'{ROWS}fields.code = {{ text = "Code." }}\norder = ["code"]\n'


@pytest.fixture
def open_orders(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str, list[str]], MappedExporter]]:
    """Makes a table of orders on a database, with columns and statements, and opens it by the map."""
    with mapped_sources() as open_source:

        def open_made(database: str, made: list[str]) -> MappedExporter:
            owner, reader = owner_and_reader(request, database, tmp_path)
            columns, *statements = made
            alike = "provider = icu, locale = 'und-u-ks-level2', deterministic = false"
            before = [f"create collation any_case ({alike})"] if "any_case" in columns else []
            table = f"create table orders (id integer primary key, who varchar(40), {columns})"
            execute_all(
                owner, *before, table, *statements, "insert into orders values (1, 'ann', 'b'), (2, 'ann', 'a')"
            )
            return open_source(reader, MAP)

        yield open_made


@pytest.mark.parametrize(("database", "made"), UNIQUE)
def test_a_unique_column_gives_an_order(
    open_orders: Callable[[str, list[str]], MappedExporter], database: str, made: list[str]
) -> None:
    """However it is declared, whatever its type is called."""
    exporter = open_orders(database, made)
    (batch,) = exporter.export(ANN, exporter.datasets[0], Selection())
    assert [one["id"] for one in batch.records] == [2, 1]


@pytest.mark.parametrize(("database", "made"), ALIKE)
def test_a_key_of_another_collation_gives_no_order(
    open_orders: Callable[[str, list[str]], MappedExporter], database: str, made: list[str]
) -> None:
    """Rows are sorted by the collation of the column: one that is equal to the last row of a page would be left out."""
    exporter = open_orders(database, made)
    with pytest.raises(BadMap, match="several rows of orders may have the same code"):
        exporter.prepare()


@pytest.mark.parametrize(("database", "made"), REPEATED)
def test_a_column_that_rows_may_share_gives_none(
    open_orders: Callable[[str, list[str]], MappedExporter], database: str, made: list[str]
) -> None:
    """A key of several columns, of some rows, or of what an expression makes of it."""
    exporter = open_orders(database, made)
    with pytest.raises(BadMap, match="several rows of orders may have the same code"):
        exporter.prepare()
