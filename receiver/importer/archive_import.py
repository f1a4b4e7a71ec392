"""Imports an unpacked archive into the reference schema: one transaction for each dataset, by record id, repeatable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, func, inspect, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from archive.parts import NO_DATA
from exporters.reference import schema
from portability.api.storages import Storage
from portability.database.engine import open_engine
from portability.trust.signing import Jwks
from receiver.importer.contents import JSON_LINES, Contents
from receiver.importer.faults import BadTarget
from receiver.importer.parts import parent_tables
from receiver.importer.records import ImportedDataset, ImportJob, Progress
from receiver.importer.report import DatasetResult, Files, ImportReport, Left
from receiver.importer.targets import TABLES, absent, has_files
from receiver.importer.tenancy import ArchiveOwner

LOCK = 0x706F7274696D70
"""Advisory lock of PostgreSQL, taken by an import in each of its transactions."""


def import_archive(
    folders: Sequence[Path],
    into: str,
    *,
    storage: Storage | None = None,
    jwks: Jwks | None = None,
    dry_run: bool = False,
    started: Callable[[int], Progress] = lambda _: lambda _: None,
) -> ImportReport:
    """Import all records of the volumes that were unpacked into `folders`, and their files if a storage is given.

    `started` gets the number of bytes and returns a function that is called with each progress. With `jwks` the
    signature of every volume is checked again. A dry run does the same, and rolls each transaction back.

    Raises: BadInput, BadArchive, NotImportable, BadTarget, StorageError. Datasets before the fault stay imported.
    """
    with Contents(folders, jwks) as contents, _target(into, dry_run=dry_run) as engine:
        export = contents.export
        gaps = export.get("gaps")
        report = ImportReport(
            str(export.get("export")),
            str(export["profile"]),
            complete=export.get("complete") is True,
            gaps=len(gaps) if isinstance(gaps, list) else 0,
            dry_run=dry_run,
        )
        if storage is not None and not dry_run:
            storage.check()  # makes a new folder, and reports faults before any work
        owner = ArchiveOwner(str(export["profile"]))
        job = ImportJob(contents, owner, storage, dry_run, started(contents.total_bytes))
        for exporter, dataset, media_types in contents.datasets():
            table = TABLES.get((exporter, dataset))
            if table is None or JSON_LINES not in media_types:
                report.left.extend(_left(exporter, dataset, table, media_types))
            else:
                report.datasets.append(_import_dataset(engine, job, exporter, dataset, table))
        return report


def _left(exporter: str, dataset: str, table: Table | None, media_types: frozenset[str]) -> Iterator[Left]:
    if (exporter, dataset) == (NO_DATA.exporter, NO_DATA.dataset.name):
        return  # the file that says that a volume contains no data
    if media_types and all("vcon" in media_type for media_type in media_types):
        yield Left(exporter, dataset, "another form of imported records")
    elif table is None:
        yield Left(exporter, dataset, "the reference schema has no table for it")
    else:
        yield Left(exporter, dataset, "the archive has no JSON Lines of it, which are the exact copy")


@contextmanager
def _target(into: str, *, dry_run: bool) -> Iterator[Engine]:
    try:
        engine = open_engine(_dry(into) if dry_run else into)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError):
        hint = "use sqlite:////folder/file.db or postgresql+psycopg://user@host/database"
        raise BadTarget("the URL of --into is not supported", hint=hint) from None
    try:
        if engine.dialect.name not in {"sqlite", "postgresql"}:
            raise BadTarget(f"--into is a database of type {engine.dialect.name}", hint="use SQLite or PostgreSQL")
        with _faults_named():
            if not dry_run:
                with engine.begin() as connection:
                    _alone(connection)
                    schema.metadata.create_all(connection)
            _check_columns(engine)
            yield engine
    finally:
        engine.dispose()


def _dry(into: str) -> str:
    """Return the URL for a dry run, which makes no file: a missing database becomes an empty one in memory."""
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


class _Undone(Exception):
    """Ends the transaction of a dry run."""


def _import_dataset(engine: Engine, job: ImportJob, exporter: str, dataset: str, table: Table) -> DatasetResult:
    taken = DatasetResult(exporter, dataset, table.name, absent_columns=absent(table))
    taken.files = Files() if has_files(table) else None
    with suppress(_Undone), engine.begin() as connection:
        _alone(connection)
        if job.dry_run:
            for one in (table, *parent_tables(f"{exporter}/{dataset}")):
                one.create(connection, checkfirst=True)
        ImportedDataset(connection, job, table, taken).run()
        if job.dry_run:
            raise _Undone
    return taken
