"""Tables of one name in several schemas of PostgreSQL: what is read is what was checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from source_accounts import ROWS, mapped_source, owner_and_reader
from sqlalchemy import create_engine, event

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import JSON, Selection, SubjectKind
from portability.api.errors import BadMap
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
TABLE = "orders (id integer primary key, who text not null)"
ORDERED = f'{ROWS}order = ["code"]\n'
CHOSEN = f'{ROWS}where = [{{ column = "code", equals = "A1" }}]\n'
LED = ROWS.replace("rows = [{", 'rows = [{ through = [{ table = "people", here = "code", key = "code" }],')
"""Maps that sort by a column `code`, compare it with a value, and with a column of another table."""
RunStatements: TypeAlias = Callable[..., None]


@pytest.fixture
def addresses(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A database with a table of two rows: its address for its owner, and for an account that can only read."""
    return owner_and_reader(request, "postgresql", tmp_path)


@pytest.fixture
def run_as_owner(addresses: tuple[str, str]) -> Iterator[RunStatements]:
    """Runs statements in which `{reader}` is the role of the account."""
    reader, engine = addresses[1].split("//")[1].split("@")[0], create_engine(addresses[0])

    def run(*statements: str) -> None:
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("{reader}", reader))

    run(f"create table {TABLE}", "insert into orders values (1, 'ann'), (2, 'ann')")
    yield run
    run("drop schema if exists early cascade", "alter role {reader} reset all")
    engine.dispose()


def ids_of(exporter: MappedExporter) -> list[JSON]:
    batches = exporter.export(ANN, exporter.datasets[0], Selection())
    return [record["id"] for batch in batches for record in batch.records]


def costing_data(exporter: MappedExporter) -> list[tuple[str, str]]:
    return [(str(one.kind), one.table) for one in exporter.check().findings if one.kind != "unsigned"]


def test_the_table_that_was_checked_is_read(addresses: tuple[str, str], run_as_owner: RunStatements) -> None:
    """A schema that comes before it in the search path later, with a table of the same name, changes nothing."""
    exporter, engine = mapped_source(addresses[1], ROWS)
    exporter.prepare()
    run_as_owner(
        "create schema early",
        f"create table early.{TABLE}",
        "insert into early.orders values (99, 'ann')",
        "grant usage on schema early to {reader}",
        "grant select on early.orders to {reader}",
        "alter role {reader} set search_path = early, public",
    )
    engine.dispose()
    later, opened = mapped_source(addresses[1], ROWS)

    assert ids_of(exporter) == [1, 2]
    assert ids_of(later) == [99]
    assert ("undecided_table", "public.orders") in costing_data(later)
    opened.dispose()
    engine.dispose()


@pytest.mark.usefixtures("run_as_owner")
def test_a_temporary_table_is_not_read(addresses: tuple[str, str]) -> None:
    """Through a pooler another client's session may have one, which comes before all schemas."""
    exporter, engine = mapped_source(addresses[1], ROWS)

    @event.listens_for(engine, "connect")
    def leave_table(driver: Any, _record: object) -> None:
        driver.execute("create temporary table orders (id integer primary key, who text not null, secret text)")
        driver.commit()

    assert costing_data(exporter) == [("undecided_column", "orders")]  # `who`, which only selects rows
    assert ids_of(exporter) == [1, 2]
    engine.dispose()


@pytest.mark.parametrize("path", ["public", '"$user", public'])
def test_a_table_has_the_name_that_the_map_gives_it(
    addresses: tuple[str, str], run_as_owner: RunStatements, path: str
) -> None:
    """With or without its schema: the check takes it for one table, wherever in the search path its schema is."""
    run_as_owner(
        'create schema "{reader}"',
        'grant usage on schema "{reader}" to {reader}',
        f"alter role {{reader}} set search_path = {path}",
    )
    for name in ("orders", "public.orders"):
        exporter, engine = mapped_source(addresses[1], ROWS.replace('table = "orders"', f'table = "{name}"'))
        assert (costing_data(exporter), ids_of(exporter)) == ([("undecided_column", name)], [1, 2])
        engine.dispose()
    run_as_owner('drop schema "{reader}"')


@pytest.mark.usefixtures("run_as_owner")
def test_one_table_has_one_name(addresses: tuple[str, str]) -> None:
    """A map that writes it with and without its schema is refused: statements could not tell its rows apart."""
    again = ROWS.partition("[[dataset]]")[2].replace('name = "orders"', 'name = "more"')
    text = f"{ROWS}[[dataset]]{again}".replace('table = "orders"', 'table = "public.orders"', 1)
    exporter, engine = mapped_source(addresses[1], text)

    with pytest.raises(BadMap, match=r"'public\.orders' and 'orders' are one table"):
        exporter.prepare()
    engine.dispose()


def test_names_with_a_percent_sign_are_read(addresses: tuple[str, str], run_as_owner: RunStatements) -> None:
    """The account's rights are looked up by the name itself, whatever letters it has."""
    run_as_owner('alter table orders rename to "a%%b"')
    exporter, engine = mapped_source(addresses[1], ROWS.replace('table = "orders"', 'table = "a%b"'))

    exporter.prepare()
    assert ids_of(exporter) == [1, 2]
    engine.dispose()


@pytest.mark.parametrize("text", [ORDERED, CHOSEN, LED])
def test_a_type_whose_operators_are_not_found_is_not_compared(
    addresses: tuple[str, str], run_as_owner: RunStatements, text: str
) -> None:
    """PostgreSQL sorts `citext` without case, and compares it as a text: rows came twice, or were missing."""
    run_as_owner(
        "drop table orders",
        "create schema early",
        "create extension citext schema early",
        "create domain early.code as early.citext",
        "create table orders (id integer primary key, who text, code early.code not null unique)",
        "create table people (code early.citext primary key, who text)",
        "insert into orders values (1, 'ann', 'a1')",
        "insert into people values ('A1', 'ann')",
        "grant usage on schema early to {reader}",
    )
    exporter, engine = mapped_source(addresses[1], text)
    with pytest.raises(BadMap, match=r"is early\.citext: PostgreSQL does not find how to compare it"):
        exporter.prepare()
    engine.dispose()

    run_as_owner("alter role {reader} set search_path = public, early")
    exporter, engine = mapped_source(addresses[1], text)
    assert ids_of(exporter) == [1]
    engine.dispose()
