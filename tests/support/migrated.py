"""A migrated control database without running its migrations again: they take most of the time of a small test.

The file that is copied was made by the migrations, once in each process.
"""

from __future__ import annotations

import secrets
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, inspect, text, update

from portability.database import migrations, models
from portability.database.engine import open_engine, reading, writing

_upgrade = migrations.upgrade
_changes: list[tuple[str, Any]] = []
"""What the migrations did to the first empty PostgreSQL database of this process: statements and their parameters."""


def migrate(engine: Engine) -> None:
    """Migrate a control database to the newest revision: an empty one by a copy of a migrated one."""
    if engine.dialect.name == "sqlite":
        if _copied(engine):
            return
    elif not inspect(engine).get_table_names():
        if not _changes:
            _changes.extend(_recorded(engine))
            return
        with engine.begin() as connection:
            for statement, parameters in _changes:
                connection.exec_driver_sql(statement, parameters)
        _make_unlike_the_others(engine)
        return
    else:
        with reading(engine) as connection:
            if connection.scalar(text("SELECT version_num FROM alembic_version")) == _head():
                return
    _upgrade(engine)


@contextmanager
def copying() -> Iterator[None]:
    """Let the product copy the file where it would migrate a new database on SQLite."""

    def upgrade(engine: Engine) -> tuple[str | None, str]:
        is_copied = engine.dialect.name == "sqlite" and _copied(engine)
        return (None, _head()) if is_copied else _upgrade(engine)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "upgrade", upgrade)
        yield


@contextmanager
def own_migrations() -> Iterator[None]:
    """Let the product migrate every database itself, for tests about that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "upgrade", _upgrade)
        yield


def _copied(engine: Engine) -> bool:
    """Make the file of a database, whole at once, unless it exists; returns whether it was made."""
    path = Path(engine.url.database or "")
    if path.exists():
        return False
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".") as unfinished:
        unfinished.write(_sqlite_file())
        unfinished.flush()
        with closing(sqlite3.connect(unfinished.name, isolation_level=None)) as connection:
            connection.execute("UPDATE deployment SET pairwise_salt = ?", [secrets.token_hex(32)])
        try:
            path.hardlink_to(unfinished.name)
        except FileExistsError:
            return False
    path.chmod(0o644)
    return True


def _make_unlike_the_others(engine: Engine) -> None:
    """Give a copy a salt of its own: by it deployments know each other apart."""
    with writing(engine) as connection:
        connection.execute(update(models.deployment).values(pairwise_salt=secrets.token_hex(32)))


_head = cache(migrations.head)


@cache
def _sqlite_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "migrated.sqlite")
        engine = open_engine(f"sqlite:///{path}")
        _upgrade(engine)
        engine.dispose()
        return path.read_bytes()


def _recorded(engine: Engine) -> Sequence[tuple[str, Any]]:
    """Migrate, and return the statements that change something."""
    seen: list[tuple[str, Any]] = []

    def record(
        _connection: Connection, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool
    ) -> None:
        if not statement.lstrip().upper().startswith("SELECT"):
            seen.append((statement, parameters or None))

    event.listen(engine, "before_cursor_execute", record)
    _upgrade(engine)
    event.remove(engine, "before_cursor_execute", record)
    return seen
