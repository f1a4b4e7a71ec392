"""Fixtures of all tests: real servers, started on first use and shared by the tests of a process."""

from __future__ import annotations

import gc
import os
import secrets
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import httpx
import joinless
import one_writer
import plans
import pytest
import redis
import servers
import shared_work
import structlog
from examples import USUAL
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir
from judges.programs import missing
from memory_folder import keep_files_in_memory
from migrated import copying, migrate, own_migrations
from pymysql.err import MySQLError
from reused import ReusedDatabases
from sqlalchemy import Engine, Pool, Update, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from structlog.dev import ConsoleRenderer, plain_traceback

from portability.database import engine

Server = TypeVar("Server")

# A developer's own settings must not decide what the tests see.
for _name in [name for name in os.environ if name.startswith(("PORTABILITY_", "AWS_"))]:
    del os.environ[_name]

# Rich tracebacks with all variables, the library's default, take two seconds each.
structlog.configure([structlog.processors.add_log_level, ConsoleRenderer(exception_formatter=plain_traceback)])

_postgresql: list[servers.Postgres] = []
"""The server of this process, once a test has started it."""
SHORT_LIVED = {"jit": "off", "autovacuum": "off"}
"""Settings of PostgreSQL for databases of one test: compiled statements and statistics would come too late."""

# The limit of calls that name none, in the one object that all of them share: five seconds are short on a busy machine.
signature(httpx.get).parameters["timeout"].default.read = 60.0

set_hypothesis_home_dir(".cache/hypothesis")
# Real servers and a shared machine make single examples slow: slow examples are allowed.
settings.register_profile("default", max_examples=USUAL, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("default"), max_examples=USUAL // 5)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.register_profile("system", settings.get_profile("default"), max_examples=10 * USUAL)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_configure(config: pytest.Config) -> None:
    """Name the folder of temporary files before the first is made."""
    if "not system" in config.option.markexpr:  # the others write gigabytes
        keep_files_in_memory()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the unit tests last: their files take seconds, so no process is left with a file of minutes at the end."""
    items.sort(key=lambda item: item.nodeid.startswith("tests/unit/"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests come, and nothing goes: the garbage collector would look through them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        shared_work.spare_collector()
        gc.enable()


@pytest.fixture
def own_statements() -> Iterator[None]:
    """The engines of this test share no compiled statements with others."""
    with shared_work.own_statements():
        yield


@pytest.fixture(scope="session", autouse=True)
def _sharing() -> Iterator[None]:
    with shared_work.sharing():
        yield


@pytest.fixture
def migrating() -> Iterator[None]:
    """The product migrates each database of this test itself."""
    with own_migrations():
        yield


@pytest.fixture(scope="session", autouse=True)
def _copying() -> Iterator[None]:
    with copying():
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_disks() -> Iterator[None]:
    """Within the process of the tests nothing waits until it is on disk; processes that tests start and kill do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        quick = [pragma for pragma in engine.WRITABLE_SQLITE if not pragma.startswith("synchronous")]
        patch.setattr(engine, "WRITABLE_SQLITE", (*quick, "synchronous=OFF"))
        yield


@pytest.fixture(autouse=True)
def _no_connection_outlives_its_test() -> Iterator[None]:
    """Engines of a test are garbage at its end; their pooled connections would be closed late and with a warning."""
    opened: list[tuple[DBAPIConnection, ConnectionPoolEntry, threading.Thread]] = []

    def remember(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        opened.append((connection, entry, threading.current_thread()))

    event.listen(Pool, "connect", remember)
    yield
    event.remove(Pool, "connect", remember)
    for thread in threading.enumerate():
        if thread.name == "journal":
            thread.join(10)  # it may be at work with a connection that the test has opened
    for connection, entry, thread in opened:
        # A server that outlives the test may be at work with its own: SQLite does not survive that.
        if thread is threading.current_thread() or not thread.is_alive():
            if entry.dbapi_connection is connection:
                entry.invalidate()  # the engine of a module opens another one
            with suppress(MySQLError):  # a driver that refuses to close twice
                connection.close()


@pytest.fixture(autouse=True, scope="session")
def _states_have_one_writer() -> Iterator[None]:
    """During every test, an UPDATE of a state by the product comes from portability/requests/transition.py."""

    def check(_connection: object, statement: object, *_others: object) -> None:
        if isinstance(statement, Update) and getattr(statement.table, "name", "") in one_writer.STATEFUL:
            one_writer.check(statement)

    event.listen(Engine, "before_execute", check)
    yield
    event.remove(Engine, "before_execute", check)


@pytest.fixture(autouse=True, scope="session")
def _joinless() -> Iterator[list[str]]:
    with joinless.watching() as found:
        yield found


@pytest.fixture(autouse=True)
def _tables_are_joined(_joinless: list[str]) -> Iterator[None]:
    """No statement lists tables in one FROM: a subquery that does asks about any row of a table."""
    yield
    found = [*_joinless]
    _joinless.clear()
    assert found == []


@pytest.fixture(autouse=True, scope="session")
def _statements() -> Iterator[list[plans.RunStatement]]:
    with plans.watching() as found:
        yield found


@pytest.fixture(scope="session")
def _long_history(pg_server: servers.Postgres) -> Iterator[Engine]:
    with plans.long_history(pg_server) as filled:
        yield filled


@pytest.fixture(autouse=True)
def _no_statement_reads_a_growing_table(
    request: pytest.FixtureRequest, _statements: list[plans.RunStatement]
) -> Iterator[None]:
    """Once a test of this process has used PostgreSQL, each statement of the product is explained in a long history.

    One that has to read many rows needs an index, another form, or its reason in `plans.WHOLE`.
    """
    filled: Engine | None = request.getfixturevalue("_long_history") if _postgresql else None
    yield
    if filled:
        new = [*_statements]
        _statements.clear()
        assert [found for found in (plans.fault(filled, each) for each in new) if found] == []


@contextmanager
def _or_fail(server: AbstractContextManager[Server]) -> Iterator[Server]:
    try:
        with server as running:
            yield running
    except servers.ServerMissing as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture(scope="session")
def pg_server() -> Iterator[servers.Postgres]:
    with _or_fail(servers.postgres(settings=SHORT_LIVED)) as server:
        _postgresql.append(server)
        yield server


@pytest.fixture
def pg_url(pg_server: servers.Postgres) -> Iterator[str]:
    """A fresh, empty database on a real PostgreSQL: `postgresql+psycopg://...`."""
    name = pg_server.create_database()
    yield pg_server.url(name)
    pg_server.drop_database(name)


@pytest.fixture(scope="session")
def _pg_control_databases(pg_server: servers.Postgres) -> Iterator[ReusedDatabases]:
    another_salt = "update deployment set pairwise_salt = md5(random()::text) || md5(random()::text)"
    with closing(ReusedDatabases(pg_server, migrate, another_salt)) as databases:
        yield databases


@pytest.fixture
def pg_control_url(pg_server: servers.Postgres, _pg_control_databases: ReusedDatabases) -> Iterator[str]:
    """A migrated control database without a row, on a real PostgreSQL."""
    name = _pg_control_databases.take()
    yield pg_server.url(name)
    _pg_control_databases.give_back(name)


@pytest.fixture
def open_pooler(pg_server: servers.Postgres) -> Iterator[Callable[..., servers.Pooler]]:
    """Starts a PgBouncer before the server, with the keywords of `servers.pgbouncer`."""
    with ExitStack() as started:

        def start(**options: Any) -> servers.Pooler:
            try:
                return started.enter_context(servers.pgbouncer(pg_server, **options))
            except servers.ServerMissing:
                missing("PgBouncer", "apt-get install pgbouncer")

        yield start


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/fresh.sqlite"
    url: str = request.getfixturevalue("pg_url")
    return url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def platform_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An empty database for a platform's tables, of either kind, shared by the tests of a module."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('platform') / 'platform.db'}"
    server: servers.Postgres = request.getfixturevalue("pg_server")
    return server.url(server.create_database())


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[servers.MariaDB]:
    """No package of PyPI has it: without it the tests that need it are skipped."""
    with ExitStack() as started:
        try:
            server = started.enter_context(servers.mariadb())
        except servers.ServerMissing as missing_server:
            pytest.skip(str(missing_server))
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    with _or_fail(servers.valkey()) as server:
        yield server.url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """An empty, real Valkey: `unix://...`."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[servers.S3Server]:
    with _or_fail(servers.seaweedfs()) as server:
        yield server


@pytest.fixture
def s3(s3_server: servers.S3Server, monkeypatch: pytest.MonkeyPatch) -> servers.S3Server:
    """A real S3 server; its credentials are in the environment."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def s3_url(s3: servers.S3Server) -> str:
    """A fresh prefix in the bucket: `s3://bucket/prefix-...?endpoint=...`."""
    return s3.url(f"prefix-{secrets.token_hex(6)}")
