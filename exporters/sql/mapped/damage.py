"""Damage of a SQLite file: an index that lacks rows, or a table that has lost some, makes no query fail."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from exporters.sql.faults import reading
from exporters.sql.mapped.catalogue import Catalogue
from exporters.sql.mapped.databases import SQLITE
from exporters.sql.mapped.limits import is_ended, limited
from portability.api import CoverageFinding, CoverageKind
from portability.api.errors import SourceDamaged

EXAMINE_SECONDS = 5.0
"""How long a table is locked at most: so long other programs wait by default until they may write."""
STRUCTURE = re.compile(r"\*\*\* in database|Tree |[Rr]ow(id)? .*(order|missing|end)|.*malformed")
"""The beginning of what `quick_check` says about pages; the rest is about values that a column should not have, or, in
new versions of SQLite, about the numbers of entries."""
TABLES = text("select name from pragma_table_list where schema = 'main' and type in ('table', 'shadow')")
INDEXES = text("select name from pragma_index_list(:table) where partial = 0")


def examine(engine: Engine, source: str, used: Catalogue) -> Iterator[CoverageFinding]:
    """Yield the tables that are too large to be examined. Raises SourceDamaged, SourceUnavailable, SourceRefused.

    `quick_check` reads each page once. It does not compare an index with its table, for which `integrity_check` needs
    ten times as long: the numbers of their entries are compared instead.
    """
    if engine.dialect.name != SQLITE:
        return
    for name in _tables(engine, source, used):
        with reading(engine, f"{source}: {name}") as connection:
            try:
                with limited(connection, EXAMINE_SECONDS):
                    damage = _damage(connection, name)
            except OperationalError as error:
                if not is_ended(error):
                    raise
                detail = f"examined for damage for {EXAMINE_SECONDS:g} s only"
                yield CoverageFinding(CoverageKind.NOT_COMPARED, name, detail=detail)
                continue
        if damage:
            raise SourceDamaged(f"{source}: the table {name} is damaged: {damage}")


def _tables(engine: Engine, source: str, used: Catalogue) -> Collection[str]:
    """Return the tables that are read; a view may read any."""
    with reading(engine, f"{source}: catalogue") as connection:
        every = [name for name in connection.scalars(TABLES) if not name.startswith("sqlite_")]
    return [name for name in every if name in used] if set(used) <= set(every) else every


def _damage(connection: Connection, name: str) -> str:
    """Return what is wrong with a table, by its indexes; empty: nothing was found."""
    quoted = name.replace("'", "''")
    found: Sequence[str] = connection.exec_driver_sql(f"PRAGMA quick_check('{quoted}')").scalars().all()
    if any(STRUCTURE.match(one) for one in found):
        return "its pages"
    rows = _count(connection, name, "NOT INDEXED")
    for index in connection.scalars(INDEXES, {"table": name}).all():
        quoted = connection.dialect.identifier_preparer.quote_identifier(index)
        if (entries := _count(connection, name, f"INDEXED BY {quoted}")) != rows:
            return f"the index {index} has {entries} entries for {rows} rows"
    return ""


def _count(connection: Connection, name: str, how: str) -> int:
    quoted = connection.dialect.identifier_preparer.quote_identifier(name)
    return int(connection.exec_driver_sql(f"SELECT count(*) FROM {quoted} {how}").scalar_one())  # noqa: S608  # quoted
