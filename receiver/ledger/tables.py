"""Tables of the receiver in the target database, made by the first import: the platform's own tables stay as they are.

On PostgreSQL they are in the schema `portability_import`, on SQLite their names begin so. They are in the same database
as the imported rows because a row and its entry in the journal must be written in one transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    inspect,
    text,
)
from sqlalchemy.schema import CreateSchema

from portability.database.engine import UtcTime

SCHEMA = "portability_import"
metadata = MetaData(schema=SCHEMA)

RUN = Table(
    "portability_import_run",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("target", Text, nullable=False, comment="as ImportTarget.name"),
    Column("issuer", Text, nullable=False),
    Column("export", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("subject", Text, nullable=False, comment="the issuer's pseudonym of the subject"),
    Column("state", String(16), nullable=False, comment="running, done, undoing or expired"),
    Column("began_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("keep_until", UtcTime, nullable=False, comment="the journal is deleted then"),
    Column("read_at", UtcTime, comment="when the export began: its values are of that time; NULL: unknown"),
    Column("undone", Text, comment="counts of an undo that has not ended, as JSON"),
    Column("repeat", String(32), comment="the last import that has repeated it without a change"),
)
KEY = Table(
    "portability_import_key",
    metadata,
    Column("target", Text, primary_key=True),
    Column("kid", String(16), nullable=False),
    Column("wrapped", LargeBinary, nullable=False, comment="the target's key, encrypted with the key file"),
)
ID = Table(
    "portability_import_id",
    metadata,
    Column("target", Text, primary_key=True),
    Column("issuer", Text, primary_key=True),
    Column("name", String(64), primary_key=True, comment="the table"),
    Column("foreign_id", Text, primary_key=True),
    Column("local_id", Text, nullable=False),
    Column("run", String(32), nullable=False, comment="the import that has added it"),
    Column("is_bound", Boolean, nullable=False, comment="whether it is the target itself"),
    Column("is_made", Boolean, nullable=False, comment="whether an import has made the local row"),
    Index("portability_import_id_local", "name", "local_id"),
)
CHANGE = Table(
    "portability_import_change",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("run", String(32), nullable=False),
    Column("target", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("name", String(64), nullable=False, comment="the table"),
    Column("local_id", Text, nullable=False),
    Column("action", String(8), nullable=False, comment="new, changed, seen or deleted"),
    Column("person", Text, comment="the local row of the person whom it is about"),
    Column("parent", Text, comment="the local row that it is a part of"),
    Column("sealed", LargeBinary, nullable=False, comment="the values, encrypted"),
    Index("portability_import_change_row", "name", "local_id", "target"),
    Index("portability_import_change_run", "run", "seq"),
)
_EARLIER_INDEXES = ("portability_import_id_own", "portability_import_change_person", "portability_import_change_parent")
"""Of an earlier release. Each took time for each row; with the first, PostgreSQL took it for looking up ids, too."""

FEED = Table(
    "portability_import_feed",
    metadata,
    Column("target", Text, primary_key=True),
    Column("issuer", Text, primary_key=True),
    Column("feed", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False, comment="of an archive"),
    Column("export", Text, nullable=False),
    Column("run", String(32), nullable=False, comment="its import; while it runs, the archive is here in part"),
    Column("cursor_sha256", String(64), comment="of its cursor; NULL: unknown"),
)
PENDING_FILE = Table(
    "portability_import_file",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("storage_key", Text, primary_key=True, comment="of a file that a batch stores, until the batch has ended"),
)


def placed(engine: Engine) -> Engine:
    """Return the engine with the place of these tables: SQLite has no schemas."""
    is_sqlite = engine.dialect.name == "sqlite"
    return engine.execution_options(schema_translate_map={SCHEMA: None if is_sqlite else SCHEMA})


def create(connection: Connection) -> None:
    """Make what is missing. The role needs the right to create a schema once."""
    if connection.dialect.name == "postgresql":
        if not connection.dialect.has_schema(connection, SCHEMA):  # the statement needs the right to make one anyway
            connection.execute(CreateSchema(SCHEMA, if_not_exists=True))
        place = f"{SCHEMA}."
    else:
        place = ""
    present = inspect(connection).get_table_names(SCHEMA if place else None)
    if not {table.name for table in metadata.tables.values()} <= set(present):
        metadata.create_all(connection)  # asks for each table by itself
    for column in (RUN.c.read_at, RUN.c.undone, RUN.c.repeat, FEED.c.cursor_sha256):
        _add_column(connection, column, place)
    for name in _EARLIER_INDEXES:
        connection.execute(text(f"DROP INDEX IF EXISTS {place}{name}"))


def _add_column(connection: Connection, column: Column[Any], place: str) -> None:
    """Add a column that a table of an earlier release lacks."""
    table = column.table.name
    if column.name not in {one["name"] for one in inspect(connection).get_columns(table, place.rstrip(".") or None)}:
        kind = column.type.compile(connection.dialect)
        connection.execute(text(f"ALTER TABLE {place}{table} ADD COLUMN {column.name} {kind}"))


def exist(connection: Connection, table: Table = RUN) -> bool:
    """Return whether an import was ever made into this database: by a release that has this table."""
    schema = None if connection.dialect.name == "sqlite" else SCHEMA
    return connection.dialect.has_table(connection, table.name, schema=schema)
