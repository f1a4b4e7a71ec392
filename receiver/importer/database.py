"""The target database of an import: opened, checked, and written in batches of one transaction each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Column, Connection, Dialect, Engine, func, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from exporters.reference import schema
from portability.database import causes
from portability.database.engine import BUSY_SECONDS, open_engine
from receiver.binding.target import ImportTarget
from receiver.faults import WrongTarget
from receiver.importer.faults import BadTarget, TargetUnavailable
from receiver.ledger import tables

LOCK = 0x706F7274696D70
"""Advisory lock of PostgreSQL, taken by an import in each of its transactions."""
TURN_SECONDS = 600
"""How long another import, which has this lock, is waited for: a dry run keeps it as long as it runs."""
WAITS = "portability_waits"
"""Execution option with what is called when another import is waited for."""
LOCK_NOT_AVAILABLE = "55P03"
ROLLED_BACK = "SQLITE_CONSTRAINT_TRIGGER"
"""The code of SQLite for RAISE in a trigger. A record that ABORT or FAIL refuses is handled where it is written."""
WAITING = "waits for another import or undo, which writes into the database of --into"
Batch: TypeAlias = Callable[[], AbstractContextManager[Connection]]


@contextmanager
def opened(
    into: str, *, make: bool, is_checked: bool = True, waits: Callable[[str], object] = lambda _: None
) -> Iterator[Engine]:
    """Open the database; with `make` its tables are made, else nothing is, not even a file.

    `is_checked`: only if its tables have the columns of the schema. The journal alone does not need them. `waits` is
    called once with a sentence if another import into the database is waited for.

    Raises: BadTarget; TargetUnavailable, also for what the block does with the database.
    """
    try:
        engine = open_engine(into if make else _existing(into))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError):
        hint = "use sqlite:////folder/file.db or postgresql+psycopg://user@host/database"
        raise BadTarget("the URL of --into is not supported", hint=hint) from None
    try:
        if engine.dialect.name not in {"sqlite", "postgresql"}:
            raise BadTarget(f"--into is a database of type {engine.dialect.name}", hint="use SQLite or PostgreSQL")
        target = tables.placed(engine).execution_options(**{WAITS: cache(waits)})
        with _faults_named(engine):
            if make:
                with target.begin() as connection:
                    _create(connection)
            if is_checked:
                _check_columns(engine)
            yield target
    finally:
        engine.dispose()


def check_exists(into: str) -> None:
    """Check that a database of SQLite is a file that is there: an empty database would be opened instead.

    Raises: BadTarget.
    """
    try:
        path = _absent_file(into)
    except (ArgumentError, ValueError):
        return  # `opened` reports it
    if path:
        raise BadTarget(f"there is no database {path}", hint="check --into: sqlite:////folder/file.db has four slashes")


@contextmanager
def batches(engine: Engine, *, dry_run: bool) -> Iterator[Batch]:
    """Yield a function that opens the transaction of a batch; a dry run has one transaction, which is rolled back."""
    if not dry_run:
        yield lambda: _transaction(engine)
        return
    with engine.connect() as connection, connection.begin() as transaction:
        _create(connection)

        @contextmanager
        def part() -> Iterator[Connection]:
            yield connection

        try:
            yield part
        finally:
            transaction.rollback()


def check_here(connection: Connection, target: ImportTarget) -> None:
    """Check that a contact of the target belongs to the target's company. Raises WrongTarget."""
    if target.contact:
        of = schema.contacts.c
        found = connection.scalar(select(of.tenant_id).where(of.id == target.contact))
        if found not in {None, target.tenant}:
            raise WrongTarget("the contact belongs to another company", hint="check --as-contact and --as-tenant")


def check_present(connection: Connection, names: Collection[str]) -> None:
    """Check that tables are here whose rows an import has changed. Raises BadTarget."""
    if lacking := {*names} - {*inspect(connection).get_table_names()}:
        hint = "restore the table, or rename it back; `portability imports forget` deletes the journal instead"
        raise BadTarget(f"the database has no table {min(lacking)}, whose rows the import has changed", hint=hint)


_COLUMNS = text("""
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT a.atthasdef
    WHERE c.relkind = 'r' AND NOT c.relrowsecurity AND NOT c.relhasrules AND pg_table_is_visible(c.oid)
    AND c.relname = ANY(:names)
    AND NOT EXISTS (SELECT 1 FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
""")


def plain_tables(connection: Connection) -> frozenset[str]:
    """Return the tables of the reference schema that store each value as it is given; none on SQLite.

    They have no trigger, rule or policy, and all columns have the schema's types and no defaults.
    """
    if connection.dialect.name != "postgresql" or _is_recoded(connection):
        return frozenset()
    names = list(schema.metadata.tables)
    present = {tuple(row) for row in connection.execute(_COLUMNS, {"names": names})}
    return frozenset(
        table.name
        for table in schema.metadata.tables.values()
        if all((table.name, one.name, _type(one, connection.dialect)) in present for one in table.columns)
    )


_TYPES = text("""
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE pg_table_is_visible(c.oid) AND c.relname = ANY(:names)
""")


def other_types(connection: Connection) -> Mapping[str, frozenset[str]]:
    """Return the columns of each table that have another type than the schema's, which may round or cut a value.

    In a database whose encoding is not UTF-8 these are all columns.
    """
    names = list(schema.metadata.tables)
    if _is_recoded(connection):
        return {table.name: frozenset(map(str, table.columns.keys())) for table in schema.metadata.tables.values()}
    if connection.dialect.name == "postgresql":
        present = {(table, name): kind for table, name, kind in connection.execute(_TYPES, {"names": names})}
    else:
        found = inspect(connection).get_multi_columns(filter_names=names)
        present = {
            (table, one["name"]): one["type"].compile(connection.dialect).lower()
            for (_schema, table), columns in found.items()
            for one in columns
        }
    return {
        table.name: frozenset(
            str(one.name)
            for one in table.columns
            if present.get((table.name, one.name)) != _type(one, connection.dialect)
        )
        for table in schema.metadata.tables.values()
    }


def _is_recoded(connection: Connection) -> bool:
    """Return whether the database stores texts in an encoding of its own, which may make one letter of two."""
    is_postgresql = connection.dialect.name == "postgresql"
    return is_postgresql and connection.scalar(text("SHOW server_encoding")) not in {"UTF8", "SQL_ASCII"}


def _type(column: Column[Any], dialect: Dialect) -> str:
    return str(column.type.compile(dialect)).lower()


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        _begin(connection)
        yield connection


def _create(connection: Connection) -> None:
    _begin(connection)
    if not schema.metadata.tables.keys() <= set(inspect(connection).get_table_names()):
        schema.metadata.create_all(connection)  # asks for each table by itself
    tables.create(connection)


def _existing(into: str) -> str:
    """Return the URL without making a file: a missing database becomes an empty database in memory."""
    return "sqlite://" if _absent_file(into) else into


def _absent_file(into: str) -> str:
    """Return the path of a database of SQLite that is missing, else an empty text."""
    url = make_url(into)
    path = url.database or ""
    return path if url.get_backend_name() == "sqlite" and path and not Path(path).exists() else ""


@contextmanager
def _faults_named(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, engine.dialect.loaded_dbapi.Error) as error:  # the driver's own error, from COPY
        cause = causes.found(error.orig if isinstance(error, DBAPIError) else error)
        if ROLLED_BACK in cause.seen:
            hint = "let it RAISE(ABORT, ...): then its record alone is refused"
            raise BadTarget("a trigger of the target rolls back the whole transaction", hint=hint) from error
        raise TargetUnavailable(f"the database of --into failed: {cause.seen}", hint=cause.hint) from error


def _check_columns(engine: Engine) -> None:
    """Check that existing tables have all columns; otherwise they belong to another program."""
    seen = inspect(engine)
    present = set(seen.get_table_names())
    columns = seen.get_multi_columns()
    for table in schema.metadata.sorted_tables:
        if table.name in present:
            found = {column["name"]: column for column in columns[None, table.name]}
            if lacking := {column.name for column in table.columns} - found.keys():
                raise BadTarget(f"the table {table.name} lacks the column {min(lacking)}")
            if generated := [column.name for column in table.columns if "computed" in found[column.name]]:
                raise BadTarget(f"the column {min(generated)} of the table {table.name} is generated")


_BOUND = text(f"SELECT set_config('lock_timeout', '{BUSY_SECONDS}s', true) WHERE current_setting('lock_timeout') = '0'")
"""Locks of other programs on the target's rows and tables are waited for as long as on SQLite."""


def _begin(connection: Connection) -> None:
    """Allow one import at a time: two could wait for each other's rows. SQLite has one writer anyway.

    Constraints that the target defers are checked with each statement: the commit could not say which row they refuse.
    """
    if connection.dialect.name == "postgresql":
        if not connection.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
            _await_turn(connection)
        connection.execute(_BOUND)  # after the lock: another import may write for longer
        connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))


def _await_turn(connection: Connection) -> None:
    """Wait until another import has ended its transaction, and say so. Raises TargetUnavailable."""
    connection.get_execution_options()[WAITS](WAITING)
    is_unbounded = connection.scalar(text("SELECT current_setting('lock_timeout')")) == "0"
    if is_unbounded:
        _set_lock_timeout(connection, f"{TURN_SECONDS}s")
    try:
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        hint = "wait until it has ended, then run the same command again; pg_locks shows its session"
        raise TargetUnavailable("another import or undo did not end in time", hint=hint) from None
    if is_unbounded:
        _set_lock_timeout(connection, "0")


def _set_lock_timeout(connection: Connection, value: str) -> None:
    connection.execute(select(func.set_config("lock_timeout", value, True)))
