"""Database migrations of the control database, run by `portability db upgrade`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from portability.database import rights
from portability.database.engine import reading, writing
from portability.errors import DatabaseUnavailable

LOCK = 0x706F7274
"""Advisory lock of PostgreSQL: several machines may upgrade at the same time."""
UNRELEASED = frozenset(f"{number:04}" for number in range(1, 10))
"""Revisions of development before version 0.1.0. Since then a revision is the name of its file."""


def upgrade(engine: Engine) -> tuple[str | None, str]:
    """Migrate the control database to the newest revision; safe to run twice and from several machines.

    Returns: the revision before and after. Raises DatabaseUnavailable if the database does not answer, or has a
    revision from which no migration starts.
    """
    target = head()
    with reading(engine) as connection:
        if _revision(connection) == target:
            return target, target
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        before = _known(_revision(connection))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, target)
        return before, target


def head() -> str:
    """Return the newest revision that this code knows."""
    revision = _scripts().get_current_head()
    if revision is None:
        raise RuntimeError("the package contains no migration")
    return revision


def check_current(engine: Engine) -> None:
    """Check that the database has the newest schema. Raises DatabaseUnavailable."""
    with reading(engine) as connection:
        seen = _known(_revision(connection))
    if seen != head():
        # Without rights on the schema a role sees no tables.
        may_lack_rights = engine.dialect.name == "postgresql" and not seen
        raise DatabaseUnavailable(
            f"the control database is at revision {seen or 'none'}, but this version needs {head()}",
            hint=rights.HINT if may_lack_rights else "run `portability db upgrade`",
        )


def is_behind(engine: Engine) -> bool:
    """Return whether `upgrade` is needed: the database is empty, or at an older revision that this version knows.

    Raises: DatabaseUnavailable.
    """
    with reading(engine) as connection:
        seen = _revision(connection)
        if seen is None:
            return not inspect(connection).get_table_names()
    return seen != head() and seen in _revisions()


def _known(seen: str | None) -> str | None:
    """Return a database's revision, None if it is empty. Raises DatabaseUnavailable if no migration starts there."""
    if seen is None or seen in _revisions():
        return seen
    if seen in UNRELEASED:
        raise DatabaseUnavailable(
            f"the control database is at revision {seen}, which is older than version 0.1.0",
            hint="no migration starts from this development version: use an empty database",
        )
    raise DatabaseUnavailable(
        f"the control database is at revision {seen}, which this version does not know",
        hint="if a newer version upgraded it, run that version; otherwise check PORTABILITY_DATABASE_URL",
    )


def _revisions() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
