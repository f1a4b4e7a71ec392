"""Sessions of PostgreSQL that also work through a pooler in transaction mode, such as PgBouncer.

There a session lasts as long as a transaction: the next one runs on another connection of the server, with the settings
and the prepared statements that other clients left. So settings are made in each transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from psycopg import ClientCursor, Cursor
from psycopg import Connection as Driver
from psycopg.pq import ExecStatus, Format
from psycopg.sql import quote
from sqlalchemy import Connection, func, select, true
from sqlalchemy.pool import ConnectionPoolEntry

SETS_FORMS = "portability_sets_forms"
READ_ONLY = {"postgresql_readonly": True, SETS_FORMS: True}
"""Execution options of an engine whose transactions begin with BEGIN READ ONLY and with FORMS."""
FORMS = "; ".join(
    f"SET LOCAL {setting}"
    for setting in (
        "TimeZone = 'UTC'",
        "DateStyle = 'ISO'",
        "IntervalStyle = 'postgres'",
        "extra_float_digits = 3",  # with fewer digits a key is not that of its row, and rows after it are left out
        "bytea_output = 'hex'",
        "standard_conforming_strings = on",  # else a backslash in a statement is another character
        "quote_all_identifiers = off",  # else the catalogue quotes the names of types
        "gin_fuzzy_search_limit = 0",  # else an index leaves out rows at random
    )
)
"""Settings of a transaction that reads another system, whatever the server, the database or the role has by default: in
which form it writes values as text, and that it reads all rows."""
KEEPS_FORMS = "portability_keeps_forms"
"""Noted for a connection whose session has FORMS: its transactions need not set them."""
EACH_STATEMENT = "READ COMMITTED"
"""The isolation of a transaction that reads another system, whatever an account has by default: each statement sees
what is committed when it begins. In an earlier snapshot a table that is emptied and filled again meanwhile is empty.
"""
SINGLE = f"SET TRANSACTION ISOLATION LEVEL {EACH_STATEMENT}, READ ONLY; {FORMS}; "
"""Before a single statement of the same message: PostgreSQL runs all statements of a message as one transaction."""
PLANNING = "SET jit = off; SET max_parallel_workers_per_gather = 0"
"""Settings of a session with the control database, whose statements read a few rows of large tables.

PostgreSQL expects too many of them: it would compile the statement, and start processes, for 0.2 s.
"""
SETTINGS = "portability_settings"
"""Execution option: settings of each transaction by name, such as those of row-level security. Names and values may be
any text: they are bound, or quoted by libpq."""
PREPARE_AFTER = 5
"""A statement is prepared after this number of executions; the driver's default."""
TURNS = 40
"""How often two connections are compared: other clients may take a process in between."""


class SingleStatementCursor(ClientCursor[Any]):
    """Sends the settings and one statement in one message: a whole READ ONLY transaction in one round trip."""

    def __init__(self, connection: Driver[Any], *, before: str = SINGLE, row_factory: Any = None) -> None:  # noqa: ANN401  # as below
        super().__init__(connection, row_factory=row_factory)
        self._before = before

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:  # noqa: ANN401  # the driver's own
        # With parameters a percent sign is a placeholder.
        before = self._before if params is None else self._before.replace("%", "%%")
        super().execute(before + query, params, **options)
        while self.nextset():  # the last result is that of the statement
            pass
        return self


class BinaryCursor(Cursor[Any]):
    """Receives values in PostgreSQL's binary form: large values of bytes arrive in a third of the time."""

    format = Format.BINARY


@contextmanager
def binary_results(connection: Connection) -> Iterator[None]:
    """Receive the results of the block in binary form, where the database has one."""
    driver: Any = connection.connection.driver_connection
    if not isinstance(driver, Driver):
        yield
        return
    usual, driver.cursor_factory = driver.cursor_factory, BinaryCursor
    try:
        yield
    finally:
        driver.cursor_factory = usual


def before_single(connection: Connection) -> str:
    """Return what precedes a single statement of this connection in the same message."""
    settings = connection.get_execution_options().get(SETTINGS, {})
    if not settings:
        return SINGLE
    driver = connection.connection.driver_connection
    calls = [f"set_config({quote(name, driver)}, {quote(value, driver)}, true)" for name, value in settings.items()]
    return f"{SINGLE}SELECT {', '.join(calls)}; "


def set_settings(connection: Connection) -> None:
    """Set the settings of the beginning transaction, bound as values."""
    settings = connection.get_execution_options().get(SETTINGS, {})
    if settings:
        connection.execute(select(*(func.set_config(name, value, true()) for name, value in settings.items())))


def set_forms(connection: Connection) -> None:
    """Set how the beginning transaction writes values; a single statement without BEGIN has them in its message."""
    is_single = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
    if not is_single and not connection.info.get(KEEPS_FORMS):
        connection.exec_driver_sql(FORMS)


def keep_forms(driver: Driver[Any], record: ConnectionPoolEntry) -> None:
    """Set for a new connection how all its transactions write values, unless it is one to a pooler."""
    if not is_behind_pooler(driver):
        answer = driver.pgconn.exec_(FORMS.replace("SET LOCAL", "SET").encode())
        record.info[KEEPS_FORMS] = answer.status == ExecStatus.COMMAND_OK


def plan_for_few_rows(driver: Driver[Any], _record: object) -> None:
    """Set for a new connection how its statements are planned; not to a pooler, where other clients would get that."""
    if not is_behind_pooler(driver):
        driver.pgconn.exec_(PLANNING.encode())


def keep_access(driver: Driver[Any], _record: object, _proxy: object) -> None:
    """Leave it to the server whether the next transaction may write, unless it begins as READ ONLY.

    After such a one the library would begin with READ WRITE, which a database that is set to read only obeys.
    """
    if driver.read_only is False and not driver.closed:
        driver.read_only = None


def limit_preparation(*, prepared: bool | None) -> Callable[[Driver[Any], object], None]:
    """Make the listener for new connections. `prepared`: use prepared statements; None: unless there is a pooler."""

    def limit(driver: Driver[Any], _record: object) -> None:
        allowed = not is_behind_pooler(driver) if prepared is None else prepared
        driver.prepare_threshold = PREPARE_AFTER if allowed else None

    return limit


def is_behind_pooler(driver: Driver[Any]) -> bool:
    """Return whether a connection is one to a pooler: the server's process is not the one that the login named."""
    return server_process(driver) != driver.pgconn.backend_pid


def server_process(driver: Driver[Any]) -> int | None:
    """Return the id of the server's process that answers now, without beginning a transaction; None: no answer."""
    answer = driver.pgconn.exec_(b"SELECT pg_catalog.pg_backend_pid()")
    named = answer.get_value(0, 0) if answer.status == ExecStatus.TUPLES_OK else None
    return None if named is None else int(named)


def pools_transactions(first: Driver[Any], second: Driver[Any]) -> bool:
    """Return whether two connections to a pooler share the server's processes, or change them between statements.

    A pooler prefers the process that was used last, so two clients that take turns get the same, unless others use the
    pooler: then one turn in two shows it.
    """
    own = set[int | None]()
    for _ in range(TURNS):
        other = server_process(second)
        own.add(server_process(first))
        if len(own) > 1 or other in own:
            return True
    return False
