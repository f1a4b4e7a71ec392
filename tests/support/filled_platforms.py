"""Copies of the small platform: filling one takes most of the time of a small test, copying it does not."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from sqlalchemy import Engine, inspect, text

from portability.database.engine import open_engine

Fill = Callable[[Engine], None]
_templates: dict[tuple[str | None, int | None], str] = {}
"""By host and port of a PostgreSQL server: a filled database on it."""


def copy(engine: Engine, fill: Fill) -> bool:
    """Fill a database by a copy of one that `fill` has filled; returns False for a database that is not empty."""
    if engine.dialect.name == "sqlite":
        path = Path(engine.url.database or "")
        if path.exists():
            return False
        path.write_bytes(_sqlite_file(fill))
        return True
    if inspect(engine).get_table_names():
        return False
    engine.dispose()
    server = open_engine(engine.url.set(database="postgres").render_as_string(hide_password=False))
    try:
        where = (engine.url.host, engine.url.port)
        if where not in _templates:
            filled = f"filled_{secrets.token_hex(6)}"
            _execute_on(server, f'CREATE DATABASE "{filled}"')
            template = open_engine(engine.url.set(database=filled).render_as_string(hide_password=False))
            fill(template)
            template.dispose()
            _templates[where] = filled
        name = engine.url.database
        _execute_on(server, f'DROP DATABASE "{name}"')
        _execute_on(server, f'CREATE DATABASE "{name}" TEMPLATE "{_templates[where]}"')
    finally:
        server.dispose()
    return True


def _execute_on(server: Engine, statement: str) -> None:
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))


@cache
def _sqlite_file(fill: Fill) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "platform.sqlite")
        engine = open_engine(f"sqlite:///{path}")
        fill(engine)
        engine.dispose()
        return path.read_bytes()
