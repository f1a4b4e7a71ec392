"""Drafts take the table of the people by each name that a map may give it, and refuse names that nothing has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from source_accounts import execute_all, owner_and_reader

from exporters.maps.reading import MapText
from exporters.sql.mapped.databases import kind_of, open_database
from exporters.sql.mapped.kind import kind
from exporters.sql.proposal.draft import draft
from exporters.sql.proposal.propose import propose
from portability.api.errors import BadInput
from portability.database.engine import READING

MADE = (
    "create table users (id integer primary key, email varchar(40))",
    "create table orders (id integer primary key, buyer integer references users (id))",
)


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def proposed(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """The tables of a draft's datasets, each with the way of its rows, by the name of the people's table."""
    owner, reader = owner_and_reader(request, request.param, tmp_path)
    execute_all(owner, *MADE)

    def tables_of(subject: str, *schemas: str, key: str | None = None) -> dict[str, str]:
        backend, url = kind_of(reader, "url")
        engine = open_database(backend, url, 60)
        own = {"sqlite": "main", "postgresql": "public"}.get(backend, url.database or "")
        try:
            with engine.connect().execution_options(**READING) as connection, connection.begin():
                found = propose(connection, subject.format(own=own), schemas=schemas, key=key)
        finally:
            engine.dispose()
        form = kind.parse(MapText("draft.toml", draft(found))).form
        return {one.table: str(one.rows[0].column) for one in form.dataset}  # type: ignore[union-attr]

    return tables_of


@pytest.mark.parametrize("name", ["users", "{own}.users"])
def test_a_table_may_be_named_with_its_schema(proposed: Callable[..., dict[str, str]], name: str) -> None:
    """The draft has the name without it, and what leads to it."""
    assert proposed(name) == {"users": "id", "orders": "buyer"}


@pytest.mark.parametrize("proposed", ["sqlite"], indirect=True)
def test_letters_of_another_case_name_the_table_where_the_database_ignores_it(
    proposed: Callable[..., dict[str, str]],
) -> None:
    """As in a map."""
    assert proposed("Users") == {"users": "id", "orders": "buyer"}


@pytest.mark.parametrize(
    ("arguments", "keys", "message"),
    [
        (("users", "nowhere"), {}, "no schema 'nowhere'"),
        (("nowhere.users",), {}, "no table 'nowhere.users'"),
        (("guests",), {}, "no table 'guests'"),
        (("users",), {"key": "ID"}, "no column 'ID'"),
    ],
)
def test_what_the_database_does_not_have_is_refused(
    proposed: Callable[..., dict[str, str]], arguments: tuple[str, ...], keys: dict[str, str], message: str
) -> None:
    """A schema that is written wrongly would leave its tables out of the draft."""
    with pytest.raises(BadInput, match=message):
        proposed(*arguments, **keys)


def test_a_similar_column_is_named(proposed: Callable[..., dict[str, str]]) -> None:
    """The hint has the name as the database has it."""
    with pytest.raises(BadInput) as refused:
        proposed("users", key="Id")
    assert refused.value.hint == "similar columns: id"


def test_a_table_of_another_schema_is_named_as_the_command_takes_it(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The command of the hint makes a draft: `--schema` alone leads to the next refusal."""
    owner, _ = owner_and_reader(request, "postgresql", tmp_path)
    execute_all(owner, "create schema side", "create table side.people (id integer primary key, email text)")
    engine = open_database(*kind_of(owner, "url"), 60)
    try:
        with engine.connect().execution_options(**READING) as connection, connection.begin():
            with pytest.raises(BadInput) as refused:
                propose(connection, "people")
            assert refused.value.hint == "name it with its schema: side.people"
            assert propose(connection, "side.people").certain
    finally:
        engine.dispose()
        execute_all(owner, "drop schema side cascade")
