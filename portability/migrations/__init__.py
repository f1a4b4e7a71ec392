"""Database migrations of the control database, run by `portability db upgrade`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from portability.db import reading, writing
from portability.errors import DatabaseUnavailable

LOCK = 0x706F7274
"""Advisory lock of PostgreSQL: several machines may upgrade at once."""


def upgrade(engine: Engine, revision: str | None = None) -> tuple[str | None, str]:
    """Bring the control database to a revision, by default the newest; safe to run twice and from several machines.

    Returns: the revision before and after. Raises DatabaseUnavailable.
    """
    target = revision or head()
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        before = _revision(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, target)
        return before, target


def head() -> str:
    """The newest revision that this code knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise RuntimeError("the package holds no migration")
    return revision


def check_current(engine: Engine) -> None:
    """Raises DatabaseUnavailable where the schema is not the one that this code knows."""
    with reading(engine) as connection:
        seen = _revision(connection)
    if seen != head():
        raise DatabaseUnavailable(
            f"the control database is at revision {seen or 'none'}, this code needs {head()}",
            hint="run `portability db upgrade`",
        )


def is_behind(engine: Engine) -> bool:
    """Whether `upgrade` is what the database needs: it is empty, or at an older revision of ours.

    Raises: DatabaseUnavailable.
    """
    with reading(engine) as connection:
        seen = _revision(connection)
        if seen is None:
            return not inspect(connection).get_table_names()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    return seen != head() and seen in known


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
