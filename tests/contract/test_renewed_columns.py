"""A time that is set at each change of a row is neither a place in the order of reading nor a creation time."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import ROWS, execute_all, mapped_sources, owner_and_reader

from portability.api.errors import BadMap

CALLS = """
title = "Desk"
role = "processor"
kinds = ["contact"]
[people]
table = "people"
tenant = "org"
name = "name"
addresses.phone = { column = "phone", since = "made" }
[[dataset]]
name = "people"
title = "People"
description = "People."
provenance = "observed"
table = "people"
tenant = "org"
rows = [{ column = "id", identities = ["contact_id"] }]
fields.id = { type = "integer", text = "Id." }
[[dataset]]
name = "calls"
title = "Calls"
description = "Calls."
provenance = "observed"
table = "calls"
tenant = "org"
rows = [{ address = "number", identity = "phone", unlinked = "person", at = ["%s"], gives = "call_id" }]
fields.id = { type = "integer", text = "Id." }
"""


@pytest.mark.parametrize("column", ["t", "u"])
@pytest.mark.parametrize(("line", "what"), [('order = ["{}", "id"]', "order"), ('created = "{}"', "creation time")])
def test_a_column_that_changes_with_its_row_is_refused(
    request: pytest.FixtureRequest, tmp_path: Path, column: str, line: str, what: str
) -> None:
    """A row that is changed while it is read would be missing: behind its place, or after the begin of the export."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    execute_all(
        owner,
        "create table orders (id integer primary key, who varchar(9), made timestamp default current_timestamp,"
        " t timestamp not null default current_timestamp on update current_timestamp,"
        " u datetime(6) not null on update current_timestamp(6))",
    )
    with mapped_sources() as opened:
        opened(reader, ROWS + 'created = "made"\nchanged = "t"').prepare()
        exporter = opened(reader, ROWS + line.format(column))
        with pytest.raises(BadMap, match=f"'{column}' of orders is set again at each change of its row.*{what}"):
            exporter.prepare()


def test_a_time_by_which_an_address_is_judged_does_not_change(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A call that is changed after its number has another owner would be that of the other person."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    made = "made timestamp null, t timestamp not null default current_timestamp on update current_timestamp"
    execute_all(
        owner,
        f"create table people (id integer primary key, org varchar(9), name varchar(9), phone varchar(20), {made})",
        f"create table calls (id integer primary key, org varchar(9), number varchar(20), person integer, {made})",
    )
    with mapped_sources() as opened:
        opened(reader, CALLS % "made").prepare()
        exporter = opened(reader, CALLS % "t")
        with pytest.raises(BadMap, match=r"'t' of calls is set again at each change .* that of another person"):
            exporter.prepare()


def test_a_trigger_of_the_usual_extension_is_known(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """PostgreSQL has no such columns; the extension moddatetime has triggers for them."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    execute_all(
        owner,
        "create table orders (id integer primary key, who text, t timestamptz not null)",
        "create or replace function moddatetime() returns trigger language plpgsql"
        " as 'begin new.t = now(); return new; end'",
        "create trigger changed before update on orders for each row execute function moddatetime(t)",
    )
    with mapped_sources() as opened:
        opened(reader, ROWS).prepare()
        exporter = opened(reader, ROWS + 'order = ["t", "id"]')
        with pytest.raises(BadMap, match="'t' of orders is set again at each change of its row"):
            exporter.prepare()


VIEWS = {
    "mysql": ("t timestamp not null default current_timestamp on update current_timestamp",),
    "postgresql": (
        "t timestamp not null default now()",
        "create extension if not exists moddatetime",
        "create trigger orders_t before update on bought for each row execute procedure moddatetime(t)",
    ),
}
"""The column of a table by database, and further statements."""


@pytest.mark.parametrize("database", VIEWS)
def test_a_view_does_not_hide_it(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> None:
    """Nor does a view of a view; a column of another name is believed to be another time."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    column, *further = VIEWS[database]
    execute_all(
        owner,
        f"create table bought (id integer primary key, who varchar(9), made timestamp null, {column})",
        *further,
        "create view inner_orders as select b.id, b.who, b.made, b.t from bought b",
        "create view orders as select id, who, made, t from inner_orders",
        *(["grant select on orders to public"] if database == "postgresql" else []),
    )
    with mapped_sources() as opened:
        opened(reader, ROWS + 'created = "made"\nchanged = "t"').prepare()
        exporter = opened(reader, f'{ROWS}created = "t"')
        with pytest.raises(BadMap, match="'t' of orders is set again at each change of its row"):
            exporter.prepare()


BESIDE = {
    "mysql": ("create table buyers (id integer primary key, t timestamp not null default '2026-01-01 00:00:00')",),
    "postgresql": ("create table buyers (id integer primary key, t timestamp not null default now())",),
}
SAME_NAME = {
    "buyer": "select b.id, b.who, p.t, b.t as changed from bought b join buyers p on p.id = b.id",
    "own": "select b.id, b.who, b.t from bought b join buyers p on p.id = b.id where p.t > '2020-01-01'",
    "computed": "select b.id, b.who, coalesce(b.t, p.t) as t from bought b join buyers p on p.id = b.id",
    "united": "select b.id, b.who, p.t from bought b join buyers p on p.id = b.id"
    " union all select b.id, b.who, b.t from bought b",
    "renamed": "select b.id, b.who, b.u as t from (select id, who, t as u from bought) b",
    "other": "select b.id, b.who, b.v as t from bought_v b",
}
"""Views of two tables with a column `t`, of which `bought` sets its own again."""


@pytest.mark.parametrize("database", BESIDE)
def test_a_column_of_a_view_is_that_of_its_own_table(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    """Another table below the view with a column of the same name changes nothing; what is not clear is refused."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    column, *further = VIEWS[database]
    execute_all(
        owner,
        f"create table bought (id integer primary key, who varchar(9), {column})",
        *further,
        *BESIDE[database],
        "create view bought_v as select id, who, t as v from bought",
        *(f"create view {name} as {query}" for name, query in SAME_NAME.items()),
        *(f"create view over_{name} as select {name}.id, {name}.who, {name}.t from {name}" for name in SAME_NAME),  # noqa: S608  # names of this module
        *(["grant select on all tables in schema public to public"] if database == "postgresql" else []),
    )
    refused = set()
    with mapped_sources() as opened:
        for name in [*SAME_NAME, *(f"over_{name}" for name in SAME_NAME)]:
            try:
                opened(reader, ROWS.replace('"orders"', f'"{name}"') + 'created = "t"').prepare()
            except BadMap as error:
                assert "is set again at each change of its row" in str(error)  # noqa: PT017  # others are accepted
                refused.add(name)
    assert refused == {one for name in SAME_NAME for one in (name, f"over_{name}")} - {"buyer", "over_buyer"}
