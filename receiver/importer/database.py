"""The target database of an import: opened, checked, and written in batches of one transaction each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Connection, Engine, func, inspect, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from exporters.reference import schema
from portability.database.engine import open_engine
from receiver.binding.target import ImportTarget
from receiver.faults import WrongTarget
from receiver.importer.faults import BadTarget
from receiver.ledger import tables

LOCK = 0x706F7274696D70
"""Advisory lock of PostgreSQL, taken by an import in each of its transactions."""
Batch: TypeAlias = Callable[[], AbstractContextManager[Connection]]


@contextmanager
def opened(into: str, *, make: bool) -> Iterator[Engine]:
    """Open the database; with `make` its tables are made, else nothing is, not even a file. Raises BadTarget."""
    try:
        engine = open_engine(into if make else _existing(into))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError):
        hint = "use sqlite:////folder/file.db or postgresql+psycopg://user@host/database"
        raise BadTarget("the URL of --into is not supported", hint=hint) from None
    try:
        if engine.dialect.name not in {"sqlite", "postgresql"}:
            raise BadTarget(f"--into is a database of type {engine.dialect.name}", hint="use SQLite or PostgreSQL")
        with _faults_named():
            if make:
                with tables.placed(engine).begin() as connection:
                    _create(connection)
            _check_columns(engine)
            yield tables.placed(engine)
    finally:
        engine.dispose()


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


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        _alone(connection)
        yield connection


def _create(connection: Connection) -> None:
    _alone(connection)
    schema.metadata.create_all(connection)
    tables.create(connection)


def _existing(into: str) -> str:
    """Return the URL without making a file: a missing database becomes an empty database in memory."""
    url = make_url(into)
    is_absent = url.get_backend_name() == "sqlite" and url.database is not None and not Path(url.database).exists()
    return "sqlite://" if is_absent else into


@contextmanager
def _faults_named() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise BadTarget(f"the database of --into failed: {type(error.orig).__name__}") from error


def _check_columns(engine: Engine) -> None:
    """Check that existing tables have all columns; otherwise they belong to another program."""
    seen = inspect(engine)
    present = set(seen.get_table_names())
    for table in schema.metadata.sorted_tables:
        if table.name in present:
            lacking = {column.name for column in table.columns} - {c["name"] for c in seen.get_columns(table.name)}
            if lacking:
                raise BadTarget(f"the table {table.name} lacks the column {min(lacking)}")


def _alone(connection: Connection) -> None:
    """Allow one import at a time: two could wait for each other's rows. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
