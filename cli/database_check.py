"""Check of `portability doctor`: the control database takes writes and every text, and this role has its rights."""

from __future__ import annotations

from sqlalchemy import Connection, text

from cli.checks import Seen
from cli.context import Context
from portability.database import deployment, migrations, rights
from portability.database.engine import open_engine, reading
from portability.errors import DatabaseUnavailable
from portability.settings import Settings

ENCODING = "UTF8"
ENCODING_HINT = "create the database anew: CREATE DATABASE portability ENCODING 'UTF8' TEMPLATE template0"
LACKING = text("""
    SELECT relname FROM unnest(CAST(:tables AS text[]), CAST(:rights AS text[])) AS wanted (relname, granted)
    WHERE NOT has_table_privilege(quote_ident(relname), granted)
""")


def control_database(context: Context) -> None:
    """Check that it takes writes, the encoding, and the rights, which a role has from `portability db rights`.

    Raises: DatabaseUnavailable.
    """
    with reading(context.engine) as connection:
        if connection.dialect.name == "postgresql":
            _check_server(connection)
    deployment.check_writable(context.engine)


def _check_server(connection: Connection) -> None:
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != ENCODING:
        seen = f"the control database has the encoding {encoding}, which not every name fits"
        raise DatabaseUnavailable(seen, hint=ENCODING_HINT)
    if lacking := _lacking(connection):
        seen = f"this role lacks rights on {len(lacking)} tables: {', '.join(lacking[:3])}"
        raise DatabaseUnavailable(seen, hint=rights.HINT)


def upgrade_schema(context: Context) -> Seen | None:
    """Upgrade the schema if the database is empty or ours; the embedded stack's database is upgraded automatically."""
    return _upgraded(context.settings) if context.settings.database_url else None


def _upgraded(settings: Settings) -> Seen | None:
    engine = open_engine(settings.database, prepared=settings.prepared_statements)
    try:
        if not migrations.is_behind(engine):
            return None
        before, after = migrations.upgrade(engine)
    finally:
        engine.dispose()
    return Seen(f"fixed: {before or 'empty'} -> {after}", fixed=True)


def _lacking(connection: Connection) -> list[str]:
    """Return the tables on which the role lacks one of its rights, sorted."""
    wanted = [
        (table, right)
        for right_list, tables in rights.RIGHTS.items()
        for table in tables
        for right in right_list.split(", ")
    ]
    tables, granted = (list(column) for column in zip(*wanted, strict=True))
    return sorted({row.relname for row in connection.execute(LACKING, {"tables": tables, "rights": granted})})
