"""Ids that a source gives to another person while an export reads: the archive has no row of the other person."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from archives import export_json, records
from factories import World, world
from source_accounts import ROWS, mapped_source
from sqlalchemy import Engine, event

from portability.api import CoverageKind

TABLES = """
create table accounts (id text primary key, email text);
create table customers (id integer primary key, account text);
create table orders (id integer primary key, who integer);
create table letters (id integer primary key, who text);
insert into accounts values ('ann', 'ann@shop.example'), ('bob', 'bob@shop.example');
insert into customers values (1, 'ann');
insert into orders values (1, 1);
insert into letters values (1, 'ann@shop.example');
"""
MAP = (
    ROWS.replace('identities = ["user_id"]', 'identities = ["customer"]')
    + """
[[dataset]]
name = "letters"
title = "Letters"
description = "Your letters."
provenance = "provided"
table = "letters"
rows = [{ column = "who", identities = ["email"] }]
fields.id = { type = "integer", text = "Id." }
[[identity]]
table = "customers"
from = "user_id"
column = "account"
value = "id"
gives = "customer"
verified = true
[[identity]]
table = "accounts"
from = "user_id"
column = "id"
value = "email"
gives = "email"
verified = true
"""
)
REUSED = """
delete from orders;
delete from customers;
insert into customers (account) values ('bob');
insert into orders (id, who) select 7, id from customers;
"""
"""Ann's record is deleted, and SQLite gives its number to Bob's, because no other has a higher one."""
RENAMED = """
update accounts set email = 'bob@shop.example' where id = 'ann';
update customers set account = '' where account = 'ann';
insert into customers values (9, 'ann');
insert into letters values (7, 'bob@shop.example');
"""
"""The id of the request leads to another address and another record than before."""


@pytest.fixture
def reusing_shop(tmp_path: Path) -> Iterator[World]:
    """A worker with the shop as its source."""
    changed(tmp_path, TABLES)
    opened, engine = mapped_source(f"sqlite:///{tmp_path / 'shop.db'}", MAP)
    yield world(tmp_path / "control", {"shop": opened})
    engine.dispose()


def changed(folder: Path, statements: str) -> None:
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        connection.executescript(statements)


@contextmanager
def before_reading(table: str, change: Callable[[], None]) -> Iterator[list[str]]:
    """Change the source when a table is about to be read, before the first row of a dataset."""
    seen: list[str] = []

    def look(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        if f"FROM {table}" in statement and "count(" not in statement.lower() and not seen:
            seen.append(statement)
            change()

    event.listen(Engine, "before_cursor_execute", look)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", look)


def test_a_number_that_is_given_to_another_person_delivers_no_row_of_theirs(
    reusing_shop: World, tmp_path: Path
) -> None:
    """Seen: Bob's order 7 was in Ann's archive, which was complete."""
    identifier = reusing_shop.request("user:ann")
    with before_reading("orders", lambda: changed(tmp_path, REUSED)) as seen:
        reusing_shop.advance_all()

    assert seen
    archive = reusing_shop.fetch(identifier)
    assert records(archive, "shop", "orders") == []
    assert [one["id"] for one in records(archive, "shop", "letters")] == [1]
    assert reusing_shop.view(identifier)["complete"] is True


def test_a_number_that_is_given_away_after_its_row_was_read_is_read_again(reusing_shop: World, tmp_path: Path) -> None:
    """The archive has no row that might be of either person, wherever in the volume the number was given away."""
    identifier = reusing_shop.request("user:ann")
    with before_reading("letters", lambda: changed(tmp_path, REUSED)) as seen:
        reusing_shop.advance_all()

    assert seen
    assert records(reusing_shop.fetch(identifier), "shop", "orders") == []


def test_the_id_of_a_request_that_leads_to_another_person_ends_the_export(reusing_shop: World, tmp_path: Path) -> None:
    """Seen: letters to the new holder of the account's id were in the archive of the one who had it before."""
    identifier = reusing_shop.request("user:ann")
    with before_reading("letters", lambda: changed(tmp_path, RENAMED)) as seen:
        reusing_shop.advance_all()

    assert seen
    view = reusing_shop.view(identifier)
    assert (view["state"], view["error"]["code"]) == ("failed", "subject_changed")
    assert "bob" not in view["error"]["message"]


def test_new_identities_alone_change_nothing(reusing_shop: World, tmp_path: Path) -> None:
    """A further record of the person is in the next archive, as a row that comes while a dataset is read."""
    identifier = reusing_shop.request("user:ann")
    with before_reading("letters", lambda: changed(tmp_path, "insert into customers values (9, 'ann')")):
        assert reusing_shop.advance_all() == 1

    assert [one["id"] for one in records(reusing_shop.fetch(identifier), "shop", "orders")] == [1]


def test_a_source_that_cannot_confirm_is_asked_again(reusing_shop: World, tmp_path: Path) -> None:
    """What was read before its table went away is not delivered: the next attempt begins with what is known then."""
    identifier = reusing_shop.request("user:ann")
    with before_reading("letters", lambda: changed(tmp_path, "alter table customers rename to people")):
        reusing_shop.advance_all()

    document = export_json(reusing_shop.fetch(identifier))
    assert {(one["dataset"], one["state"]) for one in document["datasets"]} == {
        ("orders", "partial"),
        ("letters", "partial"),
    }
    assert document["complete"] is False


@pytest.mark.parametrize(
    ("made", "is_found"),
    [
        ("id integer primary key, account text", True),
        ("id INTEGER not null, account text, primary key (id)", True),
        ("id integer primary key autoincrement, account text", False),
        ("id int primary key, account text", False),
        ("id integer, account text, primary key (id, account)", False),
        ("id integer unique, account text", False),
    ],
)
def test_numbers_that_sqlite_gives_again_are_found(tmp_path: Path, made: str, is_found: bool) -> None:
    """The check names each column of people whose numbers another person may get."""
    changed(tmp_path, TABLES.replace("id integer primary key, account text", made))
    opened, engine = mapped_source(f"sqlite:///{tmp_path / 'shop.db'}", MAP)
    found = [one for one in opened.check().findings if one.kind is CoverageKind.REUSED_IDS]
    engine.dispose()

    assert [(one.table, one.column) for one in found] == [("customers", "id")] * is_found
