"""The check of sources reads each dataset as an export would, whatever the types of the columns with ids are."""

from __future__ import annotations

import pytest
import servers
from source_accounts import ROWS, mapped_source

from worker.process import source_check
from worker.read.reader import SourcePatience

TYPES = ("text", "char(12)", "varchar(9)", "bigint", "integer", "smallint", "numeric(12)", "uuid")


def read_by(server: servers.Postgres, name: str) -> str:
    """The address of a database for the role that has its name."""
    return server.url(name).replace("postgres@", f"{name}@")


@pytest.mark.parametrize("named", ["user_id", "customer_no"])
@pytest.mark.parametrize("column_type", TYPES)
def test_a_right_is_missing_for_ids_of_each_type(pg_server: servers.Postgres, column_type: str, named: str) -> None:
    """A text is compared with no column of numbers: the check would read nothing, and say that all is well."""
    name = pg_server.create_database()
    with pg_server.connect(name) as connection:
        connection.execute(f"create table orders (id integer primary key, who {column_type})")
        connection.execute(f"create role {name} login")
    exporter, engine = mapped_source(read_by(pg_server, name), ROWS.replace("user_id", named))

    found = source_check.refusals({"shop": exporter}, SourcePatience(retries=0, seconds=60))
    with pg_server.connect(name) as connection:
        connection.execute(f"grant select on orders to {name}")
    after = source_check.refusals({"shop": exporter}, SourcePatience(retries=0, seconds=60))
    engine.dispose()

    assert {what: fault.code for what, fault in found.items()} == {"shop/orders": "source_refused"}
    assert "42501" in str(found["shop/orders"])
    assert after == {}


@pytest.mark.parametrize("column_type", ["text", "integer", "bigint", "uuid"])
def test_policies_may_read_the_tenant_as_any_type(pg_server: servers.Postgres, column_type: str) -> None:
    """A policy that casts the tenant to a UUID refuses ids of other forms: it is read with one of them."""
    name = pg_server.create_database()
    with pg_server.connect(name) as connection:
        connection.execute(f"create table orders (id integer primary key, who text, org {column_type})")
        connection.execute("alter table orders enable row level security")
        policy = f"org = current_setting('app.org')::{column_type}"
        connection.execute(f"create policy own on orders using ({policy})")
        connection.execute(f"create role {name} login; grant select on orders to {name}")
    text = ROWS.replace("user_id", "contact_id").replace('kinds = ["user"]', 'kinds = ["contact"]')
    text = text.replace('table = "orders"', 'table = "orders"\ntenant = "org"')
    text = text.replace("[[dataset]]", '[session]\nset = { "app.org" = "{tenant}" }\n[[dataset]]')
    exporter, engine = mapped_source(read_by(pg_server, name), text)

    found = source_check.refusals({"shop": exporter}, SourcePatience(retries=0, seconds=60))
    with pg_server.connect(name) as connection:
        connection.execute(f"alter policy own on orders using ({policy} and 1 / 0 = 1)")
    after = source_check.refusals({"shop": exporter}, SourcePatience(retries=0, seconds=60))
    engine.dispose()

    assert found == {}
    assert {what: fault.code for what, fault in after.items()} == {"shop/orders": "source_refused"}
