"""Settings of a company's server, database or account: they change neither values nor which rows are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest
import servers
from psycopg.errors import FdwUnableToEstablishConnection, IdleInTransactionSessionTimeout, SnapshotTooOld
from source_accounts import ROWS, execute_all, mapped_source, owner_and_reader
from sqlalchemy import Connection, Engine, create_engine, make_url

from exporters.sql.faults import reading, source_error
from portability.api import JSON, Selection, SubjectKind
from portability.api.errors import SourceError, SourceUnavailable
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
COUNT = 1_300
"""More than the pages that are read value by value: the rest arrives as joined columns."""
BATCHES_MAX = 10
FIELDS = """
fields.single = { type = "number", text = "Value." }
fields.written = { type = "string", text = "Value.", column = "double" }
fields.doubles = { type = "object", text = "Value." }
fields.span = { type = "string", text = "Value." }
fields.bytes = { type = "object", text = "Value." }
fields.moment = { type = "datetime", text = "Value." }
"""
COLUMNS = (
    "single real",
    "double double precision not null unique",
    "doubles double precision[]",
    "span interval",
    "bytes bytea[]",
    "moment timestamptz",
)
VALUES = (
    "16777215",
    "100 + n / 1024::float8 / 1024",
    "array[0.30000000000000004]",
    "'1 month -2 days 03:04:05.5'",
    r"array['\xff00'::bytea]",
    "'2026-01-02 03:04:05.5+02'",
)
SETTINGS = (
    "extra_float_digits = 0",
    "extra_float_digits = -15",
    "IntervalStyle = 'iso_8601'",
    "IntervalStyle = 'sql_standard'",
    "bytea_output = 'escape'",
    "DateStyle = 'German, DMY'",
    "TimeZone = 'Asia/Jakarta'",
    "quote_all_identifiers = on",
)
MARIADB_MAP = (
    ROWS.replace('column = "who", identities = ["user_id"]', 'column = "code", identities = ["code"]')
    + """
fields.names = { type = "string", text = "Value." }
fields.moment = { type = "datetime", text = "Value." }
order = ["code", "id"]
where = [{ column = "note", equals = "" }]
[[identity]]
table = "accounts"
from = "user_id"
column = "who"
value = "code"
gives = "code"
verified = true
"""
)
CODES = 20
BACKSLASHED = r"a\\''nn"
"""The id of the person as a statement of MariaDB writes it."""
MARIADB_SETTINGS = (
    "sql_select_limit = 10",
    "sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'",
    "sql_mode = 'EMPTY_STRING_IS_NULL'",
    "sql_mode = 'ANSI'",
    "sql_mode = 'NO_BACKSLASH_ESCAPES'",
    "group_concat_max_len = 4",
    "sql_quote_show_create = 0",
    "sql_big_selects = 0, max_join_size = 5",
    "system_versioning_asof = '2020-01-01'",
    "time_zone = '+07:00'",
    "tx_isolation = 'READ-UNCOMMITTED'",
)
OpenSource: TypeAlias = Callable[[str], list[dict[str, JSON]]]


@pytest.fixture(scope="module")
def rows_of_postgresql(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A table of many types: its address for its owner, and for an account that can only read."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path_factory.mktemp("shop"))
    made = create_engine(owner)
    with made.begin() as connection:
        columns, values = ", ".join(COLUMNS), ", ".join(VALUES)
        connection.exec_driver_sql(f"create table orders (id integer primary key, who text, {columns})")
        rows = f"select n, 'ann', {values} from generate_series(1, {COUNT}) n"  # noqa: S608  # of this test alone
        connection.exec_driver_sql(f"insert into orders {rows}")
    made.dispose()
    return owner, reader


@pytest.fixture
def read_with(rows_of_postgresql: tuple[str, str]) -> Iterator[OpenSource]:
    """Reads the records in the order of a double, by an account that has this setting."""
    owner, reader = rows_of_postgresql
    role = reader.split("//")[1].split("@")[0]
    opened: list[Engine] = [create_engine(owner)]

    def change(statement: str) -> None:
        with opened[0].begin() as connection:
            connection.exec_driver_sql(f"alter role {role} {statement}")

    def read(setting: str) -> list[dict[str, JSON]]:
        change(f"set {setting}")
        exporter, engine = mapped_source(reader, f'{ROWS}{FIELDS}order = ["double"]')
        opened.append(engine)
        # Keys that are not those of their rows may lead to the same rows again, without an end.
        batches = list(islice(exporter.export(ANN, exporter.datasets[0], Selection()), BATCHES_MAX))
        assert [batch.gaps for batch in batches if batch.gaps] == []
        return [dict(record) for batch in batches for record in batch.records]

    yield read
    change("reset all")
    for engine in opened:
        engine.dispose()


def test_backslashes_are_read_as_they_are(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Of an account with `standard_conforming_strings = off`: in the id of a person, in keys, and in the catalogue."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    role = make_url(reader).username
    rows = rf"select n, '\''ann', 'k\' || lpad(n::text, 4, '0') from generate_series(1, {COUNT}) n"  # noqa: S608  # of this test alone
    execute_all(
        owner,
        f"alter role {role} set standard_conforming_strings = off",
        "create table orders (id integer, who text, code text primary key)",
        f"insert into orders {rows}",
    )
    exporter, engine = mapped_source(reader, f'{ROWS}key = ["code"]\nfields.code = {{ text = "Code." }}\n')
    subject = sample_subject(SubjectKind.USER, r"\'ann")
    batches = list(exporter.export(subject, exporter.datasets[0], Selection()))
    execute_all(owner, f"alter role {role} reset all")

    assert [one.detail for one in exporter.check().findings if one.kind == "query_refused"] == []
    assert [record["id"] for batch in batches for record in batch.records] == list(range(1, COUNT + 1))
    engine.dispose()


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_of_an_account_change_no_value(read_with: OpenSource, setting: str) -> None:
    """Each row arrives once, with all digits, and in one form, whatever an account of PostgreSQL has by default."""
    records = read_with(setting)

    assert [record["id"] for record in records] == list(range(1, COUNT + 1))
    for record in (records[0], records[-1]):
        assert {name: value for name, value in record.items() if name not in {"id", "written"}} == {
            "single": 16777215.0,
            "doubles": [0.30000000000000004],
            "span": "1 mon -2 days +03:04:05.5",
            "bytes": [r"\xff00"],
            "moment": "2026-01-02T01:04:05.500000Z",
        }
    assert (records[0]["written"], records[-1]["written"]) == ("100.00000095367432", "100.00123977661133")


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
@pytest.mark.parametrize("pages", [0, 1, 2])
def test_a_table_that_is_filled_again_is_never_empty(
    request: pytest.FixtureRequest, tmp_path: Path, level: str, pages: int
) -> None:
    """A read that waits for TRUNCATE and INSERT in one transaction gives its rows, whatever the account's isolation.

    An earlier snapshot sees neither the rows of before nor those of now.
    """
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    rows = f"insert into orders select n, 'ann' from generate_series(1, {COUNT}) n"  # noqa: S608  # of this test alone
    role = make_url(reader).username
    setting = f"alter role {role} set default_transaction_isolation = '{level}'"
    execute_all(owner, "create table orders (id integer primary key, who text)", rows, setting)
    exporter, engine = mapped_source(reader, ROWS)
    batches = exporter.export(ANN, exporter.datasets[0], Selection())
    found = [record["id"] for batch in islice(batches, pages) for record in batch.records]
    filling = create_engine(owner)
    with ThreadPoolExecutor() as thread:
        with filling.begin() as connection:
            connection.exec_driver_sql("truncate orders")
            rest = thread.submit(lambda: [record["id"] for batch in batches for record in batch.records])
            while not connection.exec_driver_sql("select 1 from pg_locks where not granted").all():
                assert not rest.done()
            connection.exec_driver_sql(rows)
        found += rest.result()
    execute_all(owner, f"alter role {role} reset all")
    filling.dispose()
    engine.dispose()
    assert found == list(range(1, COUNT + 1))


@pytest.fixture(scope="module")
def view_of_mariadb(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A person with many codes, and a row for each: the address for its owner, and for an account that only reads."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path_factory.mktemp("shop"))
    made = create_engine(owner)
    grouped = "select id, code, note, group_concat(code, '; ', code) as names, at as moment from bought group by id"
    with made.begin() as connection:
        for statement in (
            "create table accounts (code char(8) primary key, who varchar(20) not null) with system versioning",
            "create table bought (id integer primary key, code char(8) not null, note text not null, at timestamp(6))",
            f"create view orders as {grouped}",
            "set time_zone = '+00:00'",
        ):
            connection.exec_driver_sql(statement)
        for number in range(CODES):
            account = f"'c{number:03}', '{BACKSLASHED}'"
            connection.exec_driver_sql(f"insert into accounts values ({account})")  # noqa: S608  # of this test alone
            row = f"{number}, 'c{number:03}', '', '2026-01-02 03:04:05.5'"
            connection.exec_driver_sql(f"insert into bought values ({row})")  # noqa: S608  # of this test alone
    made.dispose()
    return owner, reader


@pytest.fixture
def deleting(view_of_mariadb: tuple[str, str]) -> Iterator[Connection]:
    """Another transaction of the database, which is never committed."""
    engine = create_engine(view_of_mariadb[0])
    with engine.connect() as connection:
        connection.exec_driver_sql("delete from bought where id < 5")
        yield connection
        connection.rollback()
    engine.dispose()


@pytest.mark.usefixtures("deleting")
@pytest.mark.parametrize("setting", MARIADB_SETTINGS)
def test_settings_of_mariadb_change_no_value(
    mariadb_server: servers.MariaDB, view_of_mariadb: tuple[str, str], setting: str
) -> None:
    """Every row and every look-up arrives whole, whatever sessions of MariaDB have by default."""
    exporter, engine = mapped_source(view_of_mariadb[1], MARIADB_MAP)
    person = sample_subject(SubjectKind.USER, r"a\'nn")
    mariadb_server.execute(f'set global init_connect = "set session {setting}"')
    try:
        codes = exporter.identities(person)
        subject = sample_subject(SubjectKind.USER, "ann", *codes)
        batches = list(exporter.export(subject, exporter.datasets[0], Selection()))
    finally:
        mariadb_server.execute("set global init_connect = ''")
        engine.dispose()

    assert [(one.value, one.verified) for one in codes] == [(f"c{number:03}", True) for number in range(CODES)]
    assert [record for batch in batches for record in batch.records] == [
        {"id": number, "names": f"c{number:03}; c{number:03}", "moment": "2026-01-02T03:04:05.500000Z"}
        for number in range(CODES)
    ]


@pytest.mark.parametrize("setting", ["max_sort_length = 1024", "max_sort_length = 64, sort_buffer_size = 32768"])
def test_long_keys_are_compared_whole(
    request: pytest.FixtureRequest, tmp_path: Path, mariadb_server: servers.MariaDB, setting: str
) -> None:
    """Each row arrives once if keys differ only after the first bytes, by which MariaDB sorts on its own."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    made = create_engine(owner)
    with made.begin() as connection:
        texts = "name text not null, folder text not null, path text not null"
        statement = f"create table orders (id integer not null, who varchar(20), {texts}, unique (name, folder, path))"
        connection.exec_driver_sql(statement)
        long = f"repeat('d', 1100), 'x', concat(repeat('p', 1100), lpad(7 * seq mod {COUNT}, 6, '0'))"
        rows = f"select seq, 'ann', {long} from seq_1_to_{COUNT}"  # noqa: S608  # of this test alone
        connection.exec_driver_sql(f"insert into orders {rows}")
    made.dispose()
    fields = "\n".join(f'fields.{name} = {{ text = "Text." }}' for name in ("name", "folder", "path"))
    key = 'key = ["name", "folder", "path"]'
    exporter, engine = mapped_source(reader, f"{ROWS}{fields}\n{key}")
    mariadb_server.execute(f'set global init_connect = "set session {setting}"')
    try:
        batches = list(islice(exporter.export(ANN, exporter.datasets[0], Selection()), BATCHES_MAX))
    finally:
        mariadb_server.execute("set global init_connect = ''")
        engine.dispose()

    assert sorted(str(record["id"]) for batch in batches for record in batch.records) == sorted(
        str(number) for number in range(1, COUNT + 1)
    )


def test_a_limit_of_an_account_passes(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Another worker has all connections that MariaDB allows the account: the export is retried."""
    _, reader = owner_and_reader(request, "mysql", tmp_path)
    account = str(make_url(reader).username)
    mariadb: servers.MariaDB = request.getfixturevalue("mariadb_server")
    exporter, engine = mapped_source(reader, ROWS)
    mariadb.execute(f"alter user {account}@localhost with max_user_connections 1")
    other = create_engine(reader)
    try:
        with other.connect(), pytest.raises(SourceUnavailable, match="1226"):
            exporter.prepare()
    finally:
        mariadb.execute(f"alter user {account}@localhost with max_user_connections 0")
        other.dispose()
        engine.dispose()


def test_a_table_that_is_altered_passes(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """MariaDB reads no other form of a table than that of the transaction's begin: the next transaction does."""
    owner, reader = owner_and_reader(request, "mysql", tmp_path)
    _, engine = mapped_source(reader, ROWS)
    altering = create_engine(owner)
    with altering.begin() as connection:
        connection.exec_driver_sql("create table first (id integer)")
        connection.exec_driver_sql("create table orders (id integer)")
    with pytest.raises(SourceUnavailable, match="1412"), reading(engine, "orders") as connection:
        _alter_between(connection, altering)
    altering.dispose()
    engine.dispose()


def _alter_between(connection: Connection, altering: Engine) -> None:
    connection.exec_driver_sql("select * from first")
    with altering.begin() as other:
        other.exec_driver_sql("alter table orders add column note text, algorithm = copy")
    connection.exec_driver_sql("select * from orders")


@pytest.mark.parametrize("kind", [IdleInTransactionSessionTimeout, SnapshotTooOld, FdwUnableToEstablishConnection])
def test_what_a_server_ends_passes(kind: type[psycopg.Error]) -> None:
    """A time limit of the account, a snapshot that was kept too long, or a server of a foreign table that is away."""
    ended = source_error(kind(), "orders")
    assert isinstance(ended, SourceUnavailable)
    assert str(ended) == f"orders: the database does not answer ({kind.__name__} {kind.sqlstate})"


@pytest.mark.parametrize("database", ["postgresql", "mysql"])
@pytest.mark.parametrize("wrong", [{"database": "nowhere"}, {"username": "nobody", "password": "wrong"}])
def test_a_refused_login_leads_to_the_url(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, wrong: dict[str, Any]
) -> None:
    """An operator who has mistyped a name reads what to compare; the error itself names no account and no password."""
    _, reader = owner_and_reader(request, database, tmp_path)
    engine = create_engine(make_url(reader).set(**wrong))
    with pytest.raises(SourceError) as refused, reading(engine, "orders"):
        pass
    engine.dispose()
    assert "of the URL right" in str(refused.value.hint)
    assert not any(value in f"{refused.value} {refused.value.hint}" for value in wrong.values())
