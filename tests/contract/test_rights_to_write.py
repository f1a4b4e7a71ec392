"""An account that may write to a table of the map is refused, however it got the right."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_accounts import ROWS, mapped_source, owner_and_reader
from sqlalchemy import create_engine, make_url

from portability.api import CoverageKind
from portability.api.errors import BadMap

ORDERS = "create table orders (id integer not null primary key, who varchar(40))"
GRANTS = {
    "postgresql": {
        "a column": (["grant update (who) on orders to {0}"], ["revoke update (who) on orders from {0}"]),
        "a column of new rows": (["grant insert (id) on orders to {0}"], ["revoke insert (id) on orders from {0}"]),
        "rows": (["grant delete on orders to {0}"], ["revoke delete on orders from {0}"]),
    },
    "mysql": {
        "a column": (["grant update (who) on orders to {0}"], ["revoke update (who) on orders from {0}"]),
        "a table": (["grant delete on orders to {0}"], ["revoke delete on orders from {0}"]),
        "the database": (["grant update on `{1}`.* to {0}"], ["revoke update on `{1}`.* from {0}"]),
        "a role": (
            [
                "create role w_{1}",
                "grant insert on orders to w_{1}",
                "grant w_{1} to {0}",
                "set default role w_{1} for {0}",
            ],
            ["drop role w_{1}"],
        ),
    },
}


@pytest.mark.parametrize("database", GRANTS)
def test_an_account_that_may_write_is_refused(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> None:
    """By a right to a single column, and by a role; with each right revoked it is accepted again."""
    owner, reader = owner_and_reader(request, database, tmp_path)
    made, account = create_engine(owner), make_url(reader).username
    names = (account if database == "postgresql" else f"{account}@localhost", made.url.database)

    def run(statements: list[str]) -> None:
        with made.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.format(*names))

    run([ORDERS])
    for right, (given, taken) in GRANTS[database].items():
        run(given)
        exporter, engine = mapped_source(reader, ROWS)
        assert CoverageKind.WRITABLE in {one.kind for one in exporter.check().findings}, right
        with pytest.raises(BadMap, match="the account of the source may write"):
            exporter.prepare()
        engine.dispose()
        run(taken)
        exporter, engine = mapped_source(reader, ROWS)
        exporter.prepare()
        engine.dispose()
    made.dispose()


def test_a_column_may_have_the_name_of_a_right(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """MariaDB writes the names of columns among the rights."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    made, account = create_engine(owner), make_url(reader).username
    with made.begin() as connection:
        connection.exec_driver_sql("create table orders (id integer primary key, who varchar(40), `UPDATE` integer)")
        connection.exec_driver_sql(f"grant select (id, who, `UPDATE`) on orders to {account}@localhost")
    exporter, engine = mapped_source(reader, ROWS)
    exporter.prepare()
    engine.dispose()
    made.dispose()
