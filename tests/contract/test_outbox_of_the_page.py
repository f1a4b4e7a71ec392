"""The triggers that docs/feeds.md shows, on PostgreSQL: each change has its entry."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import servers
from repository import ROOT
from sqlalchemy import Connection, create_engine, text

TABLES = """
create table calls (id text primary key, said text);
create table transcripts (id bigint primary key, call_id text references calls on delete cascade);
"""
PAGE = ROOT / "docs" / "feeds.md"


@pytest.fixture
def noted_calls(pg_server: servers.Postgres) -> Iterator[Connection]:
    """A call with two transcripts, and the outbox of the page."""
    (statements,) = re.findall(r"^```sql\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    engine = create_engine(pg_server.url(pg_server.create_database()))
    with engine.begin() as connection:
        connection.execute(text(TABLES))
        connection.exec_driver_sql(statements)
        connection.execute(text("insert into calls values ('c1', 'a')"))
        connection.execute(text("insert into transcripts values (1, 'c1'), (2, 'c1')"))
        connection.execute(text("delete from public.outbox"))
        yield connection
    engine.dispose()


def noted_changes(connection: Connection) -> list[tuple[str, str]]:
    rows = connection.execute(text("delete from public.outbox returning table_name, row_key"))
    return sorted((row[0], row[1]) for row in rows)


def test_a_change_of_a_row_has_entries_of_it_and_of_its_children(noted_calls: Connection) -> None:
    """An update and a deletion of a call also name the transcripts that go with it."""
    noted_calls.execute(text("update calls set said = 'b'"))
    assert noted_changes(noted_calls) == [("calls", "c1"), ("transcripts", "1"), ("transcripts", "2")]
    noted_calls.execute(text("delete from calls"))
    assert {("calls", "c1"), ("transcripts", "1"), ("transcripts", "2")} <= set(noted_changes(noted_calls))


def test_a_session_with_another_table_of_the_name_loses_no_entry(noted_calls: Connection) -> None:
    """A temporary table and a schema that the session sees first: the entry goes to the table of the source."""
    noted_calls.execute(text("create temp table outbox (table_name text, row_key text)"))
    noted_calls.execute(text("create schema tenant_a"))
    noted_calls.execute(text("create table tenant_a.outbox (table_name text, row_key text)"))
    noted_calls.execute(text("set local search_path = tenant_a, public"))
    noted_calls.execute(text("update public.calls set said = 'c'"))

    assert ("calls", "c1") in noted_changes(noted_calls)


def test_a_table_that_is_emptied_has_no_entry(noted_calls: Connection) -> None:
    """`TRUNCATE` fires no trigger of rows, and the page says so."""
    noted_calls.execute(text("truncate calls cascade"))

    assert noted_changes(noted_calls) == []
    assert "`TRUNCATE` fires none of these triggers" in " ".join(PAGE.read_text().split())
