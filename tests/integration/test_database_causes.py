"""PostgreSQL that refuses: the error says why, and what to do, and repeats neither the account nor a value."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import servers
from chaos.disk import SmallDisk, needed_disk
from servers.process import unprivileged
from sqlalchemy import text
from sqlalchemy.engine import make_url

from portability.database import deployment, migrations
from portability.database.engine import open_engine, reading, writing
from portability.errors import DatabaseUnavailable

CONNECTIONS = 6
SORT = """
select set_config('temp_file_limit', '64', true), set_config('work_mem', '64', true);
select n, md5(n::text) from generate_series(1, 200000) n order by 2
"""


@pytest.fixture(scope="module")
def narrow_server() -> Iterator[servers.Postgres]:
    """A server with few connections, none of them reserved."""
    settings = {"max_connections": str(CONNECTIONS), "superuser_reserved_connections": "0"}
    with servers.postgres(settings=settings) as server:
        yield server


def failure(url: str, statement: str = "select 1", limit: str = "") -> DatabaseUnavailable:
    """The error of a transaction."""
    with pytest.raises(DatabaseUnavailable) as raised:
        _transact(url, statement, limit)
    return raised.value


def _transact(url: str, statement: str, limit: str) -> None:
    engine = open_engine(url)
    try:
        with writing(engine) as connection:
            if limit:
                connection.execute(text(f"set local {limit} = '50ms'"))
            if not statement:
                time.sleep(0.5)
            connection.execute(text(statement or "select 1"))
    finally:
        engine.dispose()


def test_a_server_without_a_free_connection_is_named(narrow_server: servers.Postgres) -> None:
    """It is not the schema, and not the address: an upgrade of the database would help as little."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(narrow_server.connect())
            except psycopg.OperationalError:
                break
        error = failure(narrow_server.url("postgres"))
    assert str(error) == "the control database at 127.0.0.1 failed: OperationalError, all its connections are in use"
    assert "max_connections" in error.hint
    assert "upgrade" not in error.hint


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda url: url.set(database="gone"), "there is no such database"),
        (lambda url: url.set(username="jane"), "it refuses the account"),
        (lambda url: url.set(port=1), "nothing listens there"),
    ],
    ids=["database", "account", "port"],
)
def test_a_connection_that_is_refused_says_why(
    narrow_server: servers.Postgres, change: Callable[..., object], seen: str
) -> None:
    """Each cause has its own words, and the hint fits."""
    url = change(make_url(narrow_server.url("postgres")))
    error = failure(url.render_as_string(hide_password=False))  # type: ignore[attr-defined]  # a URL
    assert str(error).endswith(f" failed: OperationalError, {seen}")
    assert error.hint
    assert "jane" not in f"{error}{error.hint}"


@pytest.mark.parametrize(
    ("limit", "statement", "seen"),
    [
        ("statement_timeout", "select pg_sleep(1)", "QueryCanceled"),
        ("idle_in_transaction_session_timeout", "", "IdleInTransactionSessionTimeout"),
    ],
)
def test_a_time_limit_is_named(narrow_server: servers.Postgres, limit: str, statement: str, seen: str) -> None:
    """The caller waits as during an outage, and the next one finds a connection."""
    error = failure(narrow_server.url("postgres"), statement, limit)
    assert str(error).endswith(f" failed: {seen}")
    assert "time limit" in error.hint
    engine = open_engine(narrow_server.url("postgres"))
    with reading(engine) as connection:
        assert connection.scalar(text("select 1")) == 1
    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "seen", "hint"),
    [
        ("select count(pg_advisory_xact_lock(n)) from generate_series(1, 200000) n", "OutOfMemory", "max_locks"),
        (SORT, "ConfigurationLimitExceeded", "temp_file_limit"),
    ],
)
def test_a_limit_of_the_server_is_named(narrow_server: servers.Postgres, statement: str, seen: str, hint: str) -> None:
    """The address of the database and its schema are right: another hint would lead to them."""
    error = failure(narrow_server.url("postgres"), statement)
    assert str(error).endswith(f" failed: {seen}")
    assert hint in error.hint
    assert "upgrade" not in error.hint


@pytest.fixture
def small_drive(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of 64 MiB on which PostgreSQL may write."""
    with needed_disk(tmp_path / "drive") as made:
        account = unprivileged()
        os.chown(made.folder, account.uid, account.gid)
        for above in tmp_path.parents[:3]:
            above.chmod(0o755)
        tmp_path.chmod(0o755)
        yield made


def test_a_database_whose_disk_is_full_takes_no_writes(narrow_server: servers.Postgres, small_drive: SmallDisk) -> None:
    """It answers, and a small change may still be stored: it counts as away at once, and as up when there is room."""
    with narrow_server.connect() as connection:
        connection.execute(f"create tablespace small_drive location '{small_drive.folder}'")
        connection.execute("create database filled tablespace small_drive")
    engine = open_engine(narrow_server.url("filled"))
    migrations.upgrade(engine)
    deployment.check_writable(engine)
    small_drive.fill()
    with writing(engine) as connection:
        connection.execute(text("update deployment set swept_at = now()"))
    with pytest.raises(DatabaseUnavailable, match="failed: DiskFull") as raised:
        deployment.check_writable(engine)
    assert "check the disk of the database" in raised.value.hint
    small_drive.empty()
    deployment.check_writable(engine)
    engine.dispose()
